"""Participants, publications and tracks as the server's words change them."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from livekit.protocol import models, rtc

from aiolivekit.enums import (
    ConnectionQuality,
    DisconnectReason,
    EncryptionType,
    FrameMetadataFeature,
    ParticipantKind,
    ParticipantKindDetail,
    ParticipantState,
    StreamState,
    TrackKind,
    TrackSource,
)
from aiolivekit.errors import ClosedError
from aiolivekit.room import members
from aiolivekit.room.metrics import MetricSample, MetricsBatch, TimeSeriesMetric, metrics_packet
from aiolivekit.room.participant import ParticipantPermission
from aiolivekit.room.track import RemoteAudioTrack, RemoteVideoTrack
from aiolivekit.session.events import (
    ConnectionQualityUpdate,
    MetricsReceived,
    SipDtmfReceived,
    SpeakersChanged,
    StreamStateUpdate,
    SubscriptionPermissionUpdate,
    SubscriptionResponse,
    TranscriptionReceived,
)

from .fakes import ACTIVE, GONE, JOINED, Stage, identities, info, track

VIDEO = models.TrackType.VIDEO


# -- participants ---------------------------------------------------------------------------------------


async def test_somebody_joins_becomes_active_and_leaves(stage: Stage) -> None:
    stage.update(info(state=JOINED))
    ann = stage.room.remote_participants["ann"]
    assert stage.take() == [("participant_connected", ann)]
    assert ann.state is ParticipantState.PARTICIPANT_STATE_JOINED
    stage.update(info(version=2, state=ACTIVE))
    assert stage.take() == [("participant_active", ann)]
    stage.update(info(version=3, state=GONE, disconnect_reason=models.DisconnectReason.PARTICIPANT_REMOVED))
    assert stage.take() == [("participant_disconnected", ann)]
    assert dict(stage.room.remote_participants) == {}
    assert ann.disconnect_reason is DisconnectReason.PARTICIPANT_REMOVED
    assert ann.state is ParticipantState.PARTICIPANT_STATE_DISCONNECTED
    assert (ann.identity, ann.sid) == ("ann", "PA_ann")


async def test_somebody_joins_with_tracks(stage: Stage) -> None:
    stage.update(info(tracks=[track("TR_1"), track("TR_2")]))
    ann = stage.room.remote_participants["ann"]
    one, two = ann.track_publications.values()
    assert stage.take() == [
        ("participant_connected", ann),
        ("participant_active", ann),
        ("track_published", one, ann),
        ("track_published", two, ann),
    ]
    stage.update(info(version=2, state=GONE))
    assert stage.take() == [
        ("track_unpublished", one, ann),
        ("track_unpublished", two, ann),
        ("participant_disconnected", ann),
    ]
    assert dict(ann.track_publications) == {}
    assert ann.disconnect_reason is None


async def test_the_same_identity_with_another_sid_is_somebody_else(ann: Stage) -> None:
    before = ann.room.remote_participants["ann"]
    ann.update(info(sid="PA_again", joined_at_ms=2000))
    after = ann.room.remote_participants["ann"]
    assert after is not before
    assert ann.take() == [
        ("participant_disconnected", before),
        ("participant_connected", after),
        ("participant_active", after),
    ]
    assert before.disconnect_reason is DisconnectReason.DUPLICATE_IDENTITY


async def test_an_older_update_changes_nothing(ann: Stage) -> None:
    ann.update(info(version=5, name="new"))
    ann.take()
    ann.update(info(version=4, name="old", tracks=[track("TR_1")]))
    assert ann.take() == []
    assert ann.room.remote_participants["ann"].name == "new"


async def test_fields_change(ann: Stage) -> None:
    participant = ann.room.remote_participants["ann"]
    permission = models.ParticipantPermission(can_publish=True, can_publish_sources=[1, 2], hidden=True)
    ann.update(info(version=2, name="Ann", metadata="about", attributes={"k": "v"}, permission=permission))
    permissions = ParticipantPermission(
        can_publish=True,
        can_publish_sources=(TrackSource.SOURCE_CAMERA, TrackSource.SOURCE_MICROPHONE),
        hidden=True,
    )
    assert ann.take() == [
        ("participant_name_changed", participant, "", "Ann"),
        ("participant_metadata_changed", participant, "", "about"),
        ("participant_attributes_changed", {"k": "v"}, participant),
        ("participant_permissions_changed", participant, permissions),
    ]
    assert (participant.name, participant.metadata, participant.attributes) == ("Ann", "about", {"k": "v"})
    assert participant.permissions == permissions
    participant.attributes["k"] = "a copy"
    assert participant.attributes == {"k": "v"}


async def test_our_own_fields_change(stage: Stage) -> None:
    me = stage.room.local_participant
    stage.update(info("me", version=2, name="Me", metadata="about", attributes={"k": "v"}))
    assert stage.take() == [
        ("participant_name_changed", me, "", "Me"),
        ("participant_metadata_changed", me, "", "about"),
        ("participant_attributes_changed", {"k": "v"}, me),
    ]
    assert (me.name, me.metadata, me.attributes) == ("Me", "about", {"k": "v"})


async def test_properties_of_a_participant() -> None:
    stage = await Stage.started(
        info(
            kind=models.ParticipantInfo.Kind.CONNECTOR,
            kind_details=[models.ParticipantInfo.KindDetail.FORWARDED, 99],
            joined_at_ms=1_700_000_000_500,
        ),
        info("bob", kind=99, joined_at_ms=0, joined_at=1_700_000_000),
        info("cid", joined_at_ms=0),
    )
    ann, bob, cid = stage.room.remote_participants.values()
    assert ann.kind is ParticipantKind.PARTICIPANT_KIND_CONNECTOR
    assert ann.kind_details == [ParticipantKindDetail.PARTICIPANT_KIND_DETAIL_FORWARDED]
    assert ann.joined_at == dt.datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=dt.UTC)
    assert bob.kind is ParticipantKind.PARTICIPANT_KIND_STANDARD
    assert bob.joined_at == dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)
    assert cid.joined_at is None
    assert ann.disconnect_reason is None
    assert "ann" in repr(ann)


async def test_events_of_participants(stage: Stage) -> None:
    stage.update(info(state=JOINED))
    ann = stage.room.remote_participants["ann"]
    heard: list[tuple[Any, ...]] = []
    stage.room.on("participant_name_changed", lambda *args: heard.append(("room", *args)))
    ann.on("participant_name_changed", lambda *args: heard.append(("ann", *args)))
    ann.on("participant_active", lambda p: heard.append(("active", p)))
    ann.on("participant_disconnected", lambda p: heard.append(("gone", p)))
    ann.on("track_published", lambda publication, p: heard.append(("published", publication.sid, p)))
    stage.update(info(version=2, name="Ann"), info("bob", name="Bob"), info("bob", version=2, name="Bobby"))
    stage.update(info(version=3, name="Ann", tracks=[track("TR_1")]), info(version=4, name="Ann", state=GONE))
    assert heard == [
        ("active", ann),
        ("ann", ann, "", "Ann"),
        ("room", ann, "", "Ann"),
        ("room", stage.room.remote_participants["bob"], "Bob", "Bobby"),
        ("published", "TR_1", ann),
        ("gone", ann),
    ]


# -- publications ---------------------------------------------------------------------------------------


async def test_publications_come_and_go(ann: Stage) -> None:
    participant = ann.room.remote_participants["ann"]
    ann.update(info(version=2, tracks=[track("TR_1"), track("TR_2")]))
    one, two = participant.track_publications.values()
    assert ann.take() == [("track_published", one, participant), ("track_published", two, participant)]
    ann.update(info(version=3, tracks=[track("TR_2"), track("TR_3")]))
    three = participant.track_publications["TR_3"]
    assert ann.take() == [("track_unpublished", one, participant), ("track_published", three, participant)]
    assert list(participant.track_publications) == ["TR_2", "TR_3"]
    with pytest.raises(TypeError):
        participant.track_publications["x"] = one  # type: ignore[index]


async def test_mute_and_unmute(ann: Stage) -> None:
    participant = ann.room.remote_participants["ann"]
    ann.update(info(version=2, tracks=[track("TR_1")]))
    publication = participant.track_publications["TR_1"]
    ann.add_media("TR_1")
    remote = publication.track
    assert remote is not None
    heard: list[str] = []
    publication.on("track_muted", lambda: heard.append("publication"))
    participant.on("track_muted", lambda: heard.append("participant"))
    remote.on("track_muted", lambda: heard.append("track"))
    ann.take()
    ann.update(info(version=3, tracks=[track("TR_1", muted=True)]))
    assert ann.take() == [("track_muted", participant, publication)]
    assert heard == ["track", "publication", "participant"]
    assert (publication.muted, remote.muted) == (True, True)
    ann.update(info(version=4, tracks=[track("TR_1", muted=True, mime_type="audio/opus")]))
    assert ann.take() == []
    assert publication.mime_type == "audio/opus"
    ann.update(info(version=5, tracks=[track("TR_1")]))
    assert ann.take() == [("track_unmuted", participant, publication)]
    assert (publication.muted, remote.muted) == (False, False)


async def test_a_track_that_was_muted_before(stage: Stage) -> None:
    stage.update(info(tracks=[track("TR_1", muted=True)]))
    publication = stage.room.remote_participants["ann"].track_publications["TR_1"]
    assert publication.muted
    stage.add_media("TR_1")
    assert publication.track is not None
    assert publication.track.muted


async def test_properties_of_a_publication() -> None:
    stage = await Stage.started(
        info(
            tracks=[
                track(
                    "TR_1",
                    name="camera",
                    type=VIDEO,
                    source=models.TrackSource.CAMERA,
                    simulcast=True,
                    width=1280,
                    height=720,
                    mime_type="video/VP8",
                    encryption=models.Encryption.GCM,
                    packet_trailer_features=[models.PacketTrailerFeature.PTF_FRAME_ID],
                ),
                track("TR_2", audio_features=[models.AudioTrackFeature.TF_STEREO], source=99),
            ]
        )
    )
    camera, sound = stage.room.remote_participants["ann"].track_publications.values()
    assert (camera.name, camera.kind, camera.source) == ("camera", TrackKind.KIND_VIDEO, TrackSource.SOURCE_CAMERA)
    assert (camera.simulcasted, camera.width, camera.height) == (True, 1280, 720)
    assert (camera.mime_type, camera.encryption_type) == ("video/VP8", EncryptionType.GCM)
    assert camera.frame_metadata_features == [FrameMetadataFeature.FMF_FRAME_ID]
    assert (sound.kind, sound.source, sound.audio_features) == (TrackKind.KIND_AUDIO, TrackSource.SOURCE_UNKNOWN, [0])
    assert (sound.subscribed, sound.track, sound.subscription_allowed) == (False, None, True)
    assert "camera" in repr(camera)


# -- media ----------------------------------------------------------------------------------------------


async def published(*sids: str, **options: Any) -> Stage:
    return await Stage.started(info(tracks=[track(sid) for sid in sids]), **options)


async def test_a_track_is_subscribed_and_unsubscribed() -> None:
    stage = await published("TR_1")
    ann = stage.room.remote_participants["ann"]
    publication = ann.track_publications["TR_1"]
    media = stage.add_media("TR_1")
    remote = publication.track
    assert stage.take() == [("track_subscribed", remote, publication, ann)]
    assert isinstance(remote, RemoteAudioTrack)
    assert (remote.sid, remote.name, remote.kind) == ("TR_1", "tr_1", TrackKind.KIND_AUDIO)
    assert remote._media_track is media.media_track
    assert publication.subscribed
    assert [each.WhichOneof() for each in await remote.get_stats()] == ["inbound_rtp"]
    stage.remove_media("TR_1")
    assert stage.take() == [("track_unsubscribed", remote, publication, ann)]
    assert (publication.subscribed, publication.track) == (False, None)
    assert remote._media_track is None
    assert await remote.get_stats() == []
    stage.remove_media("TR_1")
    assert stage.take() == []


async def test_subscribed_again_is_another_track() -> None:
    stage = await published("TR_1")
    publication = stage.room.remote_participants["ann"].track_publications["TR_1"]
    stage.add_media("TR_1")
    first = publication.track
    stage.remove_media("TR_1")
    stage.add_media("TR_1")
    assert publication.track is not first
    assert stage.names() == ["track_subscribed", "track_unsubscribed", "track_subscribed"]


async def test_the_media_say_what_kind_of_track_it_is() -> None:
    stage = await Stage.started(info(tracks=[track("TR_1", type=VIDEO)]))
    stage.add_media("TR_1", kind="video")
    remote = stage.room.remote_participants["ann"].track_publications["TR_1"].track
    assert isinstance(remote, RemoteVideoTrack)
    assert remote.kind is TrackKind.KIND_VIDEO


async def test_media_before_the_publication(ann: Stage) -> None:
    ann.add_media("TR_1")
    assert ann.take() == []
    ann.update(info(version=2, tracks=[track("TR_1")]))
    assert ann.names() == ["track_published", "track_subscribed"]


async def test_media_before_the_participant(stage: Stage) -> None:
    stage.add_media("TR_1")
    stage.update(info(tracks=[track("TR_1")]))
    assert stage.names() == ["participant_connected", "participant_active", "track_published", "track_subscribed"]


async def test_media_are_given_up_after_a_while(ann: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    visit = ann.room._visit
    assert visit is not None
    failed = asyncio.Event()
    ann.room.on("track_subscription_failed", lambda: failed.set())
    visit.members._media._timeout = 0.01
    ann.add_media("TR_1")
    ann.add_media("TR_2", participant_sid="PA_unknown")
    async with asyncio.timeout(5):
        await failed.wait()
        while visit.members._media.deadline is not None:
            await asyncio.sleep(0.001)
    [(name, participant, sid, error)] = ann.take()
    assert (name, participant, sid) == ("track_subscription_failed", ann.room.remote_participants["ann"], "TR_1")
    assert "10 s" in error
    assert visit.members._expiry is None
    ann.update(info(version=2, tracks=[track("TR_1")]))
    assert ann.names() == ["track_published"]


async def test_media_of_a_participant_who_leaves() -> None:
    stage = await published("TR_1", "TR_2")
    stage.add_media("TR_1")
    stage.take()
    stage.update(info(version=2, state=GONE))
    assert stage.names() == [
        "track_unsubscribed",
        "track_unpublished",
        "track_unpublished",
        "participant_disconnected",
    ]
    stage.remove_media("TR_1")
    assert stage.take() == []


async def test_media_of_a_track_that_is_unpublished() -> None:
    stage = await published("TR_1")
    publication = stage.room.remote_participants["ann"].track_publications["TR_1"]
    stage.add_media("TR_1")
    remote = publication.track
    stage.take()
    stage.update(info(version=2))
    ann = stage.room.remote_participants["ann"]
    assert stage.take() == [
        ("track_unsubscribed", remote, publication, ann),
        ("track_unpublished", publication, ann),
    ]


async def test_events_of_publications_and_tracks() -> None:
    stage = await published("TR_1")
    ann = stage.room.remote_participants["ann"]
    publication = ann.track_publications["TR_1"]
    heard: list[str] = []
    stage.room.on("track_subscribed", lambda: heard.append("room"))
    ann.on("track_subscribed", lambda: heard.append("participant"))
    publication.on("track_subscribed", lambda: heard.append("publication"))
    stage.add_media("TR_1")
    assert heard == ["publication", "participant", "room"]
    remote = publication.track
    assert remote is not None
    remote.on("track_unsubscribed", lambda *args: heard.append("track"))
    stage.remove_media("TR_1")
    assert heard[3:] == ["track"]


class Stream:
    """What media streams are told (`media.frame_stream`)."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def _track_gone(self) -> None:
        self.told.append("gone")

    def _track_found(self, found: Any) -> None:
        self.told.append(found)

    def _end(self) -> None:
        self.told.append("end")


