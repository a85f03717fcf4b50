"""The events of a room in words, and as JSON."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from ..enums import (
    ConnectionQuality,
    ConnectionState,
    DataPacketKind,
    DisconnectReason,
    ParticipantKind,
    TrackKind,
    TrackSource,
)
from ..room import events as ev
from ..room.participant import Participant
from ..room.report import ReconnectReport
from ..room.track_publication import TrackPublication
from .output import clip, printable

__all__ = ["Entry", "describe", "kind_of", "quality_of", "reason_of", "track_of"]

_TEXT_LIMIT = 200

_QUALITIES = {
    ConnectionQuality.QUALITY_UNKNOWN: "unknown",
    ConnectionQuality.QUALITY_LOST: "lost",
    ConnectionQuality.QUALITY_POOR: "poor",
    ConnectionQuality.QUALITY_GOOD: "good",
    ConnectionQuality.QUALITY_EXCELLENT: "excellent",
}
_SOURCES = {
    TrackSource.SOURCE_CAMERA: "camera",
    TrackSource.SOURCE_MICROPHONE: "microphone",
    TrackSource.SOURCE_SCREENSHARE: "screen",
    TrackSource.SOURCE_SCREENSHARE_AUDIO: "screen audio",
}
_KINDS = {TrackKind.KIND_AUDIO: "audio", TrackKind.KIND_VIDEO: "video"}
_STATES = {
    ConnectionState.CONN_CONNECTED: "connected",
    ConnectionState.CONN_DISCONNECTED: "disconnected",
    ConnectionState.CONN_RECONNECTING: "reconnecting",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened.

    Attributes:
        event: Its name, as `Room.on` has it.
        words: What it is, for people; nothing in it steers a terminal.
        fields: The same for programs.
        notable: Whether people want to hear of it; the rest is shown to programs, or on request.
    """

    event: str
    words: str
    fields: dict[str, Any] = field(default_factory=dict)
    notable: bool = True


def quality_of(quality: ConnectionQuality) -> str:
    """Return a connection quality in one word."""
    return _QUALITIES.get(quality, "unknown")


def reason_of(reason: DisconnectReason | None) -> str:
    """Return a disconnect reason in words."""
    if reason is None or reason is DisconnectReason.UNKNOWN_REASON:
        return "no reason given"
    return reason.name.lower().replace("_", " ")


def kind_of(participant: Participant) -> str:
    """Return the kind of a participant in one word, or an empty string for a person."""
    if participant.kind is ParticipantKind.PARTICIPANT_KIND_STANDARD:
        return ""
    return participant.kind.name.removeprefix("PARTICIPANT_KIND_").lower()


def track_of(publication: TrackPublication) -> str:
    """Return what a publication is: its source, or its kind and name."""
    source = _SOURCES.get(publication.source)
    return source or f"{_KINDS.get(publication.kind, 'track')} “{printable(publication.name)}”"


def _who(participant: Participant | None) -> str:
    """Return the identity, and the name where it says more."""
    if participant is None:
        return "the server"
    identity = printable(participant.identity)
    name = printable(participant.name)
    return f"{identity} ({name})" if name and name != identity else identity


def _by(participant: Participant | None) -> dict[str, Any]:
    return {"participant": None if participant is None else participant.identity}


def _track_fields(publication: TrackPublication, participant: Participant | None) -> dict[str, Any]:
    fields = {**_by(participant), "track": publication.sid, "name": publication.name}
    fields["kind"] = _KINDS.get(publication.kind, "unknown")
    fields["source"] = _SOURCES.get(publication.source, "unknown")
    if publication.mime_type:
        fields["mime_type"] = publication.mime_type
    if publication.width:
        fields["width"], fields["height"] = publication.width, publication.height
    return fields


def _track_words(publication: TrackPublication) -> str:
    details = [printable(publication.mime_type.partition("/")[2])] if publication.mime_type else []
    if publication.width:
        details.append(f"{publication.width}x{publication.height}")
    return f"{track_of(publication)} ({', '.join(details)})" if details else track_of(publication)


def describe(event: ev.RoomEvent | ev.EventsDropped) -> Entry:
    """Return an event as an entry of the log."""
    if isinstance(event, ev.EventsDropped):
        return Entry("events_dropped", f"{event.count} events were missed", {"count": event.count})
    told = _about_participant(event) or _about_data(event) or _about_track(event) or _about_room(event)
    if told is None:
        return Entry(event.name, event.name.replace("_", " "), notable=False)
    words, fields = told
    return Entry(event.name, words, fields, notable=event.name not in _QUIET)


