"""What happened to a client, in order, with ways to wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..patience import comes_true

DEADLINE = 25.0
"""Seconds any one thing may take in this suite; generous, since the machine may be busy."""
LARGE_DEADLINE = 600.0
"""Seconds for what is large."""

Details = dict[str, Any]


class Events:
    """The events of one client, by the names of the official Python SDK, with plain values as their details."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Details]] = []
        self._changed = asyncio.Event()

    def add(self, name: str, /, **details: Any) -> None:
        self.all.append((name, details))
        self._changed.set()

    @property
    def mark(self) -> int:
        """Where we are now; `since=mark` looks only at what comes after."""
        return len(self.all)

    def of(self, name: str, /, *, since: int = 0, **match: Any) -> list[Details]:
        """The events of that name whose details are as said."""
        return [
            details
            for event, details in self.all[since:]
            if event == name and all(details.get(key) == value for key, value in match.items())
        ]

    async def wait(
        self, name: str, /, *, count: int = 1, since: int = 0, within: float = DEADLINE, **match: Any
    ) -> Details:
        """Return the `count`th event like that, past or to come `within` so many seconds."""
        found: list[Details] = []

        def there() -> bool:
            found[:] = self.of(name, since=since, **match)
            return len(found) >= count

        await self.until(there, lambda: f"{count} × {name} {match}", within)
        return found[count - 1]

    async def until(self, condition: Callable[[], Any], what: Callable[[], str], within: float = DEADLINE) -> None:
        """Wait for something events bring about."""
        if not await comes_true(condition, within, pause=0.1, wake=self._changed):
            raise AssertionError(f"never came: {what()}; there were {self.all}")
