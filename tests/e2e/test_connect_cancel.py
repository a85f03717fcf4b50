"""Cancelling a connect, wherever it is, leaves nothing; and hundreds of rooms leave nothing either."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path
from typing import TypeVar

import pytest

import aiolivekit
from aiolivekit.engine import RtcEngine
from aiolivekit.options import EngineOptions, SignalOptions

from ..leaks import no_leaks
from ..suspensions import CancelAt
from .sdk import DEADLINE

pytestmark = pytest.mark.e2e

T = TypeVar("T")


def options(single: bool) -> aiolivekit.RoomOptions:
    return aiolivekit.RoomOptions(single_peer_connection=single, join_retries=0)


@pytest.fixture
async def warm(real_server, token, single: bool) -> str:
    """A token; what the process keeps for good (libwebrtc's threads) is there from the first room on."""
    access: str = token("me")
    room = aiolivekit.Room()
    await room.connect(real_server.url, access, options(single))
    await room.disconnect()
    return access


async def test_cancelled_at_every_await(real_server, warm: str, single: bool) -> None:
    """The engine's connect is cancelled at its n-th await, for every n until it gets through."""
    engine_options = EngineOptions(signal=SignalOptions(single_peer_connection=single), join_retries=0)
    async with no_leaks():
        n = 0
        while True:
            n += 1
            cancelled = CancelAt(RtcEngine.connect(real_server.url, warm, engine_options), n)
            try:
                async with asyncio.timeout(DEADLINE):
                    engine, _, _ = await asyncio.create_task(run(cancelled))
            except asyncio.CancelledError:
                continue
            # It got through with fewer awaits than n.
            assert cancelled.suspensions < n
            await engine.close()
            break
        assert n > 3


async def test_a_room_cancelled_at_any_time(real_server, warm: str, single: bool) -> None:
    """The room's connect is cancelled after more and more turns of the loop until it gets through."""
    async with no_leaks():
        turns = 0
        while True:
            room = aiolivekit.Room()
            task = asyncio.create_task(room.connect(real_server.url, warm, options(single)))
            for _ in range(turns):
                if task.done():
                    break
                await asyncio.sleep(0)
            if task.done():
                await task
                await room.disconnect()
                break
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not room.isconnected()
            turns += 1 + turns // 5
        # The same object can be used again.
        await room.connect(real_server.url, warm, options(single))
        assert room.isconnected()
        await room.disconnect()


async def run(cancelled: CancelAt[T]) -> T:
    return await cancelled


def entries(directory: str) -> int:
    """How many descriptors or threads this process has, by its /proc."""
    return sum(1 for _ in Path("/proc/self", directory).iterdir())


def resident_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
async def test_three_hundred_rooms_leave_nothing(real_server, token, single: bool) -> None:
    access = token("me")

    async def visit() -> None:
        room = aiolivekit.Room()
        await room.connect(real_server.url, access, options(single))
        await room.local_participant.publish_data(b"hello")
        await room.disconnect()

    for _ in range(50):
        await visit()
    gc.collect()
    memory, threads, descriptors = resident_kib(), threading.active_count(), entries("fd")
    tasks = len(asyncio.all_tasks())
    native = entries("task")
    for _ in range(250):
        await visit()
    gc.collect()
    assert threading.active_count() <= threads
    async with asyncio.timeout(10):
        # libwebrtc ends the threads of the last connection in its own time.
        while entries("task") > native:
            await asyncio.sleep(0.02)
    assert entries("fd") <= descriptors
    assert len(asyncio.all_tasks()) == tasks
    # A leak of one room's worth each time would be well above 50 MB; allocators may keep a little.
    assert resident_kib() - memory < 8 * 1024