_QUIET = {"participant_active", "connection_quality_changed", "active_speakers_changed"}
_QUIET |= {"connection_state_changed", "connected"}

_Told = tuple[str, dict[str, Any]] | None
"""Words and fields; `None` for an event that is about something else."""


def _about_participant(event: ev.RoomEvent) -> _Told:
    match event:
        case ev.ParticipantConnected(who):
            kind = kind_of(who)
            words = f"{_who(who)} joined" + (f" as {kind}" if kind else "")
            return words, {**_by(who), "sid": who.sid, "name": who.name, "kind": kind or "standard"}
        case ev.ParticipantDisconnected(who):
            words, reason = f"{_who(who)} left", who.disconnect_reason
            if reason not in (None, DisconnectReason.CLIENT_INITIATED):
                words += f" ({reason_of(reason)})"
            return words, {**_by(who), "reason": None if reason is None else reason.name}
        case ev.ParticipantActive(who):
            return f"{_who(who)} can receive", _by(who)
        case ev.ParticipantNameChanged(who, old, new):
            words = f"{printable(who.identity)} is now called {printable(new) or 'nothing'}"
            return words, {**_by(who), "old": old, "new": new}
        case ev.ParticipantMetadataChanged(who, old, new):
            words = f"{_who(who)} has metadata {clip(printable(new), _TEXT_LIMIT) or '(none)'}"
            return words, {**_by(who), "old": old, "new": new}
        case ev.ParticipantAttributesChanged(changed, who):
            pairs = ", ".join(f"{printable(key)}={clip(printable(value), 60)}" for key, value in changed.items())
            return f"{_who(who)} has attributes {pairs}", {**_by(who), "changed": dict(changed)}
        case ev.ParticipantPermissionsChanged(who, permissions):
            known = ("can_publish", "can_subscribe", "can_publish_data", "can_update_metadata", "hidden")
            allowed = [name for name in known if getattr(permissions, name)]
            words = ", ".join(name.replace("_", " ") for name in allowed) or "may do nothing"
            return f"{_who(who)} has other permissions: {words}", {**_by(who), "permissions": allowed}
        case ev.ParticipantEncryptionStatusChanged(who, encrypted):
            words = "is encrypted" if encrypted else "is not encrypted any more"
            return f"{_who(who)} {words}", {**_by(who), "encrypted": encrypted}
        case ev.ConnectionQualityChanged(who, quality):
            words = quality_of(quality)
            return f"the connection of {_who(who)} is {words}", {**_by(who), "quality": words}
        case ev.E2eeStateChanged(who, state):
            words = state.name.lower().replace("_", " ")
            return f"encryption of {_who(who)}: {words}", {**_by(who), "state": words}
        case ev.ActiveSpeakersChanged(speakers):
            names = [each.identity for each in speakers]
            words = ", ".join(_who(each) for each in speakers)
            levels = {each.identity: round(each.audio_level, 3) for each in speakers}
            return (f"speaking: {words}" if words else "silence"), {"speakers": names, "levels": levels}
    return None


def _about_data(event: ev.RoomEvent) -> _Told:
    match event:
        case ev.DataReceived(packet):
            reliable = packet.kind is DataPacketKind.KIND_RELIABLE
            fields = {**_by(packet.participant), "topic": packet.topic or "", "reliable": reliable}
            fields["size"] = len(packet.data)
            try:
                text = packet.data.decode()
            except UnicodeDecodeError:
                fields["base64"] = base64.b64encode(packet.data).decode("ascii")
                shown = f"{len(packet.data)} bytes {packet.data[:16].hex(' ')}" + (
                    " …" if len(packet.data) > 16 else ""
                )
            else:
                fields["text"] = text
                shown = f"“{clip(printable(text), _TEXT_LIMIT)}”"
            topic = f" [{printable(packet.topic)}]" if packet.topic else ""
            lossy = "" if reliable else " (lossy)"
            return f"{_who(packet.participant)}{topic}{lossy}: {shown}", fields
        case ev.SipDtmfReceived(key):
            fields = {**_by(key.participant), "code": key.code, "digit": key.digit}
            return f"{_who(key.participant)} pressed {printable(key.digit)}", fields
        case ev.MetricsReceived(metrics, who):
            labels = [each.label for each in metrics.time_series] + [each.label for each in metrics.events]
            words = ", ".join(printable(label) for label in dict.fromkeys(labels))
            return f"{_who(who)} measured {clip(words, _TEXT_LIMIT)}", {**_by(who), "labels": labels}
        case ev.ChatMessageReceived(chat, who):
            fields = {**_by(who), "id": chat.id, "text": chat.message, "edited": chat.edit_timestamp is not None}
            return f"{_who(who)} wrote “{clip(printable(chat.message), _TEXT_LIMIT)}”", fields
        case ev.TranscriptionReceived(segments, who, publication):
            text = " ".join(segment.text for segment in segments)
            fields = {**_by(who), "text": text, "final": all(segment.final for segment in segments)}
            fields["track"] = None if publication is None else publication.sid
            return f"{_who(who)} said “{clip(printable(text), _TEXT_LIMIT)}”", fields
    return None


