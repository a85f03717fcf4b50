"""A witness of the machine (`python -m tests.soak.witness`): a process that does nothing but look when it is late.

A machine that is shared stands still now and then, and all its processes with it. What the witness sees of that is
not the doing of those that are measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

__all__ = ["Stalls", "witness"]

_INTERVAL = 0.005
_LATE = 0.02
_CHECKOUT = Path(__file__).resolve().parents[2]


class Stalls:
    """When the machine stood still (`time.monotonic`), known once the witness has been heard."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []

    def explain(self, moment: float, within: float) -> bool:
        """Whether it stood still at that moment or up to `within` seconds before."""
        return any(began <= moment <= ended + within for began, ended in self.found)

    @property
    def longest(self) -> float:
        """Seconds of the longest."""
        return max((ended - began for began, ended in self.found), default=0.0)


@asynccontextmanager
async def witness() -> AsyncIterator[Stalls]:
    """Watch the machine during the body."""
    stalls = Stalls()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.soak.witness",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=_CHECKOUT,
    )
    try:
        yield stalls
    finally:
        out, _ = await process.communicate(b"\n")
        stalls.found = [(began, ended) for began, ended in json.loads(out)]


def _watch() -> None:
    found: list[tuple[float, float]] = []
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), over.set()), daemon=True).start()
    while not over.is_set():
        before = time.monotonic()
        time.sleep(_INTERVAL)
        now = time.monotonic()
        if now - before - _INTERVAL >= _LATE:
            found.append((before, now))
    print(json.dumps(found))


if __name__ == "__main__":
    _watch()
