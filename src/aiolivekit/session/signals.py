"""What each message of the server does (`livekit.SignalResponse`)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from livekit.protocol import rtc

from ..enums import DisconnectReason
from ..signalling.client import SignalClosed
from .events import (
    ConnectionQualityUpdate,
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

__all__ = ["SignalDispatcher"]

_logger = logging.getLogger("aiolivekit.session")

_Message = rtc.SignalResponse


class SignalDispatcher:
    """Hands each message to the part of the session it is for (a `SignalSink`).

    Args:
        session: The session the messages belong to.
    """

    def __init__(self, session: RtcSession) -> None:
        self._session = session
        self.ignored: Counter[str] = Counter()
        self._handlers: dict[str, Callable[[_Message], None]] = {
            "answer": lambda m: session.peers.on_answer(m.answer),
            "offer": lambda m: session.peers.on_offer(m.offer),
            "trickle": lambda m: session.peers.on_trickle(m.trickle),
            "media_sections_requirement": lambda m: session.peers.require_sections(m.media_sections_requirement),
            "track_published": lambda m: session.requests.track_published(m.track_published),
            "request_response": lambda m: session.requests.answered(m.request_response),
            "leave": lambda m: self._leave(m.leave),
            "update": lambda m: session.emit(ParticipantUpdate(list(m.update.participants))),
            "track_unpublished": lambda m: session.emit(LocalTrackUnpublished(m.track_unpublished.track_sid)),
            "mute": lambda m: session.emit(TrackMuted(m.mute.sid, m.mute.muted)),
            "speakers_changed": lambda m: session.emit(SpeakersChanged(list(m.speakers_changed.speakers))),
            "room_update": lambda m: session.emit(RoomUpdate(m.room_update.room)),
            "connection_quality": lambda m: session.emit(ConnectionQualityUpdate(list(m.connection_quality.updates))),
            "stream_state_update": lambda m: session.emit(StreamStateUpdate(list(m.stream_state_update.stream_states))),
            "subscribed_quality_update": lambda m: session.emit(SubscribedQualityUpdate(m.subscribed_quality_update)),
            "subscribed_audio_codec_update": lambda m: session.emit(
                SubscribedAudioCodecUpdate(m.subscribed_audio_codec_update)
            ),
            "subscription_permission_update": lambda m: self._permission(m.subscription_permission_update),
            "subscription_response": lambda m: session.emit(
                SubscriptionResponse(m.subscription_response.track_sid, m.subscription_response.err)
            ),
            "track_subscribed": lambda m: session.emit(LocalTrackSubscribed(m.track_subscribed.track_sid)),
            "refresh_token": lambda m: session.emit(RefreshToken(session.signal.url, m.refresh_token)),
            "room_moved": lambda m: session.emit(RoomMoved(m.room_moved)),
            # Answered by the signalling client itself.
            "pong": lambda _m: None,
            "pong_resp": lambda _m: None,
        }

    def on_signal_message(self, message: _Message) -> None:
        """Hand a message on; one of an unknown or unexpected kind is counted."""
        kind = message.WhichOneof("message")
        handler = self._handlers.get(kind) if kind is not None else None
        if handler is None:
            self.ignored[str(kind)] += 1
            _logger.debug("no use for a %s message of the server", kind)
        else:
            handler(message)

    def on_signal_closed(self, cause: SignalClosed) -> None:
        """Tell the session that the link is lost."""
        self._session.on_signal_closed(cause)

    def _leave(self, leave: rtc.LeaveRequest) -> None:
        action = leave.action
        if leave.can_reconnect and action == rtc.LeaveRequest.Action.DISCONNECT:
            # Servers before protocol 13 say it with this flag alone.
            action = rtc.LeaveRequest.Action.RECONNECT
        reason = DisconnectReason.of(leave.reason)
        self._session.lose(
            SessionClosed("leave", reason, action, retry_now=True, detail="the server asked us to leave")
        )

    def _permission(self, update: rtc.SubscriptionPermissionUpdate) -> None:
        self._session.emit(SubscriptionPermissionUpdate(update.participant_sid, update.track_sid, update.allowed))
