"""The data channels of a session: the one place that writes to them, and the first that reads them.

LiveKit uses three channels of the publisher (`_reliable`, `_lossy`, `_data_track`). With two peer connections the
server sends on channels of its own, which it makes on the subscriber; with one, both directions share ours.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from livekit.protocol import models, rtc

from ..core.outbox import Outbox
from ..core.reliable import ReceiveState, SendSequence
from ..core.retained import RetainedPackets
from ..enums import DataPacketKind
from ..errors import PacketTooLargeError
from ..peer.channel import ChannelState, DataChannel
from ..peer.connection import PeerConnection
from .events import SessionEvent
from .packets import decode_packet

__all__ = [
    "DATA_TRACK_LABEL",
    "INITIAL_BUFFERED_AMOUNT_LOW_THRESHOLD",
    "LOSSY_LABEL",
    "RELIABLE_LABEL",
    "SessionChannels",
]

_logger = logging.getLogger("aiolivekit.session")

RELIABLE_LABEL = "_reliable"
LOSSY_LABEL = "_lossy"
DATA_TRACK_LABEL = "_data_track"
INITIAL_BUFFERED_AMOUNT_LOW_THRESHOLD = 2 * 1024 * 1024
"""Bytes of a channel's buffer at or below which waiting packets go on (the seed's constant of this name)."""
DATA_TRACK_LOW_THRESHOLD = 8 * 1024
DEFAULT_MAX_MESSAGE_SIZE = 65_536
"""Bytes a message may have when the server does not say (RFC 8841, section 6)."""

_RELIABLE = DataPacketKind.KIND_RELIABLE
_LOSSY = DataPacketKind.KIND_LOSSY
_parse = models.DataPacket.FromString
_monotonic = time.monotonic


@dataclass(slots=True, eq=False)
class _Waiting:
    packet: models.DataPacket
    handed_over: asyncio.Future[None]


class _Lane:
    """One direction out: a channel of ours, what waits for it, and its numbers."""

    __slots__ = ("channel", "failed", "max_size", "outbox", "retained", "sequence", "usable")

    def __init__(self, channel: DataChannel, high: int, sequence: SendSequence | None) -> None:
        self.channel = channel
        self.outbox: Outbox[_Waiting] = Outbox(high)
        self.sequence = sequence
        self.retained = RetainedPackets()
        self.max_size = DEFAULT_MAX_MESSAGE_SIZE
        self.usable = False
        self.failed: Exception | None = None

    def hand_over(self, packet: models.DataPacket, buffered: int) -> None:
        sequence = self.sequence
        if sequence is not None:
            packet.sequence = sequence.last + 1
        data = packet.SerializeToString()
        if len(data) > self.max_size:
            # Before the number counts as given: a gap would make the server wait for nothing.
            raise PacketTooLargeError(len(data), self.max_size)
        self.channel.send(data)
        if sequence is not None:
            self.retained.keep(sequence.next(), data, buffered + len(data))

    def drain(self) -> None:
        while (entry := self.outbox.next(buffered := self.channel.buffered_amount)) is not None:
            if entry.handed_over.done():
                continue
            try:
                self.hand_over(entry.packet, buffered)
            except Exception as error:  # noqa: BLE001 - goes to the caller that waits
                entry.handed_over.set_exception(error)
            else:
                entry.handed_over.set_result(None)

    def fail(self, error: Exception) -> None:
        self.usable = False
        self.failed = error
        for entry in self.outbox.clear():
            if not entry.handed_over.done():
                entry.handed_over.set_exception(error)
                # The waiter may have been cancelled in the same step; then nobody looks at the exception.
                entry.handed_over.exception()


class SessionChannels:
    """The data channels of one session.

    Args:
        high: Bytes buffered in libwebrtc above which `publish` waits.
        emit: Takes the events of received packets.
        on_lost: Told that a channel of ours closed though the session did not close it.
        sequence: The numbers of our reliable packets; they outlive the session.
        received: What was received from whom; it outlives the session.
    """

    def __init__(
        self,
        high: int,
        emit: Callable[[SessionEvent], None],
        on_lost: Callable[[str], None],
        sequence: SendSequence,
        received: ReceiveState,
    ) -> None:
        self._high = high
        self._emit = emit
        self._on_lost = on_lost
        self._sequence = sequence
        self._received = received
        self._lanes: dict[DataPacketKind, _Lane] = {}
        self._data_track: DataChannel | None = None
        self._remote: list[DataChannel] = []
        self._closed: Exception | None = None
        self._flushed: asyncio.Future[None] | None = None
        self._path_down = False
        self._paused = False
        self.undecodable = 0
        self.unknown = 0
        self.lossy_dropped = 0

    # -- making and ending --

    def create(self, publisher: PeerConnection) -> None:
        """Make our three channels on the publisher."""
        low = INITIAL_BUFFERED_AMOUNT_LOW_THRESHOLD
        reliable = publisher.create_channel(RELIABLE_LABEL, ordered=True, max_retransmits=None, low_threshold=low)
        lossy = publisher.create_channel(LOSSY_LABEL, ordered=False, max_retransmits=0, low_threshold=low)
        self._lanes = {
            DataPacketKind.KIND_RELIABLE: _Lane(reliable, self._high, self._sequence),
            DataPacketKind.KIND_LOSSY: _Lane(lossy, self._high, None),
        }
        self._data_track = publisher.create_channel(
            DATA_TRACK_LABEL, ordered=False, max_retransmits=0, low_threshold=DATA_TRACK_LOW_THRESHOLD
        )

    def forget(self) -> None:
        """Let go of channels whose publisher is not used after all."""
        for lane in self._lanes.values():
            lane.channel.detach()
        if self._data_track is not None:
            self._data_track.detach()

    def add_remote(self, channel: DataChannel) -> None:
        """Keep a channel the server made."""
        self._remote.append(channel)

    def set_max_message_size(self, size: int | None) -> None:
        """Take over what the server's description says; 0 stands for no limit."""
        limit = DEFAULT_MAX_MESSAGE_SIZE if size is None else size or 2**31
        for lane in self._lanes.values():
            lane.max_size = limit

    async def flush(self, patience: float, limit: float) -> bool:
        """Let reliable packets reach the server, those that wait included, and close their channel.

        The channel is closed as SCTP does it (RFC 8831, section 6.7): the stream is reset behind what was sent, so
        when the reset has come back, everything has arrived.

        Args:
            patience: Seconds without any progress after which it is given up.
            limit: Seconds it may take altogether.

        Returns:
            Whether everything has arrived.
        """
        lane = self._lanes.get(_RELIABLE)
        if lane is None or (self._sequence.last == 0 and not len(lane.outbox)):
            return True
        if not lane.usable:
            return False
        self._flushed = asyncio.get_running_loop().create_future()
        lane.drain()
        if not len(lane.outbox):
            lane.channel.close()
        end = _monotonic() + limit
        left = (len(lane.outbox), lane.channel.buffered_amount)
        while not self._flushed.done():
            await asyncio.wait([self._flushed], timeout=min(patience, max(0.0, end - _monotonic())))
            before, left = left, (len(lane.outbox), lane.channel.buffered_amount)
            if left >= before or _monotonic() >= end:
                break
        return self._flushed.done()

    def close(self, error: Exception) -> None:
        """Let go of the channels; packets that wait fail with `error`."""
        self._closed = error
        for lane in self._lanes.values():
            lane.fail(error)
            lane.channel.detach()
        for channel in [self._data_track, *self._remote]:
            if channel is not None:
                channel.detach()

    # -- losses --

    def set_path(self, *, up: bool) -> None:
        """Say whether the media path stands; while it does not, lossy packets are dropped and counted."""
        self._path_down = not up
        lane = self._lanes.get(_LOSSY)
        if lane is not None and not self._paused:
            lane.usable = up and lane.channel.is_open

    def replay(self, last: int) -> int:
        """Send again what came after number `last`, the last one the server has of us; return how many."""
        lane = self._lanes.get(_RELIABLE)
        if lane is None or not lane.channel.is_open:
            return 0
        packets = lane.retained.after(last)
        for data in packets:
            lane.channel.send(data)
        return len(packets)

    def pause(self) -> None:
        """Hand nothing over any more; packets wait to be adopted by another session."""
        self._paused = True
        for lane in self._lanes.values():
            lane.usable = False

    def adopt(self, predecessor: SessionChannels) -> None:
        """Take the packets that wait for the channels of a session that ends, ahead of our own."""
        for kind, old in predecessor._lanes.items():
            lane = self._lanes[kind]
            for entry in [*old.outbox.clear(), *lane.outbox.clear()]:
                lane.outbox.wait(entry)
            if lane.usable:
                lane.drain()

    def describe(self) -> list[rtc.DataChannelInfo]:
        """Return the channels there are (`SyncState.data_channels`)."""
        ours = [lane.channel for lane in self._lanes.values()]
        if self._data_track is not None:
            ours.append(self._data_track)
        both = [(channel, rtc.SignalTarget.PUBLISHER) for channel in ours]
        both += [(channel, rtc.SignalTarget.SUBSCRIBER) for channel in self._remote]
        return [
            rtc.DataChannelInfo(label=channel.label, id=stream, target=target)
            for channel, target in both
            if (stream := channel.stream_id) is not None
        ]

    def receive_states(self) -> list[rtc.DataChannelReceiveState]:
        """Return what we have of whom (`SyncState.datachannel_receive_states`)."""
        states = self._received.snapshot(_monotonic())
        return [rtc.DataChannelReceiveState(publisher_sid=sid, last_seq=last) for sid, last in states.items()]

    # -- out --

    def try_publish(self, packet: models.DataPacket, kind: DataPacketKind) -> bool:
        """Hand a packet over now, or return false when it must wait (`publish`).

        Raises:
            PacketTooLargeError: If it is larger than the server takes.
        """
        lane = self._lanes[kind]
        if lane.usable and lane.outbox.goes_at_once(buffered := lane.channel.buffered_amount):
            lane.hand_over(packet, buffered)
            return True
        if kind is _LOSSY and self._path_down:
            # By the time the path is back it would be old news.
            self.lossy_dropped += 1
            return True
        return False

    async def publish(self, packet: models.DataPacket, kind: DataPacketKind) -> None:
        """Hand a packet over when its turn has come.

        Its place in the order is that of this call. Cancelling withdraws it unless it has been handed over.

        Raises:
            PacketTooLargeError: If it is larger than the server takes.
            ClosedError: If the session ends first.
        """
        if self._closed is not None:
            raise self._closed
        lane = self._lanes[kind]
        if lane.failed is not None:
            raise lane.failed
        entry = _Waiting(packet, asyncio.get_running_loop().create_future())
        lane.outbox.wait(entry)
        if lane.usable:
            lane.drain()
        try:
            await entry.handed_over
        except asyncio.CancelledError:
            lane.outbox.withdraw(entry)
            raise

    @property
    def usable(self) -> bool:
        """Whether our channels are open."""
        return all(lane.usable for lane in self._lanes.values())

    def threshold(self, kind: DataPacketKind) -> int:
        """Return the low threshold of a channel, in bytes."""
        return self._lanes[kind].channel.low_threshold

    def set_threshold(self, kind: DataPacketKind, value: int) -> None:
        """Set the low threshold of a channel, in bytes; packets wait above it, or above the high mark if higher."""
        lane = self._lanes[kind]
        lane.channel.low_threshold = value
        lane.outbox.high = max(self._high, value)

    def buffered_amount(self, kind: DataPacketKind) -> int:
        """Return the bytes libwebrtc holds for a channel."""
        return self._lanes[kind].channel.buffered_amount

    # -- in (ChannelSink) --

    def on_channel_message(self, channel: DataChannel, data: bytes) -> None:
        """Turn a packet into its event; what cannot be read is counted and dropped."""
        try:
            packet = _parse(data)
        except DecodeError:
            self.undecodable += 1
            return
        label = channel.label
        if label == RELIABLE_LABEL:
            sequence = packet.sequence
            if sequence and not self._received.accept(packet.participant_sid, sequence, _monotonic()):
                return
            kind = _RELIABLE
        elif label == LOSSY_LABEL:
            kind = DataPacketKind.KIND_LOSSY
        else:
            self.unknown += 1
            return
        event = decode_packet(packet, kind)
        if event is None:
            self.unknown += 1
        else:
            self._emit(event)

    def on_channel_state(self, channel: DataChannel, state: ChannelState) -> None:
        """Start or fail what waits for a channel of ours."""
        lane = next((lane for lane in self._lanes.values() if lane.channel is channel), None)
        if lane is None:
            return
        if state == "open":
            lane.usable = not self._paused
            if lane.usable:
                lane.drain()
        elif self._flushed is not None:
            if state == "closed" and lane.channel.label == RELIABLE_LABEL and not self._flushed.done():
                self._flushed.set_result(None)
        elif self._closed is None:
            was_usable, lane.usable = lane.usable, False
            # What waits goes on waiting: the session will be taken up again, or replaced, or closed.
            if was_usable:
                self._on_lost(channel.label)

    def on_channel_low(self, channel: DataChannel) -> None:
        """Go on with what waits for room."""
        for lane in self._lanes.values():
            if lane.channel is channel and lane.usable:
                lane.drain()
                if self._flushed is not None and not len(lane.outbox):
                    lane.channel.close()
