"""Another track in the place of a published one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit.protocol import rtc

from aiolivekit.errors import AlreadyPublishedError, ClosedError, MediaError, PublishError
from aiolivekit.media.audio_source import AudioSource
from aiolivekit.media.video_source import VideoSource
from aiolivekit.room.track import LocalAudioTrack, LocalVideoTrack

from .fakes import Stage


@pytest.fixture
async def other() -> AsyncIterator[LocalAudioTrack]:
    source = AudioSource(48_000, 1, queue_size_ms=0)
    yield LocalAudioTrack.create_audio_track("other", source)
    await source.aclose()


async def test_the_other_track_is_sent_and_the_first_is_free(
    stage: Stage, microphone: LocalAudioTrack, other: LocalAudioTrack
) -> None:
    me = stage.room.local_participant
    publication = await me.publish_track(microphone)
    [sender] = stage.engine.senders
    cid, sid = sender.track.cid, publication.sid
    calls = list(stage.engine.calls)
    stage.take()
    await publication.replace_track(other)
    assert stage.take() == []
    assert stage.engine.calls == calls, "neither an announcement nor a negotiation"
    assert publication.track is other
    assert (other.sid, microphone._publications, other._publications) == (sid, [], [publication])
    assert sender.track is publication._outgoing
    assert sender.track.cid != cid
    # A resume names it as our offer does.
    assert [each.cid for each in me._tracks.published()] == [cid]
    # It is the new track now that mutes it, and the old one can be published.
    other.mute()
    assert publication.muted
    assert [name for name, *_ in stage.take()] == ["track_muted"]
    microphone.mute()
    assert stage.take() == []
    assert (await me.publish_track(microphone)).track is microphone
    # Once more the same: nothing to do.
    await publication.replace_track(other)
    await publication.replace_track(other)


async def test_the_new_track_says_whether_it_is_muted(
    stage: Stage, microphone: LocalAudioTrack, other: LocalAudioTrack
) -> None:
    publication = await stage.room.local_participant.publish_track(microphone)
    other.mute()
    stage.take()
    await publication.replace_track(other)
    assert publication.muted
    assert not publication._outgoing.enabled
    assert stage.take() == [("track_muted", stage.room.local_participant, publication)]
    await publication.replace_track(microphone)
    assert not publication.muted
    assert publication._outgoing.enabled


async def test_a_picture_of_another_size_is_announced(stage: Stage) -> None:
    sources = [VideoSource(640, 360), VideoSource(640, 360), VideoSource(1280, 720)]
    first, same, larger = (LocalVideoTrack.create_video_track("camera", source) for source in sources)
    publication = await stage.room.local_participant.publish_track(first)
    stage.engine.requests.clear()
    await publication.replace_track(same)
    assert stage.engine.requests == []
    await publication.replace_track(larger)
    update = rtc.UpdateLocalVideoTrack(track_sid=publication.sid, width=1280, height=720)
    assert stage.engine.requests == [rtc.SignalRequest(update_video_track=update)]
    assert (publication.width, publication.height) == (1280, 720)
    for source in sources:
        await source.aclose()


async def test_what_cannot_take_its_place(stage: Stage, microphone: LocalAudioTrack, other: LocalAudioTrack) -> None:
    me = stage.room.local_participant
    publication = await me.publish_track(microphone)
    source = VideoSource(640, 360)
    with pytest.raises(PublishError, match="audio is replaced by audio"):
        await publication.replace_track(LocalVideoTrack.create_video_track("camera", source))
    await source.aclose()
    nothing: Any = None
    with pytest.raises(TypeError):
        await publication.replace_track(nothing)
    second = await me.publish_track(other)
    with pytest.raises(AlreadyPublishedError):
        await publication.replace_track(other)
    await me.unpublish_track(second.sid)
    closed = AudioSource(48_000, 1)
    await closed.aclose()
    with pytest.raises(MediaError):
        await publication.replace_track(LocalAudioTrack.create_audio_track("closed", closed))
    assert publication.track is microphone
    await me.unpublish_track(publication.sid)
    with pytest.raises(ClosedError, match="unpublished"):
        await publication.replace_track(other)


async def test_libwebrtc_does_not_do_it(stage: Stage, microphone: LocalAudioTrack, other: LocalAudioTrack) -> None:
    publication = await stage.room.local_participant.publish_track(microphone)
    [sender] = stage.engine.senders
    before = sender.track
    sender.replacing = asyncio.get_running_loop().create_future()
    sender.replacing.set_exception(MediaError("no"))
    with pytest.raises(MediaError, match="no"):
        await publication.replace_track(other)
    assert publication.track is microphone
    assert publication._outgoing is sender.track is before
    assert (microphone._publications, other._publications) == ([publication], [])
    sender.replacing = None
    await publication.replace_track(other)


async def test_cancelled_it_is_replaced_all_the_same(
    stage: Stage, microphone: LocalAudioTrack, other: LocalAudioTrack
) -> None:
    publication = await stage.room.local_participant.publish_track(microphone)
    [sender] = stage.engine.senders
    sender.replacing = asyncio.get_running_loop().create_future()
    replacing = asyncio.create_task(publication.replace_track(other))
    await asyncio.sleep(0)
    with pytest.raises(PublishError, match="being replaced already"):
        await publication.replace_track(other)
    replacing.cancel()
    await asyncio.sleep(0)
    sender.replacing.set_result(None)
    with pytest.raises(asyncio.CancelledError):
        await replacing
    assert publication.track is other
    assert (microphone._publications, other._publications) == ([], [publication])


@pytest.mark.parametrize("fails", [False, True])
async def test_unpublished_meanwhile(
    stage: Stage, microphone: LocalAudioTrack, other: LocalAudioTrack, fails: bool
) -> None:
    me = stage.room.local_participant
    publication = await me.publish_track(microphone)
    [sender] = stage.engine.senders
    sender.replacing = asyncio.get_running_loop().create_future()
    replacing = asyncio.create_task(publication.replace_track(other))
    for _ in range(3):
        await asyncio.sleep(0)
    await me.unpublish_track(publication.sid)
    if fails:
        sender.replacing.set_exception(MediaError("no"))
    else:
        sender.replacing.set_result(None)
    with pytest.raises(MediaError if fails else ClosedError):
        await replacing
    assert (microphone._publications, other._publications) == ([], [])
    for track in (microphone, other):
        await me.publish_track(track)


async def test_replaced_while_a_restart_publishes_it_again(
    stage: Stage, microphone: LocalAudioTrack, other: LocalAudioTrack
) -> None:
    me = stage.room.local_participant
    publication = await me.publish_track(microphone)
    stage.engine.gates["negotiate"] = gate = asyncio.Event()
    stage.engine.reached.pop("negotiate", None)
    again = asyncio.create_task(me._tracks.republish())
    await stage.engine.wait_for("negotiate")
    # The new session's sender exists and sends what was published when it was made.
    await publication.replace_track(other)
    gate.set()
    assert await again == 1
    _, new = stage.engine.senders
    assert publication._sender is new  # type: ignore[comparison-overlap]
    assert new.track is publication._outgoing
    assert publication.track is other
    assert [each.cid for each in me._tracks.published()] == [new.cid]