async def test_streams_of_a_track_are_told_when_it_ends() -> None:
    stage = await published("TR_1", "TR_2")
    ann = stage.room.remote_participants["ann"]
    streams = []
    for sid in ("TR_1", "TR_2"):
        stage.add_media(sid)
        remote = ann.track_publications[sid].track
        assert remote is not None
        streams.append(Stream())
        remote._streams.add(streams[-1])
    stage.remove_media("TR_1")
    assert [stream.told for stream in streams] == [["gone"], []]
    await stage.room.disconnect()
    assert [stream.told for stream in streams] == [["gone"], ["gone"]]


async def test_streams_of_a_participant_are_told_of_its_tracks() -> None:
    stage = await published("TR_1")
    ann = stage.room.remote_participants["ann"]
    stream = Stream()
    ann._streams.add(stream)
    stage.add_media("TR_1")
    assert stream.told == [ann.track_publications["TR_1"].track]
    stage.update(info(version=2, state=GONE))
    assert stream.told[1:] == ["end"]


async def test_streams_of_participants_end_with_the_room() -> None:
    stage = await published("TR_1")
    streams = [Stream(), Stream()]
    stage.room.remote_participants["ann"]._streams.add(streams[0])
    stage.room.local_participant._streams.add(streams[1])
    await stage.room.disconnect()
    assert [stream.told for stream in streams] == [["end"], ["end"]]


