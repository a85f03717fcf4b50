"""Carries out what `core.reconnection` decides: one attempt at a time, each watched, each able to be cancelled."""

from __future__ import annotations

import asyncio
import logging
from random import Random
from typing import Final, Protocol

from livekit.protocol import models, rtc

from .._tasks import Bell, finish_despite_cancel
from ..core.flight import SILENT, FlightRecorder
from ..core.reconnect_table import State
from ..core.reconnection import (
    Announce,
    Attempt,
    CancelAttempt,
    Cause,
    Effect,
    End,
    Episode,
    Failure,
    Mode,
    Reconnection,
    Recovered,
    Wish,
)
from ..enums import DisconnectReason
from ..errors import (
    ConnectError,
    InvalidTokenError,
    PermissionDeniedError,
    ProtocolError,
    RoomNotFoundError,
    ServerLeaveError,
    TokenSourceError,
    TransportError,
)
from ..options import ReconnectPolicy
from ..session.events import SessionClosed
from .events import Acknowledge

__all__ = ["HANDSHAKE_TIMEOUT", "Recovery", "RecoveryHost", "judge"]

_logger = logging.getLogger("aiolivekit.engine")
_CHANCE: Final = Random()  # noqa: S311 - jitter, no secret
"""For all engines: one takes 2.5 kB."""

HANDSHAKE_TIMEOUT = 2.0
"""Seconds the application may take to say that it knows that a resume, or a restart, begins."""

_Action = rtc.LeaveRequest.Action
_WISHES: dict[int, Wish] = {
    _Action.DISCONNECT: Wish.DISCONNECT,
    _Action.RESUME: Wish.RESUME,
    _Action.RECONNECT: Wish.RESTART,
}
_MEDIA_SOURCES = ("publisher", "subscriber", "channel")
_REASONS: dict[str, models.ReconnectReason] = {
    "signal": models.ReconnectReason.RR_SIGNAL_DISCONNECTED,
    "publisher": models.ReconnectReason.RR_PUBLISHER_FAILED,
    "subscriber": models.ReconnectReason.RR_SUBSCRIBER_FAILED,
}


class RecoveryHost(Protocol):
    """What recovery asks of the engine."""

    def announce(self, mode: Mode, cause: Cause) -> Acknowledge:
        """Tell that a resume or a restart begins; the attempt waits for the acknowledgement, not for ever."""

    async def resume(self, reason: models.ReconnectReason) -> None:
        """Resume the session; raises `ConnectError`."""

    async def restart(self) -> None:
        """Join anew; raises `ConnectError`."""

    def media_failed(self) -> bool:
        """Whether the media path of the session in force is known to be dead."""

    def recovered(self, report: Recovered) -> None:
        """Tell that the room is connected again."""

    def end(self, cause: Cause) -> None:
        """Close the engine."""


