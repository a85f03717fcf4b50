"""Which packet is handed to a data channel next, and when.

A channel takes packets while libwebrtc holds no more than a high-water mark. Above it they wait here, in the order in
which they came, until the channel says that it has room. A waiting packet can be withdrawn: it leaves no gap, because
numbers are given when a packet is handed over.

What libwebrtc holds cannot be overtaken any more. So the packets of bulk transfers (the chunks of a stream) have a
mark of their own, as low as keeps the wire busy: a packet that is sent while a large file is on its way then has a few
chunks before it, not megabytes. How low that is shows in how long the buffer takes to empty: on a slow path 64 KiB
last long, on a fast one the event loop would be woken all the time for them.

Bulk packets yield to all others, but for their share: after `SHARE` bytes of others one of them has its turn. Order
within each of the two classes is that of the calls.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

__all__ = ["MAX_BULK_HIGH", "MIN_BULK_HIGH", "SHARE", "Outbox"]

MIN_BULK_HIGH = 64 * 1024
MAX_BULK_HIGH = 256 * 1024
"""Bytes in libwebrtc above which bulk packets wait, on a slow path and on a fast one."""
QUICK = 0.005
SLOW = 0.015
"""Seconds in which the half of that leaves: if they are fewer the mark is doubled, if they are more it is halved."""
SHARE = 128 * 1024
"""Bytes of other packets that may go ahead of a bulk packet that waits."""

T = TypeVar("T")


class Outbox(Generic[T]):
    """The packets that wait for one channel; each is an object of its own (they are told apart by hash).

    Args:
        high: Bytes in libwebrtc above which packets wait.
        bulk_high: The same for bulk packets, at first.
    """

    __slots__ = ("_bulk", "_overtaken", "_plain", "bulk_high", "high")

    def __init__(self, high: int, bulk_high: int = MIN_BULK_HIGH) -> None:
        self.high = high
        self.bulk_high = bulk_high
        self._plain: OrderedDict[T, None] = OrderedDict()
        self._bulk: OrderedDict[T, None] = OrderedDict()
        self._overtaken = 0

    def __len__(self) -> int:
        return len(self._plain) + len(self._bulk)

    @property
    def bulk_low(self) -> int:
        """Bytes in libwebrtc at which bulk packets go on."""
        return self.bulk_high // 2

    def emptied(self, seconds: float) -> None:
        """Take note of how long it took from the mark for bulk packets to the half of it, while some waited."""
        if seconds < QUICK:
            self.bulk_high = min(2 * self.bulk_high, MAX_BULK_HIGH)
        elif seconds > SLOW:
            self.bulk_high = max(self.bulk_high // 2, MIN_BULK_HIGH)

    @property
    def plain_waits(self) -> bool:
        """Whether a packet waits that is no bulk packet."""
        return bool(self._plain)

    @property
    def bulk_waits(self) -> bool:
        """Whether a bulk packet waits."""
        return bool(self._bulk)

    @property
    def bulk_is_due(self) -> bool:
        """Whether others have gone ahead of a bulk packet for long enough."""
        return self._overtaken >= SHARE and bool(self._bulk)

    def goes_at_once(self, buffered: int, *, bulk: bool = False) -> bool:
        """Whether a packet that comes now need not wait: there is room, and nobody is ahead of it."""
        if self._plain:
            return False
        return (not self._bulk and buffered <= min(self.bulk_high, self.high)) if bulk else buffered <= self.high

    def wait(self, entry: T, *, bulk: bool = False) -> None:
        """Put a packet at the end of its class."""
        (self._bulk if bulk else self._plain)[entry] = None

    def withdraw(self, entry: T) -> None:
        """Take a packet out again; one that has left already is not missed."""
        if self._plain.pop(entry, self) is self:
            self._bulk.pop(entry, None)

    def passed(self, size: int) -> None:
        """Take note that a packet of `size` bytes was handed over that is no bulk packet."""
        if self._bulk:
            self._overtaken += size

    def next(self, buffered: int) -> T | None:
        """Return the packet to hand over now, or `None` when there is none or no room."""
        if buffered > self.high:
            return None
        if self._plain and not self.bulk_is_due:
            return self._plain.popitem(last=False)[0]
        if self._bulk and (buffered <= self.bulk_high or self.bulk_is_due):
            self._overtaken = 0
            return self._bulk.popitem(last=False)[0]
        return None

    def first(self, *, bulk: bool = False) -> T | None:
        """Return the packet of a class whose turn is next, without taking it out."""
        return next(iter(self._bulk if bulk else self._plain), None)

    def drop_first(self, *, bulk: bool = False) -> None:
        """Take out what `first` returned."""
        (self._bulk if bulk else self._plain).popitem(last=False)

    def clear(self) -> list[T]:
        """Take everything out (the channel is gone); those that are not bulk packets come first."""
        rest = [*self._plain, *self._bulk]
        self._plain.clear()
        self._bulk.clear()
        self._overtaken = 0
        return rest
