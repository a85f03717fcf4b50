"""The participants of a room as objects, kept in step with what the server says."""

# ruff: noqa: SLF001 - participants, publications and tracks are kept in step here

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from livekit.protocol import models, rtc

from ..core import participants as roster
from ..core.speakers import ActiveSpeakers
from ..core.subscription import EARLY_MEDIA_TIMEOUT, MediaMatcher, MediaSubscribed, MediaUnsubscribed
from ..enums import ConnectionQuality, ParticipantState, StreamState
from ..peer.frame_metadata import receive_metadata
from . import events
from .emitter import EventEmitter
from .handler_tasks import HandlerTasks
from .local_participant import LocalParticipant
from .local_tracks import Announce
from .participant import Participant, RemoteParticipant
from .reception import Reception
from .track import RemoteAudioTrack, RemoteTrack, RemoteVideoTrack
from .track_publication import RemoteTrackPublication

if TYPE_CHECKING:
    from ..engine.engine import RtcEngine
    from ..peer.tracks import RemoteMedia

__all__ = ["Members"]

_logger = logging.getLogger("aiolivekit.room")

_DEPARTED = ParticipantState.PARTICIPANT_STATE_DISCONNECTED
_MAX_STRANGERS = 128
_MAX_DENIED = 1024
_STREAM_STATES: dict[int, StreamState] = {
    rtc.StreamState.ACTIVE: StreamState.STATE_ACTIVE,
    rtc.StreamState.PAUSED: StreamState.STATE_PAUSED,
}


