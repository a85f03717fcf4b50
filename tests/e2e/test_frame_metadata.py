"""What travels beside pictures arrives beside the same pictures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
import pytest

from aiolivekit.peer.transforms import FrameLayer
from aiolivekit.signalling import join_request

from . import media
from .conftest import OURS, PAIRS
from .sdk import Recorder, Sdk, meeting, running, subscribed, until

pytestmark = pytest.mark.e2e

WIDTH, HEIGHT = 640, 360
ENOUGH = 8
"""Pictures that are looked at."""
OURS_OURS = PAIRS[0]


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


CASES = [
    *((OURS_OURS, codec, encrypted) for codec in ("VP8", "AV1") for encrypted in (False, True)),
    *((pair, codec, False) for pair in PAIRS[1:] for codec in ("VP8", "VP9", "AV1")),
    # We can receive them only.
    (PAIRS[2], "H264", False),
    # The official SDK encrypts no AV1.
    *((pair, codec, True) for pair in PAIRS[1:] for codec in ("VP8", "VP9")),
]


@asynccontextmanager
async def two(server: Any, token: Any, pair: tuple[Sdk, Sdk], encrypted: bool) -> AsyncIterator[tuple[Any, Recorder]]:
    """A sender, and what the receiver is told."""
    async with AsyncExitStack() as exits:
        joined = []
        for identity, sdk in zip(("alice", "bob"), pair, strict=True):
            options: dict[str, Any] = {}
            if encrypted:
                keys = sdk.rtc.KeyProviderOptions(shared_key=b"a key for pictures")
                options["encryption"] = sdk.rtc.E2EEOptions(key_provider_options=keys)
            room, events = await sdk.join(server.url, token(identity), single=True, **options)
            exits.push_async_callback(room.disconnect)
            joined.append((room, events))
        yield joined[0][0], joined[1][1]


@pytest.mark.parametrize(("pair", "codec", "encrypted"), CASES, indirect=["pair"])
async def test_metadata_of_pictures(
    request: Any, livekit_server, livekit_token, pair: tuple[Sdk, Sdk], codec: str, encrypted: bool
) -> None:
    if codec == "H264":
        request.getfixturevalue("h264")
    sender, receiver = pair
    rtc = sender.rtc
    async with two(livekit_server, livekit_token, pair, encrypted) as (alice, events):
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


async def test_who_does_not_know_trailers_gets_none(livekit_server, livekit_token, monkeypatch) -> None:
    rtc = OURS.rtc
    alice, _ = await OURS.join(livekit_server.url, livekit_token("alice"), single=True)
    monkeypatch.setattr(join_request, "CAPABILITIES", ())
    bob, events = await OURS.join(livekit_server.url, livekit_token("bob"), single=True)
    source = rtc.VideoSource(WIDTH, HEIGHT)
    track = rtc.LocalVideoTrack.create_video_track("camera", source)
    options = rtc.TrackPublishOptions(frame_metadata_features=[rtc.FrameMetadataFeature.FMF_FRAME_ID])
    ends: list[bytes] = []
    try:
        async with running(show(rtc, source, b"")):
            await alice.local_participant.publish_track(track, options)
            theirs, *_ = await subscribed(events)
            # In place of the step that would take it off here.
            step = FrameLayer.TRAILER
            theirs._media.chain.set_step(step, lambda frame: ends.append(bytes(frame.data[-4:])) or True)
            await until(lambda: len(ends) > 10, "pictures")
        assert b"LKTS" not in ends
    finally:
        await bob.disconnect()
        await alice.disconnect()
        await source.aclose()