# -- subscribing ----------------------------------------------------------------------------------------


async def test_set_subscribed_asks_the_server() -> None:
    stage = await published("TR_1", auto_subscribe=False)
    publication = stage.room.remote_participants["ann"].track_publications["TR_1"]
    for subscribed in (True, False):
        publication.set_subscribed(subscribed)
        request = stage.engine.requests[-1]
        assert request == rtc.SignalRequest(
            subscription=rtc.UpdateSubscription(
                track_sids=["TR_1"],
                subscribe=subscribed,
                participant_tracks=[models.ParticipantTracks(participant_sid="PA_ann", track_sids=["TR_1"])],
            )
        )
    assert stage.take() == []


async def test_set_subscribed_after_the_end() -> None:
    stage = await published("TR_1")
    publication = stage.room.remote_participants["ann"].track_publications["TR_1"]
    await stage.room.disconnect()
    with pytest.raises(ClosedError):
        publication.set_subscribed(True)


async def test_what_is_wanted_is_remembered() -> None:
    for auto_subscribe in (True, False):
        stage = await published("TR_1", auto_subscribe=auto_subscribe)
        publication = stage.room.remote_participants["ann"].track_publications["TR_1"]
        assert publication._wanted is auto_subscribe
        publication.set_subscribed(not auto_subscribe)
        assert publication._wanted is not auto_subscribe


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (models.SubscriptionError.SE_CODEC_UNSUPPORTED, "codec"),
        (models.SubscriptionError.SE_TRACK_NOTFOUND, "not have"),
        (99, "no stated reason"),
    ],
)
async def test_a_subscription_fails(number: int, words: str) -> None:
    stage = await published("TR_1")
    ann = stage.room.remote_participants["ann"]
    heard: list[str] = []
    ann.track_publications["TR_1"].on("track_subscription_failed", lambda _p, _sid, error: heard.append(error))
    stage.put(SubscriptionResponse("TR_1", number))
    [(name, participant, sid, error)] = stage.take()
    assert (name, participant, sid) == ("track_subscription_failed", ann, "TR_1")
    assert words in error
    assert heard == [error]
    stage.put(SubscriptionResponse("TR_unknown", number))
    assert stage.take() == []


