"""How long it takes to be in a room, and what it costs."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

from ..drivers import Participant
from ..usage import cpu_seconds

__all__ = ["measure"]


async def measure(new: Callable[[], Participant], url: str, tokens: list[str]) -> dict[str, float]:
    """Connect again and again to a room in which a witness waits for the first message of each.

    A room is usable when what is sent there arrives, so the clock stops at the witness: some contenders return
    from `connect` before they can send.
    """
    witness = new()
    arrived: asyncio.Queue[tuple[bytes, float]] = asyncio.Queue()
    witness.on_data = lambda payload: arrived.put_nowait((payload, time.perf_counter()))
    await witness.connect(url, tokens[0])
    usable: list[float] = []
    returned: list[float] = []
    cost: list[float] = []
    for number, token in enumerate(tokens[1:]):
        participant = new()
        word = b"here %d" % number
        cpu = cpu_seconds()
        began = time.perf_counter()
        await participant.connect(url, token)
        returned.append(time.perf_counter() - began)
        await participant.send(word)
        payload, when = await asyncio.wait_for(arrived.get(), 20)
        cost.append(cpu_seconds() - cpu)
        assert payload == word
        usable.append(when - began)
        await participant.close()
    await witness.close()
    # The first connection of a process starts threads and loads code.
    return {
        "usable_ms": statistics.median(usable[1:]) * 1e3,
        "first_usable_ms": usable[0] * 1e3,
        "returned_ms": statistics.median(returned[1:]) * 1e3,
        "cpu_ms": statistics.median(cost[1:]) * 1e3,
    }
