"""The embedded server beside the real one: what forwarding costs, messages a second, start to first join."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

from aiolivekit.testing import RealServer

from .settings import Settings
from .usage import process_cpu_seconds

__all__ = ["SERVERS", "measure_server"]

SERVERS = ("ours", "real")
"""The embedded server and the real one, by the names of their columns."""

_STARTS = 7

Alone = Callable[[dict[str, Any]], Awaitable[dict[str, float]]]


async def measure_server(kind: str, settings: Settings, real: RealServer, room: str, alone: Alone) -> dict[str, float]:
    """Return the figures of one server.

    Args:
        kind: One of `SERVERS`.
        settings: How much is measured.
        real: The real server, which runs.
        room: Begins the names of rooms no one else uses.
        alone: Runs a job in a process of its own and returns its result.
    """
    # Needs the extra [server]; other measurements do not.
    from .raw.embedded import EmbeddedServer
    from .raw.load import Load, run_load

    figures: dict[str, float] = {}
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedServer()) if kind == "ours" else real
        pid = server.pid
        assert pid is not None
        for name, load in {
            "1": Load(rooms=5, subscribers=1, rate=settings.forwards / 5, seconds=settings.media_seconds),
            "5": Load(rooms=1, subscribers=5, rate=settings.forwards / 5, seconds=settings.media_seconds),
        }.items():
            outcome = await run_load(
                server.url,
                lambda identity, room: server.token(identity, room=room),
                load,
                lambda: process_cpu_seconds(pid),
                prefix=f"{room}-{name}",
            )
            figures[f"forwards_per_core_{name}"] = outcome.per_core
            figures[f"lost_percent_{name}"] = outcome.lost / outcome.expected * 100
        tokens = [server.token(f"participant-{number}", room=room) for number in range(2)]
        job = {"contender": "ours", "url": server.url, "tokens": tokens}
        data = await alone({**job, "measure": "data", "pings": settings.pings, "seconds": settings.data_seconds})
        figures |= {key: value for key, value in data.items() if not key.startswith("cpu")}
    first = {"measure": "first_join", "contender": "ours", "url": "", "tokens": [], "server": kind, "rounds": _STARTS}
    return figures | await alone(first)
