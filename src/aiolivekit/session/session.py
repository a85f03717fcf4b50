"""One join of a room: a signalling link, its peer connections and its data channels.

A session is made by `connect`, lives through resumes, and is thrown away on restart. It never decides to reconnect:
it says what it lost (`SessionClosed`) and goes on with what is left until its owner resumes or closes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from livekit.protocol import models, rtc

from .._tasks import TaskScope, finish_despite_cancel
from ..core.encodings import Encoding
from ..enums import DataPacketKind, DisconnectReason
from ..errors import ClosedError, NegotiationError
from ..options import EngineOptions, TrackPublishOptions
from ..peer.tracks import LocalSender, OutgoingTrack
from ..signalling.client import SignalClient, SignalClosed
from . import joining
from .channels import SessionChannels
from .context import SessionContext
from .events import SessionClosed, SessionEvent
from .path_watch import PathWatch
from .peers import SessionPeers
from .requests import PendingRequests
from .signals import SignalDispatcher
from .stats import SessionStats, surely_arrived_before

__all__ = ["RtcSession", "SessionStats"]

_logger = logging.getLogger("aiolivekit.session")

_DISCONNECT = rtc.LeaveRequest.Action.DISCONNECT
_RESUME = rtc.LeaveRequest.Action.RESUME
_FINAL_STATS_TIMEOUT = 0.5
_FLUSH_PATIENCE = 2.0
_FLUSH_LIMIT = 15.0
"""Seconds: leaving waits for reliable packets on their way while they make progress, and so long in all."""
_CONFIRM_PATIENCE = 0.1
_CONFIRM_LIMIT = 2.0
"""Seconds: a restart waits for the server to have what the old session sent, while there is progress and in all."""
_LEAVE_GRACE = 0.5
"""Seconds: when the server sends us away it closes the data channels too, and they can be faster than its word."""


class RtcSession:
    """One join of a room; made by `connect`."""

    def __init__(self, options: EngineOptions, context: SessionContext) -> None:
        self._options = options
        self._context = context
        self._scope = TaskScope(self._task_failed)
        self._requests = PendingRequests()
        self._channels = SessionChannels(
            options.buffered_amount_high,
            self.emit,
            self._channel_lost,
            context.sequence,
            context.received,
            options.outage,
            context.sent,
            context.e2ee._packets,  # noqa: SLF001 - the manager's side that is not the user's
        )
        self._peers = SessionPeers(
            self._scope,
            self._channels,
            options.rtc_config,
            emit=self.emit,
            post=self.post,
            on_connected=self._check_connected,
            on_lost=self._lose_media_path,
            on_interrupted=self._media_interrupted,
            flight=context.flight,
            sealed=context.e2ee._seals,  # noqa: SLF001
        )
        self._watch = PathWatch(self._peers, self._channels, self._scope, context.flight)
        self._signal: SignalClient | None = None
        self._connected: asyncio.Future[None] | None = None
        self._media_back: asyncio.Future[None] | None = None
        self._resuming: asyncio.Future[None] | None = None
        self._seen: set[str] | None = None
        self._late_loss: asyncio.TimerHandle | None = None
        self._closing = False
        self._closed: Exception | None = None
        self._final_stats: SessionStats | None = None
        self.undelivered = 0
        self._doubtful_since: float | None = None
        self._dispatcher = SignalDispatcher(self)
        self._participant_sid = ""
        self._ping = (0.0, 0.0)

    # -- joining --

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
            join = await joining.join(session, url, token)
            await joining.wait_connected(session)
        except BaseException as error:
            context.gave_up(session)
            # Who cancels a join wants to be out of the room.
            leave = not context.comes_back or not isinstance(error, Exception)
            await finish_despite_cancel(session.aclose(DisconnectReason.JOIN_FAILURE, leave=leave))
            raise
        return session, join

    def _check_connected(self) -> None:
        if self._peers.connected:
            for waiting in (self._connected, self._media_back):
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)

    async def media_connected(self) -> None:
        """Wait until every peer connection that is needed is up; the caller sets the limit."""
        if self._peers.connected:
            return
        self._media_back = asyncio.get_running_loop().create_future()
        try:
            await self._media_back
        finally:
            self._media_back = None

    # -- what it is --

    @property
    def single_peer_connection(self) -> bool:
        """Whether one peer connection serves both directions."""
        return self._peers.single

    def note_seen(self, participants: Iterable[models.ParticipantInfo]) -> None:
        """Take note, while resuming, who the server says is there: it tells of all who are."""
        if self._resuming is not None:
            self._seen = (self._seen or set()) | {each.sid for each in participants}

    def moved(self, message: rtc.RoomMovedResponse) -> None:
        """Take note that the server has moved us to another room: it is there that a resume finds us."""
        if message.participant.sid:
            self._participant_sid = message.participant.sid

    @property
    def signal(self) -> SignalClient:
        """The signalling link."""
        assert self._signal is not None
        return self._signal

    @property
    def peers(self) -> SessionPeers:
        """The peer connections."""
        return self._peers

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

    # -- signalling --

    def post(self, request: rtc.SignalRequest) -> None:
        """Send a request in order without waiting; after the link is lost it is dropped."""
        if self._signal is not None and self._closed is None:
            self._signal.post(request)

    async def send(self, request: rtc.SignalRequest) -> None:
        """Send a request in order.

        Raises:
            SignalClosedError: If the link is lost.
            ClosedError: If the session is closed.
        """
        if self._closed is not None:
            raise self._closed
        await self.signal.send(request)

    # -- data and tracks --

    async def publish_data(self, packet: models.DataPacket, kind: DataPacketKind, *, bulk: bool = False) -> None:
        """Hand a data packet to its channel, in the order of the calls.

        Raises:
            PacketTooLargeError: If it is larger than the server takes.
            ClosedError: If the session ends first.
            ChannelClosedError: If the channel ends first.
        """
        self._peers.want_publisher()
        if (skipped := self._context.flight.due("waits", kind.name)) is not None:
            # Not on the short way: packets that find room do not come here.
            self._context.flight.note("peers", "packet waits", kind=kind.name, skipped=skipped or None)
        await self._channels.publish(packet, kind, bulk=bulk)

    def data_tracks_ready(self) -> bool:
        """Whether the channel of data tracks takes a packet now; if it is not open yet, it is opened."""
        self._peers.want_publisher()
        return self._channels.data_tracks_ready()

    async def add_track(self, request: rtc.AddTrackRequest) -> models.TrackInfo:
        """Announce a track of ours; its section follows with the next offer.

        Raises:
            RequestError: If the server refuses.
            AnswerLostError: If its answer was lost in a resume; ask again with another cid.
            RequestTimeoutError: If it does not answer.
            ClosedError: If the session is closed.
        """
        answer = self._requests.expect_track(request.cid)
        try:
            await self.send(rtc.SignalRequest(add_track=request))
        except BaseException:
            self._requests.forget_track(request.cid)
            raise
        self._requests.track_asked(request.cid)
        return await self._requests.wait_for_track(request.cid, answer, self._options.publish_timeout)

    def create_sender(
        self, track: OutgoingTrack, options: TrackPublishOptions, encodings: Sequence[Encoding], *, stereo: bool
    ) -> LocalSender:
        """Add the section in which a track is sent; the next answer puts it into force.

        Raises:
            MediaError: If libwebrtc cannot send it so.
            ClosedError: If the session is closed.
        """
        if self._closed is not None:
            raise self._closed
        return self._peers.create_sender(track, options, encodings, stereo=stereo)

    def remove_track(self, sender: LocalSender) -> None:
        """Stop sending; a sender of another session is ignored."""
        if self._closed is None:
            self._peers.remove_track(sender)

    def negotiation_needed(self) -> int:
        """Ask for an offer; return the ticket `negotiated` takes.

        Raises:
            ClosedError: If the session is closed.
        """
        if self._closed is not None:
            raise self._closed
        return self._peers.negotiation_needed()

    async def negotiated(self, ticket: int) -> None:
        """Wait until the answer that covers a ticket has been applied.

        Raises:
            NegotiationError: If negotiation ends first.
        """
        await self._peers.negotiated(ticket)

    # -- losses --

    def lose(self, event: SessionClosed) -> None:
        """Say that the session has lost what it cannot do without."""
        if self._closed is not None or (self._connected is not None and self._connected.cancelled()):
            # Closed, or given up while joining, whose caller knows.
            return
        waiting = self._connected if self._connected is not None and not self._connected.done() else self._resuming
        if waiting is None:
            self.emit(event)
        elif not waiting.done():
            # Joining or resuming: the caller of `connect` or `resume` hears of it, nobody else.
            waiting.set_exception(joining.connect_error(event))
            waiting.exception()

    def _lose_media_path(self, event: SessionClosed) -> None:
        """Say that the media path is lost, unless signalling says within a moment why the server ended it."""
        if self._late_loss is None and self._closed is None and self._resuming is None:
            self._late_loss = asyncio.get_running_loop().call_later(_LEAVE_GRACE, self._tell_late_loss, event)

    def _media_interrupted(self) -> None:
        # It may heal, and often it is the network that is gone. If signalling answers, it is left to ICE; if it does
        # not, waiting for its timeout would bring nothing: a resume finds the way, whatever address we have now.
        if self._signal is not None and self._resuming is None and self._closed is None:
            self._signal.doubt()

    def _tell_late_loss(self, event: SessionClosed) -> None:
        self._late_loss = None
        self.lose(event)

    def _forget_late_loss(self) -> None:
        if self._late_loss is not None:
            self._late_loss.cancel()
            self._late_loss = None

    def on_signal_closed(self, cause: SignalClosed) -> None:
        """Take note that the signalling link is lost."""
        # Requests wait from now on; the next link takes them over.
        self.signal.gate()
        self._peers.suspend()
        self._watch.begin()
        detail = cause.detail or cause.source
        self.lose(SessionClosed("signal", DisconnectReason.SIGNAL_CLOSE, _RESUME, detail=detail))

    def _channel_lost(self, label: str) -> None:
        detail = f"the data channel {label} was closed"
        self._lose_media_path(SessionClosed("channel", DisconnectReason.CONNECTION_TIMEOUT, _RESUME, detail=detail))

    def _task_failed(self, name: str, error: BaseException) -> None:
        _logger.error("task %s of the session failed", name, exc_info=error)
        self.lose(SessionClosed("internal", DisconnectReason.UNKNOWN_REASON, _RESUME, detail=f"{name} failed"))

    # -- stats and end --

    async def get_stats(self) -> SessionStats:
        """Return the stats of the peer connections; after the session's end, those it ended with."""
        if self._final_stats is not None:
            return self._final_stats
        return await self._peers.get_stats()

    async def aclose(self, reason: DisconnectReason = DisconnectReason.CLIENT_INITIATED, *, leave: bool = True) -> None:
        """Leave the room and close everything; a second call waits for nothing and does nothing.

        Args:
            reason: What the server is told.
            leave: Whether to tell it at all; false when it asked us to go.
        """
        if self._closed is not None or self._closing:
            return
        self._closing = True
        if leave and _had_joined(self._connected) and self._peers.connected:
            await self._channels.flush(_FLUSH_PATIENCE, _FLUSH_LIMIT)
        error = ClosedError("the session was closed")
        self._closed = error
        self._forget_late_loss()
        joined = _had_joined(self._connected)
        if self._connected is not None:
            self._connected.cancel()
        self._channels.close(error)
        self._requests.close(error)
        self._peers.stop_negotiating(NegotiationError("the session was closed"))
        try:
            self._final_stats = await self._collect_final_stats() if joined else SessionStats()
            arrived = surely_arrived_before(self._final_stats)
            if self._doubtful_since is not None:
                arrived = min(arrived, self._doubtful_since)
            self.undelivered = self._channels.unconfirmed(arrived)
            await self._scope.aclose()
            if self._signal is not None:
                request = (
                    rtc.LeaveRequest(action=_DISCONNECT, reason=models.DisconnectReason.Name(reason)) if leave else None
                )
                await self._signal.aclose(leave=request)
        finally:
            self._peers.close()

    async def confirm_sent(self) -> bool:
        """Make sure that reliable packets handed over have arrived, if that can be done at once; take no more."""
        if self._closed is not None or not self._peers.connected or self._watch.refuted:
            self._channels.pause()
            return False
        patience = max(_CONFIRM_PATIENCE, 3 * (self.signal.rtt or 0.0))
        return await self._channels.confirm(patience, _CONFIRM_LIMIT)

    async def _collect_final_stats(self) -> SessionStats:
        try:
            async with asyncio.timeout(_FINAL_STATS_TIMEOUT):
                return await self._peers.get_stats()
        except Exception as error:  # noqa: BLE001 - the end goes on without them
            _logger.debug("no final stats: %s", error)
            return SessionStats()


def _had_joined(connected: asyncio.Future[None] | None) -> bool:
    """Whether a session got as far as being connected."""
    return connected is not None and connected.done() and not connected.cancelled() and connected.exception() is None
