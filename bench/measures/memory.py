"""What connected rooms hold in one process: memory, threads, file descriptors."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

from ..drivers import Participant
from ..usage import descriptors, resident_bytes, threads

__all__ = ["measure"]

_STEADY_SECONDS = 3
_STEADY_SHARE = 0.01
_LONGEST_SECONDS = 20


async def measure(new: Callable[[], Participant], url: str, tokens: list[str]) -> dict[str, float]:
    """Connect one room, then the others, each to a room of its own, and let each stage settle."""
    bare = resident_bytes()
    participants = [new()]
    imported = resident_bytes()
    await participants[0].connect(url, tokens[0])
    one = await _settled()
    for token in tokens[1:]:
        participants.append(new())
        await participants[-1].connect(url, token)
    at_once = resident_bytes()
    all_of_them = await _settled()
    further = len(tokens) - 1
    await asyncio.gather(*(participant.close() for participant in participants))
    return {
        "interpreter_mb": bare / 1e6,
        "imported_mb": imported / 1e6,
        "one_room_mb": one[0] / 1e6,
        "first_room_mb": (one[0] - imported) / 1e6,
        "further_room_mb": (all_of_them[0] - one[0]) / further / 1e6,
        "further_room_at_once_mb": (at_once - one[0]) / further / 1e6,
        "further_room_threads": (all_of_them[1] - one[1]) / further,
        "further_room_descriptors": (all_of_them[2] - one[2]) / further,
    }


async def _settled() -> tuple[int, int, int]:
    """Return what is held once memory has been steady for some seconds.

    What a connection needs only while it is made (candidates that lost, mostly) is given back for seconds after.
    """
    gc.collect()
    seen = [resident_bytes()]
    while len(seen) <= _LONGEST_SECONDS:
        await asyncio.sleep(1)
        seen.append(resident_bytes())
        recent = seen[-1 - _STEADY_SECONDS :]
        if len(recent) > _STEADY_SECONDS and max(recent) - min(recent) <= _STEADY_SHARE * seen[-1]:
            break
    return seen[-1], threads(), descriptors()
