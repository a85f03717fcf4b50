"""Limits on what is waited for, in time that the machine gave us.

A test says how many seconds something may take. On a machine that is busy with other work a process may not run for
seconds, and nothing it waits for can happen meanwhile. So what counts is not the clock but how long the event loop ran:
of each pause no more than twice what was asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

__all__ = ["comes_true"]

_MOST = 8
"""Times the limit by the clock after which a test is over all the same."""


async def comes_true(
    condition: Callable[[], object], seconds: float, *, pause: float = 0.01, wake: asyncio.Event | None = None
) -> bool:
    """Wait for a condition; return whether it came true before its time was over.

    Args:
        condition: Looked at after each pause.
        seconds: How long it may take.
        pause: Seconds between two looks.
        wake: What is set when it is worth another look; then the pauses are for the clock alone.
    """
    left, end = seconds, time.monotonic() + _MOST * seconds
    while not condition():
        before = time.monotonic()
        if left <= 0 or before >= end:
            return False
        if wake is None:
            await asyncio.sleep(pause)
        else:
            wake.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), pause)
        left -= min(time.monotonic() - before, 2 * pause)
    return True
