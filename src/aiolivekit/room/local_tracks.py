"""Publishing and unpublishing the local participant's tracks."""

# ruff: noqa: SLF001 - tracks and publications are kept in step here

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from livekit.protocol import models, rtc

from ..errors import (
    AlreadyPublishedError,
    ClosedError,
    MediaError,
    NegotiationError,
    PublishError,
    RequestError,
    RequestTimeoutError,
    SignalClosedError,
)
from ..media.rest import UNWATCHED
from ..options import TrackPublishOptions
from ..peer.frame_metadata import send_metadata
from ..peer.tracks import LocalSender, OutgoingTrack
from ..session.requests import AnswerLostError
from . import events
from .announcement import Announcement
from .backup_codec import BackupCodecs
from .dynacast import Dynacast
from .emitter import EventEmitter
from .handler_tasks import HandlerTasks
from .track import LocalAudioTrack, LocalTrack, LocalVideoTrack
from .track_permissions import TrackPermissions
from .track_publication import LocalTrackPublication

if TYPE_CHECKING:
    from ..engine.engine import RtcEngine
    from .local_participant import LocalParticipant

__all__ = ["Announce", "LocalTracks"]

_logger = logging.getLogger("aiolivekit.room")


_LOST = (ClosedError, NegotiationError, SignalClosedError, RequestTimeoutError)
"""What becomes of requests whose session ends."""
_UNANSWERED = 1
"""How often a track is announced again after a restart when the server does not answer; then it is unpublished."""


class Announce(Protocol):
    """Tells an event to objects it concerns, then to the room."""

    def __call__(self, event: events.RoomEvent, /, *concerned: EventEmitter[Any] | None) -> None:
        """Tell it."""