async def test_a_publisher_allows_a_track_or_not() -> None:
    stage = await published("TR_1")
    publication = stage.room.remote_participants["ann"].track_publications["TR_1"]
    heard: list[bool] = []
    publication.on("subscription_permission_changed", heard.append)
    stage.take()
    for allowed in (True, False, False, True):
        stage.put(SubscriptionPermissionUpdate("PA_ann", "TR_1", allowed))
    assert heard == [False, True]
    assert publication.subscription_allowed
    ann = stage.room.remote_participants["ann"]
    assert stage.take() == [
        ("track_subscription_permission_changed", publication, allowed, ann) for allowed in (False, True)
    ]


async def test_what_arrives_is_allowed() -> None:
    """The word that it is allowed again may be lost in an outage."""
    stage = await published("TR_1")
    publication = stage.room.remote_participants["ann"].track_publications["TR_1"]
    stage.put(SubscriptionPermissionUpdate("PA_ann", "TR_1", False))
    assert not publication.subscription_allowed
    stage.add_media("TR_1")
    assert publication.subscription_allowed


async def test_a_track_that_was_not_allowed_before_it_was_known(ann: Stage) -> None:
    ann.put(SubscriptionPermissionUpdate("PA_ann", "TR_1", False))
    ann.update(info(version=2, tracks=[track("TR_1")]))
    assert not ann.room.remote_participants["ann"].track_publications["TR_1"].subscription_allowed


