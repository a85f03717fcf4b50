"""A thousand starts and stops in one process, some with a client: nothing is left behind, and memory stays flat."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from typing import Any

from bench.raw.client import RawClient
from bench.usage import descriptors, resident_bytes, threads

from aiolivekit.server import DevServer
from aiolivekit.server.dtls import Certificate

__all__ = ["cycle", "held", "run"]

STARTS = 1000
WARM_UP = 100
JOIN_EVERY = 10
MEMORY_GROWTH_MB = 2.0
"""How much more memory the last quarter may hold than the one before it, in the median."""


async def cycle(certificate: Certificate, *, join: bool) -> None:
    """Start a server and stop it, with two participants and a track in between or without."""
    async with DevServer() as server:
        if not join:
            return
        async with RawClient(certificate) as alice, RawClient(certificate) as bob:
            await bob.join(server.url, server.token("bob"), subscribe=True)
            await alice.join(server.url, server.token("alice"), subscribe=False)
            await alice.publish("audio")
            await bob.subscriber_connected()


def held() -> tuple[int, int, int]:
    """Return the descriptors, threads and tasks of this process."""
    gc.collect()
    return descriptors(), threads(), len(asyncio.all_tasks())


async def run(*, quick: bool) -> dict[str, Any]:
    """Start and stop, and say what was held when."""
    starts, warm_up = (STARTS // 10, WARM_UP // 5) if quick else (STARTS, WARM_UP)
    certificate = Certificate()
    before = held()
    memory: list[float] = []
    took: list[float] = []
    objects: list[int] = []
    for number in range(starts):
        began = time.perf_counter()
        await cycle(certificate, join=number % JOIN_EVERY == JOIN_EVERY - 1)
        if number % JOIN_EVERY:
            took.append(time.perf_counter() - began)
        if number == warm_up:
            before = held()
        if number % JOIN_EVERY == 0:
            gc.collect()
            memory.append(resident_bytes() / 1e6)
            objects.append(len(gc.get_objects()))
    await asyncio.sleep(0.1)
    after = held()
    quarter = max(1, len(memory) // 4)
    growth = statistics.median(memory[-quarter:]) - statistics.median(memory[-2 * quarter : -quarter])
    return {
        "ok": after == before and growth < MEMORY_GROWTH_MB,
        "starts": starts,
        "with_clients": starts // JOIN_EVERY,
        "descriptors_threads_tasks_after_warm_up": before,
        "descriptors_threads_tasks_at_the_end": after,
        "memory_mb_by_quarter": [
            round(statistics.median(memory[n * quarter : (n + 1) * quarter]), 2) for n in range(4)
        ],
        "objects_by_quarter": [objects[min(n * quarter, len(objects) - 1)] for n in range(1, 5)],
        "start_and_stop_ms": round(statistics.median(took) * 1e3, 2),
    }
