"""`AVSynchronizer`: the schedule of pictures, waiting, and how it ends."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit import AudioFrame, AudioSource, AVSynchronizer, VideoBufferType, VideoFrame, VideoSource
from aiolivekit.errors import ClosedError, MediaError
from aiolivekit.media.synchronizer import FrameClock

from .conftest import DEADLINE


class Seen(VideoSource):
    """A video source that notes what it is given."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.frames: list[VideoFrame] = []

    def capture_frame(self, frame: VideoFrame, **_: Any) -> None:
        super().capture_frame(frame)
        self.frames.append(frame)


def picture() -> VideoFrame:
    return VideoFrame(2, 2, VideoBufferType.RGBA, bytes(16))


class Both:
    """A synchronizer with its sources."""

    def __init__(self, fps: float = 1_000, **options: Any) -> None:
        self.audio = AudioSource(48_000, 1, 100)
        self.video = Seen()
        self.sync = AVSynchronizer(audio_source=self.audio, video_source=self.video, video_fps=fps, **options)

    async def aclose(self) -> None:
        await self.sync.aclose()
        await self.audio.aclose()
        await self.video.aclose()


# The schedule


def test_pictures_are_due_at_their_rate() -> None:
    clock = FrameClock(25, 0.3)
    now = 100.0
    times = []
    for _ in range(50):
        now += clock.wait(now)
        times.append(now)
        clock.sent(now)
        now += 0.001  # what making a picture takes
    assert times == pytest.approx([100 + index / 25 for index in range(50)])
    assert clock.actual_fps == pytest.approx(25)
    clock.reset()
    assert clock.actual_fps == 0
    assert clock.wait(now) == 0


def test_a_small_delay_is_caught_up_and_a_large_one_is_not() -> None:
    clock = FrameClock(10, 0.3)
    clock.wait(0)
    clock.sent(0)
    assert clock.wait(0.25) == 0  # 150 ms late
    clock.sent(0.25)
    assert clock.wait(0.25) == 0  # the one that was due at 0.2
    clock.sent(0.25)
    assert clock.wait(0.25) == pytest.approx(0.05)
    assert clock.wait(5) == 0
    clock.sent(5)
    assert clock.wait(5) == pytest.approx(0.1)


@given(st.floats(0.1, 240), st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_no_schedule_runs_ahead(fps: float, delays: list[float]) -> None:
    clock = FrameClock(fps, 0.3)
    now = 0.0
    for index, delay in enumerate(delays):
        wait = clock.wait(now)
        assert 0 <= wait <= 1 / fps + 1e-9
        now += wait
        assert now >= index / fps * (1 - 1e-9) - 1e-6
        clock.sent(now)
        now += delay


# Driving the sources


async def test_both_kinds_reach_their_sources_in_order() -> None:
    both = Both()
    pictures = [picture() for _ in range(10)]
    async with asyncio.timeout(DEADLINE):
        for index, frame in enumerate(pictures):
            await both.sync.push(frame, index / 25)
            await both.sync.push(AudioFrame.create(48_000, 1, 480), (index + 1) / 100)
        await both.sync.wait_for_playout()
    assert both.video.frames == pictures
    assert both.sync.last_video_time == pytest.approx(9 / 25)
    assert both.sync.last_audio_time == pytest.approx(0.1)
    assert both.sync.actual_fps > 0
    both.sync.reset()
    assert both.sync.actual_fps == 0
    await both.aclose()


@pytest.mark.parametrize(("fps", "queue_ms", "fit"), [(100, 100, 10), (10, 100, 1), (5, 10, 1), (1, 3_000, 3)])
async def test_a_full_queue_is_waited_for(fps: float, queue_ms: float, fit: int) -> None:
    both = Both(fps, video_queue_size_ms=queue_ms)
    for _ in range(fit):
        await both.sync.push(picture())
    waiting = asyncio.create_task(both.sync.push(picture()))
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.wait_for(waiting, DEADLINE)  # the first picture is due at once
    await both.aclose()


async def test_a_queue_without_a_size_takes_everything() -> None:
    both = Both(1, video_queue_size_ms=0)
    async with asyncio.timeout(DEADLINE):
        for _ in range(500):
            await both.sync.push(picture())
    await both.sync.clear_queue()
    await asyncio.wait_for(both.sync.wait_for_playout(), DEADLINE)
    assert len(both.video.frames) <= 2
    await both.aclose()


async def test_closing_ends_all_who_wait() -> None:
    both = Both(0.001)
    await both.sync.push(picture())
    async with asyncio.timeout(DEADLINE):
        while not both.video.frames:
            await asyncio.sleep(0)
    await both.sync.push(picture())  # due in a thousand seconds
    pushing = asyncio.create_task(both.sync.push(picture()))
    playing = asyncio.create_task(both.sync.wait_for_playout())
    await asyncio.sleep(0)
    await asyncio.wait_for(both.sync.aclose(), DEADLINE)
    await both.sync.aclose()
    with pytest.raises(ClosedError):
        await asyncio.wait_for(pushing, DEADLINE)
    await asyncio.wait_for(playing, DEADLINE)
    for frame in (picture(), AudioFrame.create(48_000, 1, 480)):
        with pytest.raises(ClosedError):
            await both.sync.push(frame)
    assert len(both.video.frames) == 1
    await both.aclose()


async def test_a_video_source_that_refuses_is_told_at_the_next_push() -> None:
    """In the official SDK the task dies, and pushes wait for ever once the queue is full."""
    both = Both()
    await both.video.aclose()
    await both.sync.push(picture())
    await asyncio.wait_for(both.sync.wait_for_playout(), DEADLINE)

    async def push_on() -> None:
        while True:
            await both.sync.push(picture())
            await asyncio.sleep(0)

    with pytest.raises(MediaError, match="closed"):
        await asyncio.wait_for(push_on(), DEADLINE)
    await both.aclose()


async def test_an_audio_source_that_refuses_is_told_at_once() -> None:
    both = Both()
    with pytest.raises(MediaError, match="8000 Hz"):
        await both.sync.push(AudioFrame.create(8_000, 1, 80))
    await both.aclose()


async def test_what_is_no_frame_is_refused() -> None:
    both = Both()
    with pytest.raises(TypeError, match="bytes"):
        await both.sync.push(b"")  # type: ignore[arg-type]
    for timestamp in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            await both.sync.push(picture(), timestamp)
    await both.aclose()


@pytest.mark.parametrize(
    "options",
    [
        {"video_fps": 0},
        {"video_fps": -1},
        {"video_fps": math.nan},
        {"video_fps": math.inf},
        {"video_fps": 30, "video_queue_size_ms": -1},
        {"video_fps": 30, "video_queue_size_ms": math.nan},
        {"video_fps": 30, "_max_delay_tolerance_ms": -1},
    ],
)
async def test_synchronizers_that_are_none_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match=r"rate|negative"):
        AVSynchronizer(audio_source=AudioSource(48_000, 1), video_source=VideoSource(2, 2), **options)
