"""What a recording holds: who said what on which connection, in the order in which the proxy saw it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from google.protobuf.message import Message
from livekit.protocol import rtc

__all__ = ["Entry", "Recording"]

Origin = Literal["client", "server"]

QUIET = 0.6
"""Seconds without a message after which a step counts as over."""

CLOCKED = frozenset(
    {
        "ping",
        "ping_req",
        "pong",
        "pong_resp",
        "connection_quality",
        "speakers_changed",
        "room_update",
        "stream_state_update",
    }
)
"""Kinds of messages that come by the clock or by measurement: a step does not wait for them to stop."""


@dataclass(frozen=True)
class Entry:
    """One thing that happened on one connection.

    Args:
        step: The step of the scenario.
        identity: Whose connection it is.
        connection: Its number among the connections of that identity, from 1.
        origin: Who said it.
        kind: The field of the signalling message, or `open`, `refused`, `close`, `text`, `garbage`.
        body: The message inside, or what else there is to say as text.
        at: When, by the clock of the event loop.
    """

    step: str
    identity: str
    connection: int
    origin: Origin
    kind: str
    body: Message | str | int
    at: float


@dataclass
class Recording:
    """Everything said in one room while one scenario ran."""

    entries: list[Entry] = field(default_factory=list)
    step: str = ""
    _connections: dict[str, int] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _last: float = 0.0

    def connect(self, identity: str) -> int:
        """Return the number of a new connection."""
        self._connections[identity] = self._connections.get(identity, 0) + 1
        return self._connections[identity]

    def add(self, identity: str, connection: int, origin: Origin, kind: str, body: Message | str | int) -> None:
        """Write down what happened."""
        now = asyncio.get_running_loop().time()
        self.entries.append(Entry(self.step, identity, connection, origin, kind, body, now))
        if kind not in CLOCKED:
            self._last = now
        self._changed.set()

    def add_message(
        self, identity: str, connection: int, origin: Origin, message: rtc.SignalRequest | rtc.SignalResponse
    ) -> None:
        """Write down a signalling message."""
        kind = message.WhichOneof("message")
        if kind is None:
            self.add(identity, connection, origin, "empty", "")
        else:
            body = getattr(message, kind)
            self.add(identity, connection, origin, kind, body)

    def of(self, identity: str, kind: str, origin: Origin = "server") -> list[Entry]:
        """Return the messages of a kind to (or from) a participant."""
        return [e for e in self.entries if (e.identity, e.kind, e.origin) == (identity, kind, origin)]

    async def until(self, condition: Callable[[], object], what: str, timeout: float = 15.0) -> None:
        """Wait until a condition on the recording holds; raises `TimeoutError` with `what` when it never does."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"never happened: {what}") from None

    async def quiet(self, seconds: float = QUIET, timeout: float = 15.0) -> None:
        """Wait until nobody has said anything for a while, at most `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        end = max(self._last, loop.time() - seconds / 2) + seconds
        while (now := loop.time()) < min(end, deadline):
            await asyncio.sleep(min(end, deadline) - now)
            end = self._last + seconds