async def test_what_is_kept_for_unknown_tracks_is_bounded(ann: Stage) -> None:
    visit = ann.room._visit
    assert visit is not None
    for number in range(members._MAX_DENIED + 10):
        ann.put(SubscriptionPermissionUpdate("PA_ann", f"TR_{number}", False))
    assert len(visit.members._denied) == members._MAX_DENIED


async def test_the_server_pauses_a_track() -> None:
    stage = await published("TR_1")
    publication = stage.room.remote_participants["ann"].track_publications["TR_1"]
    paused = rtc.StreamStateInfo(participant_sid="PA_ann", track_sid="TR_1", state=rtc.StreamState.PAUSED)
    stage.put(StreamStateUpdate([paused]))
    stage.add_media("TR_1")
    remote = publication.track
    assert remote is not None
    assert remote.stream_state is StreamState.STATE_ACTIVE
    heard: list[StreamState] = []
    remote.on("stream_state_changed", heard.append)
    publication.on("stream_state_changed", heard.append)
    active = rtc.StreamStateInfo(participant_sid="PA_ann", track_sid="TR_1", state=rtc.StreamState.ACTIVE)
    stage.put(StreamStateUpdate([paused, paused]))
    assert remote.stream_state is StreamState.STATE_PAUSED
    stage.put(StreamStateUpdate([active]))
    assert heard == [StreamState.STATE_PAUSED] * 2 + [StreamState.STATE_ACTIVE] * 2
    told = [event for event in stage.take() if event[0] == "track_stream_state_changed"]
    ann = stage.room.remote_participants["ann"]
    assert [event[1:] for event in told] == [
        (publication, StreamState.STATE_PAUSED, ann),
        (publication, StreamState.STATE_ACTIVE, ann),
    ]


