"""A WebSocket proxy between clients and a server that writes down every signalling message, both ways.

It passes on bytes untouched. It can also speak to the server in a client's place and cut a connection, so that a
scenario can say what no client would.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import socket
from collections import defaultdict
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import WSMsgType, web
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from livekit.protocol import rtc
from yarl import URL

from .recording import Origin, Recording

__all__ = ["Proxy"]

CLOSE_TIMEOUT = 5.0

_OWN_HEADERS = {"host", "connection", "upgrade", "content-length", "transfer-encoding"}


def _bearer(request: web.Request) -> tuple[str, str]:
    """Return identity and room of a request's token; both empty when it has none that can be read."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.query.get("access_token", "")
    try:
        body = token.split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return str(claims.get("sub", "")), str(claims.get("video", {}).get("room", ""))
    except (IndexError, ValueError, AttributeError):
        return "", ""


@dataclass
class Link:
    """One connection of a client, with both sockets."""

    number: int
    request: web.Request
    client: web.WebSocketResponse
    server: aiohttp.ClientWebSocketResponse
    ended: bool = False


class Proxy:
    """Stands before one server.

    Args:
        upstream: The server's address, `ws://host:port`.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = URL(upstream.replace("ws", "http", 1))
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._links: dict[tuple[str, str], Link] = {}
        self.recordings: defaultdict[str, Recording] = defaultdict(Recording)
        self.url = ""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None))
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"ws://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for link in list(self._links.values()):
            self._abort(link)
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    # what a scenario can do

    def connected(self, room: str) -> list[str]:
        """Return who has a connection."""
        return [identity for place, identity in self._links if place == room]

    def link(self, room: str, identity: str) -> Link:
        """Return the present connection of a participant; raises `LookupError` when there is none."""
        return self._links[room, identity]

    async def inject(self, room: str, identity: str, request: rtc.SignalRequest | bytes | str) -> None:
        """Say something to the server in a client's place."""
        link = self.link(room, identity)
        recording = self.recordings[room]
        if isinstance(request, rtc.SignalRequest):
            recording.add_message(identity, link.number, "client", request)
            await link.server.send_bytes(request.SerializeToString())
        elif isinstance(request, bytes):
            recording.add(identity, link.number, "client", "garbage", "")
            await link.server.send_bytes(request)
        else:
            recording.add(identity, link.number, "client", "text", "")
            await link.server.send_str(request)

    def cut(self, room: str, identity: str) -> None:
        """Drop a participant's connection without a word, on both sides."""
        self._abort(self.link(room, identity))

    @staticmethod
    def _abort(link: Link) -> None:
        if link.request.transport is not None:
            link.request.transport.abort()
        transport = link.server.get_extra_info("socket")
        if transport is not None:
            transport.shutdown(socket.SHUT_RDWR)

    # passing on

    def _target(self, request: web.Request) -> URL:
        return self._upstream.with_path(request.rel_url.raw_path, encoded=True).with_query(request.rel_url.query)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        identity, room = _bearer(request)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN_HEADERS}
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._upgrade(request, headers, identity, room)
        status, body = await self._plain(request, headers)
        self.recordings[room].add(identity, 0, "client", "http", f"{request.method} {request.path}")
        self.recordings[room].add(identity, 0, "server", "http", f"{status} {body.decode(errors='replace')}")
        return web.Response(status=status, body=body)

    async def _plain(self, request: web.Request, headers: dict[str, str]) -> tuple[int, bytes]:
        assert self._session is not None
        body = await request.read()
        async with self._session.request(request.method, self._target(request), headers=headers, data=body) as answer:
            return answer.status, await answer.read()

    async def _upgrade(
        self, request: web.Request, headers: dict[str, str], identity: str, room: str
    ) -> web.StreamResponse:
        assert self._session is not None
        recording = self.recordings[room]
        number = recording.connect(identity)
        recording.add(identity, number, "client", "open", request.path)
        join = rtc.JoinRequest()
        if text := request.query.get("join_request"):
            join = _join_request(text)
            recording.add(identity, number, "client", "join_request", join)
        plain = {name: value for name, value in headers.items() if not name.lower().startswith("sec-websocket")}
        try:
            server = await self._session.ws_connect(
                self._target(request),
                headers=plain,
                autoping=False,
                max_msg_size=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
            )
        except aiohttp.WSServerHandshakeError:
            # What the refusal says is not to be had from the failed handshake: ask once more for it.
            upgrade = headers | {"Connection": "Upgrade", "Upgrade": "websocket"}
            status, body = await self._plain(request, upgrade)
            recording.add(identity, number, "server", "refused", f"{status} {body.decode(errors='replace')}")
            return web.Response(status=status, body=body)
        client = web.WebSocketResponse(autoping=False, max_msg_size=0, timeout=CLOSE_TIMEOUT)
        await client.prepare(request)
        link = Link(number, request, client, server)
        self._links[room, identity] = link
        try:
            await self._pump(link, recording, identity)
        finally:
            if self._links.get((room, identity)) is link:
                del self._links[room, identity]
        return client

    async def _pump(self, link: Link, recording: Recording, identity: str) -> None:
        directions = [
            asyncio.ensure_future(self._pass_on(link, recording, identity, "client")),
            asyncio.ensure_future(self._pass_on(link, recording, identity, "server")),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(directions, timeout=CLOSE_TIMEOUT)
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            if not link.server.closed:
                await link.server.close()

    async def _pass_on(self, link: Link, recording: Recording, identity: str, origin: Origin) -> None:
        source = link.client if origin == "client" else link.server
        target = link.server if origin == "client" else link.client
        kind = rtc.SignalRequest if origin == "client" else rtc.SignalResponse
        while True:
            frame = await source.receive()
            try:
                if frame.type is WSMsgType.BINARY:
                    try:
                        message = kind.FromString(frame.data)
                    except DecodeError:
                        recording.add(identity, link.number, origin, "garbage", "")
                    else:
                        recording.add_message(identity, link.number, origin, message)
                    await target.send_bytes(frame.data)
                elif frame.type is WSMsgType.TEXT:
                    recording.add(identity, link.number, origin, "text", "")
                    with contextlib.suppress(json_format.ParseError):
                        recording.add_message(identity, link.number, origin, json_format.Parse(frame.data, kind()))
                    await target.send_str(frame.data)
                elif frame.type is WSMsgType.PING:
                    await target.ping(frame.data)
                elif frame.type is WSMsgType.PONG:
                    await target.pong(frame.data)
                else:
                    code = source.close_code if frame.type is not WSMsgType.ERROR else None
                    # Without a close frame the connection just ended.
                    said = (code or 1005) if frame.type is WSMsgType.CLOSE else 1006
                    if not link.ended:
                        # Who ended it is who said so first; the other only follows.
                        link.ended = True
                        recording.add(identity, link.number, origin, "close", str(said))
                    await target.close(code=code if code in (1000, 1001, 1011) else 1000)
                    return
            except (ConnectionError, RuntimeError):
                return


def _join_request(text: str) -> rtc.JoinRequest:
    wrapped = rtc.WrappedJoinRequest.FromString(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    body = wrapped.join_request
    if wrapped.compression == rtc.WrappedJoinRequest.Compression.GZIP:
        body = gzip.decompress(body)
    return rtc.JoinRequest.FromString(body)
