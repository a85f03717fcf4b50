"""A track on its way to one subscriber."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from livekit.protocol import rtc

from aiolivekit.core.packet_trailer import trailer_size
from aiolivekit.server.codecs import SEND_EXTENSIONS, map_codecs
from aiolivekit.server.layers import TrackSettings
from aiolivekit.server.negotiation import Outgoing
from aiolivekit.server.rtp.packet import Header
from aiolivekit.server.rtp.receiver import RtpReceiver
from aiolivekit.server.rtp.sender import RtpSender
from aiolivekit.server.sdp import Codec
from aiolivekit.server.transport import PeerTransport

if TYPE_CHECKING:
    from aiolivekit.server.participant import Participant
    from aiolivekit.server.tracks import PublishedTrack

__all__ = ["DownTrack", "send_stream_states"]


class DownTrack:
    """One track to one subscriber.

    Args:
        track: What is sent.
        transport: The subscriber's transport.
        settings: What the subscriber asked for.
        knows_trailers: Whether the subscriber can take what travels beside pictures off them.
    """

    def __init__(
        self, track: PublishedTrack, transport: PeerTransport, settings: TrackSettings, *, knows_trailers: bool = True
    ) -> None:
        self.track = track
        self._takes_off_trailers = bool(track.info.packet_trailer_features) and not knows_trailers
        self.settings = settings
        self.transport = transport
        self.ssrc = secrets.randbits(31) | 1
        self.mid = ""
        self.bound = False
        self.started = False
        self.starved = False
        self.fraction_lost = 0.0
        clock_rate = track.codecs[0].clock_rate if track.codecs else 90000
        self.sender = RtpSender(self.ssrc, clock_rate, video=track.kind == "video", mappings={}, extension_ids={})

    @property
    def outgoing(self) -> Outgoing:
        """How session descriptions name it."""
        track = self.track
        return Outgoing(self.ssrc, f"{track.publisher.sid}|{track.sid}", track.sid, stereo=track.info.stereo)

    @property
    def paused(self) -> bool:
        """Whether nothing is sent at present."""
        return not self.bound or self.settings.disabled or self.track.muted or self.starved

    def starve(self, starved: bool) -> bool:
        """Pause for want of bandwidth, or go on; returns whether that is news.

        That it goes on is told when the next packet does, as at the beginning.
        """
        if self.starved is starved:
            return False
        self.starved = starved
        self.started = False
        self.track.steer(self)
        return True

    def bind(self, codecs: list[Codec], extension_ids: dict[str, int]) -> bool:
        """Begin to send with what was negotiated; returns whether the subscriber can take any of the track's codecs.

        Args:
            codecs: Of the section, with the subscriber's payload types.
            extension_ids: Of the section, by URI.
        """
        mappings = map_codecs(self.track.codecs, codecs)
        if not mappings:
            return False
        ids = {
            number: extension_ids[uri]
            for uri, number in self.track.extension_ids.items()
            if uri in extension_ids and uri in SEND_EXTENSIONS[self.track.kind]
        }
        self.sender.renegotiate(mappings, ids)
        self.bound = True
        self.track.steer(self)
        return True

    def forward(self, receiver: RtpReceiver, extended: int, header: Header, data: bytes, arrival: float) -> None:
        """Send a packet of the track, if it is one for this subscriber."""
        sender = self.sender
        if receiver is not sender.current and receiver is not sender.target:
            return
        if self._takes_off_trailers and header.marker:
            size = trailer_size(data[header.payload_start : header.payload_end])
            header = header._replace(payload_end=header.payload_end - size)
        packet = sender.write(receiver, extended, header, data, arrival)
        if packet is None:
            return
        protected = self.transport.protect(packet)
        if protected is not None:
            sender.remember(packet, protected)
            self.transport.send_protected(protected)
            if not self.started:
                self.started = True
                self.track.publisher.room.on_stream_started(self)

    def resend(self, sequences: tuple[int, ...]) -> None:
        """Send again what the subscriber says is missing."""
        for protected in self.sender.lookup(sequences, time.monotonic()):
            self.transport.send_protected(protected)

    def key_frame_wanted(self) -> None:
        """Pass the subscriber's wish for a key frame on."""
        if self.sender.target is not None:
            self.sender.target.request_key_frame()


def send_stream_states(subscriber: Participant, tracks: Iterable[DownTrack], state: rtc.StreamState) -> None:
    """Tell a subscriber that tracks are sent to it, or paused."""
    states = [
        rtc.StreamStateInfo(participant_sid=down.track.publisher.sid, track_sid=down.track.sid, state=state)
        for down in tracks
    ]
    subscriber.send(rtc.SignalResponse(stream_state_update=rtc.StreamStateUpdate(stream_states=states)))
