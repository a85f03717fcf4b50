"""What each message of the server does (`livekit.SignalResponse`)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from livekit.protocol import rtc

from ..core.regions import nearest_first
from ..enums import DisconnectReason
from ..signalling.client import SignalClosed
from .events import (
    ConnectionQualityUpdate,
    DataTrackSignal,
    LocalTrackSubscribed,
    LocalTrackUnpublished,
    ParticipantUpdate,
    RefreshToken,
    RoomMoved,
    RoomUpdate,
    SessionClosed,
    SpeakersChanged,
    StreamStateUpdate,
    SubscribedAudioCodecUpdate,
    SubscribedQualityUpdate,
    SubscriptionPermissionUpdate,
    SubscriptionResponse,
    TrackMuted,
)

if TYPE_CHECKING:
    from .session import RtcSession

__all__ = ["HANDLERS", "SignalDispatcher"]

_logger = logging.getLogger("aiolivekit.session")

_Message = rtc.SignalResponse


class SignalDispatcher:
    """Hands each message to the part of the session it is for (a `SignalSink`).

    Args:
        session: The session the messages belong to.
    """

    __slots__ = ("_session", "ignored")

    def __init__(self, session: RtcSession) -> None:
        self._session = session
        self.ignored: Counter[str] = Counter()

    def on_signal_message(self, message: _Message) -> None:
        """Hand a message on; one of an unknown or unexpected kind is counted."""
        kind = message.WhichOneof("message")
        handler = HANDLERS.get(kind) if kind is not None else None
        if handler is None:
            self.ignored[str(kind)] += 1
            _logger.debug("no use for a %s message of the server", kind)
        else:
            handler(self._session, message)

    def on_signal_closed(self, cause: SignalClosed) -> None:
        """Tell the session that the link is lost."""
        self._session.on_signal_closed(cause)


def _leave(session: RtcSession, message: _Message) -> None:
    leave = message.leave
    action = leave.action
    if leave.can_reconnect and action == rtc.LeaveRequest.Action.DISCONNECT:
        # Servers before protocol 13 say it with this flag alone.
        action = rtc.LeaveRequest.Action.RECONNECT
    reason = DisconnectReason.of(leave.reason)
    session.lose(
        SessionClosed(
            "leave",
            reason,
            action,
            retry_now=True,
            detail="the server asked us to leave",
            regions=nearest_first(leave.regions.regions),
        )
    )


def _permission(session: RtcSession, message: _Message) -> None:
    update = message.subscription_permission_update
    session.emit(SubscriptionPermissionUpdate(update.participant_sid, update.track_sid, update.allowed))


def _subscription(session: RtcSession, message: _Message) -> None:
    response = message.subscription_response
    session.emit(SubscriptionResponse(response.track_sid, response.err))


def _moved(session: RtcSession, message: _Message) -> None:
    session.moved(message.room_moved)
    session.emit(RoomMoved(message.room_moved))


def _update(session: RtcSession, message: _Message) -> None:
    participants = list(message.update.participants)
    session.note_seen(participants)
    session.emit(ParticipantUpdate(participants))


def _request_response(session: RtcSession, message: _Message) -> None:
    if message.request_response.WhichOneof("request") in ("publish_data_track", "unpublish_data_track"):
        # These have no id: they are told apart by the handle.
        session.emit(DataTrackSignal(message))
    else:
        session.requests.answered(message.request_response)


HANDLERS: dict[str, Callable[[RtcSession, _Message], None]] = {
    "answer": lambda s, m: s.peers.on_answer(m.answer),
    "offer": lambda s, m: s.peers.on_offer(m.offer),
    "trickle": lambda s, m: s.peers.on_trickle(m.trickle),
    "media_sections_requirement": lambda s, m: s.peers.require_sections(m.media_sections_requirement),
    "track_published": lambda s, m: s.requests.track_published(m.track_published),
    "request_response": _request_response,
    "publish_data_track_response": lambda s, m: s.emit(DataTrackSignal(m)),
    "unpublish_data_track_response": lambda s, m: s.emit(DataTrackSignal(m)),
    "data_track_subscriber_handles": lambda s, m: s.emit(DataTrackSignal(m)),
    "leave": _leave,
    "update": _update,
    "track_unpublished": lambda s, m: s.emit(LocalTrackUnpublished(m.track_unpublished.track_sid)),
    "mute": lambda s, m: s.emit(TrackMuted(m.mute.sid, m.mute.muted)),
    "speakers_changed": lambda s, m: s.emit(SpeakersChanged(list(m.speakers_changed.speakers))),
    "room_update": lambda s, m: s.emit(RoomUpdate(m.room_update.room)),
    "connection_quality": lambda s, m: s.emit(ConnectionQualityUpdate(list(m.connection_quality.updates))),
    "stream_state_update": lambda s, m: s.emit(StreamStateUpdate(list(m.stream_state_update.stream_states))),
    "subscribed_quality_update": lambda s, m: s.emit(SubscribedQualityUpdate(m.subscribed_quality_update)),
    "subscribed_audio_codec_update": lambda s, m: s.emit(SubscribedAudioCodecUpdate(m.subscribed_audio_codec_update)),
    "subscription_permission_update": _permission,
    "subscription_response": _subscription,
    "track_subscribed": lambda s, m: s.emit(LocalTrackSubscribed(m.track_subscribed.track_sid)),
    "refresh_token": lambda s, m: s.emit(RefreshToken(s.signal.url, m.refresh_token)),
    "room_moved": _moved,
    # Answered by the signalling client itself.
    "pong": lambda _s, _m: None,
    "pong_resp": lambda _s, _m: None,
}
"""What is done with each kind of message."""
