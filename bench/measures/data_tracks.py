"""Frames of data tracks between two participants of a room, both in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ..drivers import Participant
from ..settings import FRAME_SIZES
from ..usage import cpu_seconds

__all__ = ["measure"]

_BUFFER = 256
"""Frames a stream keeps, for everybody the same."""
_AHEAD = 4
"""Frames on their way."""
_LOST = 0.05
"""Seconds after which frames on their way are taken for lost."""


async def measure(new: Callable[[], Participant], url: str, tokens: list[str], seconds: float) -> dict[str, float]:
    """Return for each frame size frames/s and MB/s received, the share of frames that arrived, and CPU a frame."""
    sender, receiver = new(), new()
    await receiver.connect(url, tokens[1])
    await sender.connect(url, tokens[0])
    result: dict[str, float] = {}
    for size in FRAME_SIZES:
        result |= await _throughput(sender, receiver, size, seconds)
    await asyncio.gather(sender.close(), receiver.close())
    return result


async def _throughput(sender: Participant, receiver: Participant, size: int, seconds: float) -> dict[str, float]:
    """Push frames for some seconds, a few ahead of those that have arrived; these are whole and in order.

    Pushed without regard to what arrives, most frames give way to newer ones, and what is measured is how that loop
    keeps everything else from running.
    """
    push = await sender.publish_data_track(f"frames of {size}")
    frames = await receiver.receive_data_track(f"frames of {size}", _BUFFER)
    rest = bytes(size - 8)
    received, newest = 0, -1
    arrived = asyncio.Event()

    async def read() -> None:
        nonlocal received, newest
        async for payload in frames:
            number = int.from_bytes(payload[:8], "big")
            assert len(payload) == size, "a frame is not whole"
            assert number > newest, "a frame is out of order"
            newest = number
            received += 1
            arrived.set()

    reading = asyncio.create_task(read())
    number = 0
    async with asyncio.timeout(20):
        # The first ones until the subscription is there.
        while not received and not reading.done():
            push(number.to_bytes(8, "big") + rest)
            number += 1
            await asyncio.sleep(0.01)
    await asyncio.sleep(_LOST)
    first, before, known = number, received, number - 1
    cpu = cpu_seconds()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds and not reading.done():
        while number - known <= _AHEAD:
            push(number.to_bytes(8, "big") + rest)
            number += 1
        arrived.clear()
        try:
            async with asyncio.timeout(_LOST):
                await arrived.wait()
            known = max(known, newest)
        except TimeoutError:
            known = number - 1
    ended = time.perf_counter()
    used = cpu_seconds() - cpu
    counted = received - before
    if reading.done():
        reading.result()
    reading.cancel()
    await asyncio.wait([reading])
    rate = counted / (ended - began)
    return {
        f"frames_{size}": rate,
        f"frames_mb_{size}": rate * size / 1e6,
        f"frames_percent_{size}": counted / (number - first) * 100,
        f"frames_cpu_us_{size}": used / max(1, counted) * 1e6,
    }
