"""Fifty jobs of livekit-agents one after another: none of them leaves anything behind."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiolivekit
from aiolivekit.testing import RealServer

from .agents import ready, voice_agent
from .partners import DEADLINE, Partners
from .running import SDKS, Program, Sdk

pytestmark = [pytest.mark.e2e, pytest.mark.compat_long]

JOBS = 50
WARM = 10
"""Jobs after which everything has been used once: pools, caches, the heap."""

FLAT_KILOBYTES = 250
"""A job may leave so much more resident memory, on average: most of it the framework's, which keeps what it measures.
With the official SDK it is three times as much."""


@pytest.mark.parametrize("jobs", ["thread", "process"])
@pytest.mark.parametrize("sdk", SDKS)
async def test_fifty_jobs(
    agents_python: Path,
    real_server: RealServer,
    room_name: str,
    sdk: Sdk,
    jobs: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    partners = Partners(real_server, room_name)
    seen: list[dict[str, Any]] = []
    async with voice_agent(agents_python, partners, sdk=sdk, jobs=jobs) as worker:
        for number in range(1, JOBS + 1):
            await ready(worker, jobs, number)
            await one_job(Partners(real_server, f"{room_name}-{number}"), agent_name=room_name)
            await worker.line("process exiting" if jobs == "process" else "job exiting", count=number)
            if number in (WARM, JOBS):
                seen.append(await held(worker))
    warm, end = seen
    with capsys.disabled():
        print(f"\n{sdk}, {jobs}: after {WARM} jobs {warm}\n  after {JOBS} jobs {end}")
    if sdk == "official":
        return  # for comparison
    for kind in ("rooms", "tasks", "loops", "threads", "fds", "children"):
        assert end[kind] <= warm[kind], f"more {kind}: {warm} before, {end} after"
    assert (end["kilobytes"] - warm["kilobytes"]) / (JOBS - WARM) < FLAT_KILOBYTES


async def one_job(partners: Partners, agent_name: str) -> None:
    """A conversation that is short: the agent comes, greets and is sent away."""
    greeted = asyncio.Event()
    listening: set[asyncio.Task[None]] = set()

    async def listen(track: aiolivekit.RemoteTrack) -> None:
        stream = aiolivekit.AudioStream(track)
        try:
            async for event in stream:
                if np.abs(np.frombuffer(event.frame.data, np.int16)).max(initial=0) > 1000:
                    greeted.set()
                    return
        finally:
            await stream.aclose()

    async with aiolivekit.Room() as room:
        room.on("track_subscribed", lambda track, *_: listening.add(asyncio.create_task(listen(track))))
        await room.connect(partners.server.url, partners.server.token("ada", room=partners.room))
        await partners.dispatch(agent_name)
        async with asyncio.timeout(DEADLINE):
            await greeted.wait()
            await asyncio.gather(*listening)
    await partners.close_room()


async def held(worker: Program) -> dict[str, Any]:
    """What the worker says that it holds, and how many processes it has."""
    # What a job leaves to be cleared up by others (a thread that ends, a socket that lingers) has a moment, and so has
    # the place for the next one to be made.
    await asyncio.sleep(5)
    since = len(worker.lines)
    worker.tell(signal.SIGUSR1)
    line = await worker.line("HELD ", since=since)
    found: dict[str, Any] = json.loads(line.split("HELD ", 1)[1])
    return {**found, "children": _size_of_group(worker.pid) - 1}


def _size_of_group(group: int) -> int:
    return sum(_group(stat) == group for stat in Path("/proc").glob("[0-9]*/stat"))


def _group(stat: Path) -> int | None:
    try:
        return int(stat.read_text().rsplit(")", 1)[1].split()[2])
    except (OSError, IndexError):
        return None
