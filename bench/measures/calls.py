"""Calls and streams between two participants of a room: calls alone, many at once, and beside a large transfer; a
stream alone; both participants in this process."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable

from ..drivers import Caller
from ..usage import cpu_seconds

__all__ = ["measure"]

_METHOD = "echo"
_PAYLOAD = "x" * 100
_WARM_UP = 30
_AT_ONCE = 200
_PUBLISHED = 1_000
_FEWER = 250
_SIZE = 100
_STREAM_MB = 20
_STREAMS = 3


async def measure(
    new: Callable[[], Caller], url: str, tokens: list[str], calls: int, seconds: float, megabytes: int
) -> dict[str, float]:
    """Return the time of a call, calls/s one after the other and 200 at once, and the p99 beside a transfer.

    Also the throughput of a stream of 20 MB from its begin until it was read to its end, and how long 1,000
    `publish_data` made at once take, and how much longer than 250 do, each: 1 is linear growth.
    """
    caller, callee = new(), new()
    await callee.connect(url, tokens[1])
    callee.serve(_METHOD)
    await caller.connect(url, tokens[0])
    await caller.acquaint(callee.identity)

    async def call() -> None:
        assert await caller.call(callee.identity, _METHOD, _PAYLOAD) == _PAYLOAD

    for _ in range(_WARM_UP):
        await call()
    cpu = cpu_seconds()
    times = [await _timed(call) for _ in range(calls)]
    used = cpu_seconds() - cpu
    result = {
        "rtt_ms": statistics.median(times) * 1e3,
        "one_at_a_time": calls / sum(times),
        "cpu_us": used / calls * 1e6,
        "at_once": await _at_once(call, seconds),
    }
    result |= await _publishing(caller)
    callee.receive_files()
    result["stream_mb"] = await _streaming(caller, callee)
    result |= await _beside_a_transfer(call, caller, callee, megabytes)
    await asyncio.gather(caller.close(), callee.close())
    return result


async def _timed(call: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


async def _at_once(call: Callable[[], Awaitable[None]], seconds: float) -> float:
    """Return calls/s while there are always 200 under way."""
    done = 0
    began = time.perf_counter()

    async def keep_calling() -> None:
        nonlocal done
        while time.perf_counter() - began < seconds:
            await call()
            done += 1

    await asyncio.gather(*(keep_calling() for _ in range(_AT_ONCE)))
    return done / (time.perf_counter() - began)


async def _publishing(caller: Caller) -> dict[str, float]:
    async def publish(count: int) -> float:
        payload = bytes(_SIZE)
        began = time.perf_counter()
        await asyncio.gather(*(caller.send(payload) for _ in range(count)))
        return time.perf_counter() - began

    await publish(_FEWER)
    fewer = statistics.median([await publish(_FEWER) for _ in range(5)]) / _FEWER
    more = statistics.median([await publish(_PUBLISHED) for _ in range(3)]) / _PUBLISHED
    return {"publish_1000_ms": more * _PUBLISHED * 1e3, "publish_growth": more / fewer}


async def _streaming(caller: Caller, callee: Caller) -> float:
    data = os.urandom(1_000_000) * _STREAM_MB
    times = []
    for _ in range(_STREAMS):
        began = time.perf_counter()
        await asyncio.gather(caller.send_file(data, callee.identity), callee.file_received())
        times.append(time.perf_counter() - began)
    return _STREAM_MB / statistics.median(times)


async def _beside_a_transfer(
    call: Callable[[], Awaitable[None]], caller: Caller, callee: Caller, megabytes: int
) -> dict[str, float]:
    # What cannot be compressed, so that all of it travels.
    data = os.urandom(1_000_000) * megabytes
    began = time.perf_counter()
    transfer = asyncio.create_task(caller.send_file(data, callee.identity))
    times = []
    failed = 0
    while not transfer.done():
        start = time.perf_counter()
        try:
            await call()
        except caller.call_error:
            # That nobody acknowledged it for seconds is an answer too.
            failed += 1
        times.append(time.perf_counter() - start)
    await transfer
    took = time.perf_counter() - began
    times.sort()
    return {
        "beside_p99_ms": times[int(len(times) * 0.99)] * 1e3,
        "beside_p50_ms": statistics.median(times) * 1e3,
        "beside_failed": failed,
        "beside_mb": megabytes / took,
    }
