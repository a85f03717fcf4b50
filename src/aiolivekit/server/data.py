"""Data packets from one participant to others: sequence, sender, targets, and what a joiner has missed."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from livekit.protocol import models

if TYPE_CHECKING:
    from aiolivekit.server.participant import Participant
    from aiolivekit.server.room import Room

__all__ = ["LOSSY", "RELIABLE", "DataRouter", "PacketMemory", "accept_packet"]

RELIABLE = "_reliable"
LOSSY = "_lossy"

MEMORY_TIME = 2.0
MEMORY_SIZE = 100_000
"""Seconds and bytes of reliable packets a room remembers for those who are joining; the real server's."""

MAX_NONCES = 100

_KINDS = {True: models.DataPacket.Kind.RELIABLE, False: models.DataPacket.Kind.LOSSY}


class PacketMemory:
    """The reliable packets of the last moments."""

    def __init__(self) -> None:
        self._packets: deque[tuple[float, str, int, tuple[str, ...], bytes]] = deque()
        self._size = 0

    def add(self, sender: str, sequence: int, targets: tuple[str, ...], data: bytes, now: float) -> None:
        """Remember a packet of the participant with sid `sender`."""
        self._packets.append((now, sender, sequence, targets, data))
        self._size += len(data)
        while self._packets and (self._size > MEMORY_SIZE or now - self._packets[0][0] > MEMORY_TIME):
            self._size -= len(self._packets.popleft()[4])

    def since(self, first: dict[str, int], identity: str) -> list[tuple[str, int, bytes]]:
        """Return what `identity` missed: of each sender what it sent from its sequence number in `first` on."""
        return [
            (sender, sequence, data)
            for _, sender, sequence, targets, data in self._packets
            if sequence >= first.get(sender, sequence + 1) and (not targets or identity in targets)
        ]


def accept_packet(packet: models.DataPacket, sender: Participant, *, reliable: bool) -> bool:
    """Make a client's packet what others may see; returns whether it is passed on at all.

    The sender's identity is what the server knows, not what the packet says; only agents may speak for others.
    """
    kind = packet.WhichOneof("value")
    if kind is None:
        return False
    packet.participant_sid = sender.sid
    packet.kind = _KINDS[reliable]
    sid, identity = ("", "") if sender.hidden else (sender.sid, sender.identity)
    keep_identity = False
    if kind == "user":
        user = packet.user
        user.participant_sid, user.participant_identity = sid, identity
        if packet.destination_identities:
            user.destination_identities[:] = packet.destination_identities
        else:
            packet.destination_identities[:] = user.destination_identities
    elif kind in ("metrics", "speaker") or (kind == "transcription" and not sender.is_agent):
        return False
    elif sender.is_agent and packet.participant_identity not in ("", sender.identity):
        if kind == "chat_message":
            packet.chat_message.generated = keep_identity = True
        elif kind == "stream_header" and packet.stream_header.WhichOneof("content_header") == "text_header":
            packet.stream_header.text_header.generated = keep_identity = True
    if not keep_identity:
        packet.participant_identity = identity
    return True


class DataRouter:
    """Takes data packets of a room's participants and hands them to others."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._memory = PacketMemory()
        self._nonces: deque[bytes] = deque(maxlen=MAX_NONCES)
        self.packets_seen = 0

    def receive(self, sender: Participant, label: str, data: bytes) -> None:
        """Take a message of a data channel."""
        if label not in (RELIABLE, LOSSY) or not sender.grants.can_publish_data:
            return
        try:
            packet = models.DataPacket.FromString(data)
        except DecodeError:
            sender.malformed += 1
            return
        reliable = label == RELIABLE
        sequence = packet.sequence if reliable else 0
        if sequence:
            if sequence <= sender.last_sequence:
                sender.duplicates += 1
                return
            sender.last_sequence = sequence
        if not accept_packet(packet, sender, reliable=reliable):
            return
        self.packets_seen += 1
        sender.data_packets += 1
        self.send(packet, sender, reliable=reliable)

    def send(self, packet: models.DataPacket, sender: Participant | None, *, reliable: bool) -> None:
        """Hand a packet to everyone it is for."""
        sids: list[str] = []
        if packet.WhichOneof("value") == "user":
            if packet.user.nonce:
                if packet.user.nonce in self._nonces:
                    return
                self._nonces.append(packet.user.nonce)
            sids = list(packet.user.destination_sids)
        identities = list(packet.destination_identities)
        data = packet.SerializeToString()
        if reliable and sender is not None and packet.sequence:
            self._memory.add(sender.sid, packet.sequence, tuple(identities), data, time.monotonic())
        label = RELIABLE if reliable else LOSSY
        sender_sid = sender.sid if sender is not None else ""
        for other in list(self._room.participants.values()):
            if other is sender:
                continue
            if (sids or identities) and other.sid not in sids and other.identity not in identities:
                continue
            other.send_data(label, data, sender_sid, packet.sequence)

    def missed(self, first: dict[str, int], identity: str) -> list[tuple[str, int, bytes]]:
        """Return what a participant missed while it was joining."""
        return self._memory.since(first, identity)
