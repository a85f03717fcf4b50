"""The dev server: a LiveKit-compatible server inside this process, for development and tests, not for production."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from google.protobuf import json_format
from livekit.protocol import models

from aiolivekit._listening import close_listener
from aiolivekit.core.access_token import access_token
from aiolivekit.server.connection import SignalConnection
from aiolivekit.server.door import Door
from aiolivekit.server.dtls import Certificate
from aiolivekit.server.faults import Faults
from aiolivekit.server.http import RtcEndpoints
from aiolivekit.server.ice import IceMux
from aiolivekit.server.ids import new_id
from aiolivekit.server.options import ServerOptions
from aiolivekit.server.requests import ConnectRequest
from aiolivekit.server.room import Room
from aiolivekit.server.room_service import RoomService
from aiolivekit.server.tokens import Claims, sign_token

__all__ = ["DevServer", "ServerCore"]

COMPATIBLE_VERSION = "1.13.5"
"""The server version whose behaviour this one has."""

PROTOCOL = 17
TOKEN_TIME = 6 * 3600.0
SHUTDOWN_TIME = 2.0


def _nobody_looks() -> None:
    pass


class ServerCore:
    """What all parts of one running server share.

    Args:
        host: The address to bind.
        keys: API secrets by API key.
        options: Times and limits.
    """

    def __init__(self, host: str, keys: dict[str, str], options: ServerOptions) -> None:
        self.options = options
        self.keys = keys
        self.mux = IceMux(host)
        self.certificate = Certificate()
        self.rooms: dict[str, Room] = {}
        # Called when rooms, participants or tracks have changed, for those who look on; must not raise.
        self.on_change: Callable[[], None] = _nobody_looks
        self.turned_away = 0
        self.door = Door(self._turn_away)
        self.connections: set[SignalConnection] = set()
        self._no_connections = asyncio.Event()
        self._no_connections.set()
        self.faults = Faults(self.mux, lambda: iter(list(self.rooms.values())))
        self.server_info = models.ServerInfo(
            version=COMPATIBLE_VERSION,
            protocol=PROTOCOL,
            node_id=new_id("ND_"),
            region=options.region,
            agent_protocol=1,
        )

    def _turn_away(self) -> None:
        self.turned_away += 1

    def candidates(self, ufrag: str, *, tcp_only: bool = False) -> list[str]:
        """Return our candidates: one over UDP, one over TCP."""
        host, tcp_port = self.mux.host, self.mux.tcp_port
        tcp = f"candidate:2 1 tcp 1671430143 {host} {tcp_port} typ host tcptype passive ufrag {ufrag}"
        if tcp_only:
            return [tcp]
        return [f"candidate:1 1 udp 2130706431 {host} {self.mux.udp_port} typ host ufrag {ufrag}", tcp]

    def refresh_token(self, claims: Claims) -> str:
        """Return a new token with the same claims."""
        key, secret = next(iter(self.keys.items()))
        return sign_token(claims, key, secret, valid_for=TOKEN_TIME)

    def room_for(self, request: ConnectRequest) -> Room:
        """Return the room to join, created when it is not there."""
        room = self.rooms.get(request.room)
        if room is None:
            config = models.Room()
            json_format.ParseDict(request.claims.room_config, config, ignore_unknown_fields=True)
            room = self.rooms[request.room] = Room(self, request.room, config)
        return room

    def create_room(self, name: str, config: models.Room) -> Room:
        """Return the room of a name, created when it is not there."""
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = Room(self, name, config)
            self.on_change()
        return room

    def connection_ended(self, connection: SignalConnection) -> None:
        """Take note that a connection ended."""
        self.connections.discard(connection)
        if not self.connections:
            self._no_connections.set()

    def connection_began(self, connection: SignalConnection) -> None:
        """Take note of a new connection."""
        self.connections.add(connection)
        self._no_connections.clear()

    async def drained(self, timeout: float) -> None:
        """Wait until all connections have ended, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._no_connections.wait()

    def room_closed(self, room: Room) -> None:
        """Forget a room that ended."""
        if self.rooms.get(room.name) is room:
            del self.rooms[room.name]
            self.on_change()


def _watched(runner: web.AppRunner, door: Door) -> asyncio.Protocol:
    """Return the handler of a new HTTP connection, which has to send a request in time."""
    assert runner.server is not None
    handler = runner.server()
    _watch(handler, door)
    return handler


def _watch(handler: web.RequestHandler, door: Door) -> None:
    """Let a connection send a request in time, or end."""

    def end() -> None:
        if handler.transport is not None:
            handler.transport.abort()

    door.enter(handler, end)


