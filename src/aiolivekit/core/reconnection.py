"""What to do after a loss: resume, restart or give up, when, and how often.

The states and what follows from what are in `core.reconnect_table`; here are attempts, causes and time. LiveKit's own
rules are in `signalling-reconnection.allium` of its specifications: a resume keeps the session, a restart (full
reconnect) joins anew; an episode goes from resume to restart and never back; only the server's word or its judgement
of the token ends it before its attempts are used up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import TypeVar

from ..enums import DisconnectReason
from ..options import BackoffPolicy, ReconnectPolicy
from .reconnect_table import TABLE, Do, Input, State

__all__ = [
    "Announce",
    "Attempt",
    "CancelAttempt",
    "Cause",
    "Effect",
    "End",
    "Episode",
    "Failure",
    "Mode",
    "Reconnection",
    "Recovered",
    "Wish",
]

T = TypeVar("T")

_HURRIED_ATTEMPTS = 3
"""Attempts of an episode that the server may have made at once; after them it is asked no faster than others."""


_FLAPPING = 10.0
"""Seconds: a loss so soon after a recovery goes on with the delays where the last episode left them, or a server that
takes us back only to lose us again would be asked without end and without pause."""

_QUICK = 0.1
"""Seconds: the delay after an attempt that failed as fast as that counts from when it was due. So those who lost the
same server at once, and share their jitter, go on trying at the same times (`core.room_jitter`)."""


class Mode(Enum):
    """How an attempt goes about it."""

    RESUME = "resume"
    RESTART = "restart"


class Wish(Enum):
    """What a loss, or the server's leave request, asks for."""

    RESUME = "resume"
    RESTART = "restart"
    DISCONNECT = "disconnect"


