"""H.264, once the user has chosen it."""

from __future__ import annotations

from typing import Any

import pytest

import aiolivekit
from aiolivekit.enums import VideoQuality

from . import media
from .conftest import OURS
from .sdk import Recorder, Sdk, meeting, running, subscribed, until

pytestmark = pytest.mark.e2e

WIDTH, HEIGHT = 960, 540
"""The smallest picture that is worth three layers."""
COLOUR = (180.0, 90.0, 160.0)


class Watcher:
    """The size and the colour of a track's newest picture."""

    def __init__(self, rtc: Any, track: Any) -> None:
        self._rtc = rtc
        self._stream = rtc.VideoStream(track)
        self.height = 0
        self.colour = (0.0, 0.0, 0.0)

    async def watch(self) -> None:
        try:
            async for event in self._stream:
                frame = event.frame.convert(self._rtc.VideoBufferType.I420)
                self.colour, self.height = media.planes(frame), frame.height
        finally:
            await self._stream.aclose()

    async def become(self, height: int) -> None:
        await until(
            lambda: abs(self.height - height) <= 8 and self.colour == pytest.approx(COLOUR, abs=6),
            f"pictures of {height} lines, last {self.height} {self.colour}",
        )


@pytest.mark.usefixtures("h264")
async def test_layers_in_h264(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    sender, receiver = pair
    async with meeting(livekit_server.url, livekit_token, sender, receiver, single=single, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        rtc = sender.rtc
        source = rtc.VideoSource(WIDTH, HEIGHT)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA, video_codec=rtc.VideoCodec.H264, simulcast=True
        )
        async with running(media.show_colours(rtc, source, WIDTH, HEIGHT, [])):
            published = await alice.local_participant.publish_track(track, options)
            seen, publication, _ = await subscribed(events)
            assert publication.mime_type.lower() == "video/h264"
            if sender.is_ours:
                assert len(published._sender.in_force()) == 3
            watcher = Watcher(receiver.rtc, seen)
            async with running(watcher.watch()):
                await watcher.become(HEIGHT)
                if not receiver.is_ours:
                    return  # it has no way to ask for a layer
                publication.set_video_quality(VideoQuality.VIDEO_QUALITY_LOW)
                await until(lambda: 0 < watcher.height < HEIGHT // 2, "a smaller layer")
                publication.set_video_quality(VideoQuality.VIDEO_QUALITY_HIGH)
                await watcher.become(HEIGHT)


async def test_without_it_nothing_is_announced(livekit_server, livekit_token, single: bool) -> None:
    rtc = OURS.rtc
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        source = rtc.VideoSource(WIDTH, HEIGHT)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        for options in (
            rtc.TrackPublishOptions(video_codec=rtc.VideoCodec.H264),
            rtc.TrackPublishOptions(backup_codec=rtc.VideoCodec.H264),
        ):
            with pytest.raises(aiolivekit.CodecUnavailableError, match="aiolivekit codecs install"):
                await alice.local_participant.publish_track(track, options)
        with pytest.raises(aiolivekit.CodecUnavailableError, match="no H265"):
            await alice.local_participant.publish_track(track, rtc.TrackPublishOptions(video_codec=rtc.VideoCodec.H265))
        # The track is as good as before, and the only one that anybody heard of.
        async with running(media.show_colours(rtc, source, WIDTH, HEIGHT, [])):
            await alice.local_participant.publish_track(track, rtc.TrackPublishOptions())
            await subscribed(events)
        assert [each.name for each, _ in events.of("track_published")] == ["camera"]


async def test_enabled_while_a_room_is_joined(
    livekit_server, livekit_token, openh264_library: Any, single: bool
) -> None:
    rtc = OURS.rtc
    room, _ = await OURS.join(livekit_server.url, livekit_token("alice"), single=single)
    options = rtc.TrackPublishOptions(video_codec=rtc.VideoCodec.H264)
    source = rtc.VideoSource(WIDTH, HEIGHT)
    track = rtc.LocalVideoTrack.create_video_track("camera", source)
    aiolivekit.enable_h264(openh264_library)
    try:
        with pytest.raises(aiolivekit.CodecUnavailableError, match="after joining again"):
            await room.local_participant.publish_track(track, options)
        await room.disconnect()
        room = rtc.Room()
        events = Recorder(room)
        await room.connect(livekit_server.url, livekit_token("alice"), rtc.RoomOptions(single_peer_connection=single))
        await room.local_participant.publish_track(track, options)
        await events.wait("local_track_published")
    finally:
        aiolivekit.disable_h264()
        await room.disconnect()


@pytest.mark.usefixtures("h264")
async def test_no_metadata_beside_pictures(livekit_server, livekit_token) -> None:
    rtc = OURS.rtc
    room, _ = await OURS.join(livekit_server.url, livekit_token("alice"), single=True)
    try:
        track = rtc.LocalVideoTrack.create_video_track("camera", rtc.VideoSource(WIDTH, HEIGHT))
        options = rtc.TrackPublishOptions(
            video_codec=rtc.VideoCodec.H264, frame_metadata_features=[rtc.FrameMetadataFeature.FMF_FRAME_ID]
        )
        with pytest.raises(aiolivekit.UnsupportedError, match="VP8, VP9 and AV1"):
            await room.local_participant.publish_track(track, options)
    finally:
        await room.disconnect()
