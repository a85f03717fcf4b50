"""The leak checker finds what is left, names it, and lets pass what ends by itself."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from pathlib import Path

import pytest

from ..leaks import no_leaks, no_leaks_sync

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")


async def test_nothing() -> None:
    async with no_leaks():
        pass


async def test_a_task() -> None:
    release = asyncio.Event()
    with pytest.raises(AssertionError, match="task forgotten"):
        async with no_leaks(timeout=0.02):
            task = asyncio.create_task(release.wait(), name="forgotten")
    release.set()
    await task


async def test_what_ends_by_itself() -> None:
    async with no_leaks():
        asyncio.get_running_loop().call_later(0.02, asyncio.create_task(asyncio.sleep(60)).cancel)


@needs_proc
async def test_a_socket() -> None:
    with pytest.raises(AssertionError, match="1 more socket"):
        async with no_leaks(timeout=0.02):
            left = socket.socket()
    left.close()


@needs_proc
async def test_a_socket_in_place_of_another() -> None:
    first = socket.socket()
    async with no_leaks(timeout=0.02):
        first.close()
        second = socket.socket()
    second.close()


@needs_proc
def test_a_pipe_without_a_loop() -> None:
    with pytest.raises(AssertionError, match="2 more pipe"), no_leaks_sync(timeout=0.02):
        ends = os.pipe()
    for end in ends:
        os.close(end)


async def test_a_thread() -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="idler-7")
    with pytest.raises(AssertionError, match="1 more idler"):
        async with no_leaks(timeout=0.02):
            thread.start()
    release.set()
    thread.join()


async def test_a_thread_there_is_once_and_a_second_one() -> None:
    release = threading.Event()
    threads = [threading.Thread(target=release.wait, name="aiolivekit-media") for _ in range(2)]
    async with no_leaks(timeout=0.02):
        threads[0].start()
    with pytest.raises(AssertionError, match="1 more aiolivekit-media"):
        async with no_leaks(timeout=0.02):
            threads[1].start()
    release.set()
    for thread in threads:
        thread.join()


async def test_the_loops_own_threads() -> None:
    async with no_leaks():
        await asyncio.to_thread(int)


async def test_an_exception_nobody_saw() -> None:
    async def fail() -> None:
        raise RuntimeError("unseen")

    async def drop() -> None:
        await asyncio.wait([asyncio.create_task(fail())])

    with pytest.raises(AssertionError, match="unseen"):
        async with no_leaks():
            await drop()


async def test_the_bodys_own_failure_comes_through() -> None:
    with pytest.raises(ValueError, match="mine"):
        async with no_leaks(timeout=0.02):
            raise ValueError("mine")
