"""The second codec of a track, published when the server asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from livekit.protocol import models, rtc

from aiolivekit.enums import VideoCodec
from aiolivekit.errors import RequestError
from aiolivekit.media.video_source import VideoSource
from aiolivekit.options import TrackPublishOptions
from aiolivekit.room.track import LocalVideoTrack
from aiolivekit.session.events import SubscribedQualityUpdate

from .fakes import Stage

OPTIONS = TrackPublishOptions(video_codec=VideoCodec.VP9, backup_codec=VideoCodec.VP8)
Q = models.VideoQuality


@pytest.fixture
async def camera() -> AsyncIterator[LocalVideoTrack]:
    source = VideoSource(1280, 720)
    yield LocalVideoTrack.create_video_track("camera", source)
    await source.aclose()


def watched(sid: str, **enabled: list[int]) -> SubscribedQualityUpdate:
    codecs = [
        rtc.SubscribedCodec(
            codec=codec,
            qualities=[
                rtc.SubscribedQuality(quality=quality, enabled=quality in wanted)
                for quality in (Q.LOW, Q.MEDIUM, Q.HIGH)
            ],
        )
        for codec, wanted in enabled.items()
    ]
    return SubscribedQualityUpdate(rtc.SubscribedQualityUpdate(track_sid=sid, subscribed_codecs=codecs))


async def turns(stage: Stage, number: int) -> None:
    async with asyncio.timeout(5):
        while len(stage.engine.senders) < number or stage.room.local_participant._tracks.backups._publishing:
            await asyncio.sleep(0)
    await asyncio.sleep(0)  # layers are switched in tasks of their own


async def test_it_is_published_when_it_is_asked_for(stage: Stage, camera: LocalVideoTrack) -> None:
    me = stage.room.local_participant
    mine = await me.publish_track(camera, OPTIONS)
    [first] = stage.engine.senders
    stage.put(watched(mine.sid, vp9=[Q.LOW, Q.MEDIUM, Q.HIGH], vp8=[]))
    assert len(stage.engine.senders) == 1
    stage.put(watched(mine.sid, vp9=[], vp8=[Q.LOW]))
    await turns(stage, 2)
    _, second = stage.engine.senders
    request = [argument for name, argument in stage.engine.calls if name == "add_track"][1]
    assert (request.sid, request.cid) == (mine.sid, second.track.cid)
    assert [each.codec for each in request.simulcast_codecs] == ["vp8"]
    assert [each.rid for each in second.encodings] == ["q", "h", "f"]
    assert (first.active, second.active) == ((False,), (True, False, False))
    stage.put(watched(mine.sid, vp9=[], vp8=[Q.LOW, Q.MEDIUM, Q.HIGH]))
    await asyncio.sleep(0)
    assert second.active == (True, True, True)
    camera.mute()
    assert not second.track.enabled
    camera.unmute()
    assert second.track.enabled
    await me.unpublish_track(mine.sid)
    removed = [argument for name, argument in stage.engine.calls if name == "remove_track"]
    assert removed == [first, second]
    assert mine._backup is None


async def test_it_is_replaced_with_the_track(stage: Stage, camera: LocalVideoTrack) -> None:
    mine = await stage.room.local_participant.publish_track(camera, OPTIONS)
    stage.put(watched(mine.sid, vp8=[Q.LOW]))
    await turns(stage, 2)
    _, second = stage.engine.senders
    before = second.track
    source = VideoSource(1280, 720)
    await mine.replace_track(LocalVideoTrack.create_video_track("other", source))
    assert second.track is not before
    await source.aclose()


async def test_it_is_refused(stage: Stage, camera: LocalVideoTrack, caplog: pytest.LogCaptureFixture) -> None:
    mine = await stage.room.local_participant.publish_track(camera, OPTIONS)
    stage.engine.failures["add_track"] = RequestError("publish the track", reason_name="NOT_ALLOWED")
    stage.put(watched(mine.sid, vp8=[Q.LOW]))
    async with asyncio.timeout(5):
        while not caplog.records:
            await asyncio.sleep(0)
    assert "backup codec" in caplog.text
    del stage.engine.failures["add_track"]
    stage.put(watched(mine.sid, vp8=[Q.LOW]))
    await turns(stage, 2)
    assert mine._backup is not None


@pytest.mark.parametrize("step", ["add_track", "create_sender", "negotiate"])
async def test_unpublished_meanwhile(stage: Stage, camera: LocalVideoTrack, step: str) -> None:
    me = stage.room.local_participant
    mine = await me.publish_track(camera, OPTIONS)
    stage.engine.gates[step] = asyncio.Event()
    stage.engine.reached.pop(step, None)
    stage.put(watched(mine.sid, vp8=[Q.LOW]))
    await stage.engine.wait_for(step)
    backups = me._tracks.backups
    tasks = list(backups._tasks)
    await me.unpublish_track(mine.sid)
    await asyncio.wait(tasks)
    assert (backups._tasks, backups._publishing, backups._asked, backups._sent) == (set(), {}, {}, {})
    removed = [argument for name, argument in stage.engine.calls if name == "remove_track"]
    assert set(map(id, removed)) == set(map(id, stage.engine.senders))
