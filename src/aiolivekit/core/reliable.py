"""Sequence numbers of reliable data packets: given to ours, checked on others'.

LiveKit numbers a publisher's reliable packets from 1 (`DataPacket.sequence`); the server drops what is not above the
last number it saw, so a number must be given in the order in which packets are handed over.
"""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["ReceiveState", "SendSequence"]


class SendSequence:
    """The numbers of the packets we send."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    @property
    def last(self) -> int:
        """The number given last, 0 before the first."""
        return self._last

    def next(self) -> int:
        """Give a number."""
        self._last += 1
        return self._last


class ReceiveState:
    """The last number seen from each publisher, to drop what was seen already.

    Args:
        ttl: Seconds after which a silent publisher is forgotten.
        capacity: Publishers remembered at most; the one silent for longest goes first.
    """

    __slots__ = ("_capacity", "_last", "_ttl", "duplicates")

    def __init__(self, *, ttl: float = 30.0, capacity: int = 10_000) -> None:
        self._ttl = ttl
        self._capacity = capacity
        self._last: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self.duplicates = 0

    def accept(self, publisher_sid: str, sequence: int, now: float) -> bool:
        """Whether a packet is new; a packet without number or publisher always is."""
        if sequence == 0 or not publisher_sid:
            return True
        entry = self._last.get(publisher_sid)
        if entry is not None and sequence <= entry[0] and now - entry[1] <= self._ttl:
            self.duplicates += 1
            return False
        self._last[publisher_sid] = (sequence, now)
        self._last.move_to_end(publisher_sid)
        if len(self._last) > self._capacity:
            self._last.popitem(last=False)
        return True

    def heard(self, publisher_sid: str) -> float | None:
        """When something was received from a publisher, or `None` if that is not known."""
        entry = self._last.get(publisher_sid)
        return None if entry is None else entry[1]

    def snapshot(self, now: float) -> dict[str, int]:
        """Return the last number of each publisher heard within the ttl (`SyncState.datachannel_receive_states`)."""
        return {sid: last for sid, (last, heard) in self._last.items() if now - heard <= self._ttl}
