"""A picture is copied once on its way to the encoder, and not by Python (docs/results/copies.md has the whole way)."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from aiolivekit import VideoBufferType, VideoFrame, VideoSource

T = VideoBufferType
WIDTH, HEIGHT = 320, 240


@pytest.mark.parametrize("buffer_type", [T.I420, T.NV12, T.I422, T.I444, T.RGBA, T.BGRA], ids=lambda each: each.name)
async def test_python_copies_nothing(buffer_type: VideoBufferType) -> None:
    pixels = np.zeros(WIDTH * HEIGHT * 4, np.uint8)
    source = VideoSource(WIDTH, HEIGHT)
    _ = source._local  # somebody publishes it
    try:
        source.capture_frame(VideoFrame(WIDTH, HEIGHT, buffer_type, pixels))
        tracemalloc.start()
        source.capture_frame(VideoFrame(WIDTH, HEIGHT, buffer_type, pixels))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await source.aclose()
    assert peak < WIDTH * HEIGHT // 4
