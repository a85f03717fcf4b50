"""What the server does with each message of a client."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

if TYPE_CHECKING:
    from aiolivekit.server.participant import Participant

__all__ = ["handle_request", "synchronise"]

_log = logging.getLogger("aiolivekit.server")

_Reason = rtc.RequestResponse.Reason

_CLIENT_REASONS = (
    models.DisconnectReason.USER_UNAVAILABLE,
    models.DisconnectReason.USER_REJECTED,
    models.DisconnectReason.AGENT_ERROR,
)


def handle_request(participant: Participant, request: rtc.SignalRequest) -> None:
    """Act on a message of a client; whatever is wrong with it concerns nobody else."""
    if participant.ended:
        return
    kind = request.WhichOneof("message")
    handler = _HANDLERS.get(kind or "")
    if handler is None:
        return
    try:
        handler(participant, request)
    except Exception:  # noqa: BLE001 - one client's message must not end the connections of others
        participant.malformed += 1
        _log.warning("a %s message could not be handled", kind, exc_info=True)


def _offer(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.publishing.handle_offer(request.offer)


def _answer(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.subscriptions.handle_answer(request.answer)


def _trickle(participant: Participant, request: rtc.SignalRequest) -> None:
    # An ICE-lite server sends no checks, so it has no use for candidates; but it says what it cannot read.
    try:
        candidate = json.loads(request.trickle.candidateInit)
        if not isinstance(candidate, dict):
            raise TypeError
    except (ValueError, TypeError, RecursionError):
        participant.send_request_response(
            rtc.RequestResponse(
                reason=_Reason.UNCLASSIFIED_ERROR,
                message="could not decode trickle",
                trickle=request.trickle,
            )
        )


def _add_track(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.publishing.add_track(request.add_track)


def _mute(participant: Participant, request: rtc.SignalRequest) -> None:
    if participant.publishing.set_muted(request.mute.sid, muted=request.mute.muted) is None:
        participant.send_request_response(rtc.RequestResponse(reason=_Reason.NOT_FOUND, mute=request.mute))


def update_subscriptions(participant: Participant, update: rtc.UpdateSubscription) -> None:
    """Take which tracks are wanted or no longer wanted."""
    sids = [*update.track_sids, *(sid for tracks in update.participant_tracks for sid in tracks.track_sids)]
    for sid in sids:
        if update.subscribe:
            participant.subscriptions.subscribe(sid)
        else:
            participant.subscriptions.unsubscribe(sid)


def _subscription(participant: Participant, request: rtc.SignalRequest) -> None:
    update_subscriptions(participant, request.subscription)


def _track_setting(participant: Participant, request: rtc.SignalRequest) -> None:
    for sid in request.track_setting.track_sids:
        participant.subscriptions.update_settings(sid, request.track_setting)


def _leave(participant: Participant, request: rtc.SignalRequest) -> None:
    reason = request.leave.reason
    if reason not in _CLIENT_REASONS:
        reason = models.DisconnectReason.CLIENT_INITIATED
    participant.close(reason)


def _permission(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.set_subscription_permission(request.subscription_permission)


def _sync_state(participant: Participant, request: rtc.SignalRequest) -> None:
    synchronise(participant, request.sync_state)


def synchronise(participant: Participant, state: rtc.SyncState) -> None:
    """Compare what a resuming client has with what we have; a track we do not know means starting over."""
    unknown = any(participant.publishing.info_of(track.track.sid) is None for track in state.publish_tracks) or any(
        all(known.sid != track.info.sid for known in participant.data_tracks.infos())
        for track in state.publish_data_tracks
    )
    if unknown:
        participant.full_reconnect(models.DisconnectReason.STATE_MISMATCH)
        return
    for sid in state.track_sids_disabled:
        participant.subscriptions.update_settings(sid, rtc.UpdateTrackSettings(disabled=True))
    update_subscriptions(participant, state.subscription)
    if state.HasField("data_subscription"):
        participant.data_tracks.update(state.data_subscription)


def _simulate(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.room.simulations.run(participant, request.simulate)


def _ping(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.send(rtc.SignalResponse(pong=int(time.time() * 1000)))


def _ping_req(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.send(
        rtc.SignalResponse(
            pong_resp=rtc.Pong(last_ping_timestamp=request.ping_req.timestamp, timestamp=int(time.time() * 1000))
        )
    )


def metadata_refusal(participant: Participant, name: str, metadata: str, attributes: dict[str, str]) -> str:
    """Return why an update is too large; empty when it is not."""
    limits = participant.options.limits
    if len(name.encode()) > limits.name:
        return "exceeds name length limit"
    if len(metadata.encode()) > limits.metadata:
        return "exceeds metadata size limit"
    if sum(len(key.encode()) + len(value.encode()) for key, value in attributes.items()) > limits.attributes:
        return "exceeds attributes size limit"
    return ""


def _update_metadata(participant: Participant, request: rtc.SignalRequest) -> None:
    update = request.update_metadata
    response = rtc.RequestResponse(request_id=update.request_id, update_metadata=update)
    attributes = dict(update.attributes)
    if not participant.grants.can_update_own_metadata:
        response.reason = _Reason.NOT_ALLOWED
        response.message = "does not have permission to update own metadata"
    elif message := metadata_refusal(participant, update.name, update.metadata, attributes):
        response.reason = _Reason.LIMIT_EXCEEDED
        response.message = message
    else:
        participant.update_claims(update.name, update.metadata, attributes)
    participant.send_request_response(response)


def _update_audio(participant: Participant, request: rtc.SignalRequest) -> None:
    if not participant.publishing.update_audio(request.update_audio_track):
        participant.send_request_response(
            rtc.RequestResponse(reason=_Reason.NOT_FOUND, update_audio_track=request.update_audio_track)
        )


def _update_video(participant: Participant, request: rtc.SignalRequest) -> None:
    if not participant.publishing.update_video(request.update_video_track):
        participant.send_request_response(
            rtc.RequestResponse(reason=_Reason.NOT_FOUND, update_video_track=request.update_video_track)
        )


def _publish_data_track(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.data_tracks.publish(request.publish_data_track_request)


def _unpublish_data_track(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.data_tracks.unpublish(request.unpublish_data_track_request)


def _update_data_subscription(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.data_tracks.update(request.update_data_subscription)


_HANDLERS: dict[str, Callable[[Participant, rtc.SignalRequest], None]] = {
    "offer": _offer,
    "answer": _answer,
    "trickle": _trickle,
    "add_track": _add_track,
    "mute": _mute,
    "subscription": _subscription,
    "track_setting": _track_setting,
    "leave": _leave,
    "subscription_permission": _permission,
    "sync_state": _sync_state,
    "simulate": _simulate,
    "ping": _ping,
    "ping_req": _ping_req,
    "update_metadata": _update_metadata,
    "update_audio_track": _update_audio,
    "update_video_track": _update_video,
    "publish_data_track_request": _publish_data_track,
    "unpublish_data_track_request": _unpublish_data_track,
    "update_data_subscription": _update_data_subscription,
}
