"""Requests that are asked a few at a time."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["RequestWindow"]

K = TypeVar("K")


class RequestWindow(Generic[K]):
    """Which requests are to be asked now.

    A server drops answers when it has too many to write at once, and says nothing of it; so whoever has much to ask
    does not ask it all at once.

    Args:
        limit: How many may be without an answer.
    """

    __slots__ = ("_asked", "_limit", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[K, None] = {}
        self._asked: set[K] = set()

    def add(self, key: K) -> None:
        """Have a request asked, if it does not wait already; one that was asked is asked again."""
        self._asked.discard(key)
        self._waiting.setdefault(key)

    def discard(self, key: K) -> None:
        """A request was answered, or need not be."""
        self._asked.discard(key)
        self._waiting.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._asked.clear()
        self._waiting.clear()

    def take(self) -> list[K]:
        """Return what to ask now, in the order in which it was added."""
        now = list(self._waiting)[: max(0, self._limit - len(self._asked))]
        for key in now:
            del self._waiting[key]
            self._asked.add(key)
        return now