class Failure(Enum):
    """How an attempt failed."""

    NO_WORD = "no word"
    """The server could not be asked: refused, unreachable, timed out, 5xx, lost again."""
    MISMATCH = "mismatch"
    """The server does not know the session, or asks for a new join."""
    MEDIA = "media"
    """Signalling came back, the media path did not."""
    REVOKED = "revoked"
    """The server does not let us in: leave with disconnect, or a token that it judged (validated 401 or 403)."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something ended.

    Args:
        source: What was lost: `signal`, `publisher`, `subscriber`, `channel`, `negotiation`, `leave`, `internal`.
        reason: The reason to give to the application if this is what ends the visit.
        detail: For people.
    """

    source: str
    reason: DisconnectReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the application that a resume, or a restart, begins."""

    mode: Mode
    cause: Cause


@dataclass(frozen=True, slots=True)
class Attempt:
    """Make an attempt, and report how it went with the same number."""

    mode: Mode
    number: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class CancelAttempt:
    """Stop the attempt under way and close what it opened; it reports nothing more."""

    number: int


@dataclass(frozen=True, slots=True)
class Episode:
    """What an episode of reconnecting was, once it is over.

    Args:
        mode: The one it ended in.
        cause: What began it.
        attempts: Made.
        duration: Seconds.
        tried: The modes in which attempts were made, in order.
    """

    mode: Mode
    cause: Cause
    attempts: int
    duration: float
    tried: tuple[Mode, ...] = ()


@dataclass(frozen=True, slots=True)
class Recovered(Episode):
    """The episode ended well."""


@dataclass(frozen=True, slots=True)
class End:
    """Close the engine, for this cause; `episode` tells what was tried, if anything was being tried."""

    cause: Cause
    episode: Episode | None = None


Effect = Announce | Attempt | CancelAttempt | Recovered | End


@dataclass(slots=True)
class Reconnection:
    """The engine's state towards the room.

    Tell it what happens, do what it returns in order, and call `poll` at `deadline`. Times are seconds on one
    monotonic clock. The permission to reconnect is lost for good when the server revokes it: the state is then CLOSED.

    Args:
        policy: Delays, and when to give up.
        rng: Where jitter comes from.
    """

    policy: ReconnectPolicy = field(default_factory=BackoffPolicy)
    rng: Random = field(default_factory=Random)
    state: State = State.CONNECTED
    deadline: float | None = None
    attempts: int = 0
    """Attempts made in this episode."""
    media_alive: bool = True
    """Whether the media path still stands, as far as is known."""
    revoked: bool = False
    _tried: tuple[Mode, ...] = ()
    _began: float = 0.0
    _cause: Cause | None = None
    _hurried: int = 0
    _recovered: float | None = None
    _flaps: int = 0
    _due: float = 0.0
    """When the attempt under way was due."""

    @property
    def mode(self) -> Mode | None:
        """How the episode goes about it, `None` outside one."""
        if not self.state.reconnecting:
            return None
        return Mode.RESUME if self.state in (State.RESUME_DUE, State.RESUMING) else Mode.RESTART

    @property
    def cause(self) -> Cause | None:
        """What began the episode, `None` outside one."""
        return self._cause if self.state.reconnecting else None

    def lost(self, cause: Cause, wish: Wish, now: float, *, hurry: bool = False, media: bool = False) -> list[Effect]:
        """Note a loss, or a leave request of the server.

        Args:
            cause: What was lost and why.
            wish: What it asks for.
            now: The time.
            hurry: The server says to come back at once.
            media: The media path is what was lost.
        """
        if self.state is State.CLOSED:
            return []
        if wish is Wish.DISCONNECT:
            self.revoked = True
            return self._take(Input.REVOKED, now, cause)
        if self.state is State.CONNECTED:
            self._began, self._cause, self.attempts, self._tried = now, cause, 0, ()
            if self._recovered is not None and now - self._recovered < _FLAPPING:
                self._flaps += 1
            else:
                self._flaps = self._hurried = 0
            self.media_alive = True
            if self._delay(now) is None:
                return self._take(Input.EXHAUSTED, now, cause)
        if media:
            self.media_alive = False
        effects = self._take(Input.LOST if wish is Wish.RESUME else Input.RESTART_ASKED, now, cause)
        if hurry:
            effects += self._hurry(now)
        return effects

    def succeeded(self, now: float) -> list[Effect]:
        """Note that the attempt under way has connected the room again."""
        return self._take(Input.SUCCEEDED, now, self._cause)

    def failed(self, failure: Failure, cause: Cause, now: float, *, hurry: bool = False) -> list[Effect]:
        """Note that the attempt under way failed.

        Args:
            failure: How.
            cause: The same for people; it is what the end gives as its reason if the permission is revoked.
            now: The time.
            hurry: The server says to come back at once.
        """
        if not self.state.attempting:
            return []
        if failure is Failure.REVOKED:
            self.revoked = True
            return self._take(Input.REVOKED, now, cause, over=True)
        if failure is Failure.MEDIA:
            self.media_alive = False
        if self._delay(now) is None:
            # What began the episode says more than the last thing tried.
            return self._take(Input.EXHAUSTED, now, self._cause)
        again = failure is Failure.NO_WORD and self.media_alive
        effects = self._take(Input.FAILED if again else Input.RESUME_REFUTED, now, cause)
        if hurry:
            effects += self._hurry(now)
        return effects

    def retry_now(self, now: float) -> list[Effect]:
        """Make the attempt that is waited for at once: the application knows that the network is back."""
        if self.state in (State.RESUME_DUE, State.RESTART_DUE) and self._delay(now) is not None:
            return self._take(Input.DUE, now, self._cause)
        return []

    def close(self, cause: Cause, now: float) -> list[Effect]:
        """Leave for good."""
        return self._take(Input.CLOSE, now, cause)

    def poll(self, now: float) -> list[Effect]:
        """Look at the clock."""
        if self.deadline is None or now < self.deadline:
            return []
        return self._take(Input.DUE, now, self._cause)

    def _hurry(self, now: float) -> list[Effect]:
        if self.state not in (State.RESUME_DUE, State.RESTART_DUE) or self._hurried >= _HURRIED_ATTEMPTS:
            return []
        self._hurried += 1
        return self._take(Input.DUE, now, self._cause)

    def _delay(self, now: float) -> float | None:
        delay = self.policy.delay(self.attempts + self._flaps + 1, now - self._began, self.rng)
        return None if delay is None else max(0.0, delay)

    def _take(self, happening: Input, now: float, cause: Cause | None, *, over: bool = False) -> list[Effect]:
        rule = TABLE[self.state].get(happening)
        if rule is None:
            return []
        assert cause is not None
        before, due = self.mode, self.deadline
        self.state, does = rule
        self.deadline = None
        effects: list[Effect] = []
        for do in does:
            match do:
                case Do.WAIT:
                    # A policy that would rather give up is asked when an attempt has failed; here is one to make.
                    delay = self._delay(now) or 0.0
                    quick = happening is Input.FAILED and now - self._due <= _QUICK
                    self.deadline = max(now, (self._due if quick else now) + delay)
                case Do.ANNOUNCE:
                    effects.append(Announce(_known(self.mode), cause))
                case Do.ATTEMPT:
                    self.attempts += 1
                    self._due = now if due is None else min(now, due)
                    mode = _known(self.mode)
                    if mode not in self._tried:
                        self._tried = (*self._tried, mode)
                    effects.append(Attempt(mode, self.attempts, _known(self._cause)))
                case Do.CANCEL:
                    # An attempt that has reported is over by itself.
                    if not over:
                        effects.append(CancelAttempt(self.attempts))
                case Do.RECOVERED:
                    self._recovered = now
                    effects.append(Recovered(*self._episode(_known(before), now)))
                case Do.END:
                    effects.append(End(cause, None if before is None else Episode(*self._episode(before, now))))
        return effects

    def _episode(self, mode: Mode, now: float) -> tuple[Mode, Cause, int, float, tuple[Mode, ...]]:
        return mode, _known(self._cause), self.attempts, now - self._began, self._tried


def _known(value: T | None) -> T:
    assert value is not None
    return value
