"""Names for what is made up at run time: a sid stands for whom or what it belongs to, the same on every server."""

from __future__ import annotations

import re
from collections.abc import Iterable

from google.protobuf.message import Message
from livekit.protocol import models, rtc

from .recording import Entry

__all__ = ["Names"]

_SID = re.compile(r"\b(PA|TR|RM|ND|DTR|SIF|PI|SC)_[A-Za-z0-9]+")


class Names:
    """What the made-up identifiers of one recording stand for.

    The nth of a kind gets the number n, in the order in which they were first seen.

    Args:
        entries: The recording.
        room: The name of its room.
    """

    def __init__(self, entries: Iterable[Entry], room: str) -> None:
        self._names: dict[str, str] = {}
        self._used: dict[str, int] = {}
        self._room = room
        for entry in entries:
            if isinstance(entry.body, Message):
                self._learn(entry.identity, entry.body)

    def _name(self, identifier: str, label: str) -> None:
        if not identifier or identifier in self._names:
            return
        number = self._used[label] = self._used.get(label, 0) + 1
        self._names[identifier] = f"<{label}>" if number == 1 else f"<{label} {number}>"

    def _learn(self, identity: str, body: Message) -> None:
        if isinstance(body, rtc.JoinResponse):
            self._name(body.room.sid, "room")
            for info in (body.participant, *body.other_participants):
                self._participant(info)
        elif isinstance(body, rtc.ParticipantUpdate):
            for info in body.participants:
                self._participant(info)
        elif isinstance(body, rtc.AddTrackRequest):
            self._name(body.cid, f"cid of {identity}'s {_title(body)}")
        elif isinstance(body, rtc.JoinRequest):
            for request in body.add_track_requests:
                self._learn(identity, request)
        elif isinstance(body, rtc.TrackPublishedResponse):
            self._name(body.track.sid, f"{identity}'s {_title(body.track)}")
        elif isinstance(body, rtc.PublishDataTrackResponse):
            self._name(body.info.sid, f"{identity}'s data track {body.info.name}")

    def _participant(self, info: models.ParticipantInfo) -> None:
        self._name(info.sid, info.identity)
        for track in info.tracks:
            self._name(track.sid, f"{info.identity}'s {_title(track)}")
        for data_track in info.data_tracks:
            self._name(data_track.sid, f"{info.identity}'s data track {data_track.name}")

    def replace(self, text: str) -> str:
        """Return a text with names in place of made-up identifiers."""
        if text in self._names:
            return self._names[text]
        if self._room:
            text = text.replace(self._room, "<the room>")
        return _SID.sub(lambda match: self._names.get(match[0], f"<{match[1]}>"), text)


def _title(track: models.TrackInfo | rtc.AddTrackRequest) -> str:
    return track.name or models.TrackSource.Name(track.source).lower()
