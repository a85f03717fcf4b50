"""Who may subscribe to our tracks, over a restart."""

from __future__ import annotations

from livekit.protocol import rtc

from aiolivekit.options import ParticipantTrackPermission
from aiolivekit.room.track_permissions import TrackPermissions

from .fakes import RecordingEngine

BOB = ParticipantTrackPermission(participant_identity="bob", allowed_track_sids=["TR_1", "TR_2"])


def said(engine: RecordingEngine) -> list[list[list[str]]]:
    requests = [request.subscription_permission for request in engine.requests]
    engine.requests.clear()
    return [[list(each.track_sids) for each in request.track_permissions] for request in requests]


def test_nothing_is_said_again_before_anything_was_said() -> None:
    engine = RecordingEngine()
    permissions = TrackPermissions(engine.as_engine())
    permissions.say_again()
    permissions.renamed("TR_1", "TR_3")
    assert engine.requests == []


def test_what_was_said_last_is_said_again() -> None:
    engine = RecordingEngine()
    permissions = TrackPermissions(engine.as_engine())
    permissions.say(False, [BOB])
    permissions.say(True, [])
    engine.requests.clear()
    permissions.say_again()
    assert engine.requests == [
        rtc.SignalRequest(subscription_permission=rtc.SubscriptionPermission(all_participants=True))
    ]


def test_a_track_is_meant_by_its_new_sid() -> None:
    engine = RecordingEngine()
    permissions = TrackPermissions(engine.as_engine())
    permissions.say(False, [BOB])
    permissions.renamed("TR_1", "TR_3")
    permissions.renamed("TR_9", "TR_4")
    # What was said before is not changed behind the back of whoever still has to send it.
    assert said(engine) == [[["TR_1", "TR_2"]], [["TR_3", "TR_2"]]]
    assert BOB.allowed_track_sids == ["TR_1", "TR_2"]
