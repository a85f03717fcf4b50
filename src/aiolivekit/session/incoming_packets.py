"""What comes in on the data channels of a session: packets in, events out."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from google.protobuf.message import DecodeError
from livekit.protocol import models, rtc

from ..core.reliable import ReceiveState
from ..e2ee.packet_cryptor import PacketCryptor
from ..enums import DataPacketKind
from .events import DataTrackPacketReceived, SessionEvent
from .packets import DATA_TRACK_LABEL, LOSSY_LABEL, RELIABLE_LABEL, decode_packet

__all__ = ["IncomingPackets"]

_RELIABLE = DataPacketKind.KIND_RELIABLE
_LOSSY = DataPacketKind.KIND_LOSSY
_parse = models.DataPacket.FromString
_monotonic = time.monotonic


class IncomingPackets:
    """Turns packets into their events; what cannot be read is counted and dropped.

    Args:
        emit: Takes the events.
        received: What was received from whom; reliable packets that came before are dropped.
        cryptor: Decrypts packets; `None` in a room that is not encrypted.
    """

    def __init__(
        self, emit: Callable[[SessionEvent], None], received: ReceiveState, cryptor: PacketCryptor | None
    ) -> None:
        self._emit = emit
        self._received = received
        self._cryptor = cryptor
        self.undecodable = 0
        self.unknown = 0

    def take(self, label: str, data: bytes) -> None:
        """Take a packet from the channel of that label."""
        if label == DATA_TRACK_LABEL:
            self._emit(DataTrackPacketReceived(data))
            return
        try:
            packet = _parse(data)
        except DecodeError:
            self.undecodable += 1
            return
        if label == RELIABLE_LABEL:
            sequence = packet.sequence
            if sequence and not self._received.accept(packet.participant_sid, sequence, _monotonic()):
                return
            kind = _RELIABLE
        elif label == LOSSY_LABEL:
            kind = _LOSSY
        else:
            self.unknown += 1
            return
        if self._cryptor is None:
            self._tell(kind, packet)
        else:
            self._cryptor.open(packet, partial(self._tell, kind))

    def _tell(self, kind: DataPacketKind, packet: models.DataPacket, encryption_type: int = 0) -> None:
        event = decode_packet(packet, kind, encryption_type)
        if event is None:
            self.unknown += 1
        else:
            self._emit(event)

    def states(self) -> list[rtc.DataChannelReceiveState]:
        """Return what we have of whom (`SyncState.datachannel_receive_states`)."""
        states = self._received.snapshot(_monotonic())
        return [rtc.DataChannelReceiveState(publisher_sid=sid, last_seq=last) for sid, last in states.items()]
