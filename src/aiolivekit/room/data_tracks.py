"""How the data tracks of a room hang together with its participants and events."""

# ruff: noqa: SLF001 - the classes of this package belong together

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from livekit.protocol import models

from ..data.data_track import (
    DataTrackFrame,
    DataTrackFrameEncoding,
    DataTrackInfo,
    DataTrackSchemaEncoding,
    DataTrackSchemaId,
)
from ..data.local_data_tracks import LocalDataTrack, LocalDataTracks
from ..data.remote_data_track import DataTrackStream, RemoteDataTrack
from ..data.remote_data_tracks import RemoteDataTracks
from ..session.events import DataTrackSignal
from . import events

if TYPE_CHECKING:
    from .local_tracks import Announce
    from .members import Members
    from .visit import Visit

__all__ = [
    "DataTrackFrame",
    "DataTrackFrameEncoding",
    "DataTrackInfo",
    "DataTrackMethods",
    "DataTrackSchemaEncoding",
    "DataTrackSchemaId",
    "DataTrackStream",
    "LocalDataTrack",
    "RemoteDataTrack",
    "RoomDataTracks",
]


class DataTrackMethods:
    """What the local participant does with data tracks."""

    _data_tracks: LocalDataTracks

    async def publish_data_track(
        self,
        *,
        name: str,
        frame_encoding: DataTrackFrameEncoding | str | None = None,
        schema: DataTrackSchemaId | None = None,
    ) -> LocalDataTrack:
        """Publish a data track: frames of up to 2 MB that are sent unreliably to those who subscribe.

        If the call fails or is cancelled, the track is not published. When the connection has to be made anew, it is
        published again by itself, under another sid.

        Args:
            name: What others tell it by; 1 to 256 bytes as UTF-8, and no other data track of ours has it.
            frame_encoding: How frames are encoded, as news for subscribers; a string for an encoding of one's own
                (not in `livekit.rtc`).
            schema: What describes the frames; needs `frame_encoding`, and has to fit it (not in `livekit.rtc`).

        Returns:
            The track, in force: the server has answered.

        Raises:
            PublishDataTrackError: If the server refuses (no permission to publish data, a name that is taken or
                does not do), does not answer, or the schema does not fit.
            ClosedError: If the room is disconnected.
        """
        return await self._data_tracks.publish(name, frame_encoding, schema)


class RoomDataTracks:
    """The data tracks of one visit, ours and those of others.

    Args:
        visit: The visit.
    """

    def __init__(self, visit: Visit) -> None:
        self._members: Members = visit.members
        self._started = False
        self._announce: Announce = visit.announce
        cipher = visit.engine.e2ee._packets
        self.local: LocalDataTracks = LocalDataTracks(visit.engine, cipher)
        self.remote: RemoteDataTracks = RemoteDataTracks(visit.engine, self._published, self._unpublished, cipher)
        visit.members.local._data_tracks = self.local
        self.renewed()

    def _published(self, track: RemoteDataTrack) -> None:
        if self._started:
            self._announce(events.DataTrackPublished(track))

    def _unpublished(self, _track: RemoteDataTrack, sid: str) -> None:
        self._announce(events.DataTrackUnpublished(sid))

    def start(self) -> None:
        """Tell of those that were there before us: there is no other way to come by them."""
        self._started = True
        for track in self.remote.tracks:
            self._published(track)

    def updated(self, updates: Iterable[models.ParticipantInfo]) -> None:
        """Follow an update of participants that `Members` has taken."""
        for identity in dict.fromkeys(update.identity for update in updates):
            if identity != self._members.local.identity:
                participant = self._members.remote.get(identity)
                self.remote.update(identity, () if participant is None else participant._info.data_tracks)
            elif not self._members.local._info.permission.can_publish_data:
                self.local.revoked()

    def renewed(self) -> None:
        """Follow that `Members` has taken everybody anew."""
        self.remote.replace({identity: each._info.data_tracks for identity, each in self._members.remote.items()})

    def signalled(self, event: DataTrackSignal) -> None:
        """Take what the server says of data tracks."""
        message = event.message
        match message.WhichOneof("message"):
            case "publish_data_track_response":
                self.local.on_published(message.publish_data_track_response.info)
            case "unpublish_data_track_response":
                self.local.on_unpublished(message.unpublish_data_track_response.info)
            case "data_track_subscriber_handles":
                self.remote.on_handles(message.data_track_subscriber_handles)
            case _:
                self.local.on_refused(message.request_response)

    def interrupted(self, *, session_ends: bool) -> None:
        """Follow that the connection was lost."""
        self.local.interrupted(session_ends=session_ends)
        self.remote.interrupted(session_ends=session_ends)

    def resumed(self) -> None:
        """Follow that the session goes on."""
        self.renewed()
        self.local.resumed()
        self.remote.resumed()

    def restarted(self) -> None:
        """Follow that another session has taken its place."""
        self.local.restarted()
        self.remote.restarted()

    def close(self) -> None:
        """Follow that the room is disconnected."""
        self.local.close()
        self.remote.close()
