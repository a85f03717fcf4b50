"""Frame processors learn where their track is, and with what the program is connected, whatever happens to either."""

from __future__ import annotations

from typing import Any

import pytest

from aiolivekit.media.audio_frame import AudioFrame
from aiolivekit.media.audio_stream import AudioStream
from aiolivekit.media.frame_processor import FrameProcessor
from aiolivekit.peer.audio import LocalAudio
from aiolivekit.room.track import LocalAudioTrack
from aiolivekit.session.events import RefreshToken

from .fakes import Stage, info, track

URL = "wss://server"
FIRST = {"token": "first", "url": URL}
CLEARED = ["info cleared", "credentials cleared"]


class Told(FrameProcessor[AudioFrame]):
    enabled = True

    def __init__(self) -> None:
        self.told: list[Any] = []

    def take(self) -> list[Any]:
        told, self.told = self.told, []
        return told

    def _on_stream_info_updated(self, **where: str) -> None:
        self.told.append(where)

    def _on_stream_info_cleared(self) -> None:
        self.told.append("info cleared")

    def _on_credentials_updated(self, **credentials: str) -> None:
        self.told.append(credentials)

    def _on_credentials_cleared(self) -> None:
        self.told.append("credentials cleared")

    def _process(self, frame: AudioFrame) -> AudioFrame:
        return frame

    def _close(self) -> None:
        self.told.append("closed")


def where(identity: str, sid: str) -> dict[str, str]:
    return {"room_name": "the room", "participant_identity": identity, "publication_sid": sid}


@pytest.fixture
async def stage() -> Stage:
    stage = await Stage.started(info(tracks=[track("TR_1")]))
    stage.room._server_url, stage.room._token = URL, "first"
    return stage


def subscribe(stage: Stage) -> Any:
    media = stage.add_media("TR_1")
    local = LocalAudio()
    media.media_track = local.media_track
    return stage.room.remote_participants["ann"].track_publications["TR_1"].track


async def test_a_stream_of_a_subscribed_track(stage: Stage) -> None:
    processor, remote = Told(), subscribe(stage)
    stream = AudioStream(remote, noise_cancellation=processor)
    assert processor.take() == [where("ann", "TR_1"), FIRST]
    stage.remove_media("TR_1")
    assert processor.take() == CLEARED
    await stream.aclose()
    assert processor.take() == ["closed"]


async def test_a_new_token_is_told_to_all_that_still_listen(stage: Stage) -> None:
    processors, remote = (Told(), Told(), Told()), subscribe(stage)
    streams = [AudioStream(remote, noise_cancellation=processor) for processor in processors]
    await streams[0].aclose()
    for processor in processors:
        processor.take()
    stage.put(RefreshToken("", "second"))
    assert [processor.take() for processor in processors] == [[], *[[{"token": "second", "url": URL}]] * 2]
    stage.remove_media("TR_1")
    for processor in processors[1:]:
        assert processor.take() == CLEARED
    stage.put(RefreshToken("", "third"))
    assert [processor.take() for processor in processors] == [[], [], []]
    for stream in streams[1:]:
        await stream.aclose()


async def test_a_track_of_ours_from_before_it_is_published_until_after(
    stage: Stage, microphone: LocalAudioTrack
) -> None:
    me, processor = stage.room.local_participant, Told()
    stream = AudioStream(microphone, noise_cancellation=processor)
    assert processor.take() == []
    publication = await me.publish_track(microphone)
    assert processor.take() == [where("me", publication.sid), FIRST]
    seen: list[Any] = []
    stage.room.once("local_track_unpublished", lambda gone: seen.append(gone.track))
    await me.unpublish_track(publication.sid)
    assert seen == [microphone]
    assert processor.take() == CLEARED
    await stream.aclose()


async def test_another_sid_after_a_restart_is_told(stage: Stage, microphone: LocalAudioTrack) -> None:
    me = stage.room.local_participant
    before = (await me.publish_track(microphone)).sid
    early = Told()
    streams = [AudioStream(microphone, noise_cancellation=early)]
    assert early.take() == [where("me", before), FIRST]
    await me._tracks.republish()
    [after] = me.track_publications
    assert after != before
    assert early.take() == [where("me", after), FIRST]
    late = Told()
    streams.append(AudioStream(microphone, noise_cancellation=late))
    assert late.take() == [where("me", after), FIRST]
    for stream in streams:
        await stream.aclose()
