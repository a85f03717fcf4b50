"""What the flight recorder keeps of a signalling message: kind, size, ids, states and counts; never what it says.

Each kind of message has its line in a table, by which fields are taken. What has no line is known by its kind and size
alone, so a message that the protocol gets one day tells nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from livekit.protocol import models, rtc

from .flight import FlightTap

__all__ = ["Prepared", "digest", "note_message", "prepare"]

_Fields = dict[str, Any]
Prepared = tuple[str, _Fields]
"""Kind and digest of a message."""

_CHATTY: Final = frozenset(
    {"ping", "ping_req", "pong", "pong_resp", "speakers_changed", "connection_quality", "update_layers"}
)
"""What comes all the time; one in a while is kept."""
_CANDIDATES: Final = ("host", "srflx", "prflx", "relay")


def prepare(flight: FlightTap, message: Any) -> Prepared | None:
    """Return what is to be written down once a message has been sent, which may be when it has changed.

    Args:
        flight: Where it will be written.
        message: A `SignalRequest` or a `SignalResponse`.
    """
    if not flight.on:
        return None
    kind = message.WhichOneof("message") or "unknown"
    return kind, {} if kind in _CHATTY else digest(kind, getattr(message, kind, None))


def note_message(flight: FlightTap, direction: str, prepared: Prepared | None, size: int) -> None:
    """Write down a message of the signalling link.

    Args:
        flight: Where.
        direction: `sent` or `received`.
        prepared: What `prepare` returned.
        size: Its bytes on the wire.
    """
    if prepared is None:
        return
    kind, fields = prepared
    skipped = flight.due(direction, kind) if kind in _CHATTY else 0
    if skipped is not None:
        flight.note("signalling", direction, kind=kind, size=size, skipped=skipped or None, **fields)


def digest(kind: str, message: Any) -> _Fields:
    """Return what may be told of a message, by the names of `core.flight.FIELDS`.

    Args:
        kind: The field of `SignalRequest` or `SignalResponse` it is.
        message: Its value.
    """
    taker = _TAKERS.get(kind)
    if taker is None or message is None:
        return {}
    try:
        return taker(message)
    except (AttributeError, TypeError, ValueError):
        # A message of another version of the protocol; its kind has to do.
        return {}


def _enum(enum: Any, number: int) -> str:
    try:
        return str(enum.Name(number))
    except ValueError:
        return f"number {number}"


def _description(m: rtc.SessionDescription) -> _Fields:
    sdp = m.sdp
    return {
        "id": m.id or None,
        "sections": sdp.count("\nm="),
        "audio": sdp.count("\nm=audio"),
        "video": sdp.count("\nm=video"),
    }


def _trickle(m: rtc.TrickleRequest) -> _Fields:
    init = m.candidateInit
    found = next((each for each in _CANDIDATES if f" typ {each}" in init), None)
    transport = "tcp" if " tcp " in init.lower() else "udp" if found else None
    target = _enum(rtc.SignalTarget, m.target).lower()
    return {"target": target, "candidate": found, "transport": transport, "final": m.final or None}


def _leave(m: rtc.LeaveRequest) -> _Fields:
    return {"action": _enum(rtc.LeaveRequest.Action, m.action), "reason": _enum(models.DisconnectReason, m.reason)}


def _add_track(m: rtc.AddTrackRequest) -> _Fields:
    return {
        "cid": m.cid,
        "type": _enum(models.TrackType, m.type),
        "source": _enum(models.TrackSource, m.source),
        "muted": m.muted,
        "layers": len(m.layers),
        "width": m.width or None,
        "height": m.height or None,
    }


def _track_setting(m: rtc.UpdateTrackSettings) -> _Fields:
    return {
        "sids": list(m.track_sids),
        "disabled": m.disabled,
        "quality": _enum(models.VideoQuality, m.quality),
        "width": m.width or None,
        "height": m.height or None,
        "fps": m.fps or None,
    }


def _subscription(m: rtc.UpdateSubscription) -> _Fields:
    return {"sids": list(m.track_sids), "count": len(m.track_sids), "subscribe": m.subscribe}


def _sync_state(m: rtc.SyncState) -> _Fields:
    return {
        "subscribe": m.subscription.subscribe,
        "subscribed": len(m.subscription.track_sids),
        "published": len(m.publish_tracks),
        "channels": len(m.data_channels),
        "disabled": len(m.track_sids_disabled),
        "data_tracks": len(m.publish_data_tracks),
        "sids": [each.track.sid for each in m.publish_tracks],
    }


def _join(m: rtc.JoinResponse) -> _Fields:
    return {
        "room": m.room.sid or None,
        "participant": m.participant.sid,
        "others": len(m.other_participants),
        "tracks": _tracks(m.other_participants),
        "ice_servers": len(m.ice_servers),
        "server_version": m.server_info.version or m.server_version or None,
        "protocol": m.server_info.protocol,
        "ping_interval": m.ping_interval,
        "ping_timeout": m.ping_timeout,
        "subscriber_primary": m.subscriber_primary,
        "fast_publish": m.fast_publish,
    }


def _tracks(participants: Iterable[models.ParticipantInfo]) -> int:
    return sum(len(each.tracks) for each in participants)


def _update(m: rtc.ParticipantUpdate) -> _Fields:
    one = m.participants[0] if len(m.participants) == 1 else None
    return {
        "sids": [each.sid for each in m.participants],
        "participants": len(m.participants),
        "tracks": _tracks(m.participants),
        "state": None if one is None else _enum(models.ParticipantInfo.State, one.state),
        "version": None if one is None else one.version,
    }


def _request_response(m: rtc.RequestResponse) -> _Fields:
    reason = _enum(rtc.RequestResponse.Reason, m.reason)
    return {"request_id": m.request_id, "reason": reason, "what_for": m.WhichOneof("request")}


def _stream_states(m: rtc.StreamStateUpdate) -> _Fields:
    states = {_enum(rtc.StreamState, each.state) for each in m.stream_states}
    return {"sids": [each.track_sid for each in m.stream_states], "state": states.pop() if len(states) == 1 else None}


def _quality(m: rtc.SubscribedQualityUpdate) -> _Fields:
    enabled = sum(each.enabled for each in m.subscribed_qualities)
    return {"track": m.track_sid, "layers": enabled}


def _moved(m: rtc.RoomMovedResponse) -> _Fields:
    return {"room": m.room.sid or None, "participant": m.participant.sid or None, "others": len(m.other_participants)}


_TAKERS: Final[dict[str, Callable[[Any], _Fields]]] = {
    "offer": _description,
    "answer": _description,
    "trickle": _trickle,
    "leave": _leave,
    "mute": lambda m: {"track": m.sid, "muted": m.muted},
    # What we say.
    "add_track": _add_track,
    "subscription": _subscription,
    "track_setting": _track_setting,
    "sync_state": _sync_state,
    "simulate": lambda m: {"what_for": m.WhichOneof("scenario")},
    "update_metadata": lambda m: {"request_id": m.request_id},
    "subscription_permission": lambda m: {
        "all_participants": m.all_participants,
        "count": len(m.track_permissions),
    },
    "update_audio_track": lambda m: {"track": m.track_sid},
    "update_video_track": lambda m: {"track": m.track_sid, "width": m.width, "height": m.height},
    "publish_data_track_request": lambda m: {"handle": m.pub_handle},
    "unpublish_data_track_request": lambda m: {"handle": m.pub_handle},
    "update_data_subscription": lambda m: {"count": len(m.updates)},
    # What the server says.
    "join": _join,
    "reconnect": lambda m: {"last_seq": m.last_message_seq, "ice_servers": len(m.ice_servers)},
    "update": _update,
    "track_published": lambda m: {"cid": m.cid, "track": m.track.sid},
    "track_unpublished": lambda m: {"track": m.track_sid},
    "track_subscribed": lambda m: {"track": m.track_sid},
    "room_update": lambda m: {"room": m.room.sid or None, "participants": m.room.num_participants},
    "stream_state_update": _stream_states,
    "subscribed_quality_update": _quality,
    "subscription_permission_update": lambda m: {
        "participant": m.participant_sid,
        "track": m.track_sid,
        "allowed": m.allowed,
    },
    "subscription_response": lambda m: {"track": m.track_sid, "error": _enum(models.SubscriptionError, m.err)},
    "request_response": _request_response,
    "room_moved": _moved,
    "media_sections_requirement": lambda m: {"audio": m.num_audios, "video": m.num_videos},
    "publish_data_track_response": lambda m: {"handle": m.info.pub_handle, "sid": m.info.sid},
    "unpublish_data_track_response": lambda m: {"handle": m.info.pub_handle, "sid": m.info.sid},
    "data_track_subscriber_handles": lambda m: {"count": len(m.sub_handles)},
}
"""What is taken, by kind of message; `refresh_token`, data blobs and what is new have no line."""
