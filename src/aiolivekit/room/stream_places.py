"""Tells tracks where they are, for the frame processors of their streams."""

# ruff: noqa: SLF001 - rooms and tracks call hooks of each other's that are not for users

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..media.frame_processor import StreamPlace
from . import events

if TYPE_CHECKING:
    from .room import Room
    from .track import Track

__all__ = ["note_place"]


def note_place(room: Room, event: events.RoomEvent) -> None:
    """Follow an event of the room, before the program is told of it."""
    if (follow := _TABLE.get(type(event))) is not None:
        follow(room, event)


def _place(room: Room, track: Track | None, identity: str | None, sid: str) -> None:
    if track is None:
        return
    if identity is None or room._server_url is None or room._token is None:
        track._place = None
    else:
        track._place = StreamPlace(room.name, identity, sid, room._server_url, room._token)
    for stream in list(track._streams):
        stream._place_changed()


def _place_all(room: Room) -> None:
    for participant in [room.local_participant, *room.remote_participants.values()]:
        for publication in participant.track_publications.values():
            _place(room, publication.track, participant.identity, publication.sid)


def _place_local(room: Room, publication: Any) -> None:
    _place(room, publication.track, room.local_participant.identity, publication.sid)


_TABLE: dict[type[events.RoomEvent], Callable[[Room, Any], None]] = {
    events.TrackSubscribed: lambda room, e: _place(room, e.track, e.participant.identity, e.publication.sid),
    events.TrackUnsubscribed: lambda room, e: _place(room, e.track, None, ""),
    events.LocalTrackPublished: lambda room, e: _place_local(room, e.publication),
    events.LocalTrackRepublished: lambda room, e: _place_local(room, e.publication),
    events.LocalTrackUnpublished: lambda room, e: _place(room, e.publication.track, None, ""),
    events.TokenRefreshed: lambda room, e: _place_all(room),
}
