"""A host for the recovery driver that does as it is told, and the policies its tests use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from livekit.protocol import models, rtc

from aiolivekit.core.reconnection import Cause, Mode, Recovered
from aiolivekit.engine.events import Acknowledge
from aiolivekit.engine.recovery import Recovery
from aiolivekit.enums import DisconnectReason
from aiolivekit.session.events import SessionClosed

__all__ = [
    "DEADLINE",
    "ENDED",
    "ESCALATED",
    "FATAL",
    "MEDIA",
    "RESTART",
    "RESUME_ONLY",
    "SIGNAL",
    "Host",
    "Soon",
    "Step",
    "at_once",
    "for_ever",
    "raising",
    "reached",
]

DEADLINE = 10.0
"""Seconds any one thing may take."""

_Action = rtc.LeaveRequest.Action
SIGNAL = SessionClosed("signal", DisconnectReason.SIGNAL_CLOSE, _Action.RESUME, detail="closed")
MEDIA = SessionClosed("publisher", DisconnectReason.CONNECTION_TIMEOUT, _Action.RESUME, detail="failed")
RESTART = SessionClosed("leave", DisconnectReason.SERVER_SHUTDOWN, _Action.RECONNECT, retry_now=True)
FATAL = SessionClosed("leave", DisconnectReason.PARTICIPANT_REMOVED, _Action.DISCONNECT)

RESUME_ONLY = ["announce resume", "resume", "resume", "recovered by resume"]
ESCALATED = ["announce resume", "resume", "announce restart", "restart", "recovered by restart"]
ENDED = ["announce resume", "resume", "end"]
"""What a host writes down when one attempt fails and the next does not."""

Step = Callable[[], Awaitable[None]]


class Soon:
    """A policy of attempts that follow one another at once.

    Args:
        attempts: After so many it gives up.
        wait: Seconds before each.
    """

    def __init__(self, attempts: int = 5, wait: float = 0.0) -> None:
        self.attempts = attempts
        self.wait = wait

    def delay(self, attempt: int, elapsed: float, rng: Random) -> float | None:
        return self.wait if attempt <= self.attempts else None


class Host:
    """A `RecoveryHost` whose attempts are scripts; what is asked of it is written down in order.

    Args:
        policy: When attempts are made.
        steps: What the attempts do, one after the other; the last one is done by all that follow.
        acknowledge: Whether announcements are acknowledged at once.
    """

    def __init__(self, *steps: Step, policy: Soon | None = None, acknowledge: bool = True) -> None:
        self.log: list[str] = []
        self.announced: list[Acknowledge] = []
        self.causes: list[Cause] = []
        self.reasons: list[models.ReconnectReason] = []
        self.reports: list[Recovered] = []
        self.ends: list[Cause] = []
        self.media = False
        self.running = 0
        self._steps = list(steps) or [self.at_once]
        self._acknowledge = acknowledge
        self._changed = asyncio.Event()
        self.recovery = Recovery(self, policy or Soon(), Random(1))

    async def at_once(self) -> None:
        return

    # -- RecoveryHost --

    def announce(self, mode: Mode, cause: Cause) -> Acknowledge:
        self._note(f"announce {mode.value}")
        self.causes.append(cause)
        word = Acknowledge()
        self.announced.append(word)
        if self._acknowledge:
            word()
        return word

    async def resume(self, reason: models.ReconnectReason) -> None:
        self.reasons.append(reason)
        await self._attempt("resume")

    async def restart(self) -> None:
        await self._attempt("restart")

    def media_failed(self) -> bool:
        return self.media

    def recovered(self, report: Recovered) -> None:
        self._note(f"recovered by {report.mode.value}")
        self.reports.append(report)

    def end(self, cause: Cause) -> None:
        self._note("end")
        self.ends.append(cause)

    # -- for tests --

    async def _attempt(self, name: str) -> None:
        self._note(name)
        self.running += 1
        assert self.running == 1, "one attempt at a time"
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        try:
            await step()
        except asyncio.CancelledError:
            self._note(f"{name} cancelled")
            raise
        finally:
            self.running -= 1

    def _note(self, what: str) -> None:
        self.log.append(what)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def recovered_or_ended(self) -> None:
        await self.until(lambda: bool(self.reports or self.ends))


async def reached(condition: Callable[[], bool]) -> None:
    """Wait, turn by turn of the loop, for something that has no event."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0)


def raising(error: BaseException) -> Step:
    async def step() -> None:
        await asyncio.sleep(0)
        raise error

    return step


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def at_once() -> None:
    return
