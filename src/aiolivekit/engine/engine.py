"""The engine: one visit to a room, over as many sessions as it takes (the seed's `RtcEngine`)."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import Any

from livekit.protocol import models, rtc

from .._tasks import TaskScope, finish_despite_cancel
from ..core.absences import SentLedger
from ..core.encodings import Encoding
from ..core.flight import FlightRecorder
from ..core.reconnection import Cause, Mode
from ..e2ee.manager import E2EEManager
from ..enums import DataPacketKind, DisconnectReason, SimulateScenarioKind
from ..errors import ClosedError, EngineError
from ..options import EngineOptions, TrackPublishOptions
from ..peer.tracks import LocalSender, OutgoingTrack
from ..session.events import DataChannelBufferedAmountLowThresholdChanged
from ..session.requests import AnswerLostError
from ..session.session import RtcSession, SessionStats
from .events import Disconnected, EngineEvents
from .scenarios import simulate
from .sessions import Sessions

__all__ = ["RtcEngine"]

_logger = logging.getLogger("aiolivekit.engine")


class RtcEngine:
    """One visit to a room.

    Events leave through the `EngineEvents` that `connect` returns, `Disconnected` last. Calls made after the end
    raise `ClosedError`. Work belongs to the session, and so to the epoch, it began in: what a session says after
    another took its place is not heard.
    """

    def __init__(
        self,
        url: str,
        token: str,
        options: EngineOptions,
        e2ee_manager: E2EEManager | None = None,
        flight: FlightRecorder | None = None,
    ) -> None:
        self.e2ee = e2ee_manager or E2EEManager(None)
        """Encrypts end to end, or does not."""
        self._events = EngineEvents()
        self._sessions = Sessions(url, token, options, self._events, self._lost_for_good, flight, self.e2ee)
        self._scope = TaskScope(self._task_failed)
        self._closing: asyncio.Future[None] | None = None
        self._request_ids = itertools.count(1)

    @classmethod
    async def connect(
        cls,
        url: str,
        token: str,
        options: EngineOptions | None = None,
        e2ee_manager: E2EEManager | None = None,
        *,
        flight: FlightRecorder | None = None,
    ) -> tuple[RtcEngine, rtc.JoinResponse, EngineEvents]:
        """Join a room.

        A failed try is repeated `options.join_retries` times, unless its cause would not go away by itself (token,
        permission, URL). Cancelling leaves nothing behind.

        Args:
            url: The server.
            token: The access token.
            options: How.
            e2ee_manager: Encrypts end to end; `None` for not at all.
            flight: Where it is written down what happens.

        Raises:
            ConnectError: One of its kinds, by the cause of the last try.
        """
        engine = cls(url, token, options or EngineOptions(), e2ee_manager, flight)
        await engine._sessions.connect()
        return engine, engine._sessions.join, engine._events

    # -- what it is --

    @property
    def closed(self) -> bool:
        """Whether the visit is over, or ending."""
        return self._closing is not None

    @property
    def single_peer_connection(self) -> bool:
        """Whether one peer connection serves both directions, as negotiated."""
        return self.session().single_peer_connection

    @property
    def join_response(self) -> rtc.JoinResponse:
        """The join response of the session in force."""
        return self._sessions.join

    @property
    def rtt(self) -> float | None:
        """The last round trip of the signalling link, in seconds."""
        return self.session().signal.rtt

    @property
    def epoch(self) -> int:
        """Which session of the visit is in force, from 1; it grows with each restart."""
        return self._sessions.epoch

    @property
    def sent(self) -> SentLedger:
        """How many reliable packets went to whom lately."""
        return self._sessions.sent

    def last_heard(self, sid: str) -> float | None:
        """When a reliable packet of a participant came last (`time.monotonic`), if that is known."""
        return self._sessions.last_heard(sid)

    def session(self) -> RtcSession:
        """Return the session in force, or the last one after the end."""
        return self._sessions.current

    def retry_now(self) -> None:
        """Make the attempt to reconnect that is waited for at once, since the network is known to be back."""
        self._sessions.recovery.retry_now()

    async def wait_connected(self) -> None:
        """Wait until the room is connected, however often it must be reconnected.

        Raises:
            ClosedError: If the engine is closed instead.
        """
        await self._sessions.recovery.wait_settled()
        self._sessions.open_session()

    async def _joined_session(self) -> RtcSession:
        """Return the session in force once no restart is going on.

        A resume is not waited for: what rests on the link it brings back waits there by itself.
        """
        while self._sessions.recovery.mode is Mode.RESTART:
            await self.wait_connected()
        return self._sessions.open_session()

    async def _session_of(self, epoch: int | None) -> RtcSession:
        session = await self._joined_session()
        if epoch is not None and epoch != self.epoch:
            raise ClosedError("the session it was meant for has ended")
        return session

    # -- end --

    async def close(self, reason: DisconnectReason = DisconnectReason.CLIENT_INITIATED) -> None:
        """Leave the room; `Disconnected` is the last event. Further calls wait for the same end.

        Cancelling the call does not stop the leaving.
        """
        await asyncio.shield(self._begin_close(reason, "", leave=True))

    def _lost_for_good(self, cause: Cause) -> None:
        _logger.warning("the room is lost: %s (%s)", cause.detail or cause.source, cause.reason.name)
        self._begin_close(cause.reason, cause.detail, leave=cause.source != "leave", cause=cause)

    def _begin_close(
        self, reason: DisconnectReason, detail: str, *, leave: bool, cause: Cause | None = None
    ) -> asyncio.Future[None]:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(reason, detail, leave=leave, cause=cause))
        return self._closing

    async def _close(self, reason: DisconnectReason, detail: str, *, leave: bool, cause: Cause | None) -> None:
        try:
            await self._sessions.aclose(reason, leave=leave)
            await self._scope.aclose()
        finally:
            episode = None if cause is None else self._sessions.recovery.given_up
            self._events.put(Disconnected(reason, detail, cause, episode, self._sessions.replayed))
            self._events.end()

    def _task_failed(self, name: str, error: BaseException) -> None:
        if not isinstance(error, (ClosedError, EngineError)):
            _logger.error("task %s of the engine failed", name, exc_info=error)

    # -- data --

    async def publish_data(
        self,
        packet: models.DataPacket,
        kind: DataPacketKind = DataPacketKind.KIND_RELIABLE,
        *,
        raw: bool = False,
        bulk: bool = False,
    ) -> None:
        """Send a data packet.

        Its place in the order is that of the call's first step; below the high-water mark the call does not
        suspend. The packet must not be changed until it returns.

        Args:
            packet: The packet; it is numbered here, and stamped with our sid and identity unless `raw`.
            kind: Reliable and ordered, or lossy.
            raw: Send it as it is.
            bulk: Whether it is a part of something large, which yields to all other packets.

        Raises:
            PacketTooLargeError: If it is larger than the server takes.
            MissingKeyError: If it is to be encrypted end to end, and there is no key.
            ClosedError: If the engine is closed before it could be handed over.
        """
        if self._closing is not None:
            raise ClosedError("the engine is closed")
        session = self._sessions.sending
        if not raw:
            participant = self._sessions.participant
            packet.participant_identity = participant.identity
            packet.participant_sid = participant.sid
        if not session.channels.try_publish(packet, kind, bulk=bulk):
            await session.publish_data(packet, kind, bulk=bulk)

    def data_tracks_ready(self) -> bool:
        """Whether the channel of data tracks takes a packet now; `DataTrackReady` tells when it does again."""
        return self._closing is None and self._sessions.current.data_tracks_ready()

    def send_data_track_packet(self, packet: bytes) -> None:
        """Hand a packet of a data track to its channel, which takes one now."""
        self._sessions.current.channels.send_data_track_packet(packet)

    def buffered_amount(self, kind: DataPacketKind) -> int:
        """Return the bytes libwebrtc holds for a channel."""
        return self.session().channels.buffered_amount(kind)

    def buffered_amount_low_threshold(self, kind: DataPacketKind) -> int:
        """Return the bytes at or below which waiting packets go on."""
        return self.session().channels.threshold(kind)

    def set_buffered_amount_low_threshold(self, kind: DataPacketKind, threshold: int) -> None:
        """Set the bytes at or below which waiting packets go on; an event tells of the change.

        At first it is 2 MiB, and 64 KiB for lossy packets.

        Raises:
            ValueError: If `threshold` is negative.
        """
        if threshold < 0:
            raise ValueError("the threshold cannot be negative")
        self._sessions.open_session().channels.set_threshold(kind, threshold)
        self._events.put(DataChannelBufferedAmountLowThresholdChanged(kind, threshold))

    # -- tracks --

    async def add_track(self, request: rtc.AddTrackRequest, *, epoch: int | None = None) -> models.TrackInfo:
        """Announce a track of ours and wait for the server's word.

        Raises:
            RequestError: If the server refuses.
            RequestTimeoutError: If it does not answer.
            ClosedError: If the engine is closed meanwhile.
        """
        return await (await self._session_of(epoch)).add_track(request)

    async def create_sender(
        self,
        track: OutgoingTrack,
        options: TrackPublishOptions,
        encodings: Sequence[Encoding],
        *,
        stereo: bool = False,
        epoch: int | None = None,
    ) -> LocalSender:
        """Add the section in which a track is sent; `negotiate` puts it into force.

        Args:
            track: What is sent.
            options: How.
            encodings: In which layers.
            stereo: Whether two channels are sent.
            epoch: The session in which the track was announced; another one would not know what the section is for.

        Raises:
            MediaError: If libwebrtc cannot send it so.
            ClosedError: If the engine is closed, or that session has ended.
        """
        return (await self._session_of(epoch)).create_sender(track, options, encodings, stereo=stereo)

    def remove_track(self, sender: LocalSender) -> None:
        """Stop sending a track; a sender that is stale is ignored."""
        self._sessions.current.remove_track(sender)

    async def mute_track(self, sid: str, muted: bool) -> None:
        """Tell the server that a track of ours is muted or no longer muted.

        Raises:
            ClosedError: If the engine is closed.
        """
        await self.send_request(rtc.SignalRequest(mute=rtc.MuteTrackRequest(sid=sid, muted=muted)))

    def publisher_negotiation_needed(self) -> None:
        """Have an offer made soon."""
        if self._closing is None:
            self.session().negotiation_needed()

    async def negotiate(self) -> None:
        """Have an offer made and wait until the answer that covers it has been applied.

        Raises:
            NegotiationError: If the server does not answer, or the session ends first.
        """
        session = await self._joined_session()
        await session.negotiated(session.negotiation_needed())

    # -- requests --

    async def send_request(self, request: rtc.SignalRequest) -> None:
        """Send a request on the signalling link, in the order of the calls.

        Raises:
            ClosedError: If the engine is closed.
            SignalClosedError: If the link is lost.
        """
        await (await self._joined_session()).send(request)

    def post_request(self, request: rtc.SignalRequest) -> None:
        """The same from code that cannot wait; a request that cannot be sent any more is dropped."""
        self._sessions.post(request)

    def new_request_id(self) -> int:
        """Return an id for a request whose answer `get_response` waits for; no other one of this visit has it."""
        self._sessions.open_session()
        return next(self._request_ids)

    async def get_response(self, request_id: int, timeout: float = 5.0) -> rtc.RequestResponse:
        """Wait for the server's answer to a request.

        Raises:
            AnswerLostError: If it was lost in a resume or a restart; whether the request was heeded is not known.
            RequestTimeoutError: If it does not come within `timeout` seconds.
            ClosedError: If the engine is closed meanwhile.
        """
        session = self._sessions.open_session()
        try:
            return await session.requests.response(request_id, timeout)
        except ClosedError:
            if self._closing is not None:
                raise
            raise AnswerLostError("the answer of the server was lost in a restart") from None

    async def get_stats(self) -> SessionStats:
        """Return the stats of the session in force, or after the end those it ended with."""
        return await self.session().get_stats()

    async def simulate_scenario(self, scenario: SimulateScenarioKind) -> None:
        """Provoke a fault, to test what follows.

        Raises:
            ClosedError: If the engine is closed.
        """
        await simulate(self._sessions.open_session(), scenario)

    async def __aenter__(self) -> RtcEngine:
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        await finish_despite_cancel(self.close())
