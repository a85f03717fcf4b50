"""Servers on loopback: one that speaks LiveKit's signalling as a test says, and raw ones that speak nonsense."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import WSMsgType, web
from livekit.protocol import models as proto_models
from livekit.protocol import rtc as proto_rtc

from aiolivekit.signalling import SignalClosed

__all__ = [
    "CERTIFICATE",
    "DEADLINE",
    "Recorder",
    "SignalServer",
    "join_response",
    "raw_server",
    "response",
    "server_tls",
    "upgrade",
]

DEADLINE = 10.0
"""Seconds after which a test has failed; nothing here takes as long."""
CERTIFICATE = Path(__file__).with_name("loopback.pem")
"""A key and a self-signed certificate for localhost and 127.0.0.1, of no use elsewhere."""
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"


class Recorder:
    """A sink that remembers, and wakes whoever waits for something to have come."""

    def __init__(self) -> None:
        self.messages: list[proto_rtc.SignalResponse] = []
        self.closed: list[SignalClosed] = []
        self._changed = asyncio.Event()

    def on_signal_message(self, message: proto_rtc.SignalResponse) -> None:
        self.messages.append(message)
        self._changed.set()

    def on_signal_closed(self, cause: SignalClosed) -> None:
        self.closed.append(cause)
        self._changed.set()

    @property
    def kinds(self) -> list[str | None]:
        return [message.WhichOneof("message") for message in self.messages]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_closed(self) -> SignalClosed:
        await self.until(lambda: bool(self.closed))
        return self.closed[0]


def join_response(*, ping_interval: int = 5, ping_timeout: int = 15) -> proto_rtc.SignalResponse:
    return proto_rtc.SignalResponse(
        join=proto_rtc.JoinResponse(
            room=proto_models.Room(sid="RM_1", name="r"),
            participant=proto_models.ParticipantInfo(sid="PA_1", identity="me"),
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
        )
    )


def response(**message: object) -> bytes:
    return proto_rtc.SignalResponse(**message).SerializeToString()  # type: ignore[arg-type]


Script = Callable[["SignalServer", web.WebSocketResponse], Awaitable[None]]
Answer = Callable[[web.Request], web.Response | None]


class SignalServer:
    """Joins everyone, answers pings, and records what it is asked; a test replaces the part it is about.

    Args:
        script: What is done with an open WebSocket; by default `join` and then `serve`.
        answer: Asked first for every request; a response it gives is sent instead of a handshake.
    """

    def __init__(self, script: Script | None = None, answer: Answer | None = None) -> None:
        self.script = script
        self.answer = answer
        self.joined = join_response()
        self.requests: list[web.Request] = []
        """Every HTTP request, handshakes among them."""
        self.signals: list[proto_rtc.SignalRequest] = []
        self.close_codes: list[int | None] = []
        self.pongs = True
        self.url = ""
        self._changed = asyncio.Event()

    @property
    def kinds(self) -> list[str | None]:
        return [signal.WhichOneof("message") for signal in self.signals]

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def join(self, websocket: web.WebSocketResponse) -> None:
        await websocket.send_bytes(self.joined.SerializeToString())

    async def serve(self, websocket: web.WebSocketResponse) -> None:
        """Record requests and answer pings until the client is gone."""
        async for frame in websocket:
            if frame.type is not WSMsgType.BINARY:
                continue
            signal = proto_rtc.SignalRequest.FromString(frame.data)
            self.signals.append(signal)
            self._changed.set()
            if signal.HasField("ping_req") and self.pongs:
                pong = proto_rtc.Pong(last_ping_timestamp=signal.ping_req.timestamp, timestamp=1)
                await websocket.send_bytes(response(pong_resp=pong))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.answer is not None and (answer := self.answer(request)) is not None:
            return answer
        if request.path.endswith("/validate"):
            return web.Response(text="success")
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        if self.script is not None:
            await self.script(self, websocket)
        else:
            await self.join(websocket)
            await self.serve(websocket)
        await websocket.close()
        self.close_codes.append(websocket.close_code)
        self._changed.set()
        return websocket

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[SignalServer]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.2, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            host, port = runner.addresses[0][:2]
            self.url = f"{'wss' if tls else 'ws'}://{host}:{port}"
            yield self
        finally:
            await runner.cleanup()


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(handle: Raw, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve bytes; yields a ws:// URL whatever is spoken there. A handler ends at the latest when its client goes."""
    tasks: set[asyncio.Task[None]] = set()

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(on_client, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a WebSocket handshake by hand."""
    head = await reader.readuntil(b"\r\n\r\n")
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    key = {name.lower(): value for name, value in headers.items()}[b"sec-websocket-key"]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection off with a TCP reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()
