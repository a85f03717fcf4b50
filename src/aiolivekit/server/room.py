"""One room: who is in it, and who is told what when something changes."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from aiolivekit.server.codecs import ENABLED_CODECS
from aiolivekit.server.data import DataRouter
from aiolivekit.server.data_tracks import PublishedDataTrack
from aiolivekit.server.downlink import DownTrack, send_stream_states
from aiolivekit.server.ids import new_id
from aiolivekit.server.layers import OFF, quality_update
from aiolivekit.server.observers import Observers
from aiolivekit.server.participant import Participant
from aiolivekit.server.simulate import Simulations

if TYPE_CHECKING:
    from aiolivekit.server.dev_server import ServerCore
    from aiolivekit.server.tracks import PublishedTrack

__all__ = ["Room"]

_log = logging.getLogger("aiolivekit.server")

_STATES = models.ParticipantInfo.State


class Room:
    """A room of the server.

    Args:
        core: The server.
        name: Its name.
        config: What a token or an administrator set about it.
    """

    def __init__(self, core: ServerCore, name: str, config: models.Room | None = None) -> None:
        self.core = core
        self.name = name
        self.sid = new_id("RM_")
        self.created_at = time.time()
        self.participants: dict[str, Participant] = {}
        self.tracks: dict[str, PublishedTrack] = {}
        self.metadata = config.metadata if config is not None else ""
        options = core.options
        self.max_participants = config.max_participants if config is not None else 0
        self.empty_timeout = (config.empty_timeout if config is not None else 0) or options.empty_timeout
        self.departure_timeout = (config.departure_timeout if config is not None else 0) or options.departure_timeout
        self.sif_trailer = new_id("SIF_").encode() * 2
        # There is no TURN here; clients see that there could be, as with the real server.
        self.turn_password = secrets.token_urlsafe(32)
        self.data = DataRouter(self)
        self.simulations = Simulations(self)
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._changed: dict[str, models.ParticipantInfo] = {}
        self._update_timer: asyncio.TimerHandle | None = None
        self._room_timer: asyncio.TimerHandle | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._quality_timers: dict[str, asyncio.TimerHandle] = {}
        self._observers = Observers(self)
        self._close_later(self.empty_timeout)

    # what it is

    def info(self) -> models.Room:
        """Return what participants are told of it."""
        visible = [p for p in self.participants.values() if not p.hidden]
        return models.Room(
            sid=self.sid,
            name=self.name,
            empty_timeout=self.empty_timeout,
            departure_timeout=self.departure_timeout,
            max_participants=self.max_participants,
            creation_time=int(self.created_at),
            creation_time_ms=int(self.created_at * 1000),
            turn_password=self.turn_password,
            enabled_codecs=[models.Codec(mime=mime) for mime in ENABLED_CODECS],
            metadata=self.metadata,
            num_participants=len(visible),
            num_publishers=sum(p.is_publisher for p in visible),
            active_recording=any(p.grants.recorder for p in self.participants.values()),
        )

    def data_tracks(self) -> Iterator[PublishedDataTrack]:
        """Yield the data tracks of everybody."""
        for participant in self.participants.values():
            yield from participant.data_tracks.published.values()

    # coming and going

    def add(self, participant: Participant) -> None:
        """Take a participant in."""
        self._cancel_close()
        self.participants[participant.identity] = participant
        self._observers.start()
        self._room_changed()

    def remove(self, participant: Participant) -> None:
        """Take note that a participant's session ended."""
        if self.participants.get(participant.identity) is not participant:
            return
        del self.participants[participant.identity]
        for track in list(participant.publishing.tracks.values()):
            self.tracks.pop(track.sid, None)
            self._end_subscriptions(track)
        for data_track in participant.data_tracks.published.values():
            self._reconcile_data(data_track)
        for data_track in self.data_tracks():
            data_track.subscribers.pop(participant.identity, None)
        participant.publishing.tracks.clear()
        participant.data_tracks.published.clear()
        self._changed.pop(participant.identity, None)
        # To the others a second session of the same identity is the same participant, which did not leave.
        if participant.disconnect_reason != models.DisconnectReason.DUPLICATE_IDENTITY:
            self.broadcast(participant, immediate=True, skip_self=True)
        self._room_changed()
        if not self.participants:
            self._observers.stop()
            self._close_later(self.departure_timeout)

    def _close_later(self, seconds: float) -> None:
        self._cancel_close()
        self._close_timer = self._loop.call_later(seconds, self.close, models.DisconnectReason.ROOM_CLOSED)

    def _cancel_close(self) -> None:
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None

    def close(self, reason: models.DisconnectReason) -> None:
        """End the room and everybody's session."""
        if self.closed:
            return
        self.closed = True
        self._observers.stop()
        for participant in list(self.participants.values()):
            participant.close(reason)
        for timer in (self._update_timer, self._room_timer, *self._quality_timers.values()):
            if timer is not None:
                timer.cancel()
        self._cancel_close()
        self.core.room_closed(self)

    # telling everybody

    def on_state(self, participant: Participant) -> None:
        """Take note that a participant joined or became active."""
        self.broadcast(participant, skip_self=True)
        if participant.connected:
            self.subscribe_to_existing(participant)

    def subscribe_to_existing(self, participant: Participant) -> None:
        """Subscribe a participant to what is there already, if it wants that."""
        if participant.auto_subscribe:
            for track in list(self.tracks.values()):
                if track.publisher is not participant:
                    participant.subscriptions.subscribe(track.sid)
        if participant.auto_subscribe_data_track:
            for data_track in self.data_tracks():
                if data_track.publisher is not participant:
                    participant.data_tracks.subscribe(data_track.info.sid)
            participant.data_tracks.reconcile()

    def broadcast(self, participant: Participant, *, immediate: bool = False, skip_self: bool = False) -> None:
        """Tell everybody about a participant: publishers and urgent changes now, others together a little later."""
        info = participant.info()
        self.core.on_change()
        if not skip_self:
            participant.send_update([info])
        if participant.hidden:
            return
        if immediate or participant.is_publisher:
            self._changed.pop(participant.identity, None)
            self._send_updates([info])
            return
        self._changed[participant.identity] = info
        if self._update_timer is None:
            self._update_timer = self._loop.call_later(self.core.options.update_interval, self._flush_updates)

    def _flush_updates(self) -> None:
        self._update_timer = None
        changed, self._changed = self._changed, {}
        self._send_updates(list(changed.values()), to_self=True)

    def _send_updates(self, infos: list[models.ParticipantInfo], *, to_self: bool = False) -> None:
        for participant in list(self.participants.values()):
            participant.send_update(i for i in infos if to_self or i.sid != participant.sid)

    def set_metadata(self, metadata: str) -> None:
        """Set the room's metadata and tell everybody now."""
        self.metadata = metadata
        self._send_room()

    def _room_changed(self) -> None:
        self.core.on_change()
        if self._room_timer is None and not self.closed:
            self._room_timer = self._loop.call_later(self.core.options.room_update_interval, self._send_room)

    def _send_room(self) -> None:
        if self._room_timer is not None:
            self._room_timer.cancel()
            self._room_timer = None
        update = rtc.SignalResponse(room_update=rtc.RoomUpdate(room=self.info()))
        for participant in list(self.participants.values()):
            if participant.state in (_STATES.JOINED, _STATES.ACTIVE):
                participant.send(update)

    def send_speakers(self, speakers: Iterable[models.SpeakerInfo]) -> None:
        """Tell about speakers: themselves, and those who are subscribed to them."""
        changed = list(speakers)
        for participant in list(self.participants.values()):
            heard = participant.subscriptions.publishers | {participant.sid}
            scoped = [speaker for speaker in changed if speaker.sid in heard]
            if scoped:
                participant.send(rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=scoped)))

    # tracks

    def on_track_published(self, track: PublishedTrack) -> None:
        """Take note of a new track."""
        publisher = track.publisher
        self.tracks[track.sid] = track
        if not publisher.is_publisher:
            publisher.is_publisher = True
            self._room_changed()
        publisher.changed()
        self.broadcast(publisher)
        if track.kind == "video":
            # A picture nobody has asked for by then need not be sent.
            self._quality_timers[track.sid] = self._loop.call_later(
                self.core.options.dynacast_delay, self._announce_quality, track
            )
        for participant in list(self.participants.values()):
            if participant is publisher:
                continue
            wished = track.sid in participant.subscriptions.wished
            if wished or (participant.auto_subscribe and participant.connected):
                participant.subscriptions.subscribe(track.sid)

    def on_track_updated(self, track: PublishedTrack) -> None:
        """Take note that a track was muted or changed."""
        track.publisher.changed()
        self.broadcast(track.publisher)

    def on_track_unpublished(self, track: PublishedTrack) -> None:
        """Take note that a track ended."""
        self.tracks.pop(track.sid, None)
        track.publisher.changed()
        self.broadcast(track.publisher)
        self._end_subscriptions(track)

    def _end_subscriptions(self, track: PublishedTrack) -> None:
        timer = self._quality_timers.pop(track.sid, None)
        if timer is not None:
            timer.cancel()
        for participant in list(self.participants.values()):
            participant.subscriptions.unsubscribe(track.sid)

    def on_subscribed(self, subscriber: Participant, down: DownTrack) -> None:
        """Take note that a subscriber gets a track."""
        publisher = down.track.publisher
        if not down.track.ever_subscribed and not subscriber.hidden:
            # Publishers are told of the first subscriber only, and never of one they do not see.
            down.track.ever_subscribed = True
            publisher.send(rtc.SignalResponse(track_subscribed=rtc.TrackSubscribed(track_sid=down.track.sid)))
        publisher.publishing.uplink.kick()
        speaker = self._observers.speaker(publisher)
        if speaker is not None:
            subscriber.send(rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=[speaker])))

    def on_unsubscribed(self, subscriber: Participant, publisher: Participant) -> None:
        """Take note that a subscriber no longer gets a track."""
        if publisher.sid not in subscriber.subscriptions.publishers and self._observers.speaker(publisher):
            silent = models.SpeakerInfo(sid=publisher.sid)
            subscriber.send(rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=[silent])))

    def on_stream_started(self, down: DownTrack) -> None:
        """Take note that the first packet of a track went to a subscriber."""
        if down.track.kind != "video":
            return
        for participant in self.participants.values():
            if participant.subscriptions.active.get(down.track.sid) is down:
                send_stream_states(participant, [down], rtc.StreamState.ACTIVE)

    # dynacast

    def on_quality_wish(self, track: PublishedTrack) -> None:
        """Tell a publisher which layers are wanted: more at once, less after a while."""
        if track.kind != "video" or self.tracks.get(track.sid) is not track:
            return
        highest, announced = track.highest_wanted(), track.announced_quality
        if highest == announced:
            if track.quality_told:
                self._cancel_quality(track.sid)
        elif announced == OFF or (highest != OFF and highest > announced):
            self._cancel_quality(track.sid)
            self._announce_quality(track)
        elif track.sid not in self._quality_timers:
            self._quality_timers[track.sid] = self._loop.call_later(
                self.core.options.dynacast_delay, self._announce_quality, track
            )

    def repeat_qualities(self, publisher: Participant) -> None:
        """Tell a publisher that resumed again which layers are wanted; it may have missed it."""
        for track in publisher.publishing.tracks.values():
            if track.quality_told:
                self._announce_quality(track)

    def _cancel_quality(self, sid: str) -> None:
        timer = self._quality_timers.pop(sid, None)
        if timer is not None:
            timer.cancel()

    def _announce_quality(self, track: PublishedTrack) -> None:
        self._quality_timers.pop(track.sid, None)
        track.announced_quality = track.highest_wanted()
        track.quality_told = True
        codec = track.info.mime_type.lower().partition("/")[2]
        track.publisher.send(
            rtc.SignalResponse(subscribed_quality_update=quality_update(track.sid, codec, track.announced_quality))
        )

    # data tracks

    def on_data_track_published(self, track: PublishedDataTrack) -> None:
        """Take note of a new data track."""
        publisher = track.publisher
        publisher.is_publisher = True
        publisher.changed()
        self.broadcast(publisher)
        for participant in list(self.participants.values()):
            if participant is publisher:
                continue
            if participant.auto_subscribe_data_track and participant.connected:
                participant.data_tracks.subscribe(track.info.sid)
            participant.data_tracks.reconcile()

    def on_data_track_unpublished(self, track: PublishedDataTrack) -> None:
        """Take note that a data track ended."""
        track.publisher.changed()
        self.broadcast(track.publisher)
        self._reconcile_data(track)

    def _reconcile_data(self, track: PublishedDataTrack) -> None:
        for identity in list(track.subscribers):
            subscriber = self.participants.get(identity)
            if subscriber is not None:
                del track.subscribers[identity]
                subscriber.data_tracks.send_handles()
