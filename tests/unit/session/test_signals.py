"""Every message of the server does something, and exactly one thing."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.protocol import models, rtc

from aiolivekit.enums import DisconnectReason
from aiolivekit.session import events
from aiolivekit.session.requests import PendingRequests
from aiolivekit.session.signals import HANDLERS, SignalDispatcher

Response = rtc.SignalResponse
Action = rtc.LeaveRequest.Action


class RecordingSession:
    """What the dispatcher needs of a session."""

    class signal:  # noqa: N801
        url = "ws://server"

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.requests = PendingRequests()
        self.peers = self

    def emit(self, event: Any) -> None:
        self.calls.append(event)

    def note_seen(self, participants: Any) -> None:
        pass

    def moved(self, message: Any) -> None:
        pass

    def lose(self, event: Any) -> None:
        self.calls.append(event)

    def on_answer(self, message: Any) -> None:
        self.calls.append(("answer", message))

    def on_offer(self, message: Any) -> None:
        self.calls.append(("offer", message))

    def on_trickle(self, message: Any) -> None:
        self.calls.append(("trickle", message))

    def require_sections(self, message: Any) -> None:
        self.calls.append(("sections", message))


ROOM = models.Room(sid="RM_x", name="x")
PARTICIPANT = models.ParticipantInfo(sid="PA_x", identity="x")
DESCRIPTION = rtc.SessionDescription(type="offer", sdp="v=0", id=7)
TRICKLE = rtc.TrickleRequest(candidateInit="{}", target=rtc.SignalTarget.SUBSCRIBER)
SECTIONS = rtc.MediaSectionsRequirement(num_audios=1)
QUALITY = rtc.ConnectionQualityInfo(participant_sid="PA_x", quality=models.ConnectionQuality.GOOD)
SPEAKER = models.SpeakerInfo(sid="PA_x", level=0.5, active=True)
STREAM = rtc.StreamStateInfo(participant_sid="PA_x", track_sid="TR_x", state=rtc.StreamState.PAUSED)
SUBSCRIBED_QUALITY = rtc.SubscribedQualityUpdate(track_sid="TR_x")
AUDIO_CODEC = rtc.SubscribedAudioCodecUpdate(track_sid="TR_x")
MOVED = rtc.RoomMovedResponse(token="t")


@pytest.mark.parametrize(
    ("message", "effect"),
    [
        (Response(answer=DESCRIPTION), ("answer", DESCRIPTION)),
        (Response(offer=DESCRIPTION), ("offer", DESCRIPTION)),
        (Response(trickle=TRICKLE), ("trickle", TRICKLE)),
        (Response(media_sections_requirement=SECTIONS), ("sections", SECTIONS)),
        (Response(update=rtc.ParticipantUpdate(participants=[PARTICIPANT])), events.ParticipantUpdate([PARTICIPANT])),
        (
            Response(track_unpublished=rtc.TrackUnpublishedResponse(track_sid="TR_x")),
            events.LocalTrackUnpublished("TR_x"),
        ),
        (Response(mute=rtc.MuteTrackRequest(sid="TR_x", muted=True)), events.TrackMuted("TR_x", True)),
        (Response(speakers_changed=rtc.SpeakersChanged(speakers=[SPEAKER])), events.SpeakersChanged([SPEAKER])),
        (Response(room_update=rtc.RoomUpdate(room=ROOM)), events.RoomUpdate(ROOM)),
        (
            Response(connection_quality=rtc.ConnectionQualityUpdate(updates=[QUALITY])),
            events.ConnectionQualityUpdate([QUALITY]),
        ),
        (
            Response(stream_state_update=rtc.StreamStateUpdate(stream_states=[STREAM])),
            events.StreamStateUpdate([STREAM]),
        ),
        (
            Response(subscribed_quality_update=SUBSCRIBED_QUALITY),
            events.SubscribedQualityUpdate(SUBSCRIBED_QUALITY),
        ),
        (Response(subscribed_audio_codec_update=AUDIO_CODEC), events.SubscribedAudioCodecUpdate(AUDIO_CODEC)),
        (
            Response(
                subscription_permission_update=rtc.SubscriptionPermissionUpdate(
                    participant_sid="PA_x", track_sid="TR_x", allowed=True
                )
            ),
            events.SubscriptionPermissionUpdate("PA_x", "TR_x", True),
        ),
        (
            Response(
                subscription_response=rtc.SubscriptionResponse(
                    track_sid="TR_x", err=models.SubscriptionError.SE_TRACK_NOTFOUND
                )
            ),
            events.SubscriptionResponse("TR_x", models.SubscriptionError.SE_TRACK_NOTFOUND),
        ),
        (Response(track_subscribed=rtc.TrackSubscribed(track_sid="TR_x")), events.LocalTrackSubscribed("TR_x")),
        (Response(refresh_token="secret"), events.RefreshToken("ws://server", "secret")),
        (Response(room_moved=MOVED), events.RoomMoved(MOVED)),
        (
            Response(leave=rtc.LeaveRequest(action=Action.DISCONNECT, reason=models.DisconnectReason.ROOM_DELETED)),
            ("leave", DisconnectReason.ROOM_DELETED, Action.DISCONNECT),
        ),
        (
            Response(leave=rtc.LeaveRequest(action=Action.RESUME)),
            ("leave", DisconnectReason.UNKNOWN_REASON, Action.RESUME),
        ),
        # From servers before the action existed.
        (
            Response(leave=rtc.LeaveRequest(can_reconnect=True)),
            ("leave", DisconnectReason.UNKNOWN_REASON, Action.RECONNECT),
        ),
        # A reason newer than us.
        (
            Response(leave=rtc.LeaveRequest(reason=99)),  # type: ignore[arg-type]
            ("leave", DisconnectReason.UNKNOWN_REASON, Action.DISCONNECT),
        ),
    ],
    ids=lambda value: value.WhichOneof("message") if isinstance(value, Response) else "",
)
def test_effect(message: rtc.SignalResponse, effect: Any) -> None:
    session = RecordingSession()
    dispatcher = SignalDispatcher(session)  # type: ignore[arg-type]
    dispatcher.on_signal_message(Response.FromString(message.SerializeToString()))
    (call,) = session.calls
    if isinstance(call, events.SessionClosed):
        call = (call.source, call.reason, call.action)
    assert call == effect
    assert not dispatcher.ignored


def test_what_has_no_use_is_counted() -> None:
    session = RecordingSession()
    dispatcher = SignalDispatcher(session)  # type: ignore[arg-type]
    dispatcher.on_signal_message(Response())
    dispatcher.on_signal_message(Response(join=rtc.JoinResponse()))
    assert dispatcher.ignored == {"None": 1, "join": 1}
    assert session.calls == []


def test_every_kind_of_message_is_known() -> None:
    """A message a newer protocol brings must not be overlooked."""
    kinds = {field.name for field in Response.DESCRIPTOR.oneofs_by_name["message"].fields}
    # The first message of a link, and what comes with blobs.
    elsewhere = {"join", "reconnect"}
    later = {
        "store_data_blob_response",
        "get_data_blob_response",
    }
    assert kinds == set(HANDLERS) | elsewhere | later


def test_no_secret_in_the_repr() -> None:
    assert "secret" not in repr(events.RefreshToken("ws://server", "secret"))