class Recovery:
    """The driver of one engine's reconnect machine.

    Args:
        host: Does what is decided.
        policy: Delays, and when to give up.
        rng: Where jitter comes from.
        flight: Where it is written down what is decided.
    """

    def __init__(
        self,
        host: RecoveryHost,
        policy: ReconnectPolicy,
        rng: Random | None = None,
        flight: FlightRecorder = SILENT.recorder,
    ) -> None:
        self.given_up: Episode | None = None
        """The episode that ended the visit, if one did."""
        self._host = host
        self._flight = flight
        self._machine = Reconnection(policy, rng or _CHANCE)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.Task[None] | None = None
        # One at work and those before it that have been cancelled and still clear up.
        self._working: set[asyncio.Task[None]] = set()
        self._announced: Acknowledge | None = None
        self._settled = Bell()
        self._settled.set()

    # -- what is so --

    @property
    def state(self) -> State:
        """Where the engine is."""
        return self._machine.state

    @property
    def mode(self) -> Mode | None:
        """How an episode goes about it; `None` outside one."""
        return self._machine.mode

    async def wait_settled(self) -> None:
        """Wait until the room is connected, or the engine closed."""
        await self._settled.wait()

    # -- what happens --

    def lost(self, event: SessionClosed) -> None:
        """Take what a session lost, or what the server asks for."""
        cause = Cause(event.source, event.reason, event.detail)
        wish = _WISHES.get(event.action, Wish.RESTART)
        media = event.source in _MEDIA_SOURCES
        self._flight.note(
            "engine", "lost", source=event.source, reason=event.reason.name, action=wish.value, detail=event.detail
        )
        self._perform(self._machine.lost(cause, wish, self._loop.time(), hurry=event.retry_now, media=media))

    def retry_now(self) -> None:
        """Make the attempt that is waited for at once."""
        self._perform(self._machine.retry_now(self._loop.time()))

    def close(self) -> None:
        """The application leaves: nothing is attempted any more."""
        cause = Cause("application", DisconnectReason.CLIENT_INITIATED)
        # The end that this decides is under way already.
        effects = self._machine.close(cause, self._loop.time())
        self._perform([effect for effect in effects if not isinstance(effect, End)])
        self._settled.set()

    async def aclose(self) -> None:
        """As `close`, and wait until what was under way has been stopped."""
        self.close()
        while others := self._working - {asyncio.current_task()}:
            await asyncio.wait(others)

    # -- what is done --

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Announce(mode, cause):
                    _logger.warning("%s: %s (%s)", mode.value, cause.detail or cause.source, cause.reason.name)
                    self._flight.note("engine", "reconnecting", mode=mode.value, cause=cause.source)
                    self._settled.clear()
                    self._announced = self._host.announce(mode, cause)
                case Attempt():
                    self._flight.note("engine", "attempt", mode=effect.mode.value, attempt=effect.number)
                    # A task of its own each time: the one before it, cancelled or not, clears up first.
                    self._work = work = self._loop.create_task(
                        self._attempt(effect, self._work), name=f"aiolivekit-{effect.mode.value}"
                    )
                    self._working.add(work)
                    work.add_done_callback(self._working.discard)
                case CancelAttempt():
                    self._flight.note("engine", "attempt cancelled", attempt=effect.number)
                    if self._work is not None:
                        self._work.cancel()
                case Recovered():
                    _logger.info("%s succeeded at attempt %d", effect.mode.value, effect.attempts)
                    self._note_end("recovered", effect, effect.cause)
                    self._settled.set()
                    self._host.recovered(effect)
                case End(cause, episode):
                    self._note_end("given up" if episode else "ended", episode, cause)
                    self.given_up = episode
                    self._settled.set()
                    self._host.end(cause)
        self._arm()

    async def _attempt(self, attempt: Attempt, previous: asyncio.Task[None] | None) -> None:
        if previous is not None and not previous.done():
            await finish_despite_cancel(_ended(previous))
        if self._announced is not None:
            if not await self._announced.wait(HANDSHAKE_TIMEOUT):
                _logger.warning(
                    "nobody acknowledged within %g s that a %s begins", HANDSHAKE_TIMEOUT, attempt.mode.value
                )
            self._announced = None
        error: Exception | None = None
        try:
            await self._make(attempt)
        except Exception as caught:  # noqa: BLE001 - judged below
            error = caught
        if self._machine.state is State.CLOSED or self._work is not asyncio.current_task():
            # Cancelled, too late to be stopped: nobody waits for its end any more.
            return
        self._perform(self._report(attempt, error))

    def _report(self, attempt: Attempt, error: Exception | None) -> list[Effect]:
        """Tell the machine how an attempt went."""
        now = self._loop.time()
        if error is not None:
            status = error.status if isinstance(error, ConnectError) else None
            self._flight.note(
                "engine", "attempt failed", attempt=attempt.number, error=type(error).__name__, status=status
            )
        match error:
            case None:
                return self._machine.succeeded(now)
            case ConnectError():
                failure, cause, hurry = judge(error)
                if failure is Failure.NO_WORD and attempt.mode is Mode.RESUME and self._host.media_failed():
                    failure = Failure.MEDIA
                _logger.warning("%s, attempt %d: %s", attempt.mode.value, attempt.number, error)
                return self._machine.failed(failure, cause, now, hurry=hurry)
            case _:  # an error of ours ends the attempt, not the room
                _logger.error("%s, attempt %d failed unexpectedly", attempt.mode.value, attempt.number, exc_info=error)
                cause = Cause("internal", DisconnectReason.UNKNOWN_REASON, type(error).__name__)
                return self._machine.failed(Failure.MISMATCH, cause, now)

    async def _make(self, attempt: Attempt) -> None:
        try:
            if attempt.mode is Mode.RESUME:
                await self._host.resume(_REASONS.get(attempt.cause.source, models.ReconnectReason.RR_UNKNOWN))
            else:
                await self._host.restart()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                # Nobody cancelled us: something that was waited for was. Unreported, it would be the last attempt.
                raise RuntimeError("a step was cancelled from elsewhere") from None
            raise

    def _note_end(self, what: str, episode: Episode | None, cause: Cause) -> None:
        fields = {"source": cause.source, "reason": cause.reason.name, "detail": cause.detail}
        if episode is None:
            self._flight.note("engine", what, **fields)
        else:
            took = round(episode.duration, 4)
            self._flight.note(
                "engine", what, mode=episode.mode.value, attempts=episode.attempts, duration=took, **fields
            )

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._machine.deadline is not None:
            delay = self._machine.deadline - self._loop.time()
            self._flight.note("engine", "waiting", state=self.state.value, delay=delay)
            self._timer = self._loop.call_at(self._machine.deadline, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._perform(self._machine.poll(self._loop.time()))


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])


def judge(error: ConnectError) -> tuple[Failure, Cause, bool]:
    """Return what an error says about an attempt, how to say it to people, and whether to hurry."""
    match error:
        case ServerLeaveError():
            reason = DisconnectReason.of(error.reason)
            cause = Cause("leave", reason, error.message)
            if reason is DisconnectReason.STATE_MISMATCH or error.action == _Action.RECONNECT:
                return Failure.MISMATCH, cause, True
            if error.action == _Action.RESUME:
                return Failure.NO_WORD, cause, True
            return Failure.REVOKED, cause, False
        case InvalidTokenError() | PermissionDeniedError() | RoomNotFoundError():
            # Only the validate request makes an error one of these; a bare 401 is a `ServerRefusedError`.
            return Failure.REVOKED, Cause("token", DisconnectReason.JOIN_FAILURE, error.message), False
        case TokenSourceError():
            # The application may have another one next time.
            return Failure.NO_WORD, Cause("token", DisconnectReason.JOIN_FAILURE, error.message), False
        case ProtocolError():
            return Failure.MISMATCH, Cause("signal", DisconnectReason.JOIN_FAILURE, str(error)), False
        case TransportError():
            return Failure.MEDIA, Cause("publisher", DisconnectReason.CONNECTION_TIMEOUT, str(error)), False
        case _:
            return Failure.NO_WORD, Cause("signal", DisconnectReason.SIGNAL_CLOSE, str(error)), False
