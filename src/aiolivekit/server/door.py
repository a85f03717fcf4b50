"""Who may keep a TCP connection: one that has shown what it wants, and only so many of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

__all__ = ["Door"]

MAX_WAITING = 256
"""Connections that have shown nothing yet; a new one on top of that costs the oldest its place."""

PATIENCE = 10.0
"""Seconds a connection may take to show what it wants."""


class Door:
    """Keeps half-open connections few and short, so that they keep nobody else out.

    Args:
        on_turned_away: Called for each connection that is ended.
    """

    def __init__(self, on_turned_away: Callable[[], None]) -> None:
        self._on_turned_away = on_turned_away
        self._waiting: dict[Hashable, tuple[Callable[[], None], asyncio.TimerHandle]] = {}

    def enter(self, visitor: Hashable, end: Callable[[], None]) -> None:
        """Take note of a connection that has shown nothing, or nothing new; `end` closes it."""
        self.admit(visitor)
        while len(self._waiting) >= MAX_WAITING:
            self._turn_away(next(iter(self._waiting)))
        timer = asyncio.get_running_loop().call_later(PATIENCE, self._turn_away, visitor)
        self._waiting[visitor] = (end, timer)

    def admit(self, visitor: Hashable) -> None:
        """Take note that a connection has shown what it wants, or is gone."""
        entry = self._waiting.pop(visitor, None)
        if entry is not None:
            entry[1].cancel()

    def _turn_away(self, visitor: Hashable) -> None:
        entry = self._waiting.pop(visitor, None)
        if entry is not None:
            entry[1].cancel()
            self._on_turned_away()
            entry[0]()

    def close(self) -> None:
        """Forget everybody."""
        for _, timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
