"""Many deadlines, one timer: which keys are due, and when the next one is."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

__all__ = ["Deadlines"]

K = TypeVar("K")


class Deadlines(Generic[K]):
    """A deadline for each of many keys. Setting and discarding one costs next to nothing, however many there are."""

    __slots__ = ("_at", "_count", "_heap")

    def __init__(self) -> None:
        self._at: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._at)

    def set(self, key: K, at: float) -> None:
        """Give a key a deadline, in place of the one it has, if it has one."""
        self._count = count = self._count + 1
        self._at[key] = (at, count)
        heap = self._heap
        heapq.heappush(heap, (at, count, key))
        if len(heap) > 64 + 2 * len(self._at):
            # Most of what is there is discarded or replaced.
            self._heap = heap = [(at, count, key) for key, (at, count) in self._at.items()]
            heapq.heapify(heap)

    def discard(self, key: K) -> None:
        """Forget the deadline of a key; it need not have one."""
        self._at.pop(key, None)

    @property
    def next(self) -> float | None:
        """When the next key is due."""
        heap = self._heap
        while heap:
            at, count, key = heap[0]
            if self._at.get(key) == (at, count):
                return at
            heapq.heappop(heap)
        return None

    def due(self, now: float) -> list[K]:
        """Return the keys whose deadline has come, in the order of their deadlines, and forget these."""
        keys: list[K] = []
        while (at := self.next) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._at[key]
            keys.append(key)
        return keys

    def clear(self) -> None:
        """Forget everything."""
        self._at.clear()
        self._heap.clear()
