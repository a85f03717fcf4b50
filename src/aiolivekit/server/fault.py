"""The faults that `Faults` installs, and the record of what fired."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from livekit.protocol import rtc

if TYPE_CHECKING:
    from aiolivekit.server.connection import SignalConnection
    from aiolivekit.server.faults import Faults

__all__ = ["CloseFault", "Direction", "Fault", "Fired", "Firing", "Hold"]

Direction = Literal["in", "out"]
"""Seen from the server: "in" is what clients send."""


@dataclass(frozen=True)
class Fired:
    """One time a fault fired.

    Args:
        fault: The method of `Faults` that installed it.
        identity: Whose message, packet or connection it was.
        detail: Which message or packet kind.
        at: `time.monotonic()`.
    """

    fault: str
    identity: str
    detail: str
    at: float


class Firing:
    """Counts how often a fault fires, and wakes who waits for it."""

    def __init__(self) -> None:
        self.fired = 0
        self._waiters: list[asyncio.Future[None]] = []

    def count_fired(self) -> None:
        """Take note that it fired."""
        self.fired += 1
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_fired(self, times: int = 1, timeout: float = 10.0) -> None:
        """Wait until it has fired that often; raises `TimeoutError`."""
        async with asyncio.timeout(timeout):
            while self.fired < times:
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter


class Fault(Firing):
    """A fault that was installed.

    Args:
        name: The method that installed it.
        faults: Where it is installed.
        identity: Whom it concerns; `None` for everybody.
        message: Which signalling message it concerns; empty for any.
        direction: Which way the message goes.
        nth: The first matching event that it concerns.
        count: How many it concerns; 0 for all from there on.
    """

    def __init__(
        self,
        name: str,
        faults: Faults,
        *,
        identity: str | None = None,
        message: str = "",
        direction: Direction = "out",
        nth: int = 1,
        count: int = 1,
    ) -> None:
        if nth < 1 or count < 0:
            raise ValueError("nth counts from 1, and count is not negative")
        super().__init__()
        self.name = name
        self.identity = identity
        self.message = message
        self.direction = direction
        self.seen = 0
        self._nth = nth
        self._count = count
        self._faults = faults

    @property
    def spent(self) -> bool:
        """Whether it will not fire again."""
        return bool(self._count) and self.fired >= self._count

    def lift(self) -> None:
        """Remove it."""
        self._faults.remove(self)

    def matches(self, identity: str, message: str, direction: Direction) -> bool:
        """Count an event; whether the fault concerns it."""
        if self.direction != direction or self.spent:
            return False
        if (self.identity is not None and self.identity != identity) or self.message not in ("", message):
            return False
        self.seen += 1
        return self.seen >= self._nth

    def fire(self, identity: str, detail: str) -> None:
        """Take note that it fired, and on what."""
        self._faults.log.append(Fired(self.name, identity, detail, time.monotonic()))
        self.count_fired()
        if self.spent:
            self._faults.remove(self)


class Hold(Fault):
    """A fault that holds messages back until it is released."""

    def __init__(self, name: str, faults: Faults, *, identity: str | None, message: str, count: int) -> None:
        super().__init__(name, faults, identity=identity, message=message, count=count)
        self.held: list[tuple[SignalConnection, rtc.SignalResponse]] = []

    def release(self) -> None:
        """Send what was held, in order, and hold no more."""
        self.lift()
        held, self.held = self.held, []
        for connection, response in held:
            connection.enqueue(response)


class CloseFault(Fault):
    """A fault that closes a connection before or after a message."""

    def __init__(
        self,
        faults: Faults,
        *,
        before: bool,
        identity: str | None,
        message: str,
        nth: int,
        code: int,
        abrupt: bool,
    ) -> None:
        name = "close_before" if before else "close_after"
        super().__init__(name, faults, identity=identity, message=message, nth=nth)
        self.before = before
        self.code = code
        self.abrupt = abrupt
