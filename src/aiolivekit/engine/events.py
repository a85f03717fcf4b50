"""What the engine adds to the events of its sessions, and the one door they leave through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from livekit.protocol import rtc

from .._tasks import Bell
from ..core.reconnection import Cause, Episode
from ..enums import DisconnectReason
from ..session.events import SessionEvent
from ..session.resume import RoomState

__all__ = [
    "Acknowledge",
    "DataUndelivered",
    "Disconnected",
    "EngineEvent",
    "EngineEvents",
    "Restarted",
    "Restarting",
    "Resumed",
    "Resuming",
    "SignalRestarted",
    "SignalResumed",
]


class Acknowledge:
    """The consumer's word that it has done its part; the engine waits for it, but not for ever."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __call__(self) -> None:
        """Acknowledge; more than once does no harm."""
        self._event.set()

    async def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds; return whether it was acknowledged."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


@dataclass(slots=True)
class Resuming:
    """A resume begins: same session, signalling anew, ICE restart."""

    acknowledge: Acknowledge = field(default_factory=Acknowledge)


@dataclass(slots=True)
class SignalResumed:
    """Signalling is back; the consumer fills in `state`, its part of `SyncState`, before it acknowledges."""

    reconnect_response: rtc.ReconnectResponse
    state: RoomState = field(default_factory=RoomState)
    acknowledge: Acknowledge = field(default_factory=Acknowledge)


@dataclass(slots=True)
class Resumed:
    """The session goes on.

    Args:
        present: The sids of the participants the server told of meanwhile, which are all there are: who was here
            before and is not among them has left. `None` when it told of none.
        episode: What it took.
        replayed: How many reliable packets were sent again in the episode.
    """

    present: frozenset[str] | None = None
    episode: Episode | None = None
    replayed: int = 0
    acknowledge: Acknowledge = field(default_factory=Acknowledge)


@dataclass(slots=True)
class Restarting:
    """A restart begins: a new session with new peers."""

    acknowledge: Acknowledge = field(default_factory=Acknowledge)


@dataclass(slots=True)
class SignalRestarted:
    """The new session has joined; its peers are not up yet."""

    join_response: rtc.JoinResponse
    acknowledge: Acknowledge = field(default_factory=Acknowledge)


@dataclass(slots=True)
class Restarted:
    """The new session is up and has taken the place of the old one.

    Args:
        episode: What it took.
        replayed: How many reliable packets were sent again in the episode, before the restart.
    """

    episode: Episode | None = None
    replayed: int = 0
    acknowledge: Acknowledge = field(default_factory=Acknowledge)


@dataclass(slots=True)
class DataUndelivered:
    """Reliable packets were handed to a session that ended before it was known that the server has them."""

    count: int
    reason: str


@dataclass(slots=True)
class Disconnected:
    """The visit is over; the last event.

    Args:
        reason: Why.
        detail: Says more than the reason when there is more to say.
        cause: What ended it; `None` when the application left.
        episode: The attempts to reconnect that were going on, if any were.
        replayed: How many reliable packets were sent again in them.
    """

    reason: DisconnectReason
    detail: str = ""
    cause: Cause | None = None
    episode: Episode | None = None
    replayed: int = 0


EngineEvent = (
    SessionEvent
    | Resuming
    | SignalResumed
    | Resumed
    | Restarting
    | SignalRestarted
    | Restarted
    | DataUndelivered
    | Disconnected
)


class EngineEvents:
    """The events of one engine, in order, for one consumer.

    Either iterate over it (`async for event in events`, which ends after `Disconnected`), or `attach` a function
    that is then called with each event as it happens, without a queue in between. Events are kept until one or
    the other is done.
    """

    def __init__(self) -> None:
        self._sink: Callable[[EngineEvent], None] | None = None
        self._backlog: list[EngineEvent] = []
        self._arrived = Bell()
        self._ended = False

    def attach(self, sink: Callable[[EngineEvent], None]) -> None:
        """Hand every event, those kept so far first, to `sink`, which must not raise.

        Raises:
            RuntimeError: If a function is attached already.
        """
        if self._sink is not None:
            raise RuntimeError("the events of an engine have one consumer")
        self._sink = sink
        while self._backlog:
            sink(self._backlog.pop(0))

    def put(self, event: EngineEvent) -> None:
        """Pass an event on (for the engine)."""
        if self._sink is not None and not self._backlog:
            self._sink(event)
            return
        self._backlog.append(event)
        self._arrived.set()

    def end(self) -> None:
        """No event follows (for the engine)."""
        self._ended = True
        self._arrived.set()

    def __aiter__(self) -> EngineEvents:
        return self

    async def __anext__(self) -> EngineEvent:
        while not self._backlog:
            if self._ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._backlog.pop(0)