# -- speaking and quality -------------------------------------------------------------------------------


def speaks(identity: str, level: float, active: bool = True) -> models.SpeakerInfo:
    return models.SpeakerInfo(sid=f"PA_{identity}", level=level, active=active)


async def test_active_speakers() -> None:
    stage = await Stage.started(info("ann"), info("bob"))
    ann, bob = stage.room.remote_participants.values()
    heard: list[tuple[str, bool]] = []
    ann.on("is_speaking_changed", lambda speaking: heard.append(("ann", speaking)))
    stage.room.local_participant.on("is_speaking_changed", lambda speaking: heard.append(("me", speaking)))
    stage.put(SpeakersChanged([speaks("ann", 0.25), speaks("me", 0.5)]))
    assert stage.take() == [("active_speakers_changed", [stage.room.local_participant, ann])]
    stage.put(SpeakersChanged([speaks("bob", 0.75), speaks("nobody", 1.0)]))
    assert stage.take() == [("active_speakers_changed", [bob, stage.room.local_participant, ann])]
    assert (ann.is_speaking, ann.audio_level, bob.audio_level) == (True, 0.25, 0.75)
    stage.put(SpeakersChanged([speaks("me", 0.0, active=False), speaks("ann", 1.0)]))
    assert stage.take() == [("active_speakers_changed", [ann, bob])]
    assert not stage.room.local_participant.is_speaking
    assert heard == [("ann", True), ("me", True), ("me", False)]
    stage.put(SpeakersChanged([speaks("ann", 1.0)]))
    assert stage.take() == []


