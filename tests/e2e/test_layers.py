"""Layers of a picture: which are sent, which are asked for, and which arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiolivekit.enums import VideoQuality

from . import media
from .conftest import OURS
from .sdk import Sdk, meeting, running, subscribed, until

pytestmark = pytest.mark.e2e

WIDTH, HEIGHT = 960, 540
"""The smallest picture that is worth three layers."""


@asynccontextmanager
async def camera(room: Any, width: int = WIDTH, height: int = HEIGHT, **options: Any) -> AsyncIterator[Any]:
    rtc = OURS.rtc
    source = rtc.VideoSource(width, height)
    track = rtc.LocalVideoTrack.create_video_track("camera", source)
    published = await room.local_participant.publish_track(
        track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, **options)
    )
    async with running(media.show_colours(rtc, source, width, height, [])):
        yield published
    await source.aclose()


class Sizes:
    """The sizes of the pictures of a track."""

    def __init__(self, rtc: Any, track: Any) -> None:
        self._stream = rtc.VideoStream(track)
        self.latest = (0, 0)

    async def watch(self) -> None:
        try:
            async for event in self._stream:
                self.latest = (event.frame.width, event.frame.height)
        finally:
            await self._stream.aclose()

    async def become(self, height: int) -> None:
        # The last few lines may be cut off by the encoder's blocks.
        await until(lambda: abs(self.latest[1] - height) <= 8, f"pictures of {height} lines, last {self.latest}")


async def test_all_layers_begin_together(livekit_server, livekit_token, single: bool) -> None:
    """With too low a start the largest begins later, and falls out again: the real server then hides it for a while."""
    async with (
        meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, _, _bob, events),
        camera(alice, 1280, 720, video_encoding=OURS.rtc.VideoEncoding(max_bitrate=700_000, max_framerate=30)) as sent,
    ):
        encoded: dict[str, int] = {}
        async with asyncio.timeout(10):
            while max(encoded.values(), default=0) < 3:
                await asyncio.sleep(0.02)
                records = [each.outbound_rtp for each in await sent.track.get_stats() if each.HasField("outbound_rtp")]
                encoded = {each.outbound.rid: each.outbound.frames_encoded for each in records}
        assert set(encoded) == {"q", "h", "f"}
        assert encoded["f"] >= 2
        await subscribed(events)


async def test_the_layer_asked_for_arrives(livekit_server, livekit_token, official: Any, single: bool) -> None:
    other = Sdk("official", official)
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        carol, carol_events = await other.join(livekit_server.url, livekit_token("carol"), single=single)
        try:
            async with camera(alice) as published:
                assert published.simulcasted
                track, publication, _ = await subscribed(events)
                theirs, _, _ = await subscribed(carol_events)
                sizes, other_sizes = Sizes(OURS.rtc, track), Sizes(official, theirs)
                async with running(sizes.watch()), running(other_sizes.watch()):
                    await sizes.become(HEIGHT)
                    publication.set_video_quality(VideoQuality.VIDEO_QUALITY_LOW)
                    await sizes.become(180)
                    publication.set_video_dimensions(640, 360)
                    await sizes.become(360)
                    # What one is sent is no matter of the other's.
                    await other_sizes.become(HEIGHT)
                    publication.set_enabled(False)
                    publication.set_video_quality(VideoQuality.VIDEO_QUALITY_HIGH)
                    sizes.latest = (0, 0)
                    await asyncio.sleep(0.5)
                    still = sizes.latest
                    publication.set_enabled(True)
                    await sizes.become(HEIGHT)
                    assert still in ((0, 0), (640, 360)), "pictures came while it was switched off"
        finally:
            await carol.disconnect()


async def test_only_watched_layers_are_sent(livekit_server, livekit_token, single: bool) -> None:
    async with meeting(
        livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False, options={"dynacast": True}
    ) as (alice, _, _bob, events):
        carol, carol_events = await OURS.join(livekit_server.url, livekit_token("carol"), single=single)
        try:
            async with camera(alice) as published:
                _, bobs, _ = await subscribed(events)
                _, carols, _ = await subscribed(carol_events)

                async def sent(*layers: bool) -> None:
                    def active() -> tuple[bool, ...]:
                        return tuple(each.active for each in published._sender.in_force())

                    await until(lambda: active() == layers, f"{layers} of the layers")

                await sent(True, True, True)
                bobs.set_video_quality(VideoQuality.VIDEO_QUALITY_LOW)
                carols.set_video_quality(VideoQuality.VIDEO_QUALITY_LOW)
                await sent(True, False, False)
                carols.set_video_quality(VideoQuality.VIDEO_QUALITY_MEDIUM)
                await sent(True, True, False)
                bobs.set_subscribed(False)
                carols.set_subscribed(False)
                await sent(False, False, False)
                carols.set_subscribed(True)
                carols.set_video_quality(VideoQuality.VIDEO_QUALITY_HIGH)
                await until(lambda: len(carol_events.of("track_subscribed")) == 2, "carol has the track again")
                sizes = Sizes(OURS.rtc, carol_events.of("track_subscribed")[1][0])
                async with running(sizes.watch()):
                    await sizes.become(HEIGHT)
        finally:
            await carol.disconnect()


@pytest.mark.parametrize("codec", ["VP9", "AV1"])
async def test_layers_inside_a_codec(livekit_server, livekit_token, single: bool, codec: str) -> None:
    rtc = OURS.rtc
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        async with camera(alice, video_codec=rtc.VideoCodec.Value(codec)) as published:
            track, publication, _ = await subscribed(events)
            assert publication.mime_type.lower() == f"video/{codec.lower()}"
            sizes = Sizes(rtc, track)
            async with running(sizes.watch()):
                await sizes.become(HEIGHT)
                # No edit of ours has cost the mode.
                assert [each.scalability_mode for each in published._sender.in_force()] == ["L3T3_KEY"]
                if livekit_server.kind == "embedded":
                    return  # it passes such a codec on as it is, with all its layers
                publication.set_video_quality(VideoQuality.VIDEO_QUALITY_LOW)
                await sizes.become(HEIGHT // 4)
                publication.set_video_quality(VideoQuality.VIDEO_QUALITY_HIGH)
                await sizes.become(HEIGHT)
