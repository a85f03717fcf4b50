"""The sessions of one visit: the one in force, and how it is resumed or gives way to the next.

A session is fenced by its epoch: what it says after the next one has joined is not heard. Until the next one is up the
old one stays as it was, with its objects and stats.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from livekit.protocol import models, rtc

from .._tasks import finish_despite_cancel
from ..core.reconnect_table import State
from ..core.reconnection import Cause, Mode, Recovered
from ..core.reliable import ReceiveState
from ..enums import DisconnectReason
from ..errors import ClosedError, ConnectError
from ..options import EngineOptions
from ..session.events import DataReceived, RoomMoved, SessionClosed, SessionEvent
from ..session.resume import Resume, RoomState
from ..session.session import RtcSession, SessionContext
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


class Sessions:
    """The sessions of one visit (a `RecoveryHost`).

    Args:
        url: The server.
        token: The access token; newer ones replace it.
        options: Of the engine.
        events: Where events go.
        end: Closes the engine.
    """

    def __init__(
        self, url: str, token: str, options: EngineOptions, events: EngineEvents, end: Callable[[Cause], None]
    ) -> None:
        self._url = url
        self._token = token
        self._options = options
        self._events = events
        self._end = end
        self._epoch = 0
        self._session: RtcSession | None = None
        self._posting: RtcSession | None = None
        self._resume: Resume | None = None
        self._closed = False
        self._received = ReceiveState()
        self.join = rtc.JoinResponse()
        self.participant = models.ParticipantInfo()
        self.recovery = Recovery(self, options.reconnect_policy)

    # -- what is so --

    @property
    def current(self) -> RtcSession:
        """The session in force, or the last one after the end."""
        assert self._session is not None
        return self._session

    def post(self, request: rtc.SignalRequest) -> None:
        """Send a request without waiting: to the session that joined last, which may not be in force yet."""
        if self._posting is not None and not self._closed:
            self._posting.post(request)

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

        Raises:
            ConnectError: By the cause of the last try.
        """
        retries = self._options.join_retries
        for attempt in range(retries + 1):
            try:
                self._session = await self._begin(self._joined_first)
                return
            except ConnectError as error:
                if attempt == retries or not error.retryable:
                    raise
                _logger.warning("could not connect (%s), trying again (%d of %d)", error, attempt + 1, retries)
            await asyncio.sleep(random.uniform(0, _JOIN_RETRY_BASE * 2**attempt))  # noqa: S311 - jitter, no secret

    async def _begin(self, joined: Callable[[int, RtcSession, rtc.JoinResponse], None]) -> RtcSession:
        epoch = self._epoch + 1
        context = SessionContext(
            emit=lambda event: self._on_event(epoch, event),
            joined=lambda session, join: joined(epoch, session, join),
            received=self._received,
        )
        session, _ = await RtcSession.connect(self._url, self._token, self._options, context)
        return session

    def _joined_first(self, epoch: int, session: RtcSession, join: rtc.JoinResponse) -> None:
        self._epoch, self._posting = epoch, session
        self.join, self.participant = join, join.participant

    # -- events --

    def _on_event(self, epoch: int, event: SessionEvent) -> None:
        if epoch != self._epoch or self._closed:
            return
        if type(event) is DataReceived:
            # The hot path: nothing else looks at data.
            self._events.put(event)
            return
        match event:
            case SessionClosed():
                self._on_loss(event)
            case RoomMoved():
                if event.moved.HasField("participant"):
                    self.participant = event.moved.participant
                self._events.put(event)
            case _:
                self._events.put(event)

    def _on_loss(self, event: SessionClosed) -> None:
        _logger.info("lost: %s (%s)", event.detail or event.source, event.reason.name)
        if self.recovery.state is State.RESTARTING and event.reason is DisconnectReason.DUPLICATE_IDENTITY:
            # The server ends the old session because of the new one; the two links are not ordered.
            return
        if self._session is not None:
            self._token = self._session.signal.token
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
            await resume.run(self.current)
        finally:
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
        self._token = old.signal.token
        if not old.signal.closed:
            # The server would take two links of one identity for an attack on the first.
            old.signal.abandon()
        # The join ends the old session on the server, and what it has not read by then is gone.
        await old.confirm_sent()
        session = await self._begin(self._joined_anew)
        session.channels.adopt(old.channels)
        self._session = session
        await finish_despite_cancel(old.aclose(leave=False))
        self._tell_undelivered(old.undelivered, "they were on their way when the connection was lost")

    def _joined_anew(self, epoch: int, session: RtcSession, join: rtc.JoinResponse) -> None:
        # From here on the server hears the old session no more, and neither do we.
        self._epoch, self._posting = epoch, session
        self.join, self.participant = join, join.participant
        self._events.put(SignalRestarted(join))

    def _tell_undelivered(self, count: int, reason: str) -> None:
        if count:
            _logger.warning("%d reliable packets may not have arrived: %s", count, reason)
            self._events.put(DataUndelivered(count, reason))

    def recovered(self, report: Recovered) -> None:
        """See `RecoveryHost`."""
        if report.mode is Mode.RESTART:
            self._events.put(Restarted())
            return
        assert self._resume is not None
        present, self._resume = self._resume.seen, None
        self._events.put(Resumed(None if present is None else frozenset(present)))

    def end(self, cause: Cause) -> None:
        """See `RecoveryHost`."""
        self._end(cause)

    # -- the end --

    async def aclose(self, reason: DisconnectReason, *, leave: bool) -> None:
        """Stop what is being attempted, leave, and close the session."""
        self._closed = True
        await self.recovery.aclose()
        if self._session is not None:
            await self._session.aclose(reason, leave=leave)
            self._tell_undelivered(self._session.undelivered, "they were on their way when the connection ended")

    def open_session(self) -> RtcSession:
        """Return the session in force.

        Raises:
            ClosedError: If the engine is closed.
        """
        if self._closed:
            raise ClosedError("the engine is closed")
        return self.current