async def test_a_speaker_who_leaves_speaks_no_more() -> None:
    stage = await Stage.started(info("ann"), info("bob"))
    ann, bob = stage.room.remote_participants.values()
    stage.put(SpeakersChanged([speaks("ann", 0.25), speaks("bob", 0.5)]))
    stage.take()
    stage.update(info("ann", version=2, state=GONE))
    assert stage.take() == [("participant_disconnected", ann), ("active_speakers_changed", [bob])]
    assert not ann.is_speaking


async def test_connection_quality(ann: Stage) -> None:
    participant, me = ann.room.remote_participants["ann"], ann.room.local_participant
    assert participant.connection_quality is ConnectionQuality.QUALITY_UNKNOWN
    updates = [
        rtc.ConnectionQualityInfo(participant_sid="PA_ann", quality=models.ConnectionQuality.POOR),
        rtc.ConnectionQualityInfo(participant_sid="PA_me", quality=models.ConnectionQuality.EXCELLENT),
        rtc.ConnectionQualityInfo(participant_sid="PA_nobody", quality=models.ConnectionQuality.LOST),
    ]
    ann.put(ConnectionQualityUpdate(updates))
    assert ann.take() == [
        ("connection_quality_changed", participant, ConnectionQuality.QUALITY_POOR),
        ("connection_quality_changed", me, ConnectionQuality.QUALITY_EXCELLENT),
    ]
    ann.put(ConnectionQualityUpdate(updates))
    assert ann.take() == []


# -- data -----------------------------------------------------------------------------------------------


async def test_data(ann: Stage) -> None:
    participant = ann.room.remote_participants["ann"]
    heard: list[Any] = []
    participant.on("data_received", heard.append)
    ann.receive(b"data", topic="topic")
    [(name, packet)] = ann.take()
    assert name == "data_received"
    assert (packet.data, packet.topic, packet.participant) == (b"data", "topic", participant)
    assert heard == [packet]


async def test_data_of_a_server(ann: Stage) -> None:
    ann.receive(b"data", identity="", sid="")
    ann.receive(b"data", identity="", sid="PA_hidden")
    assert [packet.participant for _, packet in ann.take()] == [None, None]


async def test_data_of_one_who_is_not_announced_yet(stage: Stage) -> None:
    stage.receive(b"one", identity="ann")
    stage.receive(b"two", identity="ann")
    (_, one), (_, two) = stage.take()
    stranger = one.participant
    assert stranger is two.participant
    assert (stranger.identity, stranger.sid) == ("ann", "PA_ann")
    assert dict(stage.room.remote_participants) == {}
    stage.update(info("ann", name="Ann"))
    assert stage.room.remote_participants["ann"] is stranger
    assert stranger.name == "Ann"
    assert stage.names() == ["participant_connected", "participant_active"]


async def test_data_of_one_who_has_left(ann: Stage) -> None:
    participant = ann.room.remote_participants["ann"]
    ann.update(info(version=2, state=GONE))
    ann.take()
    ann.receive(b"late")
    assert [packet.participant for _, packet in ann.take()] == [participant]
    ann.receive(b"new", sid="PA_again")
    [(_, packet)] = ann.take()
    assert packet.participant is not participant
    ann.update(info(sid="PA_again", joined_at_ms=2000))
    assert ann.room.remote_participants["ann"] is packet.participant


async def test_one_who_comes_back_is_a_new_object(ann: Stage) -> None:
    before = ann.room.remote_participants["ann"]
    ann.update(info(version=2, state=GONE))
    ann.update(info(version=3))
    assert ann.room.remote_participants["ann"] is not before


