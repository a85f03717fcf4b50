"""The peer connections of a session: what is offered, answered and received in them.

Either one connection serves both directions (`subscriber` is `None`), or the publisher carries what we send, by our
offers, and the subscriber what the server sends, by its offers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from livekit.protocol import models, rtc

from .._tasks import SerialRunner, TaskScope
from ..core import sdp as sdp_edits
from ..core.encodings import Encoding, start_bitrate
from ..core.flight import SILENT, FlightTap
from ..enums import DisconnectReason, IceTransportType
from ..errors import ClosedError, NegotiationError
from ..options import RtcConfiguration, TrackPublishOptions
from ..peer.channel import ChannelState, DataChannel
from ..peer.connection import IceServerInit, PeerConnection, PeerState
from ..peer.tracks import LocalSender, OutgoingTrack
from .channels import SessionChannels
from .events import SessionClosed, SessionEvent
from .incoming import IncomingTracks
from .negotiator import Negotiator
from .stats import SessionStats, sign_of_life

__all__ = ["SessionPeers"]

_logger = logging.getLogger("aiolivekit.session")

_MAX_SECTIONS = 256
"""More sections than any server asks for at once; a larger number is a mistake or an attack."""
_RESUME = rtc.LeaveRequest.Action.RESUME
_RESTART = rtc.LeaveRequest.Action.RECONNECT


_LOOK = 0.03
"""Seconds between two looks at stats."""


class SessionPeers:
    """The peer connections of one session (a `PeerSink`).

    Args:
        scope: Owns the tasks that negotiate.
        channels: The data channels, made on the publisher.
        config: The user's ICE settings.
        emit: Takes the events of remote tracks.
        post: Sends a signalling message in order.
        on_connected: Told when a peer connection has come up.
        on_lost: Told when one has failed, or cannot be negotiated any more.
        on_interrupted: Told when nothing is heard on one for some seconds, which may heal.
        flight: Where it is written down what happens.
        sealed: Whether media are neither sent nor received in the clear.
    """

    def __init__(
        self,
        scope: TaskScope,
        channels: SessionChannels,
        config: RtcConfiguration,
        *,
        emit: Callable[[SessionEvent], None],
        post: Callable[[rtc.SignalRequest], None],
        on_connected: Callable[[], None],
        on_lost: Callable[[SessionClosed], None],
        on_interrupted: Callable[[], None],
        flight: FlightTap = SILENT,
        sealed: bool = False,
    ) -> None:
        self._scope = scope
        self._sealed = sealed
        self._flight = flight
        self._channels = channels
        self._config = config
        self._post = post
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._on_interrupted = on_interrupted
        self._incoming = IncomingTracks(emit)
        self._links = 0
        self._publisher: PeerConnection | None = None
        self._subscriber: PeerConnection | None = None
        self._negotiator: Negotiator | None = None
        self._subscriber_work: SerialRunner | None = None
        self._publisher_wanted = False
        self._start_bitrates: dict[LocalSender, int] = {}
        # Of our tracks by cid, and of the sections we receive in by mid.
        self._stereo_tracks: set[str] = set()
        self._stereo_offered: set[str] = set()

    # -- beginning and end --

    async def prepare_single(self) -> str:
        """Make the one peer connection and return its first offer, which travels inside the join request."""
        return await self._new_publisher().create_offer()

    def forget_single(self) -> None:
        """Let go of what `prepare_single` made: the server is an older one and wants two peer connections."""
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None
        self._channels.forget()

    def set_up(self, join: rtc.JoinResponse, offer: str | None, *, auto_subscribe: bool) -> None:
        """Bring the peer connections up by what the join response says.

        Args:
            join: The server's word.
            offer: The offer that went out inside the join request, with a single peer connection.
            auto_subscribe: Whether the server will send us every track there is.
        """
        servers = self._ice_servers(join.ice_servers)
        relay_only = self._relay_only(join.client_configuration)
        publisher = self._publisher or self._new_publisher()
        publisher.configure(servers, relay_only=relay_only)
        self._negotiator = Negotiator(
            publisher,
            self._scope,
            edit_offer=self._edit_offer,
            edit_answer=self._edit_answer,
            post=self._post,
            on_answer=self._publisher_answered,
            on_failure=self._negotiation_failed,
            fast=join.fast_publish or offer is not None,
            flight=self._flight,
        )
        if offer is not None:
            self._publisher_wanted = True
            self._negotiator.adopt(offer)
            if auto_subscribe:
                self._receive_what_is_there(publisher, join)
            return
        subscriber = PeerConnection("subscriber", self, self._flight, sealed=self._sealed)
        subscriber.configure(servers, relay_only=relay_only)
        self._subscriber = subscriber
        self._subscriber_work = SerialRunner(self._scope, "subscriber", self._subscriber_failed)
        self._publisher_wanted = not join.subscriber_primary
        if join.fast_publish or not join.subscriber_primary:
            self._negotiator.request()

    def _receive_what_is_there(self, publisher: PeerConnection, join: rtc.JoinResponse) -> None:
        """Offer a section for each track that others publish already, before the server asks for them.

        The first offer has none: a room that only carries data should not pay for media it does not receive. But
        the server takes its time to ask, so what the join response shows is offered right behind the first answer.
        """
        kinds = [track.type for participant in join.other_participants for track in participant.tracks]
        requirement = rtc.MediaSectionsRequirement(
            num_audios=kinds.count(models.TrackType.AUDIO), num_videos=kinds.count(models.TrackType.VIDEO)
        )
        if requirement.num_audios or requirement.num_videos:
            self.require_sections(requirement)

    # -- losses --

    def suspend(self) -> None:
        """The signalling link is lost: negotiate nothing until `resume`."""
        self._links += 1
        if self._negotiator is not None:
            self._negotiator.suspend()

    @property
    def publisher_used(self) -> bool:
        """Whether there is a media path of the publisher's, or has been one."""
        return self._publisher is not None and self._publisher.state not in ("new", "connecting")

    @property
    def publisher_stands(self) -> bool:
        """Whether there is a media path of the publisher's, as far as libwebrtc knows."""
        return self._publisher is not None and self._publisher.state == "connected"

    async def publisher_sign(self) -> tuple[float, int]:
        """Return what grows as long as the server is heard on the publisher."""
        return sign_of_life(await self._publisher.get_stats() if self._publisher is not None else [])

    async def publisher_alive(self, timeout: float) -> bool:
        """Return whether the server is heard on the publisher, now and not just lately."""
        publisher = self._publisher
        if publisher is None or publisher.state != "connected":
            return False
        before = sign_of_life(await publisher.get_stats())
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while publisher.state == "connected":
                    await asyncio.sleep(_LOOK)
                    if sign_of_life(await publisher.get_stats()) > before:
                        return True
        return False

    def resume(self, response: rtc.ReconnectResponse, *, ice_restart: bool) -> int | None:
        """Go on over a new signalling link; return the ticket to wait for.

        Args:
            response: What the server says now about ICE.
            ice_restart: Whether what we offer gets an ICE restart; the subscriber's is the server's to offer.
        """
        servers = self._ice_servers(response.ice_servers)
        for peer in (self._publisher, self._subscriber):
            if peer is not None and (servers or response.HasField("client_configuration")):
                peer.configure(servers, relay_only=self._relay_only(response.client_configuration))
        if self._negotiator is None or self._publisher is None:
            return None
        ticket = self._negotiator.resume(ice_restart=ice_restart and self._publisher.state != "new")
        if self.single and not ice_restart:
            # What the server asked for sections on the old link may be lost, and it does not ask twice: only its
            # answer to another offer says what is missing. Nobody waits for that.
            self.negotiation_needed()
        return ticket or None

    def _relay_only(self, server: models.ClientConfiguration) -> bool:
        mine = self._config.ice_transport_type is IceTransportType.TRANSPORT_RELAY
        return mine or server.force_relay == models.ClientConfigSetting.ENABLED

    def descriptions(self) -> tuple[rtc.SessionDescription | None, rtc.SessionDescription | None]:
        """Return offer and answer as `SyncState` wants them: those of the connection we receive on."""
        if self._subscriber is not None:
            return _described(self._subscriber.remote_description), _described(self._subscriber.local_description)
        if self._publisher is not None:
            return _described(self._publisher.local_description), _described(self._publisher.remote_description)
        return None, None

    def _new_publisher(self) -> PeerConnection:
        publisher = PeerConnection("publisher", self, self._flight, sealed=self._sealed)
        self._publisher = publisher
        self._channels.create(publisher)
        return publisher

    def _ice_servers(self, offered: Sequence[rtc.ICEServer]) -> list[IceServerInit]:
        own = self._config.ice_servers
        if own:
            return [(server.urls, server.username, server.password) for server in own]
        return [(list(server.urls), server.username, server.credential) for server in offered]

    def stop_negotiating(self, error: NegotiationError) -> None:
        """Negotiate no more; those who wait for an answer get `error`."""
        if self._negotiator is not None:
            self._negotiator.close(error)

    def close(self) -> None:
        """Close the peer connections."""
        for peer in (self._publisher, self._subscriber):
            if peer is not None:
                peer.close()

    # -- state --

    @property
    def single(self) -> bool:
        """Whether one peer connection serves both directions."""
        return self._subscriber is None

    @property
    def connected(self) -> bool:
        """Whether every peer connection that is needed is up."""
        needed: list[PeerConnection | None] = [] if self._subscriber is None else [self._subscriber]
        if self._publisher_wanted or self._subscriber is None:
            needed.append(self._publisher)
        return all(peer is not None and peer.state == "connected" for peer in needed)

    @property
    def failed(self) -> bool:
        """Whether a peer connection has failed for good; `disconnected` may heal."""
        return any(
            peer is not None and peer.state in ("failed", "closed") for peer in (self._publisher, self._subscriber)
        )

    async def get_stats(self) -> SessionStats:
        """Return the stats of the peer connections."""
        publisher, subscriber = self._publisher, self._subscriber
        return SessionStats(
            await publisher.get_stats() if publisher is not None else [],
            await subscriber.get_stats() if subscriber is not None else [],
        )

    # -- what we send --

    def want_publisher(self) -> None:
        """Bring up the publisher, which with two peer connections waits for the first thing to send."""
        if not self._publisher_wanted and self._negotiator is not None:
            self._publisher_wanted = True
            if self._publisher is not None and self._publisher.state == "new":
                self._negotiator.request()

    def create_sender(
        self, track: OutgoingTrack, options: TrackPublishOptions, encodings: Sequence[Encoding], *, stereo: bool
    ) -> LocalSender:
        """Add the section in which a track is sent; the next answer puts it into force.

        Raises:
            MediaError: If libwebrtc cannot send it so.
        """
        assert self._publisher is not None
        codec = None
        if track.kind == "video":
            codec = options.video_codec.name if options.video_codec is not None else "VP8"
        sender = self._publisher.send(track, encodings, codec=codec)
        if stereo:
            self._stereo_tracks.add(track.cid)
        if codec in ("VP8", "H264") and not any(encoding.scalability_mode for encoding in encodings):
            start = start_bitrate(encodings)
            if start is not None:
                self._start_bitrates[sender] = start
        self._publisher_wanted = True
        return sender

    def remove_track(self, sender: LocalSender) -> None:
        """Stop sending; a sender of another session is ignored."""
        self._start_bitrates.pop(sender, None)
        self._stereo_tracks.discard(sender.cid)
        if self._publisher is not None:
            self._publisher.remove(sender)

    def negotiation_needed(self) -> int:
        """Ask for an offer; return the ticket `negotiated` takes.

        Raises:
            ClosedError: Before the session has joined.
        """
        if self._negotiator is None:
            raise ClosedError("the session has not joined")
        self._publisher_wanted = True
        return self._negotiator.request()

    async def negotiated(self, ticket: int) -> None:
        """Wait until the answer that covers a ticket has been applied.

        Raises:
            NegotiationError: If negotiation ends first.
        """
        assert self._negotiator is not None
        await self._negotiator.wait(ticket)

    def _edit_offer(self, sdp: str) -> str:
        stereo = self._stereo_offered
        if self._stereo_tracks:
            mids = sdp_edits.mids_by_track(sdp)
            stereo = stereo | {mids[cid] for cid in self._stereo_tracks if cid in mids}
        if stereo:
            sdp = sdp_edits.allow_stereo(sdp, stereo)
        return sdp_edits.inactive_to_recvonly(sdp) if self.single else sdp

    def _edit_answer(self, sdp: str) -> str:
        # libwebrtc takes the parameters of what it sends from the other side's description.
        bitrates = {sender.mid: bits for sender, bits in self._start_bitrates.items() if sender.mid is not None}
        return sdp_edits.start_bitrate(sdp, bitrates)

    def _publisher_answered(self, answer: rtc.SessionDescription) -> None:
        assert self._publisher is not None
        self._channels.set_max_message_size(sdp_edits.max_message_size(answer.sdp))
        if self.single:
            self._incoming.update(self._publisher, answer.sdp, answer.mid_to_track_id)
            stereo = sdp_edits.sends_stereo(answer.sdp) & self._incoming.mids
            if not stereo <= self._stereo_offered:
                # What the server sends there is stereo; we hear it so once our own offer says we can.
                self._stereo_offered |= stereo
                self.negotiation_needed()

    # -- what the server says --

    def on_answer(self, answer: rtc.SessionDescription) -> None:
        """Apply the server's answer to our offer."""
        if self._negotiator is not None:
            self._negotiator.on_answer(answer)

    def on_offer(self, offer: rtc.SessionDescription) -> None:
        """Answer the server's offer for the subscriber."""
        subscriber, work = self._subscriber, self._subscriber_work
        if subscriber is None or work is None:
            _logger.warning("the server offers though there is one peer connection; ignored")
            return

        link = self._links

        async def answer() -> None:
            await subscriber.set_offer(offer.sdp)
            sdp = await subscriber.create_answer()
            stereo = sdp_edits.sends_stereo(offer.sdp)
            if stereo:
                sdp = sdp_edits.allow_stereo(sdp, stereo)
            await subscriber.set_local_answer(sdp)
            self._flight.note("peers", "offer answered", peer="subscriber", id=offer.id, sections=sdp.count("\nm="))
            if self._links == link:
                # Over the next link the server makes its offer anew, and takes an answer to this one for an error.
                self._post(rtc.SignalRequest(answer=rtc.SessionDescription(type="answer", sdp=sdp, id=offer.id)))
            rejected = sdp_edits.rejected_mids(sdp)
            self._incoming.update(subscriber, offer.sdp, offer.mid_to_track_id, rejected)

        work.submit(answer)

    def on_trickle(self, trickle: rtc.TrickleRequest) -> None:
        """Add a candidate of the server."""
        candidate = trickle.candidateInit
        if not candidate:
            return
        if trickle.target == rtc.SignalTarget.PUBLISHER or self._subscriber is None:
            if self._negotiator is not None:
                self._negotiator.add_candidate(candidate)
        elif self._subscriber_work is not None:
            subscriber = self._subscriber
            self._subscriber_work.start(lambda: subscriber.add_remote_candidate(candidate))

    def require_sections(self, requirement: rtc.MediaSectionsRequirement) -> None:
        """Offer more sections to receive in; with none asked for, the server still wants a new offer."""
        if self._publisher is None or not self.single:
            return
        for _ in range(min(requirement.num_audios, _MAX_SECTIONS)):
            self._publisher.receive("audio")
        for _ in range(min(requirement.num_videos, _MAX_SECTIONS)):
            self._publisher.receive("video")
        self.negotiation_needed()

    # -- PeerSink --

    def on_local_candidate(self, peer: PeerConnection, candidate: str) -> None:
        """Tell the server a candidate of ours."""
        target = rtc.SignalTarget.SUBSCRIBER if peer is self._subscriber else rtc.SignalTarget.PUBLISHER
        trickle = rtc.TrickleRequest(candidateInit=candidate, target=target)
        self._post(rtc.SignalRequest(trickle=trickle))

    def on_peer_state(self, peer: PeerConnection, state: PeerState) -> None:
        """Pass on what matters (`disconnected` may heal: it is a reason to ask whether the server is there)."""
        if peer is self._publisher and state in ("connected", "disconnected", "failed"):
            self._channels.set_path(up=state == "connected")
        if state == "connected":
            self._on_connected()
        elif state == "disconnected":
            self._on_interrupted()
        elif state == "failed":
            source: Literal["publisher", "subscriber"] = "subscriber" if peer is self._subscriber else "publisher"
            detail = f"the {source}'s media path failed"
            self._on_lost(SessionClosed(source, DisconnectReason.CONNECTION_TIMEOUT, _RESUME, detail=detail))

    def on_remote_channel(self, peer: PeerConnection, channel: DataChannel) -> None:
        """Receive on a channel the server made."""
        self._channels.add_remote(channel)

    def on_channel_message(self, channel: DataChannel, data: bytes) -> None:
        """Hand a message to the channels."""
        self._channels.on_channel_message(channel, data)

    def on_channel_state(self, channel: DataChannel, state: ChannelState) -> None:
        """Hand a state to the channels."""
        self._flight.note("peers", "channel", channel=channel.label.lstrip("_"), state=state)
        self._channels.on_channel_state(channel, state)

    def on_channel_low(self, channel: DataChannel) -> None:
        """Hand a low buffer to the channels."""
        skipped = self._flight.due("low", channel.label)
        if skipped is not None:
            buffered, label = channel.buffered_amount, channel.label.lstrip("_")
            self._flight.note("peers", "buffer low", channel=label, buffered=buffered, skipped=skipped or None)
        self._channels.on_channel_low(channel)

    # -- failures --

    def _negotiation_failed(self, error: NegotiationError) -> None:
        self._on_lost(SessionClosed("negotiation", DisconnectReason.UNKNOWN_REASON, _RESTART, detail=str(error)))

    def _subscriber_failed(self, _name: str, error: BaseException) -> None:
        _logger.warning("the subscriber could not follow the server: %s", error)
        self._on_lost(SessionClosed("negotiation", DisconnectReason.UNKNOWN_REASON, _RESTART, detail=str(error)))


def _described(description: tuple[str, str] | None) -> rtc.SessionDescription | None:
    return None if description is None else rtc.SessionDescription(type=description[0], sdp=description[1])
