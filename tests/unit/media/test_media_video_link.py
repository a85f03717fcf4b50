"""Video from a source over real peer connections to a stream: what is sent is what arrives."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import numpy as np
import pytest

from aiolivekit.enums import VideoBufferType, VideoRotation
from aiolivekit.errors import MediaError
from aiolivekit.media import VideoFrame, VideoFrameEvent, VideoSource, VideoStream
from aiolivekit.options import FrameMetadata

from .conftest import DEADLINE, Connect, StubTrack

T = VideoBufferType

RGB = {
    T.RGBA: (230, 60, 20, 255),
    T.BGRA: (20, 60, 230, 255),
    T.ARGB: (255, 230, 60, 20),
    T.ABGR: (255, 20, 60, 230),
    T.RGB24: (230, 60, 20),
}


def coloured(buffer_type: VideoBufferType, width: int = 320, height: int = 240) -> VideoFrame:
    """Return a picture of one colour, red 230, green 60, blue 20, in a format."""
    if buffer_type in RGB:
        return VideoFrame(width, height, buffer_type, bytes(RGB[buffer_type]) * (width * height))
    return coloured(T.RGBA, width, height).convert(buffer_type)


async def show(source: VideoSource, frame: VideoFrame, **options: Any) -> None:
    """Send a picture 30 times a second until cancelled."""
    while True:
        source.capture_frame(frame, **options)
        await asyncio.sleep(1 / 30)


async def seen(connect: Connect, source: VideoSource, frame: VideoFrame, count: int, **options: Any) -> Any:
    """Return what arrives of it, in RGBA."""
    source.capture_frame(frame, **options)  # nothing black before it
    (track,) = await connect(source._local.media_track)
    stream = VideoStream(track, format=T.RGBA)
    showing = asyncio.create_task(show(source, frame, **options))
    events: list[VideoFrameEvent] = []
    async with asyncio.timeout(DEADLINE):
        async for event in stream:
            events.append(event)
            if len(events) == count:
                break
    showing.cancel()
    await asyncio.gather(showing, return_exceptions=True)
    await stream.aclose()
    await source.aclose()
    return events


def mean_colour(frame: VideoFrame) -> Any:
    return np.frombuffer(frame.data, np.uint8).reshape(-1, 4).mean(axis=0)


@pytest.mark.parametrize("buffer_type", [T.I420, T.NV12, *RGB], ids=lambda each: each.name)
async def test_a_colour_keeps_its_colour(connect: Connect, buffer_type: VideoBufferType) -> None:
    events = await seen(connect, VideoSource(320, 240), coloured(buffer_type), 3)
    frame = events[-1].frame
    assert (frame.width, frame.height, frame.type) == (320, 240, T.RGBA)
    # The encoder begins coarsely; a swapped channel would be off by more than 150.
    assert mean_colour(frame) == pytest.approx((230, 60, 20, 255), abs=20)


async def test_rotation_and_time_travel_along(connect: Connect) -> None:
    events = await seen(
        connect,
        VideoSource(320, 240),
        coloured(T.I420),
        5,
        rotation=VideoRotation.VIDEO_ROTATION_270,
        metadata=FrameMetadata(frame_id=1),
    )
    assert {event.rotation for event in events} == {VideoRotation.VIDEO_ROTATION_270}
    times = [event.timestamp_us for event in events]
    assert times == sorted(times)
    assert len(set(times)) == 5
    assert events[0].metadata is None


async def test_the_decoders_format_is_the_default(connect: Connect) -> None:
    source = VideoSource(320, 240)
    source.capture_frame(coloured(T.I420))
    (track,) = await connect(source._local.media_track)
    stream = VideoStream.from_track(track=track)
    showing = asyncio.create_task(show(source, coloured(T.I420)))
    event = await asyncio.wait_for(anext(stream), DEADLINE)
    assert event.frame.type == T.I420
    sent = coloured(T.I420)
    for index in range(3):
        plane, expected = event.frame.get_plane(index), sent.get_plane(index)
        assert plane is not None
        assert expected is not None
        assert len(plane) == len(expected)
        assert np.frombuffer(plane, np.uint8).mean() == pytest.approx(expected[0], abs=6)
    showing.cancel()
    await asyncio.gather(showing, return_exceptions=True)
    await stream.aclose()
    await source.aclose()


async def test_one_source_is_seen_over_two_connections(connect: Connect) -> None:
    source = VideoSource(320, 240)
    source.capture_frame(coloured(T.BGRA))
    tracks = [(await connect(source._local.media_track.clone()))[0] for _ in range(2)]
    streams = [VideoStream(track, format=T.RGBA) for track in tracks]
    showing = asyncio.create_task(show(source, coloured(T.BGRA)))
    for stream in streams:
        event = await asyncio.wait_for(anext(stream), DEADLINE)
        assert mean_colour(event.frame) == pytest.approx((230, 60, 20, 255), abs=20)
    showing.cancel()
    await asyncio.gather(showing, return_exceptions=True)
    for stream in streams:
        await stream.aclose()
    await source.aclose()


@pytest.mark.parametrize("first_us", [0, 40_000], ids=["now", "a clock of the program's"])
async def test_before_the_first_picture_it_is_black(connect: Connect, first_us: int) -> None:
    source = VideoSource(320, 240)
    (track,) = await connect(source._local.media_track)
    stream = VideoStream(track, format=T.RGBA)
    async with asyncio.timeout(DEADLINE):
        event = await anext(stream)
        assert mean_colour(event.frame) == pytest.approx((0, 0, 0, 255), abs=6)
        assert (event.frame.width, event.frame.height) == (320, 240)
        number = 0
        while mean_colour(event.frame)[0] < 200:
            source.capture_frame(coloured(T.RGBA), timestamp_us=number * 33_000 + first_us if first_us else 0)
            number += 1
            await asyncio.sleep(1 / 30)
            event = await anext(stream)
    await stream.aclose()
    await source.aclose()


async def test_nothing_is_black_after_the_first_picture() -> None:
    source = VideoSource(6, 4)
    stream = VideoStream(StubTrack(source._local.media_track), format=T.RGBA)
    async with asyncio.timeout(DEADLINE):
        assert mean_colour((await anext(stream)).frame)[0] == pytest.approx(0, abs=6)
        source.capture_frame(coloured(T.RGBA, 6, 4))
        while mean_colour((await anext(stream)).frame)[0] < 200:
            pass
        for _ in range(5):
            source.capture_frame(coloured(T.RGBA, 6, 4))
            assert mean_colour((await anext(stream)).frame)[0] > 200
            await asyncio.sleep(0.05)
    await stream.aclose()
    await source.aclose()


async def test_a_source_that_is_forgotten_writes_nothing_more() -> None:
    source = VideoSource(6, 4)
    assert source._local is not None
    placeholder = weakref.ref(source._placeholder)
    del source
    gc.collect()
    assert placeholder() is None


@pytest.mark.parametrize("buffer_type", [T.I420A, T.I422, T.I444, T.I010, T.NV12, T.RGB24], ids=lambda each: each.name)
async def test_every_format_can_be_captured(buffer_type: VideoBufferType) -> None:
    source = VideoSource(6, 4)
    stream = VideoStream(StubTrack(source._local.media_track), format=T.RGBA)
    size = {T.I420A: 60, T.I422: 48, T.I444: 72, T.I010: 72, T.NV12: 36, T.RGB24: 72}[buffer_type]
    data = np.full(size // 2, 512, np.uint16) if buffer_type == T.I010 else bytes([128]) * size
    source.capture_frame(VideoFrame(6, 4, buffer_type, data))
    event = await asyncio.wait_for(anext(stream), DEADLINE)
    assert mean_colour(event.frame)[:3] == pytest.approx((130, 130, 130), abs=4)
    await stream.aclose()
    await source.aclose()


async def test_the_oldest_pictures_are_dropped() -> None:
    source = VideoSource(2, 2)
    stream = VideoStream(StubTrack(source._local.media_track), capacity=2)
    await asyncio.sleep(0)
    for value in range(6):
        source.capture_frame(VideoFrame(2, 2, T.I420, bytes([value]) * 6), timestamp_us=1000 + value)
    await stream.aclose()
    assert [(event.frame.data[0], event.timestamp_us) async for event in stream] == [(4, 1004), (5, 1005)]
    assert stream.dropped == 4
    await source.aclose()


async def test_a_capture_copies_its_frame() -> None:
    source = VideoSource(2, 2)
    stream = VideoStream(StubTrack(source._local.media_track))
    data = bytearray([9] * 6)
    source.capture_frame(VideoFrame(2, 2, T.I420, data))
    data[:] = bytes(6)
    assert bytes((await asyncio.wait_for(anext(stream), DEADLINE)).frame.data) == bytes([9] * 6)
    await stream.aclose()
    await source.aclose()


async def test_a_screen_is_sent_as_one() -> None:
    screen, camera = VideoSource(2, 2, is_screencast=True), VideoSource(2, 2)
    assert screen._local.media_track.content_hint == "detail"
    assert screen._local.media_track.clone().content_hint == "detail"
    assert camera._local.media_track.content_hint == ""
    assert (screen.width, screen.height, screen.is_screencast) == (2, 2, True)
    for source in (screen, camera):
        await source.aclose()


async def test_misuse_is_refused() -> None:
    frame = coloured(T.I420, 2, 2)
    for size in ((0, 2), (2, -1)):
        with pytest.raises(ValueError, match="positive size"):
            VideoSource(*size)
    source = VideoSource(2, 2)
    for publish in (False, True):
        if publish:
            _ = source._local
        for error, options in (
            (ValueError, {"timestamp_us": -1}),
            (ValueError, {"timestamp_us": 1 << 63}),
            (TypeError, {"timestamp_us": float("nan")}),
            (TypeError, {"timestamp_us": True}),
            (ValueError, {"rotation": 4}),
            (ValueError, {"rotation": 90}),
            (TypeError, {"metadata": {"frame_id": 1}}),
        ):
            with pytest.raises(error):
                source.capture_frame(frame, **options)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="bytes"):
            source.capture_frame(bytes(6))  # type: ignore[arg-type]
        source.capture_frame(frame)
    await source.aclose()
    await source.aclose()
    with pytest.raises(MediaError, match="closed"):
        source.capture_frame(frame)
    with pytest.raises(MediaError, match="closed"):
        _ = source._local
