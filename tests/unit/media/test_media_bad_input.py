"""What may be wrong about frames and sources: each has its named error or its documented wait, and harms nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aiolivekit import AudioFrame, AudioSource, AVSynchronizer, MediaError, VideoBufferType, VideoFrame, VideoSource

T = VideoBufferType
NAN, INF = float("nan"), float("inf")
GREY = np.full((4, 4, 4), 128, np.uint8)


def picture(**changes: Any) -> VideoFrame:
    arguments: dict[str, Any] = {"width": 4, "height": 4, "type": T.RGBA, "data": GREY, **changes}
    return VideoFrame(**arguments)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        # Sizes
        ({"width": 0}, ValueError, "pixels a side"),
        ({"height": -4}, ValueError, "pixels a side"),
        ({"width": 1 << 20}, ValueError, "pixels a side"),
        ({"width": NAN}, ValueError, "pixels a side"),
        ({"width": 4.0}, TypeError, "integer"),
        ({"data": GREY[:3]}, ValueError, "need 64 bytes, the data have 48"),
        ({"data": b""}, ValueError, "need 64 bytes, the data have 0"),
        # Strides: rows that are apart in memory are no frame; the program copies them, or none is lost unseen.
        ({"data": np.zeros((4, 8, 4), np.uint8)[:, :4]}, ValueError, "contiguous"),
        ({"data": GREY[::-1]}, ValueError, "contiguous"),
        ({"data": GREY.transpose(1, 0, 2)[:, ::-1]}, ValueError, "contiguous"),
        # Formats
        ({"type": 99}, ValueError, "99"),
        ({"type": -1}, ValueError, "-1"),
        ({"data": "text"}, TypeError, "buffer|bytes-like"),
        ({"data": None}, TypeError, "buffer|bytes-like"),
    ],
)
def test_pictures(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        picture(**changes)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timestamp_us": -1}, ValueError),
        ({"timestamp_us": 1 << 63}, ValueError),
        ({"timestamp_us": NAN}, TypeError),
        ({"timestamp_us": 1.5}, TypeError),
        ({"timestamp_us": None}, TypeError),
        ({"rotation": 7}, ValueError),
        ({"metadata": "text"}, TypeError),
    ],
)
async def test_capturing_a_picture(options: dict[str, Any], error: type[Exception]) -> None:
    source = VideoSource(4, 4)
    _ = source._local  # somebody publishes it
    with pytest.raises(error):
        source.capture_frame(picture(), **options)
    source.capture_frame(picture())
    await source.aclose()
    with pytest.raises(MediaError, match="closed"):
        source.capture_frame(picture())


@pytest.mark.parametrize("size", [(0, 4), (4, -1), (NAN, 4)])
def test_a_source_of_no_size(size: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="positive size"):
        VideoSource(*size)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: AudioSource(0, 1), ValueError),
        (lambda: AudioSource(-48_000, 1), ValueError),
        (lambda: AudioSource(7_999, 1), ValueError),
        (lambda: AudioSource(384_001, 1), ValueError),
        (lambda: AudioSource(NAN, 1), ValueError),  # type: ignore[arg-type]
        (lambda: AudioSource(48_000, 3), ValueError),
        (lambda: AudioSource(48_000, 0), ValueError),
        (lambda: AudioSource(48_000, 1, queue_size_ms=-1), ValueError),
        (lambda: AudioSource(48_000, 1, queue_size_ms=NAN), ValueError),  # type: ignore[arg-type]
        (lambda: AudioSource(48_000, 1, queue_size_ms=INF), ValueError),  # type: ignore[arg-type]
        (lambda: AudioFrame(b"\0" * 10, 48_000, 1, 10), ValueError),
        (lambda: AudioFrame(b"\0" * 3, 48_000, 1, 1), ValueError),
        (lambda: AudioFrame(np.zeros(10, np.float32), 48_000, 1, 10), ValueError),
        (lambda: AudioFrame(np.zeros((10, 2), np.int16)[:, 0], 48_000, 1, 10), ValueError),
        (lambda: AudioFrame("text", 48_000, 1, 1), TypeError),  # type: ignore[arg-type]
    ],
)
def test_sound(make: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


@pytest.mark.parametrize(
    "frame",
    [
        AudioFrame(bytes(320), 16_000, 1, 160),
        AudioFrame(bytes(1920), 48_000, 2, 480),
        b"bytes",
        None,
    ],
)
async def test_sound_that_does_not_fit_the_source(frame: Any) -> None:
    source = AudioSource(48_000, 1)
    with pytest.raises((MediaError, TypeError)):
        await source.capture_frame(frame)
    await source.capture_frame(AudioFrame(bytes(960), 48_000, 1, 480))
    await source.aclose()


async def test_a_full_queue_waits_and_a_closed_one_ends_the_wait() -> None:
    source = AudioSource(48_000, 1, queue_size_ms=100)
    second = AudioFrame(bytes(96_000), 48_000, 1, 48_000)
    capture = asyncio.ensure_future(source.capture_frame(second))
    await asyncio.sleep(0)
    assert not capture.done()
    assert source.queued_duration > 0.5
    await source.aclose()
    with pytest.raises(MediaError, match="closed"):
        await capture
    with pytest.raises(MediaError, match="closed"):
        await source.capture_frame(second)


@pytest.mark.parametrize("timestamp", [NAN, INF, -INF])
async def test_a_synchroniser_takes_times(timestamp: float) -> None:
    sound, pictures = AudioSource(48_000, 1), VideoSource(4, 4)
    synchroniser = AVSynchronizer(audio_source=sound, video_source=pictures, video_fps=30)
    with pytest.raises(ValueError, match="finite"):
        await synchroniser.push(picture(), timestamp)
    await synchroniser.aclose()
    await sound.aclose()
    await pictures.aclose()


@pytest.mark.parametrize("fps", [0, -30, NAN, INF])
async def test_a_synchroniser_of_no_rate(fps: float) -> None:
    with pytest.raises(ValueError):
        AVSynchronizer(audio_source=AudioSource(48_000, 1), video_source=VideoSource(4, 4), video_fps=fps)
