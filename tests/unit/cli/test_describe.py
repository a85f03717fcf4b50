"""Every event in words and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from livekit.protocol import models

from aiolivekit.cli.describe import describe
from aiolivekit.enums import (
    ConnectionQuality,
    ConnectionState,
    DataPacketKind,
    DisconnectReason,
    EncryptionState,
    StreamState,
)
from aiolivekit.room import events as ev
from aiolivekit.room.chat import ChatMessage
from aiolivekit.room.handler_tasks import HandlerTasks
from aiolivekit.room.metrics import EventMetric, MetricsBatch, TimeSeriesMetric
from aiolivekit.room.packets import DataPacket, SipDTMF, TranscriptionSegment
from aiolivekit.room.participant import ParticipantPermission, RemoteParticipant
from aiolivekit.room.report import ReconnectCause, ReconnectReport
from aiolivekit.room.track_publication import TrackPublication

RED = "\x1b[31m"


def participant(identity: str = "bob", name: str = "", **more: Any) -> RemoteParticipant:
    info = models.ParticipantInfo(sid="PA_1", identity=identity, name=name, **more)
    return RemoteParticipant(info, HandlerTasks())


def publication(**more: Any) -> TrackPublication:
    fields: dict[str, Any] = {"sid": "TR_1", "name": "cam", "type": models.VIDEO, "source": models.CAMERA}
    return TrackPublication(models.TrackInfo(**{**fields, **more}), HandlerTasks())


BOB = participant(name="Bob B.")
CAMERA = publication(mime_type="video/VP8", width=640, height=360)
CAMERA_FIELDS = {
    "participant": "bob",
    "track": "TR_1",
    "name": "cam",
    "kind": "video",
    "source": "camera",
    "mime_type": "video/VP8",
    "width": 640,
    "height": 360,
}
SEGMENT = TranscriptionSegment("S1", "well said", 0, 1, "en", True)

CASES: list[tuple[ev.RoomEvent, str, dict[str, Any]]] = [
    (
        ev.ParticipantConnected(participant(kind=models.ParticipantInfo.AGENT)),
        "bob joined as agent",
        {"participant": "bob", "sid": "PA_1", "name": "", "kind": "agent"},
    ),
    (ev.ParticipantDisconnected(BOB), "bob (Bob B.) left", {"participant": "bob", "reason": None}),
    (ev.ParticipantActive(BOB), "bob (Bob B.) can receive", {"participant": "bob"}),
    (
        ev.TrackPublished(CAMERA, BOB),  # type: ignore[arg-type]
        "bob (Bob B.) publishes camera (VP8, 640x360)",
        CAMERA_FIELDS,
    ),
    (
        ev.TrackUnpublished(publication(source=models.UNKNOWN), BOB),  # type: ignore[arg-type]
        "bob (Bob B.) publishes video “cam” no more",
        {"participant": "bob", "track": "TR_1", "name": "cam", "kind": "video", "source": "unknown"},
    ),
    (ev.TrackSubscribed(None, CAMERA, BOB), "camera (VP8, 640x360) of bob (Bob B.) arrives", {}),  # type: ignore[arg-type]
    (ev.TrackUnsubscribed(None, CAMERA, BOB), "camera of bob (Bob B.) arrives no more", {}),  # type: ignore[arg-type]
    (
        ev.TrackSubscriptionFailed(BOB, "TR_9", "no codec"),
        "a track of bob (Bob B.) does not arrive: no codec",
        {"participant": "bob", "track": "TR_9", "error": "no codec"},
    ),
    (
        ev.TrackSubscriptionPermissionChanged(CAMERA, False, BOB),  # type: ignore[arg-type]
        "bob (Bob B.) no longer allows camera",
        {**CAMERA_FIELDS, "allowed": False},
    ),
    (
        ev.TrackStreamStateChanged(CAMERA, StreamState.STATE_PAUSED, BOB),  # type: ignore[arg-type]
        "camera of bob (Bob B.) is paused",
        {**CAMERA_FIELDS, "state": "paused"},
    ),
    (ev.TrackMuted(BOB, CAMERA), "bob (Bob B.) muted camera", {}),
    (ev.TrackUnmuted(BOB, CAMERA), "bob (Bob B.) unmuted camera", {}),
    (ev.ActiveSpeakersChanged([BOB]), "speaking: bob (Bob B.)", {"speakers": ["bob"], "levels": {"bob": 0.0}}),
    (ev.ActiveSpeakersChanged([]), "silence", {"speakers": [], "levels": {}}),
    (ev.RoomMetadataChanged("a", ""), "the room has metadata (none)", {"old": "a", "new": ""}),
    (
        ev.ParticipantMetadataChanged(BOB, "", "m"),
        "bob (Bob B.) has metadata m",
        {"participant": "bob", "old": "", "new": "m"},
    ),
    (
        ev.ParticipantNameChanged(BOB, "Rob", "Bob B."),
        "bob is now called Bob B.",
        {"participant": "bob", "old": "Rob", "new": "Bob B."},
    ),
    (
        ev.ParticipantAttributesChanged({"a": "1", "b": ""}, BOB),
        "bob (Bob B.) has attributes a=1, b=",
        {"participant": "bob", "changed": {"a": "1", "b": ""}},
    ),
    (
        ev.ConnectionQualityChanged(BOB, ConnectionQuality.QUALITY_POOR),
        "the connection of bob (Bob B.) is poor",
        {"participant": "bob", "quality": "poor"},
    ),
    (
        ev.ParticipantPermissionsChanged(BOB, ParticipantPermission(can_publish=True, hidden=True)),
        "bob (Bob B.) has other permissions: can publish, hidden",
        {"participant": "bob", "permissions": ["can_publish", "hidden"]},
    ),
    (
        ev.ParticipantEncryptionStatusChanged(BOB, True),
        "bob (Bob B.) is encrypted",
        {"participant": "bob", "encrypted": True},
    ),
    (
        ev.E2eeStateChanged(BOB, EncryptionState.MISSING_KEY),
        "encryption of bob (Bob B.): missing key",
        {"participant": "bob", "state": "missing key"},
    ),
    (
        ev.DataReceived(DataPacket(b"hi", DataPacketKind.KIND_RELIABLE, BOB, "chat")),
        "bob (Bob B.) [chat]: “hi”",
        {"participant": "bob", "topic": "chat", "reliable": True, "size": 2, "text": "hi"},
    ),
    (
        ev.DataReceived(DataPacket(b"\xff\x00", DataPacketKind.KIND_LOSSY, None)),
        "the server (lossy): 2 bytes ff 00",
        {"participant": None, "topic": "", "reliable": False, "size": 2, "base64": "/wA="},
    ),
    (
        ev.SipDtmfReceived(SipDTMF(5, "5", BOB)),
        "bob (Bob B.) pressed 5",
        {"participant": "bob", "code": 5, "digit": "5"},
    ),
    (
        ev.MetricsReceived(MetricsBatch(1, [TimeSeriesMetric("PUBLISHER_RTT", [])], [EventMetric("mine", 1)]), BOB),
        "bob (Bob B.) measured PUBLISHER_RTT, mine",
        {"participant": "bob", "labels": ["PUBLISHER_RTT", "mine"]},
    ),
    (
        ev.TranscriptionReceived([SEGMENT], BOB, CAMERA),
        "bob (Bob B.) said “well said”",
        {"participant": "bob", "text": "well said", "final": True, "track": "TR_1"},
    ),
    (
        ev.ChatMessageReceived(ChatMessage("1", "hi", 1000), BOB),
        "bob (Bob B.) wrote “hi”",
        {"participant": "bob", "id": "1", "text": "hi", "edited": False},
    ),
    (ev.ConnectionStateChanged(ConnectionState.CONN_RECONNECTING), "the connection is reconnecting", {}),
    (ev.Connected(), "in the room", {}),
    (
        ev.Disconnected(DisconnectReason.PARTICIPANT_REMOVED),
        "disconnected (participant removed)",
        {"reason": "PARTICIPANT_REMOVED"},
    ),
    (ev.Disconnected(DisconnectReason.UNKNOWN_REASON), "disconnected (no reason given)", {"reason": "UNKNOWN_REASON"}),
    (ev.Reconnecting(), "the connection was lost; reconnecting", {}),
    (ev.Reconnected(), "reconnected", {}),
    (ev.Moved(), "moved to another room", {}),
    (ev.RoomUpdated(), "room updated", {}),
    (ev.TokenRefreshed(), "token refreshed", {}),
    (ev.DataUndelivered(3, "why"), "3 data packets may not have arrived: why", {"count": 3}),
    (ev.DataMissed(BOB, 2), "at least 2 durable messages of bob (Bob B.) are lost", {"participant": "bob", "count": 2}),
    (
        ev.ReconnectReported(
            ReconnectReport(
                True,
                ReconnectCause("signal", DisconnectReason.SIGNAL_CLOSE, "gone"),
                None,
                "resume",
                ("resume",),
                1,
                0.25,
                2,
                1,
            )
        ),
        "reconnecting: back after 0.25 s (resume, 1 attempt); lost: gone (SIGNAL_CLOSE); 2 messages replayed, "
        "1 track restored",
        {
            "succeeded": True,
            "source": "signal",
            "reason": "SIGNAL_CLOSE",
            "detail": "gone",
            "ended_by": None,
            "modes": ["resume"],
            "attempts": 1,
            "seconds": 0.25,
            "messages_replayed": 2,
            "tracks_restored": 1,
        },
    ),
    (
        ev.DataChannelBufferStatusChanged(False, DataPacketKind.KIND_LOSSY),
        "the lossy data channel is full",
        {"kind": "lossy", "low": False},
    ),
    (
        ev.DataChannelBufferedAmountLowThresholdChanged(DataPacketKind.KIND_RELIABLE, 5),
        "the reliable data channel is low at 5 bytes",
        {"kind": "reliable", "threshold": 5},
    ),
    (ev.DataTrackPublished(None), "a data track is published", {}),
    (ev.DataTrackUnpublished("DT_1"), "a data track is published no more", {"track": "DT_1"}),
]

OURS = {"local_track_published", "local_track_unpublished", "local_track_republished", "local_track_subscribed"}
"""`join` publishes nothing, so these do not come."""


@pytest.mark.parametrize(("event", "words", "fields"), CASES, ids=[case[0].name for case in CASES])
def test_events(event: ev.RoomEvent, words: str, fields: dict[str, Any]) -> None:
    entry = describe(event)
    assert (entry.event, entry.words) == (event.name, words)
    if fields:
        assert entry.fields == fields
    json.dumps(entry.fields)


def test_every_event_has_its_words() -> None:
    assert set(ev.EVENTS) - {event.name for event, _, _ in CASES} == OURS


def test_why_somebody_left_is_said_unless_they_wanted_to() -> None:
    removed, gone = participant(), participant()
    removed._set_disconnect_reason(DisconnectReason.PARTICIPANT_REMOVED)
    gone._set_disconnect_reason(DisconnectReason.CLIENT_INITIATED)
    assert describe(ev.ParticipantDisconnected(removed)).words == "bob left (participant removed)"
    assert describe(ev.ParticipantDisconnected(gone)).words == "bob left"


def test_dropped_events_are_told() -> None:
    entry = describe(ev.EventsDropped(7))
    assert (entry.words, entry.fields, entry.notable) == ("7 events were missed", {"count": 7}, True)


def test_what_happens_all_the_time_is_not_notable() -> None:
    quiet = {event.name for event, _, _ in CASES if not describe(event).notable}
    assert quiet == {
        "participant_active",
        "connection_quality_changed",
        "active_speakers_changed",
        "connection_state_changed",
        "connected",
        "room_updated",
        "token_refreshed",
    }


def test_nothing_in_the_words_steers_a_terminal() -> None:
    evil = participant(f"b{RED}", f"n{RED}")
    track = publication(name=f"t{RED}", source=models.UNKNOWN, mime_type=f"video/{RED}")
    events: list[ev.RoomEvent] = [
        ev.ParticipantConnected(evil),
        ev.ParticipantNameChanged(evil, RED, RED),
        ev.ParticipantMetadataChanged(evil, RED, RED),
        ev.ParticipantAttributesChanged({RED: RED}, evil),
        ev.TrackPublished(track, evil),  # type: ignore[arg-type]
        ev.TrackSubscriptionFailed(evil, RED, RED),
        ev.RoomMetadataChanged(RED, RED),
        ev.DataReceived(DataPacket(f"{RED}\r\n".encode(), DataPacketKind.KIND_RELIABLE, evil, RED)),
        ev.SipDtmfReceived(SipDTMF(1, RED, evil)),
        ev.TranscriptionReceived([TranscriptionSegment("S", RED, 0, 0, "", True)], evil, None),
    ]
    for event in events:
        assert describe(event).words.isprintable(), event.name


def test_long_messages_are_clipped_for_people_and_whole_for_programs() -> None:
    entry = describe(ev.DataReceived(DataPacket(b"x" * 5000, DataPacketKind.KIND_RELIABLE, BOB)))
    assert len(entry.words) < 300
    assert entry.fields["text"] == "x" * 5000
    entry = describe(ev.DataReceived(DataPacket(b"\xff" * 5000, DataPacketKind.KIND_RELIABLE, BOB)))
    assert len(entry.words) < 300
    assert entry.fields["size"] == 5000