class LocalTracks:
    """The tracks the local participant publishes.

    Args:
        engine: Publishes them.
        participant: Whose they are.
        announce: Tells of events.
        tasks: Runs coroutine handlers.
    """

    def __init__(
        self, engine: RtcEngine, participant: LocalParticipant, announce: Announce, tasks: HandlerTasks
    ) -> None:
        self._engine = engine
        self._participant = participant
        self._announce = announce
        self._tasks = tasks
        self._publishing: set[LocalTrack] = set()
        # What the server says of tracks whose publishing has not ended here yet.
        self._early: dict[str, list[Callable[[], None]]] = {}
        self._closed = False
        self._dynacast: Dynacast | None = None
        self.publications: dict[str, LocalTrackPublication] = {}
        self.permissions = TrackPermissions(engine)
        self.backups = BackupCodecs(engine)

    def enable_dynacast(self) -> None:
        """Send only the layers that somebody watches."""
        self._dynacast = Dynacast()

    # -- publishing ---------------------------------------------------------------------------------

    async def publish(self, track: LocalTrack, options: TrackPublishOptions) -> LocalTrackPublication:
        """Publish a track (see `LocalParticipant.publish_track`)."""
        if not isinstance(track, LocalAudioTrack | LocalVideoTrack):
            raise TypeError(f"a local track is published, not {type(track).__name__}")
        self.reserve(track)
        try:
            if options.preconnect_buffer and isinstance(track, LocalAudioTrack):
                track._source.start_preconnect_buffer()
            return await self._publish(track, options)
        finally:
            self.release(track)

    def reserve(self, track: LocalTrack) -> None:
        """Publish a track nowhere else until it is released."""
        if track in self._publishing or any(each.track is track for each in self.publications.values()):
            raise AlreadyPublishedError("the track is published in this room already")
        if self._closed:
            raise ClosedError("the room is disconnected")
        self._publishing.add(track)
        if isinstance(track, LocalAudioTrack):
            track._source._sent_by(UNWATCHED)

    def release(self, track: LocalTrack) -> None:
        """The attempt to publish a track is over."""
        self._publishing.discard(track)
        if isinstance(track, LocalAudioTrack):
            track._source._not_sent_by(UNWATCHED)

    async def _publish(self, track: LocalTrack, options: TrackPublishOptions) -> LocalTrackPublication:
        while True:
            epoch = self._engine.epoch
            try:
                return await self._publish_once(track, options)
            except AnswerLostError:
                # Lost in a resume. The server may have announced it or not; another cid is certainly new to it.
                continue
            except _LOST:
                # Begun in a session that a restart replaced: it counts for nothing, and is done again.
                if self._closed or self._engine.closed or self._engine.epoch == epoch:
                    raise

    async def _publish_once(self, track: LocalTrack, options: TrackPublishOptions) -> LocalTrackPublication:
        outgoing = OutgoingTrack(track._source._local)
        sender: LocalSender | None = None
        info: models.TrackInfo | None = None
        try:
            announcement = Announcement.of(track, options, outgoing.cid, self._engine.e2ee.encryption_type)
            outgoing.enabled = not track.muted
            info = await self._engine.add_track(announcement.request)
            epoch = self._engine.epoch
            self._early[info.sid] = []
            sender = await self._engine.create_sender(
                outgoing, options, announcement.encodings, stereo=announcement.stereo, epoch=epoch
            )
            if announcement.request.packet_trailer_features:
                send_metadata(sender, options.frame_metadata_features)
            self._protect(sender, info.sid)
            if announcement.degradation is not None:
                await sender.prefer(announcement.degradation)
            await self._engine.negotiate()
            if self._engine.epoch != epoch:
                # What is awaited here waits for a restart too, and the next session knows of no announcement.
                raise ClosedError("the session in which the track was announced has ended")
            if self._closed:
                raise ClosedError("the room was disconnected while the track was being published")
        except BaseException:
            if info is not None:
                self._early.pop(info.sid, None)
                self._engine.e2ee._forget(self._participant.identity, info.sid)
            self._stop_sending(sender)
            outgoing.close()
            raise
        info.muted = announcement.request.muted
        publication = LocalTrackPublication(info, track, outgoing, sender, self._participant, self._tasks, options)
        self._add(publication, track)
        return publication

    def _protect(self, sender: LocalSender, sid: str, like: str | None = None) -> None:
        e2ee = self._engine.e2ee
        if e2ee._seals:
            e2ee._protect_sender(sender.chain, sid, like)

    def _add(self, publication: LocalTrackPublication, track: LocalTrack) -> None:
        sid = publication.sid
        self.publications[sid] = publication
        self._participant._refresh(publication)
        self.attach(publication, track)
        self._announce(events.LocalTrackPublished(publication, track), track, publication, self._participant)
        # It may have been muted while it was being published.
        publication._set_muted(track.muted)
        for tell in self._early.pop(sid, ()):
            tell()

    def attach(self, publication: LocalTrackPublication, track: LocalTrack) -> None:
        """A track is sent in a publication from now on."""
        track._sid = publication.sid
        track._handler_tasks = self._tasks
        track._publications.append(publication)
        if isinstance(track, LocalAudioTrack):
            publication._watch_silence(track._source)
        for stream in list(self._participant._streams):
            stream._track_found(track)

    def _stop_sending(self, sender: LocalSender | None) -> None:
        if sender is None:
            return
        self._engine.remove_track(sender)
        with suppress(ClosedError):
            self._engine.publisher_negotiation_needed()

    # -- in another session -------------------------------------------------------------------------

    def published(self) -> list[rtc.TrackPublishedResponse]:
        """Return what is published, with the ids of our offers (`SyncState.publish_tracks`)."""
        return [rtc.TrackPublishedResponse(cid=each._cid, track=each._info) for each in self.publications.values()]

    async def republish(self) -> int:
        """Publish again what was published in the session that a restart replaced: same objects, options and mute.

        Returns:
            How many tracks are published again.
        """
        epoch = self._engine.epoch
        self.permissions.say_again()
        before = list(self.publications.values())
        for publication in before:
            publication._sent_anew()
        try:
            renewed = await asyncio.gather(*(self._announce_again(each, epoch) for each in before))
            if any(renewed):
                await self._engine.negotiate()
        except _LOST as error:
            # The next restart does it all again; without one the engine is closed, or on its way to say why not.
            _logger.warning("tracks could not be published again: %s", error)
            return 0
        if self._closed or self._engine.epoch != epoch:
            return 0
        for publication, found in zip(before, renewed, strict=True):
            if found is not None:
                self._renew(publication, *found)
        for publication in before:
            try:
                # It may have been replaced while it was being published again.
                await publication._send_outgoing()
            except MediaError as error:
                _logger.warning("a replaced track could not be sent again: %s", error)
        return sum(found is not None for found in renewed)

    async def _announce_again(
        self, publication: LocalTrackPublication, epoch: int
    ) -> tuple[models.TrackInfo, LocalSender] | None:
        track, options, outgoing = publication.track, publication._options, publication._outgoing
        if track is None:
            return None
        patience = _UNANSWERED
        try:
            while True:
                announcement = Announcement.of(track, options, outgoing.cid, self._engine.e2ee.encryption_type)
                announcement.request.muted = publication.muted
                try:
                    info = await self._engine.add_track(announcement.request, epoch=epoch)
                    break
                except RequestTimeoutError as error:
                    # As in `_publish`; in this session nothing sends it yet.
                    patience -= not isinstance(error, AnswerLostError)
                    if patience < 0:
                        raise
                    outgoing = OutgoingTrack(track._source._local)
                    publication._replace_outgoing(outgoing)
            self._early[info.sid] = []
            sender = await self._engine.create_sender(
                outgoing, options, announcement.encodings, stereo=announcement.stereo, epoch=epoch
            )
            if announcement.request.packet_trailer_features:
                send_metadata(sender, options.frame_metadata_features)
            self._protect(sender, info.sid, publication.sid)
            if announcement.degradation is not None:
                await sender.prefer(announcement.degradation)
        except (RequestError, RequestTimeoutError, MediaError) as error:
            _logger.warning("a track could not be published again: %s", error)
            if self.publications.get(publication.sid) is publication:
                self._remove(publication)
            return None
        info.muted = announcement.request.muted
        return info, sender

    def _renew(self, publication: LocalTrackPublication, info: models.TrackInfo, sender: LocalSender) -> None:
        previous = publication.sid
        if self.publications.get(previous) is not publication:
            # It was unpublished meanwhile.
            self._early.pop(info.sid, None)
            self._stop_sending(sender)
            return
        muted = publication.muted
        self.backups.drop(publication)
        publication._renew(info, sender)
        del self.publications[previous]
        self.publications[info.sid] = publication
        self.permissions.renamed(previous, info.sid)
        if publication.track is not None:
            publication.track._sid = info.sid
        if info.muted != muted:
            self.post_muted(publication)
        event = events.LocalTrackRepublished(publication, previous)
        self._announce(event, publication.track, publication, self._participant)
        for tell in self._early.pop(info.sid, ()):
            tell()

    # -- unpublishing -------------------------------------------------------------------------------

    def unpublish(self, sid: str) -> None:
        """Unpublish a track (see `LocalParticipant.unpublish_track`)."""
        publication = self.publications.get(sid)
        if publication is None:
            raise PublishError("no track of ours has that sid")
        self._stop_sending(publication._sender)
        self._remove(publication)

    def _remove(self, publication: LocalTrackPublication) -> None:
        del self.publications[publication.sid]
        self.backups.drop(publication)
        self._engine.e2ee._forget(self._participant.identity, publication.sid)
        track = publication.track
        self._announce(events.LocalTrackUnpublished(publication), track, publication, self._participant)
        publication._end()
        if track is not None and not track._publications:
            for stream in list(track._streams):
                stream._track_gone()

    def close(self) -> None:
        """The room is disconnected: nothing is published any more."""
        self._closed = True
        if self._dynacast is not None:
            self._dynacast.close()
        self.backups.close()
        for publication in list(self.publications.values()):
            self._remove(publication)

    # -- what the server says -----------------------------------------------------------------------

    def subscribed(self, sid: str) -> None:
        """Somebody subscribed to a track of ours."""
        publication = self._find(sid, lambda: self.subscribed(sid))
        if publication is not None and publication._first_subscription() and publication.track is not None:
            track = publication.track
            self._announce(events.LocalTrackSubscribed(track), track, publication, self._participant)

    def ended(self, sid: str) -> None:
        """The server ended a track of ours."""
        publication = self._find(sid, lambda: self.ended(sid))
        if publication is not None:
            self._stop_sending(publication._sender)
            self._remove(publication)

    def muted(self, sid: str, muted: bool) -> None:
        """The server muted or unmuted a track of ours."""
        publication = self._find(sid, lambda: self.muted(sid, muted))
        if publication is None:
            return
        if publication.track is not None:
            publication.track._muted = muted
        if publication.muted != muted:
            publication._set_muted(muted, by_server=True)
            self.announce_muted(publication)

    def watched(self, update: rtc.SubscribedQualityUpdate) -> None:
        """The server says which layers of a track of ours somebody watches."""
        publication = self._find(update.track_sid, lambda: self.watched(update))
        if publication is None:
            return
        if publication._options.backup_codec is not None:
            self.backups.update(publication, update)
        elif self._dynacast is not None:
            self._dynacast.update(publication, update)

    def changed(self, info: models.TrackInfo) -> None:
        """The server knows more about a track of ours; whether it is muted is ours to say."""
        publication = self.publications.get(info.sid)
        if publication is not None:
            publication._info = info

    def _find(self, sid: str, later: Callable[[], None]) -> LocalTrackPublication | None:
        publication = self.publications.get(sid)
        if publication is None and (early := self._early.get(sid)) is not None:
            early.append(later)
        return publication

    # -- muting -------------------------------------------------------------------------------------

    def post_muted(self, publication: LocalTrackPublication) -> None:
        """Tell the server, and everybody here, that we muted or unmuted a track."""
        request = rtc.MuteTrackRequest(sid=publication.sid, muted=publication.muted)
        self._engine.post_request(rtc.SignalRequest(mute=request))
        self.announce_muted(publication)

    def announce_muted(self, publication: LocalTrackPublication) -> None:
        """Tell everybody here that a track of ours was muted or unmuted."""
        event = events.TrackMuted if publication.muted else events.TrackUnmuted
        self._announce(event(self._participant, publication), publication.track, publication, self._participant)
