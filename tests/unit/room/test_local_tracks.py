"""Publishing, muting and unpublishing."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit.protocol import models, rtc

from aiolivekit.core.encodings import Encoding
from aiolivekit.enums import (
    BackupCodecPolicy,
    DegradationPreference,
    TrackKind,
    TrackSource,
    VideoCodec,
    VideoEncoderBackend,
)
from aiolivekit.errors import (
    AlreadyPublishedError,
    ClosedError,
    MediaError,
    NegotiationError,
    PublishError,
    RequestError,
    UnsupportedError,
)
from aiolivekit.media.audio_source import AudioSource
from aiolivekit.media.video_source import VideoSource
from aiolivekit.options import AudioEncoding, TrackPublishOptions, VideoEncoding
from aiolivekit.room.announcement import Announcement
from aiolivekit.room.track import LocalAudioTrack, LocalVideoTrack
from aiolivekit.session.events import LocalTrackSubscribed, LocalTrackUnpublished, TrackMuted

from .fakes import Stage, info, track

STEPS = ["add_track", "create_sender", "negotiate"]


@pytest.fixture
async def camera() -> AsyncIterator[LocalVideoTrack]:
    source = VideoSource(1280, 720)
    yield LocalVideoTrack.create_video_track("camera", source)
    await source.aclose()


def mutes(stage: Stage) -> list[tuple[str, bool]]:
    return [(request.mute.sid, request.mute.muted) for request in stage.engine.requests if request.HasField("mute")]


# -- what is announced ----------------------------------------------------------------------------------


async def test_a_microphone_is_announced(microphone: LocalAudioTrack) -> None:
    options = TrackPublishOptions(source=TrackSource.SOURCE_MICROPHONE, stream="s")
    announcement = Announcement.of(microphone, options, "cid")
    assert announcement.request == rtc.AddTrackRequest(
        cid="cid", name="mic", type=models.TrackType.AUDIO, source=models.TrackSource.MICROPHONE, stream="s"
    )
    assert announcement.encodings == [Encoding(max_bitrate=48_000)]
    assert not announcement.stereo


async def test_a_stereo_microphone_without_extras_is_announced() -> None:
    source = AudioSource(48_000, 2, queue_size_ms=0)
    options = TrackPublishOptions(
        dtx=False, red=False, preconnect_buffer=True, audio_encoding=AudioEncoding(max_bitrate=96_000)
    )
    announcement = Announcement.of(LocalAudioTrack.create_audio_track("mic", source), options, "cid")
    features = models.AudioTrackFeature
    assert announcement.request == rtc.AddTrackRequest(
        cid="cid",
        name="mic",
        type=models.TrackType.AUDIO,
        stereo=True,
        disable_dtx=True,
        disable_red=True,
        audio_features=[features.TF_STEREO, features.TF_NO_DTX, features.TF_PRECONNECT_BUFFER],
    )
    assert announcement.encodings == [Encoding(max_bitrate=96_000)]
    assert announcement.stereo
    await source.aclose()


async def test_a_camera_is_announced(camera: LocalVideoTrack) -> None:
    options = TrackPublishOptions(source=TrackSource.SOURCE_CAMERA, simulcast=False)
    announcement = Announcement.of(camera, options, "cid")
    layer = models.VideoLayer(quality=models.VideoQuality.HIGH, width=1280, height=720, bitrate=1_700_000)
    assert announcement.request == rtc.AddTrackRequest(
        cid="cid",
        name="camera",
        type=models.TrackType.VIDEO,
        source=models.TrackSource.CAMERA,
        width=1280,
        height=720,
        layers=[layer],
        simulcast_codecs=[rtc.SimulcastCodec(codec="vp8", cid="cid", layers=[layer])],
    )
    assert announcement.encodings == [Encoding(max_bitrate=1_700_000)]


async def test_layers_of_a_camera_are_announced(camera: LocalVideoTrack) -> None:
    announcement = Announcement.of(camera, TrackPublishOptions(), "cid")
    layers = [(each.rid, each.quality, each.width, each.height) for each in announcement.request.layers]
    assert layers == [
        ("q", models.VideoQuality.LOW, 320, 180),
        ("h", models.VideoQuality.MEDIUM, 640, 360),
        ("f", models.VideoQuality.HIGH, 1280, 720),
    ]
    assert list(announcement.request.simulcast_codecs[0].layers) == list(announcement.request.layers)
    assert [each.rid for each in announcement.encodings] == ["q", "h", "f"]


async def test_what_is_given_up_first_is_said_to_the_sender(stage: Stage, camera: LocalVideoTrack) -> None:
    await stage.room.local_participant.publish_track(camera, TrackPublishOptions())
    assert stage.engine.senders[0].degradation is DegradationPreference.MAINTAIN_FRAMERATE


async def test_codec_and_bounds_of_a_camera(camera: LocalVideoTrack) -> None:
    options = TrackPublishOptions(
        video_codec=VideoCodec.AV1,
        video_encoding=VideoEncoding(max_bitrate=500_000, max_framerate=10.0),
        simulcast=False,
    )
    announcement = Announcement.of(camera, options, "cid")
    assert [codec.codec for codec in announcement.request.simulcast_codecs] == ["av1"]
    assert announcement.encodings == [Encoding(max_bitrate=500_000, max_framerate=10.0)]


async def test_a_screen_has_bounds_of_its_own() -> None:
    source = VideoSource(1920, 1080, is_screencast=True)
    track = LocalVideoTrack.create_video_track("screen", source)
    small, full = Announcement.of(track, TrackPublishOptions(), "cid").encodings
    assert (small.max_framerate, full.max_bitrate) == (3.0, 3_000_000)
    await source.aclose()


# -- publishing -----------------------------------------------------------------------------------------


async def test_publish(stage: Stage, microphone: LocalAudioTrack) -> None:
    me = stage.room.local_participant
    publication = await me.publish_track(microphone, TrackPublishOptions(source=TrackSource.SOURCE_MICROPHONE))
    assert stage.engine.names == STEPS
    [sender] = stage.engine.senders
    assert sender.track.cid == stage.engine.calls[0][1].cid
    assert sender.track.enabled
    assert stage.take() == [("local_track_published", publication, microphone)]
    assert dict(me.track_publications) == {publication.sid: publication}
    assert sender.degradation is None
    assert (publication.track, publication.name, publication.kind) == (microphone, "mic", TrackKind.KIND_AUDIO)
    assert (publication.source, publication.muted) == (TrackSource.SOURCE_MICROPHONE, False)
    assert microphone.sid == publication.sid
    [record] = await microphone.get_stats()
    assert record.HasField("outbound_rtp")
    assert record.outbound_rtp.rtc.id == sender.track.cid


async def test_what_the_server_said_meanwhile_is_known(stage: Stage, microphone: LocalAudioTrack) -> None:
    stage.engine.gates["negotiate"] = gate = asyncio.Event()
    publishing = asyncio.create_task(stage.room.local_participant.publish_track(microphone))
    await stage.engine.wait_for("negotiate")
    stage.update(info("me", version=2, tracks=[track("TR_1", mime_type="audio/red")]))
    gate.set()
    publication = await publishing
    assert publication.mime_type == "audio/red"
    stage.update(info("me", version=3, tracks=[track("TR_1", mime_type="audio/opus", muted=True)]))
    assert publication.mime_type == "audio/opus"
    assert not publication.muted


async def test_published_muted(stage: Stage, microphone: LocalAudioTrack) -> None:
    microphone.mute()
    publication = await stage.room.local_participant.publish_track(microphone)
    assert stage.engine.calls[0][1].muted
    assert (publication.muted, microphone.muted) == (True, True)
    assert not stage.engine.senders[0].track.enabled
    assert mutes(stage) == []
    microphone.unmute()
    assert stage.engine.senders[0].track.enabled
    assert mutes(stage) == [(publication.sid, False)]


async def test_muted_while_it_is_being_published(stage: Stage, microphone: LocalAudioTrack) -> None:
    stage.engine.gates["negotiate"] = gate = asyncio.Event()
    publishing = asyncio.create_task(stage.room.local_participant.publish_track(microphone))
    await stage.engine.wait_for("negotiate")
    microphone.mute()
    gate.set()
    publication = await publishing
    assert publication.muted
    assert not stage.engine.senders[0].track.enabled
    assert mutes(stage) == [(publication.sid, True)]
    assert stage.names() == ["local_track_published", "track_muted"]


async def test_a_track_is_published_once_in_a_room(stage: Stage, microphone: LocalAudioTrack) -> None:
    stage.engine.gates["add_track"] = gate = asyncio.Event()
    me = stage.room.local_participant
    publishing = asyncio.create_task(me.publish_track(microphone))
    await stage.engine.wait_for("add_track")
    with pytest.raises(AlreadyPublishedError):
        await me.publish_track(microphone)
    gate.set()
    await publishing
    with pytest.raises(AlreadyPublishedError):
        await me.publish_track(microphone)
    assert len(me.track_publications) == 1


async def test_a_track_in_two_rooms(microphone: LocalAudioTrack) -> None:
    stages = [await Stage.started(), await Stage.started()]
    first, second = [await stage.room.local_participant.publish_track(microphone) for stage in stages]
    cids = {stage.engine.senders[0].track.cid for stage in stages}
    assert len(cids) == 2
    microphone.mute()
    assert [mutes(stage) for stage in stages] == [[(first.sid, True)], [(second.sid, True)]]
    await stages[0].room.disconnect()
    microphone.unmute()
    assert [mutes(stage) for stage in stages] == [[(first.sid, True)], [(second.sid, True), (second.sid, False)]]
    assert len(await microphone.get_stats()) == 1


async def test_only_local_tracks_are_published(stage: Stage) -> None:
    with pytest.raises(TypeError):
        await stage.room.local_participant.publish_track("a track")  # type: ignore[arg-type]


async def test_options_that_make_no_sense(stage: Stage, microphone: LocalAudioTrack) -> None:
    with pytest.raises(PublishError, match="max_bitrate"):
        await stage.room.local_participant.publish_track(
            microphone, TrackPublishOptions(audio_encoding=AudioEncoding(max_bitrate=-1))
        )
    assert stage.engine.calls == []
    await stage.room.local_participant.publish_track(microphone)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (TrackPublishOptions(scalability_mode="L3T3_KEY"), "L3T3_KEY needs VP9 or AV1"),
        (TrackPublishOptions(video_encoding=VideoEncoding(priority="highest")), "highest is no priority"),  # type: ignore[arg-type]
        (TrackPublishOptions(video_encoding=VideoEncoding(max_framerate=0.0)), "max_framerate"),
    ],
)
async def test_options_of_a_camera_that_make_no_sense(
    stage: Stage, camera: LocalVideoTrack, options: TrackPublishOptions, words: str
) -> None:
    with pytest.raises(PublishError, match=words):
        await stage.room.local_participant.publish_track(camera, options)
    assert stage.engine.calls == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (TrackPublishOptions(video_codec=VideoCodec.H265), "no H265"),
        (TrackPublishOptions(video_codec=VideoCodec.H264, frame_metadata_features=[1]), "aiolivekit codecs install"),
        (TrackPublishOptions(backup_codec=VideoCodec.H264), "aiolivekit codecs install"),
        (TrackPublishOptions(video_encoder=VideoEncoderBackend.ENCODER_BACKEND_NVENC), "BACKEND_NVENC.*software"),
    ],
)
async def test_what_is_not_supported_is_said(
    stage: Stage, camera: LocalVideoTrack, options: TrackPublishOptions, words: str
) -> None:
    with pytest.raises(UnsupportedError, match=words):
        await stage.room.local_participant.publish_track(camera, options)
    assert stage.engine.calls == []
    software = TrackPublishOptions(video_encoder=VideoEncoderBackend.ENCODER_BACKEND_SOFTWARE)
    await stage.room.local_participant.publish_track(camera, software)


async def test_a_backup_codec_is_announced_without_a_section(camera: LocalVideoTrack) -> None:
    options = TrackPublishOptions(
        video_codec=VideoCodec.VP9, backup_codec=VideoCodec.VP8, backup_codec_policy=BackupCodecPolicy.SIMULCAST
    )
    request = Announcement.of(camera, options, "cid").request
    assert [(each.codec, each.cid) for each in request.simulcast_codecs] == [("vp9", "cid"), ("vp8", "")]
    assert request.backup_codec_policy == models.BackupCodecPolicy.SIMULCAST
    with pytest.raises(PublishError, match="another one"):
        Announcement.of(camera, TrackPublishOptions(backup_codec=VideoCodec.VP8), "cid")


async def test_a_priority_is_that_of_the_sender(microphone: LocalAudioTrack, camera: LocalVideoTrack) -> None:
    options = TrackPublishOptions(
        audio_encoding=AudioEncoding(priority="high"), video_encoding=VideoEncoding(priority="very-low")
    )
    assert [each.priority for each in Announcement.of(microphone, options, "cid").encodings] == ["high"]
    assert [each.priority for each in Announcement.of(camera, options, "cid").encodings] == ["very-low", None, None]


async def test_a_closed_source(stage: Stage, source: AudioSource, microphone: LocalAudioTrack) -> None:
    await source.aclose()
    with pytest.raises(MediaError):
        await stage.room.local_participant.publish_track(microphone)
    assert stage.engine.calls == []


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("add_track", RequestError("publish the track", reason_name="NOT_ALLOWED")),
        ("create_sender", MediaError("libwebrtc cannot send it")),
        ("negotiate", NegotiationError("no answer")),
    ],
)
async def test_a_failure_leaves_nothing(stage: Stage, microphone: LocalAudioTrack, step: str, error: Exception) -> None:
    stage.engine.failures[step] = error
    me = stage.room.local_participant
    with pytest.raises(type(error)) as raised:
        await me.publish_track(microphone)
    assert raised.value is error
    check_nothing_left(stage, microphone)
    del stage.engine.failures[step]
    await me.publish_track(microphone)
    assert len(me.track_publications) == 1


@pytest.mark.parametrize("step", STEPS)
async def test_cancelling_leaves_nothing(stage: Stage, microphone: LocalAudioTrack, step: str) -> None:
    stage.engine.gates[step] = asyncio.Event()
    me = stage.room.local_participant
    publishing = asyncio.create_task(me.publish_track(microphone))
    await stage.engine.wait_for(step)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    check_nothing_left(stage, microphone)
    del stage.engine.gates[step]
    await me.publish_track(microphone)
    assert len(me.track_publications) == 1


def check_nothing_left(stage: Stage, microphone: LocalAudioTrack) -> None:
    tracks = stage.room.local_participant._tracks
    assert tracks.publications == {}
    assert tracks._publishing == set()
    assert tracks._early == {}
    assert microphone._publications == []
    assert stage.take() == []
    removed = [argument for name, argument in stage.engine.calls if name == "remove_track"]
    assert removed == stage.engine.senders
    if removed:
        assert stage.engine.names[-1] == "publisher_negotiation_needed"
    stage.engine.senders.clear()
    stage.engine.calls.clear()


async def test_disconnected_while_publishing(stage: Stage, microphone: LocalAudioTrack) -> None:
    stage.engine.gates["negotiate"] = gate = asyncio.Event()
    publishing = asyncio.create_task(stage.room.local_participant.publish_track(microphone))
    await stage.engine.wait_for("negotiate")
    await stage.room.disconnect()
    stage.take()
    gate.set()
    with pytest.raises(ClosedError):
        await publishing
    assert stage.take() == []
    with pytest.raises(ClosedError):
        await stage.room.local_participant.publish_track(microphone)


# -- unpublishing ---------------------------------------------------------------------------------------


async def test_unpublish(stage: Stage, microphone: LocalAudioTrack) -> None:
    me = stage.room.local_participant
    publication = await me.publish_track(microphone)
    stage.take()
    seen: list[Any] = []
    publication.on("local_track_unpublished", lambda p: seen.append(p.track))
    await me.unpublish_track(publication.sid)
    assert stage.take() == [("local_track_unpublished", publication)]
    assert seen == [microphone]
    assert stage.engine.names[-2:] == ["remove_track", "publisher_negotiation_needed"]
    assert dict(me.track_publications) == {}
    assert (publication.track, microphone._publications) == (None, [])
    assert await microphone.get_stats() == []
    with pytest.raises(PublishError):
        await me.unpublish_track(publication.sid)


async def test_published_again(stage: Stage, microphone: LocalAudioTrack) -> None:
    me = stage.room.local_participant
    first = await me.publish_track(microphone)
    await me.unpublish_track(first.sid)
    second = await me.publish_track(microphone)
    cids = [sender.track.cid for sender in stage.engine.senders]
    assert cids[0] != cids[1]
    assert microphone.sid == second.sid != first.sid


async def test_the_server_ends_a_track(stage: Stage, microphone: LocalAudioTrack) -> None:
    publication = await stage.room.local_participant.publish_track(microphone)
    stage.take()
    stage.put(LocalTrackUnpublished("TR_unknown"))
    stage.put(LocalTrackUnpublished(publication.sid))
    assert stage.take() == [("local_track_unpublished", publication)]
    assert stage.engine.names[-2:] == ["remove_track", "publisher_negotiation_needed"]


async def test_the_server_ends_a_track_at_once(stage: Stage, microphone: LocalAudioTrack) -> None:
    stage.engine.gates["negotiate"] = gate = asyncio.Event()
    publishing = asyncio.create_task(stage.room.local_participant.publish_track(microphone))
    await stage.engine.wait_for("negotiate")
    stage.put(LocalTrackUnpublished("TR_1"))
    gate.set()
    publication = await publishing
    assert publication.track is None
    assert stage.names() == ["local_track_published", "local_track_unpublished"]


async def test_tracks_end_with_the_room(stage: Stage, microphone: LocalAudioTrack) -> None:
    publication = await stage.room.local_participant.publish_track(microphone)
    stage.take()
    await stage.room.disconnect()
    assert stage.names() == ["local_track_unpublished", "connection_state_changed", "disconnected"]
    assert publication.track is None
    microphone.mute()
    assert mutes(stage) == []


class Stream:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def _track_gone(self) -> None:
        self.told.append("gone")

    def _track_found(self, found: Any) -> None:
        self.told.append(found)

    def _place_changed(self) -> None:
        pass


async def test_streams_of_ourselves_are_told(stage: Stage, microphone: LocalAudioTrack) -> None:
    me = stage.room.local_participant
    mine, its = Stream(), Stream()
    me._streams.add(mine)
    microphone._streams.add(its)
    publication = await me.publish_track(microphone)
    assert mine.told == [microphone]
    await me.unpublish_track(publication.sid)
    assert its.told == ["gone"]


# -- muting ---------------------------------------------------------------------------------------------


async def test_mute_and_unmute(stage: Stage, microphone: LocalAudioTrack) -> None:
    me = stage.room.local_participant
    publication = await me.publish_track(microphone)
    stage.take()
    outgoing = stage.engine.senders[0].track
    heard: list[str] = []
    for emitter, name in ((microphone, "track"), (publication, "publication"), (me, "participant")):
        emitter.on("track_muted", functools.partial(heard.append, name))  # type: ignore[attr-defined]
    microphone.mute()
    microphone.mute()
    assert stage.take() == [("track_muted", me, publication)]
    assert heard == ["track", "publication", "participant"]
    assert (microphone.muted, publication.muted, outgoing.enabled) == (True, True, False)
    microphone.unmute()
    assert stage.take() == [("track_unmuted", me, publication)]
    assert (microphone.muted, publication.muted, outgoing.enabled) == (False, False, True)
    assert mutes(stage) == [(publication.sid, True), (publication.sid, False)]


async def test_the_server_mutes(stage: Stage, microphone: LocalAudioTrack) -> None:
    me = stage.room.local_participant
    publication = await me.publish_track(microphone)
    stage.take()
    outgoing = stage.engine.senders[0].track
    stage.put(TrackMuted(publication.sid, True))
    stage.put(TrackMuted(publication.sid, True))
    stage.put(TrackMuted("TR_unknown", True))
    assert stage.take() == [("track_muted", me, publication)]
    assert (microphone.muted, publication.muted, outgoing.enabled) == (True, True, False)
    stage.put(TrackMuted(publication.sid, False))
    assert stage.take() == [("track_unmuted", me, publication)]
    assert outgoing.enabled
    assert mutes(stage) == []


async def test_we_unmute_what_the_server_muted(stage: Stage, microphone: LocalAudioTrack) -> None:
    publication = await stage.room.local_participant.publish_track(microphone)
    stage.put(TrackMuted(publication.sid, True))
    microphone.unmute()
    assert mutes(stage) == [(publication.sid, False)]
    assert stage.engine.senders[0].track.enabled


# -- subscribers ----------------------------------------------------------------------------------------


async def test_somebody_subscribes(stage: Stage, microphone: LocalAudioTrack) -> None:
    publication = await stage.room.local_participant.publish_track(microphone)
    stage.take()
    waiting = asyncio.create_task(publication.wait_for_subscription())
    await asyncio.sleep(0)
    stage.put(LocalTrackSubscribed("TR_unknown"))
    stage.put(LocalTrackSubscribed(publication.sid))
    stage.put(LocalTrackSubscribed(publication.sid))
    assert stage.take() == [("local_track_subscribed", microphone)]
    await waiting
    await publication.wait_for_subscription()


async def test_somebody_subscribes_before_publishing_has_ended(stage: Stage, microphone: LocalAudioTrack) -> None:
    stage.engine.gates["negotiate"] = gate = asyncio.Event()
    publishing = asyncio.create_task(stage.room.local_participant.publish_track(microphone))
    await stage.engine.wait_for("negotiate")
    stage.put(LocalTrackSubscribed("TR_1"))
    assert stage.take() == []
    gate.set()
    publication = await publishing
    assert stage.names() == ["local_track_published", "local_track_subscribed"]
    await publication.wait_for_subscription()


async def test_nobody_subscribes(stage: Stage, microphone: LocalAudioTrack) -> None:
    me = stage.room.local_participant
    publication = await me.publish_track(microphone)
    with pytest.raises(TimeoutError):
        await publication.wait_for_subscription(timeout=0.001)
    waiting = asyncio.create_task(publication.wait_for_subscription())
    await asyncio.sleep(0)
    await me.unpublish_track(publication.sid)
    with pytest.raises(ClosedError):
        await waiting


async def test_somebody_had_subscribed_before_the_end(stage: Stage, microphone: LocalAudioTrack) -> None:
    publication = await stage.room.local_participant.publish_track(microphone)
    stage.put(LocalTrackSubscribed(publication.sid))
    await stage.room.disconnect()
    await publication.wait_for_subscription()
