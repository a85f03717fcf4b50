"""From the start of a dev server to the first participant in a room, everything imported."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from bench.drivers import new_participant
from bench.measures import first_join
from bench.raw.client import RawClient

from aiolivekit.server import DevServer
from aiolivekit.server.dtls import Certificate

__all__ = ["run"]

ROUNDS = 30
LIMIT_MS = 50.0


async def _bare(rounds: int) -> float:
    """Return the milliseconds of start and join with a client that does next to nothing: the server's share."""
    certificate = Certificate()
    took: list[float] = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        async with DevServer() as server, RawClient(certificate) as client:
            await client.join(server.url, server.token("first"), subscribe=True)
            await client.subscriber_connected()
            took.append(time.perf_counter() - began)
    return statistics.median(took[1:]) * 1e3


async def run(*, quick: bool) -> dict[str, Any]:
    """Measure with our client, with the official SDK, and with next to no client."""
    rounds = 5 if quick else ROUNDS
    found: dict[str, Any] = {"ok": True, "rounds": rounds}
    for sdk in ("ours", "official"):
        figures = await first_join.measure(lambda sdk=sdk: new_participant(sdk), "ours", rounds)
        found[sdk] = {key: round(value, 1) for key, value in figures.items()}
        await asyncio.sleep(0)
    found["bare signalling, ICE, DTLS and SCTP"] = {"first_join_ms": round(await _bare(rounds), 1)}
    found["ok"] = found["ours"]["first_join_ms"] < LIMIT_MS
    return found
