"""What one participant subscribes to: wishes, permissions, and the sections its tracks travel in."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from aiolivekit.server.codecs import offered_codecs
from aiolivekit.server.downlink import DownTrack
from aiolivekit.server.layers import HIGH, TrackSettings
from aiolivekit.server.negotiation import (
    OFFER_EXTENSIONS,
    AnswerSection,
    OfferSection,
    Outgoing,
    remote_parameters,
    render_offer,
)
from aiolivekit.server.sdp import SdpError, Session, parse_sdp

if TYPE_CHECKING:
    from aiolivekit.server.participant import Participant
    from aiolivekit.server.tracks import PublishedTrack

__all__ = ["Subscriptions"]

TRACK_TIMEOUT = 5.0
"""Seconds a wished track may take to appear before the client is told that there is none."""

ANSWER_TIMEOUT = 15.0
"""Seconds a client may take to answer an offer before it is told to reconnect."""

NEGOTIATION_DELAY = 0.15
"""Seconds a client that joined gets to offer sections by itself; the real server's interval between negotiations."""

MAX_WISHES = 4096


class Subscriptions:
    """The subscriptions of one participant."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant
        self.wished: set[str] = set()
        self.active: dict[str, DownTrack] = {}
        self._settings: dict[str, TrackSettings] = {}
        self._allowed: dict[str, bool] = {}
        self._loop = asyncio.get_running_loop()
        self._sections: list[OfferSection] = []
        self._session_id = secrets.randbits(62)
        self._offer_id = secrets.randbits(8)
        self._awaiting_answer = False
        self._dirty = False
        self._scheduled = False
        self._answer_timer: asyncio.TimerHandle | None = None
        self._negotiation_timer: asyncio.TimerHandle | None = None
        self._offered_without: set[str] = set()
        self._wish_timers: dict[str, asyncio.TimerHandle] = {}
        self._slots: dict[str, str] = {}
        # Sections that lost their track, until the client has seen them without one: only then does it notice that
        # the next track in them is another, even if it is the same track subscribed to again.
        self._released: set[str] = set()
        self._requested = {"audio": 0, "video": 0}
        self._closed = False

    # wishes

    def subscribe(self, sid: str) -> None:
        """Wish for a track, which may not exist yet."""
        if len(self.wished) >= MAX_WISHES:
            return
        self.wished.add(sid)
        if sid not in self._participant.room.tracks and sid not in self._wish_timers:
            self._wish_timers[sid] = self._loop.call_later(TRACK_TIMEOUT, self._not_found, sid)
        self.reconcile(sid)

    def unsubscribe(self, sid: str) -> None:
        """Wish for a track no longer."""
        self.wished.discard(sid)
        self._cancel_wish_timer(sid)
        self.reconcile(sid)

    def _not_found(self, sid: str) -> None:
        self._wish_timers.pop(sid, None)
        if sid not in self._participant.room.tracks:
            self.wished.discard(sid)
            self._participant.send(
                rtc.SignalResponse(
                    subscription_response=rtc.SubscriptionResponse(
                        track_sid=sid, err=models.SubscriptionError.SE_TRACK_NOTFOUND
                    )
                )
            )

    def _cancel_wish_timer(self, sid: str) -> None:
        timer = self._wish_timers.pop(sid, None)
        if timer is not None:
            timer.cancel()

    def update_settings(self, sid: str, update: rtc.UpdateTrackSettings) -> None:
        """Take what the client says about a track's quality; it says all of it each time."""
        if sid not in self._settings and len(self._settings) >= MAX_WISHES:
            return
        settings = self._settings.setdefault(sid, TrackSettings())
        settings.disabled = update.disabled
        settings.width, settings.height, settings.fps = update.width, update.height, update.fps
        settings.quality = min(update.quality, HIGH)
        down = self.active.get(sid)
        if down is not None:
            down.track.steer(down)
            self._participant.room.on_quality_wish(down.track)

    # reconciling

    def reconcile_all(self) -> None:
        """Bring everything in line with wishes and permissions."""
        for sid in [*self.wished, *self.active]:
            self.reconcile(sid)

    def reconcile(self, sid: str) -> None:
        """Bring one track in line with wishes and permissions."""
        if self._closed:
            return
        participant = self._participant
        track = participant.room.tracks.get(sid)
        down = self.active.get(sid)
        if down is not None and down.track is not track:
            self._remove(down)
            down = None
        wished = track is not None and sid in self.wished and participant.grants.can_subscribe
        if track is None or not wished:
            if down is not None:
                self._remove(down)
            if track is None or sid not in self.wished:
                self._allowed.pop(sid, None)
            return
        self._cancel_wish_timer(sid)
        allowed = track.publisher.permits(sid, participant)
        if self._allowed.get(sid) is not allowed:
            self._allowed[sid] = allowed
            participant.send(
                rtc.SignalResponse(
                    subscription_permission_update=rtc.SubscriptionPermissionUpdate(
                        participant_sid=track.publisher.sid, track_sid=sid, allowed=allowed
                    )
                )
            )
        if allowed and down is None:
            self._add(track)
        elif not allowed and down is not None:
            self._remove(down)

    def _add(self, track: PublishedTrack) -> None:
        transport = self._participant.receiving_transport
        knows_trailers = models.ClientInfo.Capability.CAP_PACKET_TRAILER in self._participant.client.capabilities
        settings = self._settings.setdefault(track.sid, TrackSettings())
        down = DownTrack(track, transport, settings, knows_trailers=knows_trailers)
        self.active[track.sid] = down
        track.down.append(down)
        self._participant.room.on_quality_wish(track)
        if self._participant.single_peer_connection:
            self._place_in_slots()
        else:
            self._place_in_offer(down)
        self.negotiate()

    def _remove(self, down: DownTrack) -> None:
        track = down.track
        self.active.pop(track.sid, None)
        if down in track.down:
            track.down.remove(down)
        down.bound = False
        self._settings.pop(track.sid, None)
        self._participant.room.on_quality_wish(track)
        for section in self._sections:
            if section.outgoing is not None and section.outgoing.track_id == track.sid:
                section.outgoing = None
                self._released.add(section.mid)
        for mid, sid in list(self._slots.items()):
            if sid == track.sid:
                del self._slots[mid]
                self._released.add(mid)
        self._participant.room.on_unsubscribed(self._participant, track.publisher)
        self.negotiate()

    @property
    def publishers(self) -> set[str]:
        """The sids of the participants something is subscribed of."""
        return {down.track.publisher.sid for down in self.active.values()}

    # two peer connections: we offer

    def _place_in_offer(self, down: DownTrack) -> None:
        kind = down.track.kind
        section = next(
            (s for s in self._sections if s.kind == kind and s.outgoing is None and s.mid not in self._released),
            None,
        )
        if section is None:
            section = OfferSection(str(len(self._sections) + 1), kind)
            self._sections.append(section)
        section.codecs = offered_codecs(kind, down.track.codecs) or section.codecs
        section.outgoing = down.outgoing
        down.mid = section.mid

    def negotiate(self) -> None:
        """Negotiate at the end of the loop's turn."""
        self._dirty = True
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self._loop.call_soon(self._negotiate)

    def _negotiate(self) -> None:
        self._scheduled = False
        if self._closed or not self._dirty:
            return
        if self._participant.single_peer_connection:
            self._dirty = False
            self._require_sections()
        elif not self._awaiting_answer and self._participant.subscriber_started:
            self.send_offer()

    def send_offer(self, *, restart: bool = False) -> None:
        """Send an offer now.

        Args:
            restart: Whether ICE begins anew; an offer that waits for its answer is given up.
        """
        participant = self._participant
        participant.subscriber_started = True
        transport = participant.subscriber
        if transport is None or self._closed:
            return
        first = transport.remote is None
        if restart and not first:
            transport.ice.restart()
        self._dirty = False
        self._offered_without = set(self._released)
        self._awaiting_answer = True
        self._offer_id += 1
        local = participant.local_transport(transport, "actpass", with_candidates=not first and not restart)
        sections = [s for s in self._sections if s.codecs]
        participant.send(
            rtc.SignalResponse(
                offer=rtc.SessionDescription(
                    type="offer",
                    sdp=render_offer(self._session_id, sections, local),
                    id=self._offer_id,
                    mid_to_track_id={s.mid: s.outgoing.track_id for s in sections if s.outgoing is not None},
                )
            )
        )
        if first or restart:
            participant.send_candidates(transport, rtc.SignalTarget.SUBSCRIBER)
        self._stop_answer_timer()
        self._answer_timer = self._loop.call_later(ANSWER_TIMEOUT, self._no_answer)

    def _stop_answer_timer(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _no_answer(self) -> None:
        self._answer_timer = None
        # Without a signalling connection there was nobody to answer; the resume makes a new offer.
        if self._participant.connected and self._participant.connection is not None and not self._closed:
            self._participant.full_reconnect(models.DisconnectReason.STATE_MISMATCH)

    def handle_answer(self, description: rtc.SessionDescription) -> None:
        """Take a client's answer. Its id is not compared: the official SDK answers with 0."""
        participant = self._participant
        if participant.subscriber is None:
            return
        try:
            answer = parse_sdp(description.sdp)
            remote = remote_parameters(answer)
        except SdpError:
            # The two sides no longer agree; the real server starts over, too.
            participant.malformed += 1
            participant.full_reconnect(models.DisconnectReason.STATE_MISMATCH)
            return
        if not self._awaiting_answer:
            return
        self._awaiting_answer = False
        self._released -= self._offered_without
        self._stop_answer_timer()
        participant.subscriber.set_remote(remote, client=remote.setup == "passive")
        self._bind(answer)
        if self._dirty:
            self.negotiate()

    def _bind(self, answer: Session) -> None:
        by_mid = {media.mid: media for media in answer.media}
        for down in list(self.active.values()):
            media = by_mid.get(down.mid)
            if down.bound or media is None:
                continue
            extensions = {
                uri: number for uri, number in OFFER_EXTENSIONS[down.track.kind].items() if uri in media.extensions
            }
            # What the client kept of our payload types; their meaning is ours.
            kept = {codec.payload_type for codec in media.codecs}
            section = next((s for s in self._sections if s.mid == down.mid), None)
            codecs = [c for c in section.codecs if c.payload_type in kept] if section is not None else []
            if section is not None:
                # The next offer says of this section what was agreed on.
                agreed = {c.payload_type: c.feedback for c in media.codecs}
                section.codecs = [
                    replace(c, feedback=tuple(f for f in c.feedback if f in agreed.get(c.payload_type, ())))
                    for c in section.codecs
                ]
            if media.rejected or not down.bind(codecs, extensions):
                self._unsupported(down)
            else:
                self._participant.room.on_subscribed(self._participant, down)

    def _unsupported(self, down: DownTrack) -> None:
        self.wished.discard(down.track.sid)
        self._remove(down)
        self._participant.send(
            rtc.SignalResponse(
                subscription_response=rtc.SubscriptionResponse(
                    track_sid=down.track.sid, err=models.SubscriptionError.SE_CODEC_UNSUPPORTED
                )
            )
        )

    # one peer connection: the client offers

    def _place_in_slots(self) -> None:
        """Give tracks without a section one of the client's free receiving sections."""
        offer = self._participant.publishing.offer
        if offer is None:
            return
        for down in self.active.values():
            if down.track.sid in self._slots.values():
                continue
            for media in offer.media:
                if (
                    media.kind == down.track.kind
                    and media.direction == "recvonly"
                    and not media.rejected
                    and media.mid not in self._slots
                    and media.mid not in self._released
                ):
                    self._slots[media.mid] = down.track.sid
                    down.mid = media.mid
                    break

    def on_active(self) -> None:
        """Ask for what was not asked for while the client was connecting."""
        if self._participant.single_peer_connection and any(not down.bound for down in self.active.values()):
            self._stop_negotiation_timer()
            self._negotiation_timer = self._loop.call_later(NEGOTIATION_DELAY, self._ask_after_join)

    def _ask_after_join(self) -> None:
        self._negotiation_timer = None
        if any(not down.bound for down in self.active.values()):
            self.negotiate()

    def _stop_negotiation_timer(self) -> None:
        if self._negotiation_timer is not None:
            self._negotiation_timer.cancel()
            self._negotiation_timer = None

    def _require_sections(self) -> None:
        """Ask the client for an offer, with more sections where some tracks have none."""
        if not self._participant.connected:
            # A client that joins may be about to offer sections for what it was told of; asking now would double them.
            return
        missing = {"audio": 0, "video": 0}
        for down in self.active.values():
            if down.track.sid not in self._slots.values():
                missing[down.track.kind] += 1
        more = {kind: max(0, missing[kind] - self._requested[kind]) for kind in missing}
        for kind, count in more.items():
            self._requested[kind] += count
        if self._participant.publishing.offer is not None:
            self._participant.send(
                rtc.SignalResponse(
                    media_sections_requirement=rtc.MediaSectionsRequirement(
                        num_audios=more["audio"], num_videos=more["video"]
                    )
                )
            )

    @property
    def released(self) -> set[str]:
        """The mids of sections that are to be seen without a track once."""
        return self._released

    def outgoing_for(self, offer: Session) -> dict[str, Outgoing]:
        """Return, by mid, what is sent in the sections of a client's offer."""
        usable = {m.mid for m in offer.media if m.direction == "recvonly" and not m.rejected}
        for mid in [mid for mid in self._slots if mid not in usable]:
            del self._slots[mid]
        self._place_in_slots()
        self._requested = {"audio": 0, "video": 0}
        self._dirty = False
        return {mid: self.active[sid].outgoing for mid, sid in self._slots.items() if sid in self.active}

    def answered(self, sections: list[AnswerSection]) -> None:
        """Take note that the client was answered with these sections."""
        self._released.clear()
        for section in sections:
            if section.outgoing is None:
                continue
            down = self.active.get(section.outgoing.track_id)
            if down is None or (down.bound and down.mid == section.mid):
                continue
            down.mid = section.mid
            if section.rejected or not down.bind(section.codecs, section.extensions):
                self._unsupported(down)
            else:
                self._participant.room.on_subscribed(self._participant, down)
        waiting = [d for d in self.active.values() if d.track.sid not in self._slots.values()]
        if waiting:
            self.negotiate()

    def close(self) -> None:
        """End everything."""
        self._closed = True
        self._stop_answer_timer()
        self._stop_negotiation_timer()
        for timer in self._wish_timers.values():
            timer.cancel()
        self._wish_timers.clear()
        for down in list(self.active.values()):
            if down in down.track.down:
                down.track.down.remove(down)
            self._participant.room.on_quality_wish(down.track)
        self.active.clear()
