"""From the start of a server to the first participant in a room, everything imported."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ..drivers import Participant

__all__ = ["measure"]

_TOGETHER = 5.0


@asynccontextmanager
async def _started(server: str) -> AsyncIterator[tuple[str, str]]:
    """Run a server for the body; yields its URL and a token."""
    if server == "ours":
        from aiolivekit.server import DevServer

        async with DevServer() as embedded:
            yield embedded.url, embedded.token("first")
    else:
        from aiolivekit.testing import RealServer

        real = RealServer()
        await asyncio.to_thread(real.start)
        try:
            yield real.url, real.token("first")
        finally:
            real.stop()


async def measure(new: Callable[[], Participant], server: str, rounds: int) -> dict[str, float]:
    """Start a server, join, and end both, so many times after once to load what loads late.

    Args:
        new: Returns an unconnected participant.
        server: "ours" for the embedded one, "real" for the real one.
        rounds: Starts that are measured.
    """
    starts: list[float] = []
    joins: list[float] = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        async with _started(server) as (url, token):
            started = time.perf_counter()
            participant = new()
            await participant.connect(url, token)
            joined = time.perf_counter()
            await asyncio.wait_for(participant.close(), _TOGETHER)
        starts.append(started - began)
        joins.append(joined - started)
    return {
        "first_join_ms": statistics.median(a + b for a, b in zip(starts[1:], joins[1:], strict=True)) * 1e3,
        "start_ms": statistics.median(starts[1:]) * 1e3,
        "join_ms": statistics.median(joins[1:]) * 1e3,
    }
