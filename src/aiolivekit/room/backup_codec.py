"""A second codec for a published picture, for those who cannot receive the first: sent when the server asks for it.

The codec is announced with the track, without a section. When somebody subscribes who cannot receive the first codec,
`SubscribedQualityUpdate` names the second one, and a further section of the same track is published with it. What
becomes of the first then is the server's to say (`TrackPublishOptions.backup_codec_policy`).
"""

# ruff: noqa: SLF001 - a publication's senders are what is switched

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from livekit.protocol import rtc

from ..core.dynacast import active_encodings, wants_codec
from ..errors import ClosedError, LiveKitError, MediaError
from ..options import TrackPublishOptions
from ..peer.frame_metadata import send_metadata
from ..peer.tracks import LocalSender, OutgoingTrack
from .announcement import Announcement
from .dynacast import Dynacast
from .track import LocalTrack
from .track_publication import LocalTrackPublication

if TYPE_CHECKING:
    from ..engine.engine import RtcEngine

__all__ = ["BackupCodecs"]

_logger = logging.getLogger("aiolivekit.room")


class BackupCodecs:
    """The second codecs of our tracks in the session in force.

    Args:
        engine: Publishes them.
    """

    def __init__(self, engine: RtcEngine) -> None:
        self._engine = engine
        # Tracks with two codecs follow what is watched even without dynacast: both at once are sent for nobody.
        self._dynacast = Dynacast()
        self._tasks: set[asyncio.Task[None]] = set()
        self._publishing: dict[LocalTrackPublication, asyncio.Task[None]] = {}
        self._asked: dict[LocalTrackPublication, rtc.SubscribedQualityUpdate] = {}
        self._sent: dict[LocalTrackPublication, LocalTrack] = {}

    def update(self, publication: LocalTrackPublication, update: rtc.SubscribedQualityUpdate) -> None:
        """Take the server's word on who watches what of a track that has a second codec."""
        backup = publication._options.backup_codec
        if backup is None or publication.track is None:
            return
        self._dynacast.update(publication, update)
        self._asked[publication] = update
        if publication._backup is not None:
            self._activate(publication, publication._backup)
        elif wants_codec(update, backup.name) and publication not in self._publishing:
            task = asyncio.get_running_loop().create_task(self._publish(publication), name="aiolivekit-backup-codec")
            self._publishing[publication] = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _activate(self, publication: LocalTrackPublication, sender: LocalSender) -> None:
        backup = publication._options.backup_codec
        assert backup is not None
        wanted = active_encodings(self._asked[publication], backup.name, sender.encodings, sender.active)
        self._dynacast.apply(sender, wanted)

    async def _publish(self, publication: LocalTrackPublication) -> None:
        try:
            await self._publish_once(publication)
        except ClosedError:
            pass  # the session or the track has ended; if it is needed still, the server says so again
        except LiveKitError as error:
            _logger.warning("the backup codec of a track could not be published: %s", error)
        finally:
            if self._publishing.get(publication) is asyncio.current_task():
                del self._publishing[publication]

    async def _publish_once(self, publication: LocalTrackPublication) -> None:
        track = publication.track
        assert track is not None
        options = backup_options(publication._options)
        outgoing = OutgoingTrack(track._source._local)
        sender: LocalSender | None = None
        try:
            announcement = Announcement.of(track, options, outgoing.cid, self._engine.e2ee.encryption_type)
            announcement.request.sid = publication.sid
            announcement.request.muted = publication.muted
            epoch = self._engine.epoch
            await self._engine.add_track(announcement.request, epoch=epoch)
            sender = await self._engine.create_sender(outgoing, options, announcement.encodings, epoch=epoch)
            if announcement.request.packet_trailer_features:
                send_metadata(sender, options.frame_metadata_features)
            if self._engine.e2ee._seals:
                self._engine.e2ee._protect_sender(sender.chain, publication.sid)
            if announcement.degradation is not None:
                await sender.prefer(announcement.degradation)
            await self._engine.negotiate()
            if publication.track is None or self._engine.epoch != epoch:
                raise ClosedError("the track was unpublished while its backup codec was being published")
        except BaseException:
            self._stop(sender)
            outgoing.close()
            raise
        publication._backup = sender
        self._sent[publication] = track
        outgoing.enabled = not publication.muted
        self._activate(publication, sender)
        await self.follow(publication)

    async def follow(self, publication: LocalTrackPublication) -> None:
        """Send what is published with the second codec too: the track may have been replaced.

        Raises:
            MediaError: If libwebrtc does not do it.
        """
        sender, track = publication._backup, publication.track
        if sender is None or track is None or self._sent.get(publication) is track:
            return
        outgoing, before = OutgoingTrack(track._source._local), sender.track
        outgoing.enabled = not publication.muted
        try:
            await sender.replace(outgoing)
        except MediaError:
            outgoing.close()
            raise
        before.close()
        if publication._backup is sender:
            self._sent[publication] = track
        else:
            outgoing.close()

    def drop(self, publication: LocalTrackPublication) -> None:
        """A track is published no more, or anew in another session, where the server asks anew."""
        self._asked.pop(publication, None)
        self._sent.pop(publication, None)
        task = self._publishing.pop(publication, None)
        if task is not None:
            task.cancel()
        sender, publication._backup = publication._backup, None
        self._stop(sender)
        if sender is not None:
            sender.track.close()

    def _stop(self, sender: LocalSender | None) -> None:
        if sender is not None:
            with suppress(ClosedError):
                self._engine.remove_track(sender)
                self._engine.publisher_negotiation_needed()

    def close(self) -> None:
        """Publish and switch nothing any more."""
        for publication in list(self._publishing):
            self.drop(publication)
        self._dynacast.close()


def backup_options(options: TrackPublishOptions) -> TrackPublishOptions:
    """Return how the second codec of a track is published."""
    return replace(options, video_codec=options.backup_codec, backup_codec=None, scalability_mode=None)
