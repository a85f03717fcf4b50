"""What is inside an embedded server at one moment, as plain data that any thread may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from livekit.protocol import models

if TYPE_CHECKING:
    from ..server.downlink import DownTrack
    from ..server.participant import Participant
    from ..server.room import Room
    from ..server.tracks import PublishedTrack

__all__ = ["ParticipantSnapshot", "RoomSnapshot", "TrackSnapshot", "snapshot"]


@dataclass(frozen=True, slots=True)
class TrackSnapshot:
    """A published track.

    Args:
        sid: Its sid.
        name: Its name.
        kind: `audio` or `video`.
        source: Of `livekit.TrackSource`, by name in lower case.
        mime_type: Its codec.
        muted: Whether its publisher muted it.
        layers: Its simulcast rids.
        packets: RTP packets the server has received of it.
        subscribers: The identities it is sent to.
    """

    sid: str
    name: str
    kind: str
    source: str
    mime_type: str
    muted: bool
    layers: tuple[str, ...]
    packets: int
    subscribers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParticipantSnapshot:
    """A participant.

    Args:
        identity: Its identity.
        sid: Its sid.
        name: Its name.
        metadata: Its metadata.
        attributes: Its attributes.
        state: Of `livekit.ParticipantInfo.State`, by name in lower case.
        single_peer_connection: Whether one peer connection serves both directions.
        resumes: How often it has resumed this session.
        last_sequence: The number of the last reliable packet it sent.
        tracks: What it publishes.
    """

    identity: str
    sid: str
    name: str
    metadata: str
    attributes: dict[str, str]
    state: str
    single_peer_connection: bool
    resumes: int
    last_sequence: int
    tracks: tuple[TrackSnapshot, ...]


@dataclass(frozen=True, slots=True)
class RoomSnapshot:
    """A room.

    Args:
        name: Its name.
        sid: Its sid.
        metadata: Its metadata.
        participants: Who is there, by identity, the hidden included.
    """

    name: str
    sid: str
    metadata: str
    participants: dict[str, ParticipantSnapshot]


def snapshot(room: Room) -> RoomSnapshot:
    """Return a room as it is now; on the server's loop only."""
    participants = {identity: _participant(each) for identity, each in room.participants.items()}
    return RoomSnapshot(room.name, room.sid, room.metadata, participants)


def _participant(participant: Participant) -> ParticipantSnapshot:
    info = participant.info()
    return ParticipantSnapshot(
        identity=participant.identity,
        sid=participant.sid,
        name=info.name,
        metadata=info.metadata,
        attributes=dict(info.attributes),
        state=models.ParticipantInfo.State.Name(info.state).lower(),
        single_peer_connection=participant.single_peer_connection,
        resumes=participant.resumes,
        last_sequence=participant.last_sequence,
        tracks=tuple(_track(track) for track in participant.publishing.tracks.values()),
    )


def _receiver(down: DownTrack) -> str:
    owner = down.transport.ice.owner
    return str(getattr(owner, "identity", ""))


def _track(track: PublishedTrack) -> TrackSnapshot:
    info = track.info
    return TrackSnapshot(
        sid=info.sid,
        name=info.name,
        kind=track.kind,
        source=models.TrackSource.Name(info.source).lower(),
        mime_type=info.mime_type,
        muted=info.muted,
        layers=tuple(track.rids),
        packets=track.packets,
        subscribers=tuple(sorted(_receiver(down) for down in track.down)),
    )
