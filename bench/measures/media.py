"""Audio and video: what publishing and receiving cost, in a process each, and how late frames arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ..drivers import Participant
from ..drivers.base import VIDEO_FPS, AudioFrames, AudioOut, VideoFrames
from ..signals import FRAME_MS, Camera, OnsetDetector, audio_frame, is_onset, read_barcode
from ..usage import cpu_seconds

__all__ = ["publish_audio", "publish_video", "receive_audio", "receive_video"]

Gate = Callable[[str], Awaitable[None]]
"""Tells the runner that we are `ready`, or waits for its word to `start` or `stop`."""

_CONNECTED = 60.0


class _Meter:
    """CPU from `start` to `stop`, as a share of one core."""

    def __init__(self) -> None:
        self._cpu = cpu_seconds()
        self._began = time.perf_counter()

    def percent(self) -> float:
        return (cpu_seconds() - self._cpu) / (time.perf_counter() - self._began) * 100


async def _paced(interval: float, step: Callable[[int], Awaitable[None]]) -> None:
    """Call `step` at a steady pace, which does not catch up after a stall.

    If it did, the frames of a stall would stand in a contender's queue ever after, and its latency would be that
    of the stall.
    """
    due = time.perf_counter()
    index = 0
    while True:
        await step(index)
        index += 1
        now = time.perf_counter()
        due = max(due + interval, now - interval)
        await asyncio.sleep(max(0.0, due - now))


async def _while_running(work: list[Any], gate: Gate) -> float:
    """Run the work through ready, start and stop; return the CPU in per cent."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await gate("ready")
        await gate("start")
        meter = _Meter()
        await gate("stop")
        percent = meter.percent()
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return percent


async def publish_audio(participant: Participant, url: str, token: str, count: int, gate: Gate) -> dict[str, Any]:
    """Publish tracks of tone bursts; return the CPU and when each track's bursts were written."""
    await participant.connect(url, token)
    outs = [await participant.publish_audio(f"tone-{number}") for number in range(count)]
    written: list[float] = []

    async def feed(out: AudioOut, first: bool) -> None:
        async def step(index: int) -> None:
            if first and is_onset(index):
                written.append(time.monotonic())
            await out.write(audio_frame(index))

        await _paced(FRAME_MS / 1000, step)

    percent = await _while_running([feed(out, out is outs[0]) for out in outs], gate)
    await participant.close()
    return {"cpu_percent": percent, "written": written}


async def receive_audio(participant: Participant, url: str, token: str, count: int, gate: Gate) -> dict[str, Any]:
    """Receive that many tracks; return the CPU, when bursts began on each, and how many frames came."""
    onsets: list[float] = []
    frames = 0
    playing: set[asyncio.Task[None]] = set()
    heard: asyncio.Queue[None] = asyncio.Queue()

    async def listen(source: AudioFrames) -> None:
        nonlocal frames
        detector = OnsetDetector()
        first = True
        async for samples in source:
            now = time.monotonic()
            frames += 1
            if detector.push(samples):
                onsets.append(now)
                if first:
                    first = False
                    heard.put_nowait(None)

    participant.on_audio = lambda source: playing.add(asyncio.create_task(listen(source)))
    await participant.connect(url, token)
    await gate("connected")
    for _ in range(count):
        await asyncio.wait_for(heard.get(), _CONNECTED)
    await gate("ready")
    await gate("start")
    meter = _Meter()
    frames_before, onsets_before = frames, len(onsets)
    await gate("stop")
    result = {
        "cpu_percent": meter.percent(),
        "onsets": onsets[onsets_before:],
        "frames": frames - frames_before,
    }
    await _end(participant, playing)
    return result


async def publish_video(participant: Participant, url: str, token: str, gate: Gate) -> dict[str, Any]:
    """Publish numbered frames; return the CPU and when each frame was written, from the start on."""
    await participant.connect(url, token)
    out = await participant.publish_video("camera")
    camera = Camera()
    written: list[float] = []
    first = 0

    async def step(index: int) -> None:
        frame = camera.frame(index)
        written.append(time.monotonic())
        await out.write(frame, time.monotonic_ns() // 1000)

    marks: list[tuple[float, int]] = []

    async def mark() -> None:
        marks.append((time.perf_counter(), await participant.bytes_sent()))

    async def noting(word: str) -> None:
        nonlocal first
        await gate(word)
        if word == "start":
            await mark()
            first = len(written)

    percent = await _while_running([_paced(1 / VIDEO_FPS, step)], noting)
    await mark()
    await participant.close()
    (began, before), (ended, after) = marks
    kbps = (after - before) * 8 / (ended - began) / 1000
    return {"cpu_percent": percent, "first": first, "written": written, "kbps": kbps}


async def receive_video(participant: Participant, url: str, token: str, gate: Gate) -> dict[str, Any]:
    """Receive the frames; return the CPU, and number, time and height of each frame."""
    seen: list[tuple[int, float, int]] = []
    playing: set[asyncio.Task[None]] = set()
    began = asyncio.Event()

    async def watch(source: VideoFrames) -> None:
        async for width, height, i420 in source:
            seen.append((read_barcode(width, height, i420), time.monotonic(), height))
            began.set()

    participant.on_video = lambda source: playing.add(asyncio.create_task(watch(source)))
    await participant.connect(url, token)
    await gate("connected")
    await asyncio.wait_for(began.wait(), _CONNECTED)
    await gate("ready")
    await gate("start")
    meter = _Meter()
    before = len(seen)
    await gate("stop")
    result = {"cpu_percent": meter.percent(), "seen": seen[before:]}
    await _end(participant, playing)
    return result


async def _end(participant: Participant, playing: set[asyncio.Task[None]]) -> None:
    for task in playing:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*playing, return_exceptions=True)
    await participant.close()
