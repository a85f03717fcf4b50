"""Data packets on their way to one participant, who may still be joining."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiolivekit.server.data import RELIABLE

if TYPE_CHECKING:
    from aiolivekit.server.participant import Participant

__all__ = ["Delivery"]

MAX_UNSEQUENCED = 100_000
"""Bytes of packets without a sequence number kept for a participant whose channel is not open yet."""


class Delivery:
    """Sends packets to a participant; what is reliable and comes too early is sent once its channel is open."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant
        self._missed_first: dict[str, int] = {}
        self._replayed: dict[str, int] = {}
        self._unsequenced: list[bytes] = []
        self._unsequenced_size = 0
        self._reliable_open = False

    def channel_opened(self, label: str) -> None:
        """Take note that a channel can be used."""
        channels = self._participant.data_transport.data
        if label != RELIABLE or self._reliable_open or channels is None or not channels.is_open(RELIABLE):
            return
        self._reliable_open = True
        missed = self._participant.room.data.missed(self._missed_first, self._participant.identity)
        for sender, sequence, data in missed:
            self._replayed[sender] = max(self._replayed.get(sender, 0), sequence)
            self._write(RELIABLE, data)
        for data in self._unsequenced:
            self._write(RELIABLE, data)
        self._unsequenced.clear()
        self._missed_first.clear()

    def _write(self, label: str, data: bytes) -> None:
        channels = self._participant.data_transport.data
        if channels is not None:
            channels.send(label, data)

    def send(self, label: str, data: bytes, sender: str, sequence: int) -> None:
        """Send a packet; `sender` is a sid, and `sequence` 0 for packets that have none."""
        if label == RELIABLE:
            if not self._reliable_open:
                self._keep(data, sender, sequence)
                return
            if self._replayed and sequence:
                last = self._replayed.get(sender)
                if last is not None and sequence <= last:
                    return
                self._replayed.pop(sender, None)
        if self._participant.connected:
            self._write(label, data)

    def _keep(self, data: bytes, sender: str, sequence: int) -> None:
        if sender and sequence:
            # The room remembers it; here only from which on.
            self._missed_first.setdefault(sender, sequence)
        elif self._unsequenced_size + len(data) <= MAX_UNSEQUENCED:
            self._unsequenced.append(data)
            self._unsequenced_size += len(data)
