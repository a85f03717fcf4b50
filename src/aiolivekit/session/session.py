"""One join of a room: a signalling link, its peer connections and its data channels.

A session is made by `connect`, lives through resumes, and is thrown away on restart. It never decides to reconnect:
it says what it lost (`SessionClosed`) and goes on with what is left until its owner closes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from livekit.protocol import models, rtc

from .._tasks import SerialRunner, TaskScope, finish_despite_cancel
from ..core import sdp as sdp_edits
from ..core.encodings import Encoding
from ..core.reliable import ReceiveState, SendSequence
from ..enums import DataPacketKind, DisconnectReason, IceTransportType
from ..errors import (
    ClosedError,
    ConnectError,
    NegotiationError,
    ProtocolError,
    ServerLeaveError,
    SignalClosedError,
    TransportError,
)
from ..options import EngineOptions, TrackPublishOptions
from ..peer.channel import ChannelState, DataChannel
from ..peer.connection import IceServerInit, PeerConnection, PeerState
from ..peer.tracks import LocalSender, OutgoingTrack
from ..signalling.client import SignalClient, SignalClosed
from .channels import SessionChannels
from .events import SessionClosed, SessionEvent
from .incoming import IncomingTracks
from .negotiator import Negotiator
from .requests import PendingRequests
from .signals import SignalDispatcher

__all__ = ["RtcSession", "SessionContext", "SessionStats"]

_logger = logging.getLogger("aiolivekit.session")

_PREALLOCATED_SECTIONS = 3
"""Audio and video sections a single peer connection offers to receive in before it knows what there is."""
_LEAVE = rtc.LeaveRequest.Action.DISCONNECT
_RESUME = rtc.LeaveRequest.Action.RESUME


@dataclass(slots=True)
class SessionStats:
    """W3C stats of both peer connections; with a single one `subscriber` is empty."""

    publisher: list[dict[str, Any]] = field(default_factory=list)
    subscriber: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class SessionContext:
    """What outlives a session and is handed to the next one.

    Args:
        emit: Takes the session's events, in order.
        sequence: Numbers of our reliable packets.
        received: Which reliable packets of others were seen.
    """

    emit: Callable[[SessionEvent], None]
    sequence: SendSequence = field(default_factory=SendSequence)
    received: ReceiveState = field(default_factory=ReceiveState)


class RtcSession:
    """One join of a room; made by `connect`."""

    def __init__(self, options: EngineOptions, context: SessionContext) -> None:
        self._options = options
        self._context = context
        self._scope = TaskScope(self._task_failed)
        self._requests = PendingRequests()
        self._channels = SessionChannels(
            options.buffered_amount_high, self.emit, self._channel_lost, context.sequence, context.received
        )
        self._signal: SignalClient | None = None
        self._publisher: PeerConnection | None = None
        self._subscriber: PeerConnection | None = None
        self._negotiator: Negotiator | None = None
        self._subscriber_work: SerialRunner | None = None
        self._incoming = IncomingTracks(self.emit)
        self._connected: asyncio.Future[None] | None = None
        self._publisher_wanted = False
        self._lost = False
        self._late_loss: asyncio.TimerHandle | None = None
        self._closed: Exception | None = None
        self._final_stats: SessionStats | None = None
        self._start_bitrates: dict[LocalSender, int] = {}
        self._stereo_tracks: set[LocalSender] = set()
        self._stereo_offered: set[str] = set()
        self._dispatcher = SignalDispatcher(self)

    # -- joining ------------------------------------------------------------------------------------

    @classmethod
    async def connect(
        cls, url: str, token: str, options: EngineOptions, context: SessionContext
    ) -> tuple[RtcSession, rtc.JoinResponse]:
        """Join a room and bring up the peer connections it needs.

        Raises:
            ConnectError: One of its kinds, by cause. Nothing is left behind then, nor when the call is cancelled.
        """
        session = cls(options, context)
        try:
            join = await session._join(url, token)
            await session._wait_connected()
        except BaseException:
            await finish_despite_cancel(session.aclose(DisconnectReason.JOIN_FAILURE))
            raise
        return session, join

    async def _join(self, url: str, token: str) -> rtc.JoinResponse:
        offer = None
        if self._options.signal.single_peer_connection:
            offer = await self._prepare_single()
        description = rtc.SessionDescription(type="offer", sdp=offer, id=1) if offer is not None else None
        signal = await SignalClient.connect(
            url, token, self._options.signal, self._dispatcher, publisher_offer=description
        )
        self._signal = signal
        join = signal.first
        if not isinstance(join, rtc.JoinResponse):
            raise ProtocolError("the server answered a join with a reconnect")
        if not join.HasField("room") or not join.HasField("participant"):
            raise ProtocolError("the join response names no room or no participant")
        if offer is not None and signal.path == "v0":
            # An older server: two peer connections, and the offer made for one is void.
            assert self._publisher is not None
            self._publisher.close()
            self._publisher = None
            self._channels.forget()
            offer = None
        self._set_up(join, offer)
        signal.start()
        return join

    async def _prepare_single(self) -> str:
        """Make the one peer connection and its first offer, which travels inside the join request."""
        publisher = self._new_publisher()
        for kind in ("audio", "video"):
            for _ in range(_PREALLOCATED_SECTIONS):
                publisher.receive(kind)
        return await publisher.create_offer()

    def _new_publisher(self) -> PeerConnection:
        publisher = PeerConnection("publisher", self)
        self._publisher = publisher
        self._channels.create(publisher)
        return publisher

    def _set_up(self, join: rtc.JoinResponse, offer: str | None) -> None:
        servers = self._ice_servers(join.ice_servers)
        relay_only = (
            self._options.rtc_config.ice_transport_type is IceTransportType.TRANSPORT_RELAY
            or join.client_configuration.force_relay == models.ClientConfigSetting.ENABLED
        )
        publisher = self._publisher or self._new_publisher()
        publisher.configure(servers, relay_only=relay_only)
        self._negotiator = Negotiator(
            publisher,
            self._scope,
            edit=self._edit_offer,
            post=self.post,
            on_answer=self._publisher_answered,
            on_failure=self._negotiation_failed,
            fast=join.fast_publish or offer is not None,
        )
        self._connected = asyncio.get_running_loop().create_future()
        if offer is not None:
            self._publisher_wanted = True
            self._negotiator.adopt(offer)
            return
        subscriber = PeerConnection("subscriber", self)
        subscriber.configure(servers, relay_only=relay_only)
        self._subscriber = subscriber
        self._subscriber_work = SerialRunner(self._scope, "subscriber", self._subscriber_failed)
        if join.fast_publish or not join.subscriber_primary:
            self._publisher_wanted = not join.subscriber_primary
            self._negotiator.request()

    def _ice_servers(self, offered: Sequence[rtc.ICEServer]) -> list[IceServerInit]:
        own = self._options.rtc_config.ice_servers
        if own:
            return [(server.urls, server.username, server.password) for server in own]
        return [(list(server.urls), server.username, server.credential) for server in offered]

    async def _wait_connected(self) -> None:
        assert self._connected is not None
        self._check_connected()
        limit = self._options.peer_timeout
        try:
            async with asyncio.timeout(limit):
                await self._connected
        except TimeoutError:
            raise TransportError(
                f"no media path to the server could be made within {limit:g} s (ICE or DTLS did not complete)"
            ) from None

    def _check_connected(self) -> None:
        if self._connected is not None and not self._connected.done() and self.connected:
            self._connected.set_result(None)

    # -- what it is ---------------------------------------------------------------------------------

    @property
    def single_peer_connection(self) -> bool:
        """Whether one peer connection serves both directions."""
        return self._subscriber is None

    @property
    def connected(self) -> bool:
        """Whether every peer connection that is needed is up."""
        needed: list[PeerConnection | None] = [self._subscriber] if self._subscriber is not None else []
        if self._publisher_wanted or self._subscriber is None:
            needed.append(self._publisher)
        return all(peer is not None and peer.state == "connected" for peer in needed)

    @property
    def signal(self) -> SignalClient:
        """The signalling link."""
        assert self._signal is not None
        return self._signal

    @property
    def channels(self) -> SessionChannels:
        """The data channels."""
        return self._channels

    @property
    def requests(self) -> PendingRequests:
        """Requests that wait for the server."""
        return self._requests

    def emit(self, event: SessionEvent) -> None:
        """Pass an event up, unless the session is closed."""
        if self._closed is None:
            self._context.emit(event)

    # -- signalling ---------------------------------------------------------------------------------

    def post(self, request: rtc.SignalRequest) -> None:
        """Send a request in order without waiting; after the link is lost it is dropped."""
        if self._signal is not None and self._closed is None:
            self._signal.post(request)

    async def send(self, request: rtc.SignalRequest) -> None:
        """Send a request in order.

        Raises:
            SignalClosedError: If the link is lost.
        """
        if self._closed is not None:
            raise self._closed
        await self.signal.send(request)

    def lose(self, event: SessionClosed) -> None:
        """Say once that the session has lost what it cannot do without."""
        if self._lost or self._closed is not None:
            return
        self._lost = True
        connected = self._connected
        if connected is not None and not connected.done():
            # Still joining: the caller of `connect` hears of it, nobody else.
            connected.set_exception(_connect_error(event))
            connected.exception()
            return
        self.emit(event)

    def _lose_media_path(self, event: SessionClosed) -> None:
        """Say that the media path is lost, unless signalling says within a moment why the server ended it."""
        if self._late_loss is None and self._closed is None:
            self._late_loss = asyncio.get_running_loop().call_later(_LEAVE_GRACE, self.lose, event)

    # -- data ---------------------------------------------------------------------------------------

    async def publish_data(self, packet: models.DataPacket, kind: DataPacketKind) -> None:
        """Hand a data packet to its channel, in the order of the calls.

        Raises:
            PacketTooLargeError: If it is larger than the server takes.
            ClosedError: If the session ends first.
            ChannelClosedError: If the channel ends first.
        """
        self.want_publisher()
        await self._channels.publish(packet, kind)

    def want_publisher(self) -> None:
        """Bring up the publisher, which with two peer connections waits for the first thing to send."""
        if not self._publisher_wanted and self._negotiator is not None:
            self._publisher_wanted = True
            if self._publisher is not None and self._publisher.state == "new":
                self._negotiator.request()

    # -- tracks -------------------------------------------------------------------------------------

    async def add_track(self, request: rtc.AddTrackRequest) -> models.TrackInfo:
        """Announce a track of ours; its section follows with the next offer.

        Raises:
            RequestError: If the server refuses.
            RequestTimeoutError: If it does not answer.
        """
        if self._closed is not None:
            raise self._closed
        answer = self._requests.expect_track(request.cid)
        await self.send(rtc.SignalRequest(add_track=request))
        return await self._requests.wait_for_track(request.cid, answer, self._options.publish_timeout)

    def create_sender(
        self,
        track: OutgoingTrack,
        options: TrackPublishOptions,
        encodings: Sequence[Encoding],
        *,
        stereo: bool,
    ) -> LocalSender:
        """Add the section in which a track is sent; `negotiate` puts it into force.

        Raises:
            MediaError: If libwebrtc cannot send it so.
        """
        if self._closed is not None:
            raise self._closed
        assert self._publisher is not None
        codec = None
        if track.kind == "video":
            codec = options.video_codec.name if options.video_codec is not None else "VP8"
        sender = self._publisher.send(track, encodings, codec=codec)
        if stereo:
            self._stereo_tracks.add(sender)
        if codec == "VP8" and not any(encoding.scalability_mode for encoding in encodings):
            self._start_bitrates[sender] = sum(encoding.max_bitrate or 0 for encoding in encodings)
        self._publisher_wanted = True
        return sender

    def remove_track(self, sender: LocalSender) -> None:
        """Stop sending; a sender of another session is ignored."""
        if self._publisher is not None and self._closed is None:
            self._start_bitrates.pop(sender, None)
            self._stereo_tracks.discard(sender)
            self._publisher.remove(sender)

    def negotiation_needed(self) -> int:
        """Ask for an offer; return the ticket `negotiated` takes."""
        if self._closed is not None or self._negotiator is None:
            raise self._closed or ClosedError("the session is closed")
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
        bitrates = {sender.mid: bits for sender, bits in self._start_bitrates.items() if sender.mid is not None}
        sdp = sdp_edits.start_bitrate(sdp, bitrates)
        stereo = {sender.mid for sender in self._stereo_tracks if sender.mid is not None} | self._stereo_offered
        if stereo:
            sdp = sdp_edits.allow_stereo(sdp, stereo)
        return sdp_edits.inactive_to_recvonly(sdp) if self.single_peer_connection else sdp

    def _publisher_answered(self, answer: rtc.SessionDescription) -> None:
        assert self._publisher is not None
        self._channels.set_max_message_size(sdp_edits.max_message_size(answer.sdp))
        if self.single_peer_connection:
            self._incoming.update(self._publisher, answer.sdp, answer.mid_to_track_id)
            stereo = sdp_edits.offers_stereo(answer.sdp) & self._incoming.mids
            if not stereo <= self._stereo_offered:
                # What the server sends there is stereo; we hear it so once our own offer says we can.
                self._stereo_offered |= stereo
                self.negotiation_needed()

    def require_sections(self, requirement: rtc.MediaSectionsRequirement) -> None:
        """Offer more sections to receive in; with none asked for, the server still wants a new offer."""
        if self._publisher is None or not self.single_peer_connection:
            return
        for _ in range(min(requirement.num_audios, _MAX_SECTIONS)):
            self._publisher.receive("audio")
        for _ in range(min(requirement.num_videos, _MAX_SECTIONS)):
            self._publisher.receive("video")
        self.negotiation_needed()

    # -- descriptions and candidates of the server --------------------------------------------------

    def on_offer(self, offer: rtc.SessionDescription) -> None:
        """Answer the server's offer for the subscriber."""
        subscriber, work = self._subscriber, self._subscriber_work
        if subscriber is None or work is None:
            _logger.warning("the server offers though there is one peer connection; ignored")
            return

        async def answer() -> None:
            await subscriber.set_offer(offer.sdp)
            sdp = await subscriber.create_answer()
            stereo = sdp_edits.offers_stereo(offer.sdp)
            if stereo:
                sdp = sdp_edits.allow_stereo(sdp, stereo)
            await subscriber.set_local_answer(sdp)
            self.post(rtc.SignalRequest(answer=rtc.SessionDescription(type="answer", sdp=sdp, id=offer.id)))
            self._incoming.update(subscriber, offer.sdp, offer.mid_to_track_id)

        work.submit(answer)

    def on_answer(self, answer: rtc.SessionDescription) -> None:
        """Apply the server's answer to our offer."""
        if self._negotiator is not None:
            self._negotiator.on_answer(answer)

    def on_trickle(self, trickle: rtc.TrickleRequest) -> None:
        """Add a candidate of the server."""
        if not trickle.candidateInit:
            return
        candidate = trickle.candidateInit
        if trickle.target == rtc.SignalTarget.PUBLISHER or self._subscriber is None:
            if self._negotiator is not None:
                self._negotiator.add_candidate(candidate)
        elif self._subscriber_work is not None:
            subscriber = self._subscriber
            self._subscriber_work.submit(lambda: subscriber.add_remote_candidate(candidate))

    def on_signal_closed(self, cause: SignalClosed) -> None:
        """Take note that the signalling link is lost."""
        self.lose(SessionClosed("signal", DisconnectReason.SIGNAL_CLOSE, _RESUME, detail=cause.detail or cause.source))

    # -- PeerSink -----------------------------------------------------------------------------------

    def on_local_candidate(self, peer: PeerConnection, candidate: str) -> None:
        """Tell the server a candidate of ours."""
        target = rtc.SignalTarget.SUBSCRIBER if peer is self._subscriber else rtc.SignalTarget.PUBLISHER
        trickle = rtc.TrickleRequest(candidateInit=candidate, target=target)
        self.post(rtc.SignalRequest(trickle=trickle))

    def on_peer_state(self, peer: PeerConnection, state: PeerState) -> None:
        """Finish joining, or say that a peer connection failed (`disconnected` may heal and is left alone)."""
        if state == "connected":
            self._check_connected()
        elif state == "failed":
            source: Literal["publisher", "subscriber"] = "subscriber" if peer is self._subscriber else "publisher"
            self.lose(
                SessionClosed(
                    source,
                    DisconnectReason.CONNECTION_TIMEOUT,
                    _RESUME,
                    detail=f"the {source}'s media path failed",
                )
            )

    def on_remote_channel(self, peer: PeerConnection, channel: DataChannel) -> None:
        """Receive on a channel the server made."""
        self._channels.add_remote(channel)

    def on_channel_message(self, channel: DataChannel, data: bytes) -> None:
        """Hand a message to the channels."""
        self._channels.on_channel_message(channel, data)

    def on_channel_state(self, channel: DataChannel, state: ChannelState) -> None:
        """Hand a state to the channels."""
        self._channels.on_channel_state(channel, state)

    def on_channel_low(self, channel: DataChannel) -> None:
        """Hand a low buffer to the channels."""
        self._channels.on_channel_low(channel)

    # -- failures -----------------------------------------------------------------------------------

    def _channel_lost(self, label: str) -> None:
        self._lose_media_path(SessionClosed("channel", DisconnectReason.CONNECTION_TIMEOUT, _RESUME, detail=f"{label} was closed"))

    def _negotiation_failed(self, error: NegotiationError) -> None:
        self.lose(SessionClosed("negotiation", DisconnectReason.UNKNOWN_REASON, _RESUME, detail=str(error)))

    def _subscriber_failed(self, _name: str, error: BaseException) -> None:
        _logger.warning("the subscriber could not follow the server: %s", error)
        self.lose(SessionClosed("negotiation", DisconnectReason.UNKNOWN_REASON, _RESUME, detail=str(error)))

    def _task_failed(self, name: str, error: BaseException) -> None:
        _logger.error("task %s of the session failed", name, exc_info=error)
        self.lose(SessionClosed("internal", DisconnectReason.UNKNOWN_REASON, _RESUME, detail=f"{name} failed"))

    # -- stats and end ------------------------------------------------------------------------------

    async def get_stats(self) -> SessionStats:
        """Return the stats of the peer connections; after the session's end, those it ended with."""
        if self._final_stats is not None:
            return self._final_stats
        publisher, subscriber = self._publisher, self._subscriber
        return SessionStats(
            await publisher.get_stats() if publisher is not None else [],
            await subscriber.get_stats() if subscriber is not None else [],
        )

    async def aclose(self, reason: DisconnectReason = DisconnectReason.CLIENT_INITIATED, *, leave: bool = True) -> None:
        """Leave the room and close everything; a second call waits for nothing and does nothing.

        Args:
            reason: What the server is told.
            leave: Whether to tell it at all; false when it asked us to go.
        """
        if self._closed is not None:
            return
        error = ClosedError("the session was closed")
        self._closed = error
        if self._late_loss is not None:
            self._late_loss.cancel()
        connected = self._connected
        if connected is not None and not connected.done():
            connected.cancel()
        self._channels.close(error)
        self._requests.close(error)
        if self._negotiator is not None:
            self._negotiator.close(NegotiationError("the session was closed"))
        try:
            await self._keep_stats()
            await self._scope.aclose()
            if self._signal is not None:
                request = rtc.LeaveRequest(action=_LEAVE, reason=int(reason)) if leave else None  # type: ignore[arg-type]
                await self._signal.aclose(leave=request)
        finally:
            for peer in (self._publisher, self._subscriber):
                if peer is not None:
                    peer.close()

    async def _keep_stats(self) -> None:
        stats = SessionStats()
        try:
            async with asyncio.timeout(_FINAL_STATS_TIMEOUT):
                if self._connected is not None and self._connected.done() and not self._connected.cancelled():
                    stats = await self.get_stats()
        except Exception as error:  # noqa: BLE001 - the end goes on without them
            _logger.debug("no final stats: %s", error)
        self._final_stats = stats


_FINAL_STATS_TIMEOUT = 0.5
_LEAVE_GRACE = 0.5
"""Seconds: when the server sends us away it closes the data channels too, and they can be faster than its word."""
_MAX_SECTIONS = 256
"""More sections than any server asks for at once; a larger number is a mistake or an attack."""


def _connect_error(event: SessionClosed) -> ConnectError:
    match event.source:
        case "signal":
            return SignalClosedError("the signalling connection was lost while joining", detail=event.detail)
        case "leave":
            return ServerLeaveError(
                f"the server asked us to leave while joining ({event.reason.name})",
                reason=int(event.reason),
                action=int(event.action),
            )
        case _:
            return TransportError("the media path could not be made", detail=event.detail)
