"""Which packet is handed to a data channel next, and when.

A channel takes packets while libwebrtc holds no more than the high-water mark. Above it they wait here, in the order
in which they came, until the channel says that it has room. A waiting packet can be withdrawn: it leaves no gap,
because numbers are given when a packet is handed over.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["Outbox"]

T = TypeVar("T")


class Outbox(Generic[T]):
    """The packets that wait for one channel.

    Args:
        high: Bytes in libwebrtc above which packets wait.
    """

    __slots__ = ("_waiting", "_withdrawn", "high")

    def __init__(self, high: int) -> None:
        self.high = high
        self._waiting: deque[T] = deque()
        self._withdrawn: set[int] = set()

    def __len__(self) -> int:
        return len(self._waiting) - len(self._withdrawn)

    def goes_at_once(self, buffered: int) -> bool:
        """Whether a packet that comes now need not wait: there is room, and nobody is ahead of it."""
        return not self._waiting and buffered <= self.high

    def wait(self, entry: T) -> None:
        """Put a packet at the end."""
        self._waiting.append(entry)

    def withdraw(self, entry: T) -> None:
        """Take a packet out again; one that has left already is not missed."""
        if any(waiting is entry for waiting in self._waiting):
            self._withdrawn.add(id(entry))

    def next(self, buffered: int) -> T | None:
        """Return the packet to hand over now, or `None` when there is none or no room."""
        while self._waiting:
            if id(self._waiting[0]) in self._withdrawn:
                self._withdrawn.discard(id(self._waiting.popleft()))
            elif buffered <= self.high:
                return self._waiting.popleft()
            else:
                return None
        return None

    def first(self) -> T | None:
        """Return the packet whose turn is next, without taking it out."""
        while self._waiting and id(self._waiting[0]) in self._withdrawn:
            self._withdrawn.discard(id(self._waiting.popleft()))
        return self._waiting[0] if self._waiting else None

    def drop_first(self) -> None:
        """Take out what `first` returned."""
        self._waiting.popleft()

    def clear(self) -> list[T]:
        """Take everything out (the channel is gone)."""
        rest = [entry for entry in self._waiting if id(entry) not in self._withdrawn]
        self._waiting.clear()
        self._withdrawn.clear()
        return rest
