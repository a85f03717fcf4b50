"""What can go wrong at a fault proxy, as rules: each says which event it concerns, counts it and logs that it fired."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeVar

__all__ = [
    "BlackoutFault",
    "Cut",
    "CutFault",
    "DelayFault",
    "FaultBook",
    "FiredFault",
    "HoldFault",
    "HttpFault",
    "MediaDirection",
    "MediaFault",
    "MediaTarget",
    "ProxyFault",
    "Sender",
]

Sender = Literal["client", "server"]
"""Who said a message: a client's are fields of `SignalRequest`, a server's of `SignalResponse`."""

MediaTarget = Literal["publisher", "subscriber"]
"""Which of a client's peer connections; with a single one, it is the publisher."""

MediaDirection = Literal["up", "down", "both"]
"""Up is from the client to the server."""


class Cut(StrEnum):
    """How a signalling connection ends, or seems not to."""

    RESET = "reset"
    """Both sides get a TCP reset."""
    CLOSE = "close"
    """Both sides get a close frame (1001, going away)."""
    DEAD_SERVER = "dead server"
    """Half open: the server sees a reset, to the client the connection stays, silent."""
    DEAD_CLIENT = "dead client"
    """Half open the other way: the client sees a reset, to the server the connection stays, silent."""
    BLACK_HOLE = "black hole"
    """To both the connection stays, and all that they say is swallowed."""


@dataclass(frozen=True, slots=True)
class FiredFault:
    """One time a fault fired.

    Args:
        fault: The method of `FaultProxy` that installed it.
        identity: Whose message, packet or connection it was; empty when nobody's in particular.
        detail: Which message, or what else there is to say.
        at: When, by `time.monotonic()`.
    """

    fault: str
    identity: str
    detail: str
    at: float


class ProxyFault:
    """A fault that was installed; it stays until it has fired as often as it may, or is lifted.

    Args:
        name: The method that installed it.
        book: Where it is installed.
        identity: Whom it concerns; `None` for everybody.
        message: Which signalling message it concerns; empty for any.
        sender: Whose messages; `None` for both sides'.
        nth: The first matching event it concerns, from 1, counted from the installation.
        count: How many it concerns; 0 for all from there on.
    """

    def __init__(
        self,
        name: str,
        book: FaultBook,
        *,
        identity: str | None = None,
        message: str = "",
        sender: Sender | None = None,
        nth: int = 1,
        count: int = 0,
    ) -> None:
        if nth < 1 or count < 0:
            raise ValueError("nth counts from 1, and count is not negative")
        self.name = name
        self.identity = identity
        self.message = message
        self.sender = sender
        self.seen = 0
        """How many events it could concern there were."""
        self.fired = 0
        """How often it has fired."""
        self.lifted = False
        """Whether it has been removed, by itself or by `lift`."""
        self._nth = nth
        self._count = count
        self._book = book
        self._changed = asyncio.Event()

    def lift(self) -> None:
        """Remove it; doing it twice does nothing."""
        if not self.lifted:
            self.lifted = True
            self._book.remove(self)
            self._changed.set()

    async def wait_fired(self, times: int = 1, timeout: float = 10.0) -> None:
        """Wait until it has fired that often.

        Raises:
            TimeoutError: If it has not within `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                while self.fired < times:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"{self!r}; {times} times were expected within {timeout:g} s") from None

    def concerns(self, identity: str) -> bool:
        """Whether it concerns a participant."""
        return not self.lifted and self.identity in (None, identity)

    def matches(self, identity: str, message: str = "", sender: Sender | None = None) -> bool:
        """Count an event; whether it fires on it."""
        if not self.concerns(identity) or self.message not in ("", message):
            return False
        if self.sender is not None and sender != self.sender:
            return False
        self.seen += 1
        return self.seen >= self._nth

    def fire(self, identity: str, detail: str) -> None:
        """Take note that it fired."""
        self.fired += 1
        self._book.log.append(FiredFault(self.name, identity, detail, time.monotonic()))
        self._changed.set()
        if self._count and self.fired >= self._count:
            self.lift()

    def __repr__(self) -> str:
        whom = "everybody" if self.identity is None else self.identity
        what = f" at {self.message}" if self.message else ""
        return f"<{self.name}{what} for {whom}: fired {self.fired} times>"


class HoldFault(ProxyFault):
    """Holds messages back until it is released (or lifted, which is the same)."""

    def __init__(self, name: str, book: FaultBook, *, identity: str | None, message: str, sender: Sender) -> None:
        super().__init__(name, book, identity=identity, message=message, sender=sender)
        self._held: list[Callable[[], None]] = []

    @property
    def held(self) -> int:
        """How many messages it holds."""
        return len(self._held)

    def keep(self, send: Callable[[], None]) -> None:
        """Keep a message; `send` sends it."""
        self._held.append(send)

    def lift(self) -> None:
        """Send what was held, in order, and hold no more."""
        super().lift()
        held, self._held = self._held, []
        for send in held:
            send()

    def release(self) -> None:
        """As `lift`."""
        self.lift()


class DelayFault(ProxyFault):
    """Delays messages, or lets so many bytes a second pass; their order stays."""

    def __init__(
        self,
        name: str,
        book: FaultBook,
        *,
        identity: str | None,
        message: str = "",
        sender: Sender | None,
        seconds: float = 0.0,
        rate: float = 0.0,
    ) -> None:
        super().__init__(name, book, identity=identity, message=message, sender=sender)
        self.seconds = seconds
        self.rate = rate
        self.free_at = 0.0
        """When the slow line has carried what was given to it, by the clock of the event loop."""


class CutFault(ProxyFault):
    """Cuts the connection at a message, or when so many bytes have passed."""

    def __init__(
        self,
        name: str,
        book: FaultBook,
        *,
        how: Cut,
        identity: str | None,
        message: str = "",
        sender: Sender | None,
        nth: int = 1,
        before: bool = False,
        limit: int | None = None,
    ) -> None:
        super().__init__(name, book, identity=identity, message=message, sender=sender, nth=nth, count=1)
        self.how = how
        self.before = before
        self.limit = limit
        """Bytes that still may pass."""


class HttpFault(ProxyFault):
    """Answers requests in the server's place; `status` 0 resets the connection."""

    def __init__(
        self, name: str, book: FaultBook, *, identity: str | None, status: int, body: str, what: str, count: int
    ) -> None:
        super().__init__(name, book, identity=identity, message=what, count=count)
        self.status = status
        self.body = body


