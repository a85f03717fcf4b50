"""Where a scenario plays: one room of one server, actors on one kind of client, and the recording of it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from livekit.api import ListParticipantsRequest
from livekit.protocol import models, rtc

from aiolivekit.testing import access_token

from .actors import Actor
from .recording import Recording
from .servers import Endpoint
from .wire import WireClient, join_query

__all__ = ["KITS", "Kit", "Stage"]

SETTLE_TIMEOUT = 6.0
"""Seconds for everybody to be told of everything; the real server collects some news for 3 s."""


@dataclass(frozen=True)
class Kit:
    """A kind of client: an SDK, and how many peer connections it uses."""

    name: str
    module: str
    single: bool


KITS = {
    kit.name: kit
    for kit in (
        Kit("official-dual", "livekit.rtc", single=False),
        Kit("official-single", "livekit.rtc", single=True),
        Kit("ours-dual", "aiolivekit", single=False),
        Kit("ours-single", "aiolivekit", single=True),
        Kit("wire", "livekit.rtc", single=False),
    )
}


class Stage:
    """One room of one server.

    Args:
        endpoint: The server.
        kit: What clients the actors are.
        room: The room's name.
    """

    def __init__(self, endpoint: Endpoint, kit: Kit, room: str) -> None:
        self.endpoint = endpoint
        self.kit = kit
        self.room = room
        self.rtc: Any = importlib.import_module(kit.module)
        self.actors: list[Actor] = []
        self._wires: list[WireClient] = []

    @property
    def recording(self) -> Recording:
        """What has been said so far."""
        return self.endpoint.proxy.recordings[self.room]

    @property
    def api(self) -> Any:
        """The server's RoomService."""
        return self.endpoint.api.room

    async def step(self, title: str) -> None:
        """Begin the next step once everybody knows everything of the one before."""
        await self.settle()
        self.recording.step = title

    def token(self, identity: str, **claims: Any) -> str:
        """Return a token for this room; `claims` as of `access_token`."""
        return access_token(self.endpoint.api_key, self.endpoint.api_secret, identity, **({"room": self.room} | claims))

    async def join(self, identity: str, *, options: dict[str, Any] | None = None, **claims: Any) -> Actor:
        """Let somebody join."""
        actor = Actor(identity, self.rtc)
        self.actors.append(actor)
        settings = self.rtc.RoomOptions(single_peer_connection=self.kit.single, **(options or {}))
        await actor.room.connect(self.endpoint.proxy.url, self.token(identity, **claims), settings)
        return actor

    async def wire(
        self,
        identity: str,
        *,
        path: str = "/rtc",
        token: str | None = None,
        query: dict[str, str] | None = None,
        refused: bool = False,
    ) -> WireClient:
        """Let somebody connect who is nothing but a WebSocket; `refused` says that it will not come through."""
        if query is None:
            query = {"join_request": join_query(rtc.JoinRequest())} if path == "/rtc/v1" else {"protocol": "17"}
        client = WireClient(aiohttp.ClientSession())
        self._wires.append(client)
        try:
            await client.connect(
                self.endpoint.proxy.url + path, self.token(identity) if token is None else token, query
            )
        except aiohttp.WSServerHandshakeError:
            if not refused:
                raise
        return client

    async def get(self, path: str, token: str, query: dict[str, str], *, prefix: str = "Bearer ") -> None:
        """Make a plain HTTP request."""
        headers = {"Authorization": prefix + token} if token else {}
        async with (
            aiohttp.ClientSession() as session,
            session.get(
                self.endpoint.proxy.url.replace("ws", "http", 1) + path, params=query, headers=headers
            ) as answer,
        ):
            await answer.read()

    async def inject(self, identity: str, request: rtc.SignalRequest | bytes | str) -> None:
        """Say something to the server in a client's place."""
        await self.endpoint.proxy.inject(self.room, identity, request)

    def cut(self, identity: str) -> None:
        """Drop a participant's signalling connection."""
        self.endpoint.proxy.cut(self.room, identity)

    async def told(self, identity: str, kind: str, match: Callable[[Any], object] = bool, count: int = 1) -> Any:
        """Wait until a participant was told something in this step; returns the message."""
        recording, step = self.recording, self.recording.step

        def found() -> list[Any]:
            return [e.body for e in recording.of(identity, kind) if e.step == step and match(e.body)]

        await recording.until(lambda: len(found()) >= count, f"{identity} told {kind} in {step!r}")
        return found()[count - 1]

    async def absent(self, identity: str) -> None:
        """Wait until the server no longer lists a participant."""
        async with asyncio.timeout(SETTLE_TIMEOUT):
            while await self._listed(identity):  # noqa: ASYNC110 - the server's list has no event
                await asyncio.sleep(0.1)

    async def _listed(self, identity: str) -> bool:
        listed = await self.api.list_participants(ListParticipantsRequest(room=self.room))
        return any(p.identity == identity for p in listed.participants)

    async def settle(self) -> None:
        """Wait until nobody says anything and everybody knows the latest of everybody."""
        await self.recording.quiet()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_TIMEOUT):
                # Something may begin while we wait for the silence after it, so look again.
                while await self._behind():
                    await asyncio.sleep(0.1)
                    await self.recording.quiet()

    def _negotiating(self) -> bool:
        """Whether an offer has no answer yet."""
        open_offers: set[tuple[str, str]] = set()
        for entry in self.recording.entries:
            other = "client" if entry.origin == "server" else "server"
            if entry.kind == "offer":
                open_offers.add((entry.identity, other))
            elif entry.kind == "answer":
                open_offers.discard((entry.identity, entry.origin))
            elif entry.kind in ("open", "close"):
                open_offers -= {(entry.identity, "client"), (entry.identity, "server")}
        clients = {actor.identity for actor in self.actors if actor.room.isconnected()}
        return any(identity in clients for identity, _ in open_offers)

    async def _behind(self) -> bool:
        if self._negotiating():
            return True
        try:
            listed = await self.api.list_participants(ListParticipantsRequest(room=self.room))
        except Exception:  # noqa: BLE001 - the room may be gone; then there is no news to wait for
            return False
        visible = [p for p in listed.participants if not p.permission.hidden]
        here = {p.identity for p in listed.participants}.intersection(self.endpoint.proxy.connected(self.room))
        present = {p.sid for p in listed.participants}
        return any(not self._knows(identity, info) for identity in here for info in visible) or any(
            self._remembers(identity, present) for identity in here
        )

    def _remembers(self, identity: str, present: set[str]) -> bool:
        """Whether somebody believes one to be there who is gone."""
        last: dict[str, models.ParticipantInfo] = {}
        for entry in self.recording.entries:
            if (entry.identity, entry.origin) != (identity, "server"):
                continue
            if entry.kind == "join":
                last = {info.sid: info for info in entry.body.other_participants}
            elif entry.kind == "update":
                last |= {info.sid: info for info in entry.body.participants}
        state = models.ParticipantInfo.State.DISCONNECTED
        newer = {info.identity for info in last.values() if info.sid in present}
        return any(
            sid not in present and info.state != state and info.identity not in newer for sid, info in last.items()
        )

    def _knows(self, identity: str, info: models.ParticipantInfo) -> bool:
        for entry in reversed(self.recording.entries):
            if entry.identity != identity or entry.origin != "server":
                continue
            if entry.kind == "update":
                told = list(entry.body.participants)
            elif entry.kind == "join":
                told = list(entry.body.other_participants)
            else:
                continue
            for known in told:
                if known.sid == info.sid:
                    return bool(known.version >= info.version and known.state == info.state)
        return False

    async def close(self) -> None:
        """Let everybody leave."""
        self.recording.step = ""
        everybody = [*(actor.leave() for actor in self.actors), *(client.close() for client in self._wires)]
        await asyncio.gather(*everybody, return_exceptions=True)