class Members:
    """Who is in the room, ourselves included, during one connection.

    Args:
        engine: Does what publications and the local participant ask.
        local: What the server says of us.
        auto_subscribe: Whether the server subscribes us to tracks without being asked.
        announce: Tells of events.
        tasks: Runs coroutine handlers.
    """

    def __init__(
        self,
        engine: RtcEngine,
        local: models.ParticipantInfo,
        *,
        auto_subscribe: bool,
        announce: Announce,
        tasks: HandlerTasks,
    ) -> None:
        self._engine = engine
        self._announce = announce
        self._tasks = tasks
        self._roster = roster.Roster(local)
        self._media: MediaMatcher[RemoteMedia] = MediaMatcher()
        self._expiry: asyncio.TimerHandle | None = None
        self._speakers = ActiveSpeakers()
        self._publications: dict[str, tuple[RemoteParticipant, RemoteTrackPublication]] = {}
        self._denied: OrderedDict[str, None] = OrderedDict()
        self._reception = Reception(engine, auto_subscribe)
        self._strangers: OrderedDict[str, RemoteParticipant] = OrderedDict()
        self.remote: dict[str, RemoteParticipant] = {}
        self.local = LocalParticipant(local, engine, announce, self._amend, tasks)

    def load(self, others: Iterable[models.ParticipantInfo]) -> None:
        """Take those who are here when we come; nothing is told of them."""
        announce, self._announce = self._announce, _say_nothing
        try:
            self._perform(self._roster.apply(others))
        finally:
            self._announce = announce

    def enable_dynacast(self) -> None:
        """Send only those layers of our tracks that somebody watches."""
        self.local._tracks.enable_dynacast()

    def enable_adaptive_stream(self) -> None:
        """Have video tracks sent to us as their streams need them."""
        self._reception.adapt()

    def by_identity(self, identity: str) -> Participant | None:
        """Return a participant that is here, ourselves included."""
        return self.local if identity == self.local.identity else self.remote.get(identity)

    def by_sid(self, sid: str) -> Participant | None:
        """Return a participant that is here, ourselves included."""
        identity = self._roster.identity_of(sid)
        return None if identity is None else self.by_identity(identity)

    def sender(self, identity: str, sid: str) -> RemoteParticipant | None:
        """Return who sent a packet.

        Packets overtake the server's announcement of who joined, and come after that of who left. A sender that is not
        announced yet gets the object it will be announced with.
        """
        participant = self.remote.get(identity)
        if participant is not None or not identity or identity == self.local.identity:
            return participant
        stranger = self._strangers.get(identity)
        if stranger is None or (sid and stranger.sid != sid):
            stranger = RemoteParticipant(models.ParticipantInfo(sid=sid, identity=identity), self._tasks)
            self._remember_stranger(stranger)
        return stranger

    def _remember_stranger(self, participant: RemoteParticipant) -> None:
        self._strangers[participant.identity] = participant
        self._strangers.move_to_end(participant.identity)
        if len(self._strangers) > _MAX_STRANGERS:
            self._strangers.popitem(last=False)

    # -- updates ------------------------------------------------------------------------------------

    def update(self, updates: Iterable[models.ParticipantInfo]) -> None:
        """Take what the server says of participants."""
        self._perform(self._roster.apply(updates))

    def depart(self) -> None:
        """Everybody else leaves: we are on our way to another room, or to another session of this one."""
        self._perform(self._roster.replace(self._roster.local, ()))
        self._strangers.clear()

    def arrive(self, local: models.ParticipantInfo, others: Iterable[models.ParticipantInfo]) -> None:
        """We are there, under what may be another sid."""
        self._perform(self._roster.replace(local, others))

    def reconcile(self, present: Collection[str]) -> None:
        """We were away: who is not among these sids has left meanwhile."""
        self._perform(self._roster.reconcile(present))

    def subscription_wishes(self) -> rtc.UpdateSubscription:
        """Return for which tracks our wish differs from what the server does by itself (`SyncState.subscription`)."""
        return self._reception.subscription(publication for _, publication in self._publications.values())

    def disabled_tracks(self) -> list[str]:
        """Return which tracks that arrive are switched off (`SyncState.track_sids_disabled`)."""
        return self._reception.disabled(publication for _, publication in self._publications.values())

    def _amend(self, fields: roster.LocalFields) -> None:
        self._perform(self._roster.amend(fields))

    def _perform(self, changes: Iterable[roster.Change]) -> None:
        for change in changes:
            try:
                self._perform_one(change)
            except Exception:
                # The others must be performed all the same, or objects and roster would differ for good.
                _logger.exception("a change of a participant could not be followed (%s)", type(change).__name__)

    def _perform_one(self, change: roster.Change) -> None:
        match change:
            case roster.ParticipantJoined():
                self._joined(change.info)
            case roster.ParticipantLeft():
                self._left(change.identity, change.reason)
            case roster.TrackPublished():
                self._published(change.identity, change.track)
            case roster.TrackUnpublished():
                self._unpublished(change.track_sid)
            case roster.TrackChanged() if change.identity == self.local.identity:
                self.local._tracks.changed(change.track)
            case roster.TrackChanged() | roster.TrackMuteChanged():
                self._track_changed(change.track)
            case _:
                self._field_changed(change)

    def _joined(self, info: models.ParticipantInfo) -> None:
        participant = self._strangers.pop(info.identity, None)
        if participant is None or participant.sid != info.sid or participant.state is _DEPARTED:
            participant = RemoteParticipant(info, self._tasks)
        participant._info = info
        self.remote[info.identity] = participant
        self._announce(events.ParticipantConnected(participant))

    def _left(self, identity: str, reason: int) -> None:
        participant = self.remote.pop(identity)
        participant._info = _departed(participant._info)
        participant._set_disconnect_reason(reason)
        self._remember_stranger(participant)
        for stream in list(participant._streams):
            stream._end()
        self._announce(events.ParticipantDisconnected(participant), participant)
        if self._speakers.discard(participant.sid):
            participant._set_speaking(False, 0.0)
            self._announce(events.ActiveSpeakersChanged(self.speakers))

    def _field_changed(self, change: roster.Change) -> None:
        assert not isinstance(change, roster.ParticipantJoined | roster.ParticipantLeft)
        participant = self.by_identity(change.identity)
        if participant is None:
            return
        match change:
            case roster.ParticipantChanged():
                participant._info = change.info
            case roster.ParticipantActivated():
                assert isinstance(participant, RemoteParticipant)
                self._announce(events.ParticipantActive(participant), participant)
            case roster.NameChanged():
                self._announce(events.ParticipantNameChanged(participant, change.old, change.new), participant)
            case roster.MetadataChanged():
                self._announce(events.ParticipantMetadataChanged(participant, change.old, change.new), participant)
            case roster.AttributesChanged():
                self._announce(events.ParticipantAttributesChanged(change.changed, participant), participant)
            case roster.PermissionsChanged():
                permissions = participant.permissions
                self._announce(events.ParticipantPermissionsChanged(participant, permissions), participant)

    # -- remote tracks ------------------------------------------------------------------------------

    def publication(self, track_sid: str) -> tuple[RemoteParticipant, RemoteTrackPublication] | None:
        """Return a remote publication and whose it is."""
        return self._publications.get(track_sid)

    def _published(self, identity: str, info: models.TrackInfo) -> None:
        participant = self.remote[identity]
        publication = RemoteTrackPublication(
            info, participant.sid, self._reception.auto_subscribe, self._reception, self._tasks
        )
        publication._allowed = info.sid not in self._denied
        participant._publications[info.sid] = publication
        self._publications[info.sid] = (participant, publication)
        self._announce(events.TrackPublished(publication, participant), publication, participant)
        self._reception.published(publication)
        self._perform_media(self._media.published(participant.sid, info.sid))

    def _unpublished(self, track_sid: str) -> None:
        self._perform_media(self._media.unpublished(track_sid))
        self._denied.pop(track_sid, None)
        participant, publication = self._publications.pop(track_sid)
        participant._publications.pop(track_sid, None)
        self._announce(events.TrackUnpublished(publication, participant), publication, participant)

    def _track_changed(self, info: models.TrackInfo) -> None:
        participant, publication = self._publications[info.sid]
        was_muted = publication.muted
        publication._update(info)
        if publication.muted != was_muted:
            event = events.TrackMuted if publication.muted else events.TrackUnmuted
            self._announce(event(participant, publication), publication.track, publication, participant)

    def media_added(self, media: RemoteMedia, participant_sid: str, track_sid: str) -> None:
        """A track arrives, perhaps before its publication is known."""
        now = asyncio.get_running_loop().time()
        self._perform_media(self._media.media_added(participant_sid, track_sid, media, now))
        self._arm_expiry()

    def media_removed(self, track_sid: str) -> None:
        """A track arrives no more."""
        self._perform_media(self._media.media_removed(track_sid))

    def media_cleared(self) -> None:
        """No track arrives any more: the session that received them is gone."""
        self._perform_media(self._media.clear())
        for sid, (participant, _) in self._publications.items():
            self._media.published(participant.sid, sid)

    def _perform_media(self, effects: Iterable[MediaSubscribed[RemoteMedia] | MediaUnsubscribed]) -> None:
        for effect in effects:
            participant, publication = self._publications[effect.track_sid]
            if isinstance(effect, MediaSubscribed):
                self._subscribed(participant, publication, effect.media)
            else:
                self._unsubscribed(participant, publication)

    def _subscribed(
        self, participant: RemoteParticipant, publication: RemoteTrackPublication, media: RemoteMedia
    ) -> None:
        kind = RemoteVideoTrack if media.kind == "video" else RemoteAudioTrack
        track: RemoteTrack = kind(publication.sid, publication.name, publication.muted, media, self._tasks)
        publication._track = track
        if isinstance(track, RemoteVideoTrack) and publication._info.packet_trailer_features:
            track._frame_metadata = receive_metadata(media)
        self._engine.e2ee._protect_receiver(
            lambda: media.chain, participant.identity, publication.sid, publication._info.encryption
        )
        # What arrives is allowed: the server's word may have been lost in an outage.
        self.subscription_allowed(publication.sid, True)
        for stream in list(participant._streams):
            stream._track_found(track)
        self._announce(events.TrackSubscribed(track, publication, participant), track, publication, participant)
        self._reception.subscribed(publication)

    def _unsubscribed(self, participant: RemoteParticipant, publication: RemoteTrackPublication) -> None:
        track = publication._track
        assert track is not None
        publication._track = None
        self._engine.e2ee._forget(participant.identity, publication.sid)
        track._end()
        self._announce(events.TrackUnsubscribed(track, publication, participant), track, publication, participant)

    def _arm_expiry(self) -> None:
        deadline = self._media.deadline
        if deadline is not None and self._expiry is None:
            self._expiry = asyncio.get_running_loop().call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        for expired in self._media.expire(asyncio.get_running_loop().time()):
            error = f"its media arrived, but it was not published within {EARLY_MEDIA_TIMEOUT:g} s"
            _logger.warning("track %s was given up: %s", expired.track_sid, error)
            self._subscription_failed(self.by_sid(expired.participant_sid), expired.track_sid, error)
        self._arm_expiry()

    def subscription_failed(self, track_sid: str, error: str) -> None:
        """The server cannot send us a track."""
        # With two peer connections it has offered the track before it found out.
        self.media_removed(track_sid)
        found = self._publications.get(track_sid)
        self._subscription_failed(None if found is None else found[0], track_sid, error)

    def _subscription_failed(self, participant: Participant | None, track_sid: str, error: str) -> None:
        if not isinstance(participant, RemoteParticipant):
            return
        found = self._publications.get(track_sid)
        event = events.TrackSubscriptionFailed(participant, track_sid, error)
        self._announce(event, None if found is None else found[1], participant)

    def subscription_allowed(self, track_sid: str, allowed: bool) -> None:
        """A publisher allows us a track, or no longer does."""
        if allowed:
            self._denied.pop(track_sid, None)
        else:
            self._denied[track_sid] = None
            if len(self._denied) > _MAX_DENIED:
                self._denied.popitem(last=False)
        found = self._publications.get(track_sid)
        if found is not None and found[1]._allowed != allowed:
            participant, publication = found
            publication._allowed = allowed
            publication._tell_handlers("subscription_permission_changed", allowed)
            event = events.TrackSubscriptionPermissionChanged(publication, allowed, participant)
            self._announce(event, participant)

    def stream_state_changed(self, track_sid: str, state: int) -> None:
        """The server pauses a track, or sends it again."""
        found = self._publications.get(track_sid)
        track = None if found is None else found[1].track
        new = _STREAM_STATES.get(state, StreamState.STATE_UNKNOWN)
        if found is None or track is None or track.stream_state is new:
            return
        track._stream_state = new
        track._tell_handlers("stream_state_changed", new)
        participant, publication = found
        publication._tell_handlers("stream_state_changed", new)
        self._announce(events.TrackStreamStateChanged(publication, new, participant), participant)

    # -- speaking and quality -----------------------------------------------------------------------

    @property
    def speakers(self) -> list[Participant]:
        """Who speaks, the loudest first."""
        found = [self.by_sid(sid) for sid in self._speakers.loudest_first]
        return [participant for participant in found if participant is not None]

    def speakers_changed(self, delta: Iterable[models.SpeakerInfo]) -> None:
        """Take who began or ceased to speak, or speaks louder or softer."""
        changes = self._speakers.apply(delta)
        for change in changes:
            participant = self.by_sid(change.sid)
            if participant is not None:
                participant._set_speaking(change.active, change.level)
        if changes:
            self._announce(events.ActiveSpeakersChanged(self.speakers))

    def quality_changed(self, participant_sid: str, quality: int) -> None:
        """Take how good a participant's connection is."""
        participant = self.by_sid(participant_sid)
        new = ConnectionQuality.of(quality)
        if participant is not None and participant.connection_quality is not new:
            participant._connection_quality = new
            self._announce(events.ConnectionQualityChanged(participant, new), participant)

    # -- end ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """The room is disconnected: no track arrives or is sent any more. Who was here stays as last known."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self._reception.close()
        for _, publication in self._publications.values():
            if publication._track is not None:
                publication._track._end()
        for participant in (*self.remote.values(), self.local):
            for stream in list(participant._streams):
                stream._end()
        self.local._tracks.close()


def _departed(info: models.ParticipantInfo) -> models.ParticipantInfo:
    """Return what was known of a participant, now that it has left."""
    departed = models.ParticipantInfo()
    departed.CopyFrom(info)
    departed.state = models.ParticipantInfo.State.DISCONNECTED
    return departed


def _say_nothing(_event: events.RoomEvent, *_concerned: EventEmitter[Any] | None) -> None:
    pass
