"""Video is sent to us as large as its streams need it, and not at all while there are none."""

from __future__ import annotations

import pytest

from . import media
from .conftest import OURS
from .sdk import meeting, running, subscribed, until

pytestmark = pytest.mark.e2e

WIDTH, HEIGHT = 960, 540
"""The smallest picture that is worth three layers."""


async def test_a_track_is_as_large_as_its_streams(livekit_server, livekit_token) -> None:
    rtc = OURS.rtc
    async with meeting(
        livekit_server.url,
        livekit_token,
        OURS,
        OURS,
        single=True,
        acquainted=False,
        options={"adaptive_stream": True, "dynacast": True},
    ) as (alice, _, _bob, events):
        source = rtc.VideoSource(WIDTH, HEIGHT)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        async with running(media.show_colours(rtc, source, WIDTH, HEIGHT, [])):
            published = await alice.local_participant.publish_track(
                track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA)
            )
            theirs, publication, _ = await subscribed(events)

            async def sent(*layers: bool) -> None:
                def active() -> tuple[bool, ...]:
                    return tuple(each.active for each in published._sender.in_force())

                await until(lambda: active() == layers, f"{layers} of the layers")

            # Nobody looks: nothing is sent to bob, and so by alice.
            await sent(False, False, False)
            stream = rtc.VideoStream(theirs, wanted_size=(160, 90))
            await sent(True, False, False)
            height = 0

            async def watch() -> None:
                nonlocal height
                async for event in stream:
                    height = event.frame.height

            async with running(watch()):
                await until(lambda: abs(height - 180) <= 8, "the small layer")
                other = rtc.VideoStream(theirs)
                await until(lambda: abs(height - HEIGHT) <= 8, "the large layer")
                await other.aclose()
                await until(lambda: abs(height - 180) <= 8, "the small layer again")
                publication.set_video_quality(rtc.VideoQuality.VIDEO_QUALITY_MEDIUM)
                await until(lambda: abs(height - 360) <= 8, "the layer that was set")
                publication.follow_streams()
                stream.wanted_size = (WIDTH, HEIGHT)
                await until(lambda: abs(height - HEIGHT) <= 8, "the layer that is wanted now")
            await stream.aclose()