async def test_strangers_are_bounded(stage: Stage) -> None:
    visit = stage.room._visit
    assert visit is not None
    for number in range(members._MAX_STRANGERS + 10):
        stage.receive(b"", identity=f"stranger {number}")
    assert len(visit.members._strangers) == members._MAX_STRANGERS


async def test_data_under_our_own_identity(stage: Stage) -> None:
    stage.receive(b"data", identity="me")
    assert [packet.participant for _, packet in stage.take()] == [None]


async def test_data_nobody_listens_to_costs_nothing(ann: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for callback in list(ann.room._event_handlers.get("data_received", ())):
        ann.room.off("data_received", callback.callback)
    monkeypatch.setattr("aiolivekit.room.visit.DataPacket", lambda *_args: pytest.fail("made for nobody"))
    ann.receive(b"data")
    ann.receive(b"data", identity="stranger")
    visit = ann.room._visit
    assert visit is not None
    assert visit.failures == 0


async def test_data_goes_to_the_participant_alone_if_only_that_listens(ann: Stage) -> None:
    for callback in list(ann.room._event_handlers.get("data_received", ())):
        ann.room.off("data_received", callback.callback)
    heard: list[Any] = []
    ann.room.remote_participants["ann"].on("data_received", heard.append)
    ann.receive(b"data")
    assert [packet.data for packet in heard] == [b"data"]


async def test_a_handler_of_data_that_fails_stops_nothing(ann: Stage) -> None:
    @ann.room.on("data_received")
    def fails() -> None:
        raise ValueError("in a handler")

    heard: list[Any] = []
    ann.room.on("data_received", heard.append)
    ann.receive(b"one")
    ann.receive(b"two")
    assert [packet.data for packet in heard] == [b"one", b"two"]


async def test_metrics(ann: Stage) -> None:
    batch = MetricsBatch(5, [TimeSeriesMetric("AGENTS_LLM_TTFT", [MetricSample(4, 0.5)], "ann", "TR_1")])
    sent = metrics_packet(batch).metrics
    ann.put(MetricsReceived("ann", sent))
    ann.put(MetricsReceived("", sent))
    assert ann.take() == [
        ("metrics_received", batch, ann.room.remote_participants["ann"]),
        ("metrics_received", batch, None),
    ]


async def test_telephone_keys(ann: Stage) -> None:
    ann.put(SipDtmfReceived("ann", 5, "5"))
    ann.put(SipDtmfReceived("", 5, "5"))
    (_, key), (_, servers) = ann.take()
    assert (key.code, key.digit, key.participant) == (5, "5", ann.room.remote_participants["ann"])
    assert servers.participant is None


async def test_transcriptions() -> None:
    stage = await published("TR_1")
    ann = stage.room.remote_participants["ann"]
    publication = ann.track_publications["TR_1"]
    segment = models.TranscriptionSegment(id="1", text="hello", start_time=1, end_time=2, language="en", final=True)
    heard: list[str] = []
    publication.on("transcription_received", lambda segments: heard.append(segments[0].text))
    stage.put(TranscriptionReceived("ann", "TR_1", [segment]))
    [(name, segments, participant, spoken)] = stage.take()
    assert (name, participant, spoken) == ("transcription_received", ann, publication)
    [found] = segments
    assert (found.id, found.text, found.start_time, found.end_time) == ("1", "hello", 1, 2)
    assert (found.language, found.final) == ("en", True)
    assert heard == ["hello"]
    stage.put(TranscriptionReceived("nobody", "TR_1", []))
    assert stage.take() == [("transcription_received", [], None, None)]


async def test_loading_tells_nothing() -> None:
    stage = Stage(info("ann", tracks=[track("TR_1")]), info("bob"))
    await asyncio.sleep(0)
    assert stage.names() == ["connection_state_changed", "connected"]
    assert identities(stage.room.remote_participants.values()) == ["ann", "bob"]
