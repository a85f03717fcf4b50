"""What the flight recorder keeps of the events of a room: which, of whom by sid, and how it came out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..core.flight import FlightRecorder
from . import events as ev

__all__ = ["note_event"]

_Fields = dict[str, Any]


def note_event(recorder: FlightRecorder, event: ev.RoomEvent) -> None:
    """Write down an event, if it is one that helps to understand what became of the connection."""
    taker = _TAKERS.get(type(event))
    if taker is not None and recorder.on:
        recorder.note("room", event.name.replace("_", " "), **taker(event))


def _publication(event: Any) -> _Fields:
    publication = event.publication
    return {"track": publication.sid, "kind": publication.kind.name, "source": publication.source.name}


def _theirs(event: Any) -> _Fields:
    return {**_publication(event), "participant": event.participant.sid}


def _report(event: ev.ReconnectReported) -> _Fields:
    report = event.report
    end = report.ended_by or report.cause
    return {
        "succeeded": report.succeeded,
        "mode": report.mode,
        "attempts": report.attempts,
        "duration": round(report.duration, 4),
        "source": end.source,
        "reason": end.reason.name,
        "detail": end.detail,
        "replayed": report.messages_replayed,
        "resumed": report.tracks_resumed,
        "republished": report.tracks_republished,
    }


_TAKERS: Final[dict[type[ev.RoomEvent], Callable[[Any], _Fields]]] = {
    ev.Connected: lambda _: {},
    ev.Reconnecting: lambda _: {},
    ev.Reconnected: lambda _: {},
    ev.ReconnectReported: _report,
    ev.Disconnected: lambda e: {"reason": e.reason.name},
    ev.ConnectionStateChanged: lambda e: {"state": e.connection_state.name.removeprefix("CONN_").lower()},
    ev.Moved: lambda _: {},
    ev.TokenRefreshed: lambda _: {},
    ev.ParticipantConnected: lambda e: {"participant": e.participant.sid},
    ev.ParticipantDisconnected: lambda e: {"participant": e.participant.sid},
    ev.ParticipantPermissionsChanged: lambda e: {"participant": e.participant.sid},
    ev.LocalTrackPublished: _publication,
    ev.LocalTrackUnpublished: _publication,
    ev.LocalTrackRepublished: lambda e: {**_publication(e), "previous": e.previous_sid},
    ev.TrackPublished: _theirs,
    ev.TrackUnpublished: _theirs,
    ev.TrackSubscribed: _theirs,
    ev.TrackUnsubscribed: _theirs,
    ev.TrackMuted: _theirs,
    ev.TrackUnmuted: _theirs,
    ev.TrackSubscriptionFailed: lambda e: {"track": e.track_sid, "detail": str(e.error)},
    ev.TrackSubscriptionPermissionChanged: lambda e: {**_theirs(e), "allowed": e.allowed},
    ev.TrackStreamStateChanged: lambda e: {**_theirs(e), "state": e.stream_state.name},
    ev.DataUndelivered: lambda e: {"count": e.count},
    ev.DataMissed: lambda e: {"participant": e.participant.sid, "count": e.count},
}
"""Of the other events there are many, or they say nothing about the connection."""
