"""A signalling proxy on loopback that takes candidates away, so that media can only go the way that is to be tried.

Only the signalling passes through it; media go straight to the server.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web
from google.protobuf.message import DecodeError
from livekit.protocol import rtc
from yarl import URL

from .address import Address

__all__ = ["Narrowing", "narrowed", "transport_of", "without_candidates"]

Protocol = Literal["udp", "tcp"]

_MAX_MESSAGE = 16 * 1024 * 1024
_LOOPBACK = "127.0.0.1"


@dataclass(slots=True)
class Narrowing:
    """What is let through.

    Attributes:
        protocols: Candidates of these.
        relays: Whether the TURN servers that the server names are; its STUN servers never are, for they belong to
            others, and nobody but the server under examination is to be spoken to.
        offered: How many candidates of each protocol the server has named.
    """

    protocols: tuple[Protocol, ...] = ("udp", "tcp")
    relays: bool = True
    offered: Counter[str] = field(default_factory=Counter)

    def request(self, data: bytes) -> bytes | None:
        """Return what goes to the server of a message; `None` for nothing."""
        try:
            message = rtc.SignalRequest.FromString(data)
        except DecodeError:
            return data
        match message.WhichOneof("message"):
            case "trickle":
                return data if self._allows(message.trickle.candidateInit) else None
            case "offer":
                message.offer.sdp = without_candidates(message.offer.sdp, self.protocols)
            case "answer":
                message.answer.sdp = without_candidates(message.answer.sdp, self.protocols)
            case _:
                return data
        return message.SerializeToString()

    def response(self, data: bytes) -> bytes | None:
        """Return what comes from the server of a message; `None` for nothing."""
        try:
            message = rtc.SignalResponse.FromString(data)
        except DecodeError:
            return data
        match message.WhichOneof("message"):
            case "trickle":
                transport = transport_of(message.trickle.candidateInit)
                if transport:
                    self.offered[transport] += 1
                return data if self._allows(message.trickle.candidateInit) else None
            case "offer":
                message.offer.sdp = self._counted(message.offer.sdp)
            case "answer":
                message.answer.sdp = self._counted(message.answer.sdp)
            case "join":
                kept = self._servers(message.join.ice_servers)
                del message.join.ice_servers[:]
                message.join.ice_servers.extend(kept)
            case "reconnect":
                kept = self._servers(message.reconnect.ice_servers)
                del message.reconnect.ice_servers[:]
                message.reconnect.ice_servers.extend(kept)
            case _:
                return data
        return message.SerializeToString()

    def _allows(self, candidate: str) -> bool:
        transport = transport_of(candidate)
        return not transport or transport in self.protocols

    def _counted(self, sdp: str) -> str:
        for line in sdp.splitlines():
            if line.startswith("a=candidate:") and (transport := transport_of(line)):
                self.offered[transport] += 1
        return without_candidates(sdp, self.protocols)

    def _servers(self, servers: Iterable[rtc.ICEServer]) -> list[rtc.ICEServer]:
        kept = []
        for server in servers:
            urls = [url for url in server.urls if self.relays and url.startswith("turn")]
            if urls:
                kept.append(rtc.ICEServer(urls=urls, username=server.username, credential=server.credential))
        return kept


def transport_of(candidate: str) -> str:
    """Return the protocol of a candidate line, alone or inside its JSON; empty if it is none."""
    _, found, rest = candidate.partition("candidate:")
    words = rest.split()
    return words[2].lower() if found and len(words) > 2 else ""


def without_candidates(sdp: str, protocols: tuple[Protocol, ...]) -> str:
    """Return a session description without the candidates of other protocols."""
    lines = sdp.splitlines(keepends=True)
    return "".join(
        line for line in lines if not line.startswith("a=candidate:") or transport_of(line) in ("", *protocols)
    )


@asynccontextmanager
async def narrowed(session: aiohttp.ClientSession, address: Address, narrowing: Narrowing) -> AsyncIterator[str]:
    """Run the proxy; yields the URL to join by."""
    app = web.Application()
    app.router.add_get("/{path:.*}", _Relay(session, address, narrowing).handle)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, _LOOPBACK, 0)
        await site.start()
        yield f"ws://{_LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class _Relay:
    def __init__(self, session: aiohttp.ClientSession, address: Address, narrowing: Narrowing) -> None:
        self._session = session
        self._address = address
        self._narrowing = narrowing

    async def handle(self, request: web.Request) -> web.StreamResponse:
        is_websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        base = self._address.websocket if is_websocket else self._address.http
        url = URL(base + request.path_qs, encoded=True)
        headers = {name: request.headers[name] for name in ("Authorization",) if name in request.headers}
        try:
            if is_websocket:
                return await self._websocket(request, url, headers)
            async with self._session.get(
                url, headers=headers, proxy=self._address.proxy, allow_redirects=False
            ) as answer:
                return web.Response(status=answer.status, body=await answer.read())
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)
        except (aiohttp.ClientError, OSError):
            return web.Response(status=502)

    async def _websocket(self, request: web.Request, url: URL, headers: dict[str, str]) -> web.StreamResponse:
        async with self._session.ws_connect(
            url, headers=headers, proxy=self._address.proxy, max_msg_size=_MAX_MESSAGE
        ) as server:
            client = web.WebSocketResponse(max_msg_size=_MAX_MESSAGE, timeout=1.0)
            await client.prepare(request)
            directions = [
                asyncio.create_task(_pass_on(client, server, self._narrowing.request)),
                asyncio.create_task(_pass_on(server, client, self._narrowing.response)),
            ]
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
                with contextlib.suppress(ConnectionError):
                    await client.close()
        return client


_Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


async def _pass_on(source: _Socket, target: _Socket, change: Callable[[bytes], bytes | None]) -> None:
    async for message in source:
        if message.type is not aiohttp.WSMsgType.BINARY:
            continue
        data = change(message.data)
        if data is not None:
            try:
                await target.send_bytes(data)
            except ConnectionError:
                return
