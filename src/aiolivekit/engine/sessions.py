"""The sessions of one visit: the one in force, and how it is resumed or gives way to the next.

A session is fenced by its epoch: what it says after the next one has joined is not heard. Until the next one is up the
old one stays as it was, with its objects and stats.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any

from livekit.protocol import models, rtc

from .._tasks import finish_despite_cancel
from ..core.absences import SentLedger
from ..core.flight import SILENT, FlightRecorder
from ..core.reconnect_table import State
from ..core.reconnection import Cause, Mode, Recovered
from ..core.reliable import ReceiveState
from ..core.room_jitter import RoomJitter
from ..e2ee.manager import E2EEManager
from ..enums import DisconnectReason
from ..errors import ClosedError, ConnectError
from ..options import EngineOptions
from ..session.context import SessionContext
from ..session.events import (
    DataReceived,
    DataTrackPacketReceived,
    ParticipantUpdate,
    RefreshToken,
    RoomMoved,
    SessionClosed,
    SessionEvent,
)
from ..session.joining import connect_error
from ..session.resume import Resume, RoomState
from ..session.session import RtcSession
from .access import Access
from .events import (
    Acknowledge,
    DataUndelivered,
    EngineEvents,
    Restarted,
    Restarting,
    Resumed,
    Resuming,
    SignalRestarted,
    SignalResumed,
)
from .recovery import HANDSHAKE_TIMEOUT, Recovery

__all__ = ["Sessions"]

_logger = logging.getLogger("aiolivekit.engine")

_JOIN_RETRY_BASE = 0.2
"""Seconds: joins are tried again after a random share of this, doubled each time."""
_ALONE = "alone"
_COMPANY = 0.02
"""Seconds for which packets that waited for a restart wait for company, counted from when they could go."""


class Sessions:
    """The sessions of one visit (a `RecoveryHost`).

    Args:
        url: The server.
        token: The access token; newer ones replace it.
        options: Of the engine.
        events: Where events go.
        end: Closes the engine.
        flight: Where it is written down what happens.
        e2ee: Encrypts end to end, or does not.
    """

    def __init__(
        self,
        url: str,
        token: str,
        options: EngineOptions,
        events: EngineEvents,
        end: Callable[[Cause], None],
        flight: FlightRecorder | None = None,
        e2ee: E2EEManager | None = None,
    ) -> None:
        self._access = Access(url, token, options, lambda fresh: events.put(RefreshToken(url, fresh)))
        self._options = options
        self._e2ee = e2ee or E2EEManager(None)
        self._events = events
        self._end = end
        self._epoch = 0
        self._session: RtcSession | None = None
        self._posting: RtcSession | None = None
        self._sending: RtcSession | None = None
        self._given_up: RtcSession | None = None
        self._resume: Resume | None = None
        self._lost_meanwhile: SessionClosed | None = None
        self._closed = False
        self._received = ReceiveState()
        self.sent = SentLedger()
        self._company: asyncio.TimerHandle | None = None
        self._jitter = RoomJitter()
        self.join = rtc.JoinResponse()
        self.participant = models.ParticipantInfo()
        self.replayed = 0
        """Reliable packets sent again in the episode that is going on."""
        self._flight = SILENT.recorder if flight is None else flight
        self.recovery = Recovery(self, options.reconnect_policy, self._jitter, self._flight)

    # -- what is so --

    @property
    def current(self) -> RtcSession:
        """The session in force, or the last one after the end."""
        assert self._session is not None
        return self._session

    @property
    def sending(self) -> RtcSession:
        """The session that takes data packets: the one that joined last, though it may not be in force yet."""
        return self._sending or self.current

    def post(self, request: rtc.SignalRequest) -> None:
        """Send a request without waiting: to the session that joined last, which may not be in force yet."""
        if self._posting is not None and not self._closed:
            self._posting.post(request)

    def last_heard(self, sid: str) -> float | None:
        """When a reliable packet of a participant came last (`time.monotonic`), if that is known."""
        return self._received.heard(sid)

    @property
    def epoch(self) -> int:
        """Which session of the visit is in force, from 1."""
        return self._epoch

    @property
    def begun(self) -> bool:
        """Whether there has been a session."""
        return self._session is not None

    # -- the first --

    async def connect(self) -> None:
        """Join; a failed try is repeated unless its cause would not go away by itself.

        A server with regions is tried once when each of them has been.

        Raises:
            ConnectError: By the cause of the last try.
        """
        retries, attempt = self._options.join_retries, 0
        while True:
            try:
                self._session = await self._begin(self._joined_first)
                return
            except ConnectError as error:
                if self._access.elsewhere:
                    _logger.warning("could not connect (%s), trying the next region", error)
                    continue
                if attempt == retries or not error.retryable:
                    raise
                attempt += 1
                _logger.warning("could not connect (%s), trying again (%d of %d)", error, attempt, retries)
            await asyncio.sleep(random.uniform(0, _JOIN_RETRY_BASE * 2 ** (attempt - 1)))  # noqa: S311 - jitter

    async def _begin(
        self,
        joined: Callable[[int, RtcSession, rtc.JoinResponse], None],
        before: Callable[[], Coroutine[Any, Any, object]] | None = None,
    ) -> RtcSession:
        epoch = self._epoch + 1
        context = SessionContext(
            emit=lambda event: self._on_event(epoch, event),
            joined=lambda session, join: joined(epoch, session, join),
            takes_data=self._hand_on,
            gave_up=self._take_back,
            received=self._received,
            sent=self.sent,
            before_join=before,
            comes_back=self._session is not None,
            flight=self._flight.tap(epoch),
            e2ee=self._e2ee,
        )
        session, _ = await self._access.join(lambda url, token: RtcSession.connect(url, token, self._options, context))
        return session

    def _joined_first(self, epoch: int, session: RtcSession, join: rtc.JoinResponse) -> None:
        self._begin_epoch(epoch, session, join)

    def _begin_epoch(self, epoch: int, session: RtcSession, join: rtc.JoinResponse) -> None:
        self._epoch, self._posting = epoch, session
        self._flight.begin_epoch(epoch)
        self.join, self.participant = join, join.participant
        self._share_jitter()

    def _share_jitter(self) -> None:
        self._jitter.regard(self.join.room.sid, len(self.join.other_participants) + 1)

    # -- events --

    def _on_event(self, epoch: int, event: SessionEvent) -> None:
        if epoch != self._epoch or self._closed:
            return
        if type(event) is DataReceived or type(event) is DataTrackPacketReceived:
            # The hot path: nothing else looks at data.
            self._events.put(event)
            return
        match event:
            case SessionClosed():
                self._on_loss(event)
            case RefreshToken():
                self._access.told_token(event.token)
                self._events.put(event)
            case RoomMoved():
                self._access.told_token(event.moved.token)
                if event.moved.HasField("participant"):
                    self.participant = event.moved.participant
                self._events.put(event)
            case ParticipantUpdate(updates):
                if self._company is not None and any(self._is_company(each) for each in updates):
                    self._have_company()
                self._events.put(event)
            case _:
                self._events.put(event)

    def _on_loss(self, event: SessionClosed) -> None:
        _logger.info("lost: %s (%s)", event.detail or event.source, event.reason.name)
        self._lost_meanwhile = event
        self._access.sent_to(event.regions)
        self.recovery.lost(event)

    # -- RecoveryHost --

    def announce(self, mode: Mode, cause: Cause) -> Acknowledge:
        """See `RecoveryHost`."""
        event = Resuming() if mode is Mode.RESUME else Restarting()
        self._events.put(event)
        return event.acknowledge

    def media_failed(self) -> bool:
        """See `RecoveryHost`."""
        return self.current.peers.failed

    async def resume(self, reason: models.ReconnectReason) -> None:
        """See `RecoveryHost`."""
        self._resume = resume = Resume(reason, self._signal_resumed)
        try:
            await self._access.with_token(lambda token: resume.run(self.current, token))
        finally:
            self.replayed += resume.replayed
            self._tell_undelivered(resume.missing, "the server has not got them, and they are not kept any more")

    async def _signal_resumed(self, response: rtc.ReconnectResponse) -> RoomState:
        event = SignalResumed(response)
        self._events.put(event)
        if not await event.acknowledge.wait(HANDSHAKE_TIMEOUT):
            _logger.warning("nobody acknowledged within %g s that signalling is back", HANDSHAKE_TIMEOUT)
        return event.state

    async def restart(self) -> None:
        """See `RecoveryHost`."""
        old = self.current
        if not old.signal.closed:
            # The server ends the old session at the join, as that of a duplicate identity: that is not for us.
            old.signal.abandon()
        self._lost_meanwhile = None
        try:
            # The join ends the old session on the server, and what it has not read by then is gone.
            session = await self._begin(self._joined_anew, old.confirm_sent)
        finally:
            if self._given_up is not None:
                failed, self._given_up = self._given_up, None
                self._tell_undelivered(failed.undelivered, "they were on their way when a reconnection failed")
        self._session = session
        if self._company is not None:
            self._company.cancel()
            self._company = asyncio.get_running_loop().call_later(_COMPANY, self._have_company)
        try:
            await finish_despite_cancel(old.aclose(leave=False))
        finally:
            self._tell_undelivered(old.undelivered, "they were on their way when the connection was lost")
        if self._lost_meanwhile is not None:
            # While the old session was being closed; recovery takes no loss for news before we have returned.
            raise connect_error(self._lost_meanwhile)

    def _joined_anew(self, epoch: int, session: RtcSession, join: rtc.JoinResponse) -> None:
        # From here on the server hears the old session no more, and neither do we.
        self._begin_epoch(epoch, session, join)
        self._events.put(SignalRestarted(join))

    def _hand_on(self, session: RtcSession) -> None:
        """Let the packets that wait go on as soon as the channels of the next session are open."""
        if self._session is not None:
            if not any(map(self._is_company, self.join.other_participants)):
                # Nobody would hear. Whoever lost the room when we did comes back when we do, so what waits had better
                # wait for them: a moment longer than our own channels need.
                session.channels.hold(_ALONE, after_open=_COMPANY)
                self._company = asyncio.get_running_loop().call_later(self._options.peer_timeout, self._have_company)
            if session.channels.adopt(self._session.channels):
                session.peers.want_publisher()
            self._sending = session

    def _is_company(self, participant: models.ParticipantInfo) -> bool:
        """Whether somebody gets what is sent now: the server keeps it for who is joining."""
        gone = participant.state == models.ParticipantInfo.State.DISCONNECTED
        return participant.sid != self.participant.sid and not gone

    def _have_company(self) -> None:
        """Wait for nobody any more."""
        if self._company is not None:
            self._company.cancel()
            self._company = None
        self.sending.channels.release(_ALONE)

    def _take_back(self, session: RtcSession) -> None:
        """Keep the packets that wait for a session that could not be connected."""
        if self._sending is session:
            self._have_company()
            self.current.channels.adopt(session.channels)
            self._sending, self._given_up = None, session

    def _tell_undelivered(self, count: int, reason: str) -> None:
        if count:
            _logger.warning("%d reliable packets may not have arrived: %s", count, reason)
            self._flight.note("engine", "data undelivered", count=count)
            self._events.put(DataUndelivered(count, reason))

    def recovered(self, report: Recovered) -> None:
        """See `RecoveryHost`."""
        replayed, self.replayed = self.replayed, 0
        self._share_jitter()
        if report.mode is Mode.RESTART:
            self._events.put(Restarted(report, replayed))
            return
        assert self._resume is not None
        present, self._resume = self._resume.seen, None
        self._events.put(Resumed(None if present is None else frozenset(present), report, replayed))

    def end(self, cause: Cause) -> None:
        """See `RecoveryHost`."""
        self._end(cause)

    # -- the end --

    async def aclose(self, reason: DisconnectReason, *, leave: bool) -> None:
        """Stop what is being attempted, leave, and close the session."""
        self._closed = True
        if self._company is not None:
            self._company.cancel()
        await self.recovery.aclose()
        if self._session is not None:
            await self._session.aclose(reason, leave=leave)
            self._tell_undelivered(self._session.undelivered, "they were on their way when the connection ended")

    def open_session(self) -> RtcSession:
        """Return the session in force.

        Raises:
            ClosedError: If the engine is closed.
        """
        if self._closed or self.recovery.state is State.CLOSED:
            raise ClosedError("the engine is closed")
        return self.current
