"""An engine on an embedded server, with what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiolivekit.engine import RtcEngine
from aiolivekit.options import EngineOptions, SignalOptions
from aiolivekit.testing import EmbeddedServer

from ..suspensions import ActAt
from ..unit.engine.scripted import DEADLINE, Soon

__all__ = ["Visit"]


class Visit:
    """An engine, what it tells, and acknowledgements at once."""

    def __init__(self, engine: RtcEngine, events: Any) -> None:
        self.engine = engine
        self.told: list[Any] = []
        self._changed = asyncio.Event()
        events.attach(self._take)

    @classmethod
    async def join(cls, server: EmbeddedServer, identity: str, single: bool) -> Visit:
        options = EngineOptions(
            signal=SignalOptions(single_peer_connection=single), reconnect_policy=Soon(9, 0.0), peer_timeout=5.0
        )
        engine, _, events = await RtcEngine.connect(server.url, server.token(identity), options)
        return cls(engine, events)

    def _take(self, event: Any) -> None:
        self.told.append(event)
        if hasattr(event, "acknowledge"):
            event.acknowledge()
        self._changed.set()

    def of(self, *kinds: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, kinds)]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def stop_at(self, chain: str, n: int, act: Callable[[], object]) -> list[ActAt[None]]:
        """Have something happen at the n-th await of the next resume or restart; returns a list that gets the watch."""
        sessions: Any = self.engine._sessions
        real: Callable[..., Awaitable[None]] = getattr(sessions, chain)
        watches: list[ActAt[None]] = []

        async def watched(*arguments: Any) -> None:
            delattr(sessions, chain)
            watches.append(ActAt(real(*arguments), n, act))  # type: ignore[arg-type]
            await watches[0]

        setattr(sessions, chain, watched)
        return watches
