"""What is in a server at one moment, as plain data: rooms, participants, tracks, and what was counted of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from livekit.protocol import models

__all__ = ["Counts", "Overview", "ParticipantView", "RoomView", "TrackView", "participant_view"]

T = TypeVar("T")

_KINDS = {models.TrackType.AUDIO: "audio", models.TrackType.VIDEO: "video"}
_SOURCES = {
    models.TrackSource.CAMERA: "camera",
    models.TrackSource.MICROPHONE: "microphone",
    models.TrackSource.SCREEN_SHARE: "screen",
    models.TrackSource.SCREEN_SHARE_AUDIO: "screen audio",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """What a server has counted of a track since it began; only a server that is in this process tells.

    Attributes:
        packets: RTP packets, or packets of a data track, that came from the publisher.
        octets: Their bytes; `None` where they are not counted.
        subscribers: To how many participants it is sent.
    """

    packets: int
    octets: int | None
    subscribers: int


@dataclass(frozen=True, slots=True)
class TrackView:
    """A track.

    Attributes:
        sid: Its sid.
        name: Its name.
        kind: `audio`, `video` or `data`.
        source: Where it comes from, in words; empty where that is not known.
        codec: The short name of its codec, or nothing.
        width: In pixels; 0 where it has none.
        height: Likewise.
        muted: Whether its publisher muted it.
        simulcast: Whether it is sent in several layers.
        counts: What was counted.
    """

    sid: str
    name: str
    kind: str
    source: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    muted: bool = False
    simulcast: bool = False
    counts: Counts | None = None


@dataclass(frozen=True, slots=True)
class ParticipantView:
    """A participant.

    Attributes:
        sid: Its sid, another one for each session.
        identity: Its identity.
        name: Its name.
        kind: `standard`, `agent`, …
        active: Whether its media has been connected.
        tracks: What it publishes.
        data_packets: How many data packets it has sent; `None` where nobody counts.
    """

    sid: str
    identity: str
    name: str = ""
    kind: str = "standard"
    active: bool = False
    tracks: tuple[TrackView, ...] = ()
    data_packets: int | None = None


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room."""

    sid: str
    name: str
    participants: tuple[ParticipantView, ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """All rooms."""

    rooms: tuple[RoomView, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nobody is in any room."""
        return not any(room.participants for room in self.rooms)


def _no_counts(_sid: str) -> Counts | None:
    return None


def participant_view(
    info: models.ParticipantInfo,
    *,
    counts: Callable[[str], Counts | None] = _no_counts,
    data_packets: int | None = None,
) -> ParticipantView:
    """Return a participant as the server's own message describes it.

    Args:
        info: The message.
        counts: Returns what was counted of a track, by its sid.
        data_packets: How many data packets it has sent.
    """
    return ParticipantView(
        sid=info.sid,
        identity=info.identity,
        name=info.name,
        kind=models.ParticipantInfo.Kind.Name(info.kind).lower() if _known(info.kind) else "unknown",
        active=info.state == models.ParticipantInfo.State.ACTIVE,
        tracks=(*_media(info.tracks, counts), *_data(info.data_tracks, counts)),
        data_packets=data_packets,
    )


def _known(kind: int) -> bool:
    return kind in models.ParticipantInfo.Kind.values()


def _media(tracks: Iterable[models.TrackInfo], counts: Callable[[str], Counts | None]) -> Iterable[TrackView]:
    for track in tracks:
        yield TrackView(
            sid=track.sid,
            name=track.name,
            kind=_KINDS.get(track.type, "unknown"),
            source=_SOURCES.get(track.source, ""),
            codec=track.mime_type.partition("/")[2],
            width=track.width,
            height=track.height,
            muted=track.muted,
            simulcast=track.simulcast,
            counts=counts(track.sid),
        )


def _data(tracks: Iterable[models.DataTrackInfo], counts: Callable[[str], Counts | None]) -> Iterable[TrackView]:
    for track in tracks:
        yield TrackView(sid=track.sid, name=track.name, kind="data", counts=counts(track.sid))
