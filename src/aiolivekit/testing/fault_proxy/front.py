"""Where clients of the fault proxy arrive: its port, and what becomes of a request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Literal

import aiohttp
from aiohttp import web
from livekit.protocol import models, rtc
from yarl import URL

from ..._listening import close_listener
from ..._tasks import TaskScope
from .faults import Cut, FaultBook, HttpFault, ProxyFault
from .link import SignalLink
from .relays import HOST, MediaRelays, reset_on_close
from .rewriting import asks_for_resume, identity_of

__all__ = ["Front", "RefuseFault", "RefuseResumeFault", "RequestKind"]

RequestKind = Literal["join", "resume", "validate", "api"]
"""What a client asks for: a WebSocket to join or to resume with, a judgement of its token, or anything else."""

_HOP_HEADERS = {"host", "connection", "upgrade", "content-length", "transfer-encoding", "keep-alive", "te", "trailer"}
_LARGEST_REQUEST = 16 * 1024 * 1024


class RefuseFault(ProxyFault):
    """Nobody listens.

    Args:
        book: Where it is installed.
        front: Who does not listen.
    """

    def __init__(self, book: FaultBook, front: Front) -> None:
        super().__init__("refuse", book)
        self._front = front

    def lift(self) -> None:
        """Listen again."""
        if not self.lifted:
            super().lift()
            self._front.listen_again()


class RefuseResumeFault(ProxyFault):
    """Answers resumes as a server that does not know the session."""


class Front:
    """The port of a proxy.

    Args:
        upstream: The server's URL; may be replaced by another.
        book: The faults.
        scope: Owns the tasks.
        ping: Interval and timeout to tell clients, in seconds.
    """

    def __init__(self, upstream: str, book: FaultBook, scope: TaskScope, ping: tuple[int, int] | None) -> None:
        self.upstream = upstream
        self.port = 0
        self.links: list[SignalLink] = []
        self.relays = MediaRelays(book, scope)
        self._book = book
        self._scope = scope
        self._ping = ping
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._held_port: socket.socket | None = None

    # -- the port --

    async def start(self) -> None:
        """Take a free port and listen."""
        app = web.Application(client_max_size=_LARGEST_REQUEST)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await self._listen(_bound(0))

    async def close(self) -> None:
        """Reset every connection and close all sockets."""
        self._close_listener()
        for link in list(self.links):
            await link.cut(Cut.RESET)
        self.relays.close()
        await self._scope.aclose()
        # One that a task of the scope has made meanwhile.
        self._close_listener()
        if self._held_port is not None:
            self._held_port.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _listen(self, listening: socket.socket) -> None:
        assert self._runner is not None
        assert self._runner.server is not None
        listening.listen(128)
        self.port = listening.getsockname()[1]
        self._listener = await asyncio.get_running_loop().create_server(self._runner.server, sock=listening)

    def _close_listener(self) -> None:
        if self._listener is not None:
            close_listener(self._listener)
            self._listener = None

    def stop_listening(self) -> None:
        """Have connections refused, and let nobody else get the port: it stays bound, without a listener."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._held_port = _bound(self.port)

    def listen_again(self) -> None:
        """Take connections again, when no `RefuseFault` is left."""
        if any(self._book.active(RefuseFault)) or self._held_port is None:
            return
        listening, self._held_port = self._held_port, None
        # From here on the kernel takes connections.
        listening.listen(128)
        if self._scope.spawn("fault-proxy-listen", self._listen(listening)) is None:
            listening.close()

    # -- passing on --

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        identity = identity_of(request.headers.get("Authorization", ""), dict(request.query))
        while (outage := self._book.outage(identity)) is not None:
            await outage
        kind = _kind(request)
        for fault in self._book.active(HttpFault):
            if fault.matches(identity, kind):
                fault.fire(identity, kind)
                if fault.status:
                    return web.Response(status=fault.status, text=fault.body)
                return self._reset(request)
        if request.transport is None:
            # It was given up while the network was down.
            return web.Response(status=499)
        url = self._target(request)
        if kind == "resume":
            for refusal in self._book.active(RefuseResumeFault):
                if refusal.matches(identity):
                    refusal.fire(identity, kind)
                    return await _state_mismatch(request)
        session = aiohttp.ClientSession(
            auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout()
        )
        try:
            if kind in ("join", "resume"):
                return await self._upgrade(request, url, session, identity)
            return await self._plain(request, url, session, _passed_headers(request))
        except (aiohttp.ClientError, OSError):
            # As the server: gone.
            return self._reset(request)
        finally:
            await session.close()

    def _target(self, request: web.Request) -> URL:
        upstream = URL(self.upstream.replace("ws", "http", 1))
        path = upstream.path.rstrip("/") + request.rel_url.raw_path
        return upstream.with_path(path, encoded=True).with_query(request.rel_url.query)

    async def _plain(
        self, request: web.Request, url: URL, session: aiohttp.ClientSession, headers: dict[str, str]
    ) -> web.StreamResponse:
        body = await request.read()
        async with session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_HEADERS}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

    async def _upgrade(
        self, request: web.Request, url: URL, session: aiohttp.ClientSession, identity: str
    ) -> web.StreamResponse:
        headers = _passed_headers(request)
        try:
            server = await session.ws_connect(url, headers=headers, autoping=False, max_msg_size=0)
        except aiohttp.WSServerHandshakeError:
            # What the refusal says is not to be had from the failed handshake: ask once more, for the words.
            upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
            keys = {name: value for name, value in request.headers.items() if name.lower().startswith("sec-websocket")}
            return await self._plain(request, url, session, headers | upgrade | keys)
        if request.transport is None:
            return web.Response(status=499)
        client = web.WebSocketResponse(autoping=False, max_msg_size=0)
        await client.prepare(request)
        link = SignalLink(identity, request, client, server, session, self._book, self.relays, self._ping)
        self.links.append(link)
        try:
            await link.serve()
        finally:
            self.links.remove(link)
        return client

    def _reset(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            reset_on_close(request.transport.get_extra_info("socket"))
            request.transport.abort()
        return web.Response(status=502)


async def _state_mismatch(request: web.Request) -> web.StreamResponse:
    """Say what LiveKit says to who wants to resume what it does not know (roommanager.go, `StartSession`)."""
    client = web.WebSocketResponse()
    await client.prepare(request)
    leave = rtc.LeaveRequest(reason=models.DisconnectReason.STATE_MISMATCH, action=rtc.LeaveRequest.Action.RECONNECT)
    await client.send_bytes(rtc.SignalResponse(leave=leave).SerializeToString())
    await client.close()
    return client


def _bound(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with contextlib.suppress(OSError):
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setblocking(False)
    try:
        made.bind((HOST, port))
    except OSError:
        made.close()
        raise
    return made


def _kind(request: web.Request) -> RequestKind:
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return "resume" if asks_for_resume(request.url) else "join"
    return "validate" if request.path.endswith("/validate") else "api"


def _passed_headers(request: web.Request) -> dict[str, str]:
    return {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in _HOP_HEADERS and not name.lower().startswith("sec-websocket")
    }