class BlackoutFault(ProxyFault):
    """Nothing passes while it is in place; what TCP carries goes on afterwards, as it does after an outage."""

    def __init__(self, name: str, book: FaultBook, *, identity: str | None) -> None:
        super().__init__(name, book, identity=identity)
        self._over = asyncio.Event()

    def lift(self) -> None:
        """The network is back."""
        super().lift()
        self._over.set()

    async def over(self) -> None:
        """Wait until the network is back."""
        await self._over.wait()


class MediaFault(ProxyFault):
    """Loses or delays packets on the media path: every nth (1 for all), or by so many seconds."""

    def __init__(
        self,
        name: str,
        book: FaultBook,
        *,
        identity: str | None,
        target: MediaTarget | None,
        direction: MediaDirection,
        every: int = 0,
        seconds: float = 0.0,
    ) -> None:
        super().__init__(name, book, identity=identity)
        self.target = target
        self.direction = direction
        self.every = every
        self.seconds = seconds
        self.lost = 0
        """How many packets it has swallowed; only the first is in the log."""

    def concerns_packet(self, identity: str, target: MediaTarget, direction: MediaDirection) -> bool:
        """Whether it concerns a packet."""
        return self.concerns(identity) and self.target in (None, target) and self.direction in ("both", direction)

    def swallows(self, identity: str, target: MediaTarget) -> bool:
        """Count a packet it concerns; whether it is lost."""
        self.seen += 1
        if self.every == 0 or self.seen % self.every:
            return False
        self.lost += 1
        if self.lost == 1:
            self.fire(identity, target)
        return True


F = TypeVar("F", bound=ProxyFault)


class FaultBook:
    """The faults in place, and the log of those that fired."""

    def __init__(self) -> None:
        self.log: list[FiredFault] = []
        self._active: list[ProxyFault] = []

    def install(self, fault: F) -> F:
        """Put a fault in place."""
        self._active.append(fault)
        return fault

    def remove(self, fault: ProxyFault) -> None:
        """Remove one (its own `lift` calls this)."""
        if fault in self._active:
            self._active.remove(fault)

    def note(self, fault: str, identity: str, detail: str = "") -> None:
        """Log something done at once, which stays in no place."""
        self.log.append(FiredFault(fault, identity, detail, time.monotonic()))

    def active(self, kind: type[F]) -> Iterator[F]:
        """Yield the faults of a kind, in the order of their installation."""
        return iter([fault for fault in self._active if isinstance(fault, kind)])

    def first(self, kind: type[F], identity: str, message: str, sender: Sender) -> F | None:
        """Return the first fault of a kind that fires on a message; those behind it do not see it."""
        for fault in self.active(kind):
            if fault.matches(identity, message, sender):
                return fault
        return None

    def outage(self, identity: str) -> Awaitable[None] | None:
        """Return what to wait for while nothing passes; `None` when all does."""
        for fault in self.active(BlackoutFault):
            if fault.concerns(identity):
                return fault.over()
        return None

    def packet_delay(self, identity: str, target: MediaTarget, direction: MediaDirection) -> float | None:
        """Return by how many seconds a packet is delayed; `None` when it is lost."""
        delay = 0.0
        for fault in self._active:
            if isinstance(fault, BlackoutFault) and fault.concerns(identity):
                return None
            if isinstance(fault, MediaFault) and fault.concerns_packet(identity, target, direction):
                if fault.swallows(identity, target):
                    return None
                if fault.seconds and not fault.fired:
                    fault.fire(identity, target)
                delay += fault.seconds
        return delay

    def clear(self) -> None:
        """Lift all."""
        for fault in list(self._active):
            fault.lift()
