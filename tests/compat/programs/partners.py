"""Who talks with a program: a participant of the official SDK, or of livekit-client in Chromium."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from aiolivekit.testing import RealServer
from tests.interop.client import Client
from tests.interop.events import DEADLINE

Partner = Literal["official", "browser"]
PARTNERS: tuple[Partner, ...] = ("official", "browser")

PRECISION = 6.0
"""Hertz; what the window of the browser's analyser can tell apart."""

UTTERANCE = 1.0
"""Seconds a partner speaks."""


class Partners:
    """The room of a test, and who comes into it.

    Args:
        server: The server.
        room: Its name.
        bring: Makes a client that has not joined; without it, nobody can be brought.
    """

    def __init__(
        self, server: RealServer, room: str, bring: Callable[[Partner, str], Awaitable[Client]] | None = None
    ) -> None:
        self.server = server
        self.room = room
        self._bring = bring

    async def join(self, kind: Partner, identity: str = "ada") -> Client:
        """A partner that has joined, with two peer connections, as most of today's clients have."""
        assert self._bring is not None
        client = await self._bring(kind, identity)
        await client.join(self.server.url, self.server.token(identity, room=self.room), single=False)
        return client

    async def api(self, method: str, **body: Any) -> dict[str, Any]:
        """Ask the server's API."""
        return await asyncio.to_thread(self.server.api, method, body)

    async def dispatch(self, agent_name: str) -> None:
        """Ask for an agent in the room."""
        await self.api("AgentDispatchService/CreateDispatch", agentName=agent_name, room=self.room)

    async def close_room(self) -> None:
        """Send everybody away."""
        await self.api("RoomService/DeleteRoom", room=self.room)


async def voice_of(client: Client, identity: str | None = None, *, count: int = 1) -> dict[str, Any]:
    """The audio track that the client hears of somebody, or of anybody."""
    match = {"kind": "audio"} if identity is None else {"kind": "audio", "identity": identity}
    return await client.events.wait("track_subscribed", count=count, **match)


async def hears(client: Client, sid: str, frequency: float) -> None:
    """Listen from now on, until there is that tone; what is still on its way from before is not it."""
    tone = None
    try:
        async with asyncio.timeout(DEADLINE):
            while tone is None or abs(tone.frequency - frequency) > PRECISION:
                tone = await client.hear(sid)
    except TimeoutError:
        raise AssertionError(f"{client.identity} ({client.kind}) heard {tone} last, not {frequency} Hz") from None


async def say(client: Client, frequency: float) -> str:
    """Speak for a while, and be silent again; return the microphone's sid."""
    sid = await client.publish_tone(frequency)
    await client.events.wait("local_track_subscribed", sid=sid)
    await asyncio.sleep(UTTERANCE)
    await client.set_muted(sid, True)
    return sid