def _about_track(event: ev.RoomEvent) -> _Told:
    match event:
        case ev.TrackPublished(publication, who):
            return f"{_who(who)} publishes {_track_words(publication)}", _track_fields(publication, who)
        case ev.TrackUnpublished(publication, who):
            return f"{_who(who)} publishes {track_of(publication)} no more", _track_fields(publication, who)
        case ev.TrackSubscribed(_, publication, who):
            return f"{_track_words(publication)} of {_who(who)} arrives", _track_fields(publication, who)
        case ev.TrackUnsubscribed(_, publication, who):
            return f"{track_of(publication)} of {_who(who)} arrives no more", _track_fields(publication, who)
        case ev.TrackMuted(who, publication):
            return f"{_who(who)} muted {track_of(publication)}", _track_fields(publication, who)
        case ev.TrackUnmuted(who, publication):
            return f"{_who(who)} unmuted {track_of(publication)}", _track_fields(publication, who)
        case ev.TrackSubscriptionFailed(who, sid, error):
            words = f"a track of {_who(who)} does not arrive: {printable(str(error))}"
            return words, {**_by(who), "track": sid, "error": str(error)}
        case ev.TrackSubscriptionPermissionChanged(publication, allowed, who):
            words = f"{_who(who)} {'allows' if allowed else 'no longer allows'} {track_of(publication)}"
            return words, {**_track_fields(publication, who), "allowed": allowed}
        case ev.TrackStreamStateChanged(publication, state, who):
            words = state.name.removeprefix("STATE_").lower()
            return f"{track_of(publication)} of {_who(who)} is {words}", {
                **_track_fields(publication, who),
                "state": words,
            }
    return None


def _report_fields(report: ReconnectReport) -> dict[str, Any]:
    end = report.ended_by
    return {
        "succeeded": report.succeeded,
        "source": report.cause.source,
        "reason": report.cause.reason.name,
        "detail": report.cause.detail,
        "ended_by": None if end is None else end.reason.name,
        "modes": list(report.modes),
        "attempts": report.attempts,
        "seconds": round(report.duration, 3),
        "messages_replayed": report.messages_replayed,
        "tracks_restored": report.tracks_restored,
    }


def _about_room(event: ev.RoomEvent) -> _Told:
    match event:
        case ev.RoomMetadataChanged(old, new):
            words = f"the room has metadata {clip(printable(new), _TEXT_LIMIT) or '(none)'}"
            return words, {"old": old, "new": new}
        case ev.ConnectionStateChanged(state):
            words = _STATES.get(state, "unknown")
            return f"the connection is {words}", {"state": words}
        case ev.Disconnected(reason):
            return f"disconnected ({reason_of(reason)})", {"reason": reason.name}
        case ev.Reconnecting():
            return "the connection was lost; reconnecting", {}
        case ev.Reconnected():
            return "reconnected", {}
        case ev.Connected():
            return "in the room", {}
        case ev.Moved():
            return "moved to another room", {}
        case ev.DataTrackUnpublished(sid):
            return "a data track is published no more", {"track": sid}
        case ev.DataUndelivered(count, reason):
            return f"{count} data packets may not have arrived: {reason}", {"count": count}
        case ev.DataMissed(who, count):
            return f"at least {count} durable messages of {_who(who)} are lost", {**_by(who), "count": count}
        case ev.DataChannelBufferStatusChanged(is_low, kind):
            name = kind.name.removeprefix("KIND_").lower()
            return f"the {name} data channel is {'low' if is_low else 'full'}", {"kind": name, "low": is_low}
        case ev.DataChannelBufferedAmountLowThresholdChanged(kind, threshold):
            name = kind.name.removeprefix("KIND_").lower()
            return f"the {name} data channel is low at {threshold} bytes", {"kind": name, "threshold": threshold}
        case ev.DataTrackPublished():
            return "a data track is published", {}
        case ev.ReconnectReported(report):
            return f"reconnecting: {printable(str(report))}", _report_fields(report)
    return None