class DevServer:
    """A LiveKit-compatible server on this machine, as an async context manager.

    It is made for development and tests: it speaks the protocol of the real server and forwards media, but does not
    estimate bandwidth, does not scale, and trusts its machine. Several can run in one process.

    Args:
        port: Of HTTP and WebSocket; 0 takes a free one.
        api_key: The API key; made up when left out.
        api_secret: The API secret; made up when left out.
        host: The address to bind; clients must be able to reach it, so it is a plain address and no wildcard.
        udp_port: Of media over UDP; 0 takes a free one.
        tcp_port: Of media over TCP; 0 takes a free one.
        options: Times and limits.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str | None = None,
        api_secret: str | None = None,
        host: str = "127.0.0.1",
        udp_port: int = 0,
        tcp_port: int = 0,
        options: ServerOptions | None = None,
    ) -> None:
        self.api_key = api_key or "dev" + secrets.token_hex(6)
        self.api_secret = api_secret or secrets.token_hex(24)
        self._host = host
        self._ports = (port, udp_port, tcp_port)
        self._options = options or ServerOptions()
        self._core: ServerCore | None = None
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._port = 0

    async def start(self) -> None:
        """Start; `async with` does it. Raises `OSError` when a port is taken."""
        if self._core is not None:
            raise RuntimeError("the server has been started")
        port, udp_port, tcp_port = self._ports
        core = ServerCore(self._host, {self.api_key: self.api_secret}, self._options)

        async def shown(request: web.Request, response: web.StreamResponse) -> None:
            # A WebSocket is what this server is for; any other answer buys the connection time for one more request.
            if isinstance(response, web.WebSocketResponse):
                core.door.admit(request.protocol)
            else:
                _watch(request.protocol, core.door)

        app = web.Application(client_max_size=self._options.limits.api_request)
        # No middleware: aiohttp would keep the application of a thousand servers in a cache of the process.
        app.on_response_prepare.append(shown)
        endpoints = RtcEndpoints(core)
        endpoints.add_to(app)
        RoomService(core).add_to(app)
        endpoints.add_last_to(app)
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_TIME, keepalive_timeout=15.0
        )
        self._core, self._runner = core, runner
        try:
            await core.mux.start(udp_port, tcp_port)
            await runner.setup()
            self._listener = await asyncio.get_running_loop().create_server(
                lambda: _watched(runner, core.door), self._host, port, backlog=512
            )
        except BaseException:
            await self.stop()
            raise
        self._port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End every session with a leave request, and close all sockets. May be called again."""
        core, runner = self._core, self._runner
        self._core = self._runner = None
        if core is None or runner is None:
            return
        if self._listener is not None:
            close_listener(self._listener)
            self._listener = None
        core.faults.clear()
        for room in list(core.rooms.values()):
            room.close(models.DisconnectReason.SERVER_SHUTDOWN)
        connections = list(core.connections)
        for connection in connections:
            connection.close()
        await core.drained(SHUTDOWN_TIME)
        for connection in list(core.connections):
            connection.abort()
        core.door.close()
        await runner.cleanup()
        await core.mux.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def core(self) -> ServerCore:
        """The parts of the running server; raises `RuntimeError` when it is not running."""
        if self._core is None:
            raise RuntimeError("the server is not running")
        return self._core

    @property
    def url(self) -> str:
        """Where clients connect to."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._port}"

    @property
    def http_url(self) -> str:
        """Where `livekit-api` connects to."""
        return "http" + self.url.removeprefix("ws")

    @property
    def port(self) -> int:
        """The port of HTTP and WebSocket."""
        return self._port

    @property
    def faults(self) -> Faults:
        """What may be made to go wrong."""
        return self.core.faults

    @property
    def rooms(self) -> list[Room]:
        """The rooms there are."""
        return list(self.core.rooms.values())

    def room(self, name: str) -> Room:
        """Return a room to look inside; raises `LookupError` when there is none of that name."""
        room = self.core.rooms.get(name)
        if room is None:
            raise LookupError(f"there is no room {name!r}")
        return room

    def token(self, identity: str, *, room: str = "test", **claims: Any) -> str:
        """Return an access token for this server.

        Args:
            identity: The participant's identity.
            room: The room the grants are for.
            claims: The other arguments of `aiolivekit.testing.access_token`: `can_publish=False`, `ttl=60`, …
        """
        return access_token(self.api_key, self.api_secret, identity, room=room, **claims)

    def admin_token(self, room: str = "") -> str:
        """Return a token for `RoomService`: for the named room, and to create, list and delete any."""
        return self.token("", room=room, room_join=False, room_admin=True, room_create=True, room_list=True)
