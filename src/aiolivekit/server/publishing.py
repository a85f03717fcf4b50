"""What one participant publishes: announced tracks, its offers and our answers."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from aiolivekit.server.negotiation import AnswerSection, PublishWish, answer_sections, remote_parameters, render_answer
from aiolivekit.server.sdp import Media, SdpError, Session, parse_sdp
from aiolivekit.server.tracks import PublishedTrack, new_track_info
from aiolivekit.server.uplink import Uplink

if TYPE_CHECKING:
    from aiolivekit.server.participant import Participant

__all__ = ["Publishing"]

MAX_QUEUED = 3
"""Tracks that may be announced under one cid before the first is sent."""


def _sent_tracks(offer: Session | None) -> set[str]:
    """The ids of the tracks that an offer sends."""
    media = offer.media if offer is not None else ()
    return {m.track_id for m in media if m.track_id and m.direction in ("sendonly", "sendrecv")}


class Publishing:
    """The published tracks of one participant."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant
        self.tracks: dict[str, PublishedTrack] = {}
        self.offer: Session | None = None
        self._sent_before: set[str] = set()
        self.uplink = Uplink(participant.publisher)
        self._pending: dict[str, list[models.TrackInfo]] = {}
        self._used: set[str] = set()
        self._session_id = secrets.randbits(62)

    # announcing

    def add_track(self, request: rtc.AddTrackRequest) -> None:
        """Take the announcement of a track, or refuse it."""
        participant = self._participant
        reasons = rtc.RequestResponse.Reason
        if not participant.grants.allows_source(request.source):
            self._refuse(request, reasons.NOT_ALLOWED)
            return
        if request.type not in (models.TrackType.AUDIO, models.TrackType.VIDEO):
            self._refuse(request, reasons.UNSUPPORTED_TYPE)
            return
        if request.sid:
            # A further codec of a published track: known by its cid, otherwise forwarded like the first.
            track = self.tracks.get(request.sid)
            if track is None:
                self._refuse(request, reasons.NOT_FOUND)
            else:
                self._announce(request.cid, track.info)
            return
        if len(self._pending) >= participant.options.limits.pending_tracks:
            self._refuse(request, reasons.LIMIT_EXCEEDED, "too many pending tracks, rejecting new track")
            return
        info = new_track_info(request)
        queue = self._pending.get(request.cid)
        if queue or any(track.cid == request.cid for track in self.tracks.values()):
            if queue is not None and len(queue) >= MAX_QUEUED:
                self._refuse(request, reasons.LIMIT_EXCEEDED, "too many pending queued tracks, rejecting new track")
                return
            self._pending.setdefault(request.cid, []).append(info)
            self._refuse(request, reasons.QUEUED)
            return
        self._pending[request.cid] = [info]
        self._announce(request.cid, info)

    def _announce(self, cid: str, info: models.TrackInfo) -> None:
        self._participant.send(rtc.SignalResponse(track_published=rtc.TrackPublishedResponse(cid=cid, track=info)))

    def _refuse(self, request: rtc.AddTrackRequest, reason: rtc.RequestResponse.Reason, message: str = "") -> None:
        self._participant.send_request_response(rtc.RequestResponse(reason=reason, message=message, add_track=request))

    def info_of(self, sid: str) -> models.TrackInfo | None:
        """Return the description of a published or announced track."""
        track = self.tracks.get(sid)
        if track is not None:
            return track.info
        return next((info for queue in self._pending.values() for info in queue if info.sid == sid), None)

    # negotiating

    def handle_offer(self, description: rtc.SessionDescription) -> None:
        """Answer a client's offer."""
        participant = self._participant
        transport = participant.publisher
        try:
            offer = parse_sdp(description.sdp)
            remote = remote_parameters(offer)
        except SdpError:
            participant.malformed += 1
            return
        first = transport.remote is None
        restart = transport.remote is not None and transport.remote.ufrag != remote.ufrag
        self._sent_before = _sent_tracks(self.offer)
        self.offer = offer
        if restart:
            transport.ice.restart()
        wishes = {m.mid: self._wish(info) for m in offer.media if (info := self._announced(m)) is not None}
        outgoing = participant.subscriptions.outgoing_for(offer) if participant.single_peer_connection else {}
        sections = answer_sections(offer, wishes, outgoing, self._used | participant.subscriptions.released)
        self._used |= {s.mid for s in sections if s.wish is not None or s.outgoing is not None}
        client = remote.setup != "active"
        local = participant.local_transport(
            transport, "active" if client else "passive", with_candidates=not first and not restart
        )
        participant.send(
            rtc.SignalResponse(
                answer=rtc.SessionDescription(
                    type="answer",
                    sdp=render_answer(self._session_id, offer, sections, local),
                    id=description.id,
                    mid_to_track_id={s.mid: s.outgoing.track_id for s in sections if s.outgoing is not None},
                )
            )
        )
        if first or restart:
            participant.send_candidates(transport, rtc.SignalTarget.PUBLISHER)
        transport.set_remote(remote, client=client)
        self._apply(offer, sections)
        if participant.single_peer_connection:
            participant.subscriptions.answered(sections)

    def _announced(self, media: Media) -> models.TrackInfo | None:
        if media.kind not in ("audio", "video") or media.direction not in ("sendonly", "sendrecv"):
            return None
        track = next((t for t in self.tracks.values() if t.mid == media.mid), None)
        if track is not None and track.cid in (media.track_id, media.stream_id):
            return track.info
        cid = self._cid(media)
        return self._pending[cid][0] if cid is not None else None

    def _cid(self, media: Media) -> str | None:
        """Return the cid of the announced track that a section sends."""
        kind = models.TrackType.VIDEO if media.kind == "video" else models.TrackType.AUDIO
        for name in (media.track_id, media.stream_id):
            if name in self._pending and self._pending[name][0].type == kind:
                return name
        # Some browsers change the track's id; then the only announced one of the kind is meant. But not by a section
        # that sends what it sent before: a client may go on sending a track that was ended from here.
        if media.track_id in self._sent_before:
            return None
        others = _sent_tracks(self.offer)
        rest = [cid for cid, queue in self._pending.items() if queue[0].type == kind and cid not in others]
        known = any(name == t.cid for t in self.tracks.values() for name in (media.track_id, media.stream_id))
        return rest[0] if rest and not known else None

    @staticmethod
    def _wish(info: models.TrackInfo) -> PublishWish:
        encrypted = info.encryption != models.Encryption.Type.NONE
        return PublishWish(
            mime=info.codecs[0].mime_type if info.codecs else "",
            red=not info.disable_red and not encrypted,
            dtx=models.AudioTrackFeature.TF_NO_DTX not in info.audio_features,
            stereo=models.AudioTrackFeature.TF_STEREO in info.audio_features,
        )

    def _apply(self, offer: Session, sections: list[AnswerSection]) -> None:
        published: list[PublishedTrack] = []
        for media, section in zip(offer.media, sections, strict=True):
            current = next((t for t in self.tracks.values() if t.mid == section.mid), None)
            sending = section.direction == "recvonly" and not section.rejected
            if current is not None and sending and current.cid in (media.track_id, media.stream_id):
                continue
            if current is not None and sending and self._cid(media) is None:
                continue
            if current is not None:
                self.unpublish(current)
            if not sending:
                continue
            self.uplink.set_extensions(section.extensions)
            cid = self._cid(media)
            if cid is None:
                continue
            info = self._pending[cid].pop(0)
            if not self._pending[cid]:
                del self._pending[cid]
            if len(info.layers) == 1 and media.ssrcs:
                for layers in (info.layers, *(codec.layers for codec in info.codecs[:1])):
                    for layer in layers:
                        layer.ssrc = media.ssrcs[0]
            track = PublishedTrack(
                self._participant, info, cid, section.mid, section.codecs, section.rids, section.extensions
            )
            self.tracks[track.sid] = track
            self.uplink.add_track(track, media.ssrcs)
            published.append(track)
        for track in published:
            self._participant.room.on_track_published(track)

    def unpublish(self, track: PublishedTrack) -> None:
        """End a track."""
        if self.tracks.pop(track.sid, None) is None:
            return
        self.uplink.remove_track(track)
        self._participant.room.on_track_unpublished(track)
        queue = self._pending.get(track.cid)
        if queue:
            self._announce(track.cid, queue[0])

    # changing

    def set_muted(self, sid: str, *, muted: bool) -> models.TrackInfo | None:
        """Mute or unmute a track; `None` when there is none of that sid."""
        info = self.info_of(sid)
        if info is None:
            return None
        changed = info.muted != muted
        info.muted = muted
        track = self.tracks.get(sid)
        if track is not None and changed:
            for down in track.down:
                track.steer(down)
            self.uplink.kick()
            self._participant.room.on_track_updated(track)
        return info

    def update_audio(self, update: rtc.UpdateLocalAudioTrack) -> bool:
        """Take new features of an audio track; false when there is none of that sid."""
        info = self.info_of(update.track_sid)
        if info is None:
            return False
        info.audio_features[:] = dict.fromkeys(update.features)
        info.stereo = models.AudioTrackFeature.TF_STEREO in update.features
        info.disable_dtx = models.AudioTrackFeature.TF_NO_DTX in update.features
        self._updated(update.track_sid)
        return True

    def update_video(self, update: rtc.UpdateLocalVideoTrack) -> bool:
        """Take new dimensions of a video track; false when there is none of that sid."""
        info = self.info_of(update.track_sid)
        if info is None:
            return False
        info.width, info.height = update.width, update.height
        self._updated(update.track_sid)
        return True

    def _updated(self, sid: str) -> None:
        track = self.tracks.get(sid)
        if track is not None:
            self._participant.room.on_track_updated(track)

    def close(self) -> None:
        """End everything, quietly."""
        self.uplink.close()
        self._pending.clear()
