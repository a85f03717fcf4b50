"""What travels beside pictures arrives beside the same pictures."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from . import media
from .conftest import OURS
from .sdk import Sdk, meeting, running, subscribed

pytestmark = pytest.mark.e2e

WIDTH, HEIGHT = 640, 360
ENOUGH = 8
"""Pictures that are looked at."""


def luma(frame_id: int) -> int:
    """Pictures tell their number by their brightness, in steps that survive encoding."""
    return 40 + frame_id % 4 * 50


async def show(rtc: Any, source: Any, user_data: bytes) -> None:
    frame_id = 0
    while True:
        frame_id += 1
        frame = rtc.VideoFrame(
            WIDTH, HEIGHT, rtc.VideoBufferType.I420, media.i420(WIDTH, HEIGHT, luma(frame_id), 128, 128)
        )
        metadata = rtc.FrameMetadata(user_timestamp=10**15 + frame_id, frame_id=frame_id, user_data=user_data)
        source.capture_frame(frame, metadata=metadata)
        await asyncio.sleep(0.1)


async def watch(rtc: Any, track: Any) -> list[tuple[Any, float]]:
    """Return metadata and brightness of pictures, once there are metadata."""
    seen: list[tuple[Any, float]] = []
    stream = rtc.VideoStream(track, format=rtc.VideoBufferType.I420)
    try:
        async with asyncio.timeout(15):
            async for event in stream:
                if event.metadata is not None:
                    pixels = np.frombuffer(event.frame.data, dtype=np.uint8)
                    seen.append((event.metadata, float(pixels[: event.frame.width * event.frame.height].mean())))
                if len(seen) == ENOUGH:
                    return seen
    finally:
        await stream.aclose()
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1"])
async def test_metadata_of_pictures(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], codec: str) -> None:
    sender, receiver = pair
    rtc = sender.rtc
    async with meeting(livekit_server.url, livekit_token, sender, receiver, single=True, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        source = rtc.VideoSource(WIDTH, HEIGHT)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        features = rtc.FrameMetadataFeature
        options = rtc.TrackPublishOptions(
            video_codec=rtc.VideoCodec.Value(codec),
            frame_metadata_features=[
                features.Value("FMF_USER_TIMESTAMP"),
                features.Value("FMF_FRAME_ID"),
                features.Value("FMF_USER_DATA"),
            ],
        )
        async with running(show(rtc, source, b"beside")):
            await alice.local_participant.publish_track(track, options)
            theirs, *_ = await subscribed(events)
            seen = await watch(receiver.rtc, theirs)
    numbers = [metadata.frame_id for metadata, _ in seen]
    # A picture may come in two layers when the server changes over.
    assert numbers == sorted(numbers)
    for metadata, _ in seen:
        assert metadata.user_timestamp == 10**15 + metadata.frame_id
        assert metadata.user_data == b"beside"
    # Encoders that have just begun may leave a picture half as it was. Those of other pictures would never fit.
    fitting = [abs(brightness - luma(metadata.frame_id)) < 20 for metadata, brightness in seen]
    assert fitting.count(True) >= 6, seen


@pytest.mark.parametrize("features", [(), ("FMF_FRAME_ID",)])
async def test_only_what_is_announced_travels(livekit_server, livekit_token, features: tuple[str, ...]) -> None:
    rtc = OURS.rtc
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=True, acquainted=False) as (
        alice,
        _,
        bob,
        events,
    ):
        source = rtc.VideoSource(WIDTH, HEIGHT)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = rtc.TrackPublishOptions(
            frame_metadata_features=[rtc.FrameMetadataFeature.Value(name) for name in features]
        )
        # More than there is room for, which costs the other fields nothing.
        async with running(show(rtc, source, bytes(300))):
            await alice.local_participant.publish_track(track, options)
            theirs, *_ = await subscribed(events)
            stream = rtc.VideoStream(theirs)
            async with asyncio.timeout(15):
                metadata = [(await anext(stream)).metadata for _ in range(10)][-1]
            await stream.aclose()
            assert metadata is None if not features else metadata.frame_id > 0
            assert metadata is None or (metadata.user_timestamp, metadata.user_data) == (None, None)
