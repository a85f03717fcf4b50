"""What has happened in a server: the difference of two overviews, as entries of a log.

The events have the names of LiveKit's webhooks where it has one.
"""

from __future__ import annotations

from typing import Any

from ..describe import Entry
from ..output import printable
from .overview import Overview, ParticipantView, RoomView, TrackView

__all__ = ["changes_between", "track_words"]


def changes_between(before: Overview, after: Overview) -> list[Entry]:
    """Return what has happened between two overviews, beginnings after ends."""
    old_rooms = {room.sid: room for room in before.rooms}
    new_rooms = {room.sid: room for room in after.rooms}
    entries: list[Entry] = []
    for sid, room in old_rooms.items():
        if sid not in new_rooms:
            entries += _inside(room, RoomView(room.sid, room.name))
            entries.append(Entry("room_finished", f"{_name(room)}: closed", {"room": room.name}))
    for sid, room in new_rooms.items():
        if sid not in old_rooms:
            entries.append(Entry("room_started", f"{_name(room)}: opened", {"room": room.name}))
        entries += _inside(old_rooms.get(sid, RoomView(room.sid, room.name)), room)
    return entries


def _inside(before: RoomView, after: RoomView) -> list[Entry]:
    was = {person.sid: person for person in before.participants}
    now = {person.sid: person for person in after.participants}
    entries = []
    for sid, person in was.items():
        if sid not in now:
            entries += _of(person, ParticipantView(person.sid, person.identity), after)
            entries.append(_entry("participant_left", f"{_who(person)} left", after, person))
    for sid, person in now.items():
        old = was.get(sid)
        if old is None:
            kind = "" if person.kind == "standard" else f" as {person.kind}"
            fields = {"name": person.name, "kind": person.kind}
            entries.append(_entry("participant_joined", f"{_who(person)} joined{kind}", after, person, fields))
        if person.active and not (old is not None and old.active):
            entries.append(_entry("participant_active", f"{_who(person)} is connected", after, person))
        entries += _of(old or ParticipantView(person.sid, person.identity), person, after)
    return entries


def _of(before: ParticipantView, after: ParticipantView, room: RoomView) -> list[Entry]:
    was = {track.sid: track for track in before.tracks}
    now = {track.sid: track for track in after.tracks}
    entries = []
    for sid, track in was.items():
        if sid not in now:
            words = f"{_who(before)} unpublished {track_words(track)}"
            entries.append(_entry("track_unpublished", words, room, after, _fields(track)))
    for sid, track in now.items():
        old = was.get(sid)
        if old is None:
            words = f"{_who(after)} published {track_words(track)}"
            entries.append(_entry("track_published", words, room, after, _fields(track)))
        if track.muted != (old is not None and old.muted):
            event = "track_muted" if track.muted else "track_unmuted"
            words = f"{_who(after)} {event.removeprefix('track_')} {track_words(track)}"
            entries.append(_entry(event, words, room, after, _fields(track)))
    return entries


def _entry(
    event: str, words: str, room: RoomView, person: ParticipantView, more: dict[str, Any] | None = None
) -> Entry:
    fields = {"room": room.name, "participant": person.identity, "sid": person.sid, **(more or {})}
    return Entry(event, f"{_name(room)}: {words}", fields)


def _fields(track: TrackView) -> dict[str, Any]:
    fields: dict[str, Any] = {"track": track.sid, "track_name": track.name, "track_kind": track.kind}
    if track.source:
        fields["source"] = track.source
    if track.codec:
        fields["codec"] = track.codec
    if track.width:
        fields["width"], fields["height"] = track.width, track.height
    return fields


def _name(room: RoomView) -> str:
    return printable(room.name)


def _who(person: ParticipantView) -> str:
    identity, name = printable(person.identity), printable(person.name)
    return f"{identity} ({name})" if name and name != identity else identity


def track_words(track: TrackView) -> str:
    """Return what a track is: its source, or kind and name, with codec and size."""
    words = track.source or f"{track.kind} “{printable(track.name)}”"
    details = [printable(track.codec)] if track.codec else []
    if track.width:
        details.append(f"{track.width}x{track.height}")
    return f"{words} ({', '.join(details)})" if details else words
