"""One signalling connection through the fault proxy: two WebSockets, and what happens to messages between them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web
from google.protobuf.message import DecodeError
from livekit.protocol import rtc

from .faults import Cut, CutFault, DelayFault, FaultBook, HoldFault, ProxyFault, Sender
from .relays import MediaRelays, reset_on_close
from .rewriting import candidates_of, with_relays, without_candidates

__all__ = ["DropFault", "SignalLink", "WatchFault"]

_logger = logging.getLogger("aiolivekit.testing")

_QUEUE_LIMIT = 1000
_CLOSE_TIMEOUT = 2.0
_GOING_AWAY = 1001
_Send = Callable[[], Awaitable[None]]


class DropFault(ProxyFault):
    """Drops messages."""


class WatchFault(ProxyFault):
    """Does nothing to messages but wait for them."""


class _Way:
    """One direction: what one side says, on its way to the other."""

    def __init__(self, sender: Sender, source: Any, target: Any) -> None:
        self.sender = sender
        self.source = source
        self.target = target
        self.queue: asyncio.Queue[tuple[float, _Send]] = asyncio.Queue(_QUEUE_LIMIT)


class SignalLink:
    """A connection between a client and the server.

    Args:
        identity: The client's.
        request: The client's request that became a WebSocket.
        client: The WebSocket towards the client.
        server: That towards the server.
        session: What the latter was made with, and nothing else.
        book: The faults.
        relays: Where media goes.
        ping: Interval and timeout, in seconds, that clients are told in place of the server's.
    """

    def __init__(
        self,
        identity: str,
        request: web.Request,
        client: web.WebSocketResponse,
        server: aiohttp.ClientWebSocketResponse,
        session: aiohttp.ClientSession,
        book: FaultBook,
        relays: MediaRelays,
        ping: tuple[int, int] | None,
    ) -> None:
        self.identity = identity
        self.ended = False
        self._request = request
        self._session = session
        self._server = server
        self._book = book
        self._relays = relays
        self._ping = ping
        self._silent = False
        self._ways: dict[Sender, _Way] = {
            "client": _Way("client", client, server),
            "server": _Way("server", server, client),
        }
        self._loop = asyncio.get_running_loop()

    @property
    def open(self) -> bool:
        """Whether messages pass."""
        return not self.ended and not self._silent

    async def serve(self) -> None:
        """Pass messages on until both sides are gone."""
        ways = self._ways.values()
        readers = [asyncio.ensure_future(self._read(way)) for way in ways]
        writers = [asyncio.ensure_future(self._write(way)) for way in ways]
        try:
            # A reader ends when its side is gone; a writer only by an error of ours.
            while not all(reader.done() for reader in readers):
                done, _ = await asyncio.wait([*readers, *writers], return_when=asyncio.FIRST_COMPLETED)
                if any(task in done for task in writers) or any(task.exception() for task in done):
                    return
            # What the sides said last is still on its way.
            for way, writer in zip(ways, writers, strict=True):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CLOSE_TIMEOUT):
                        drained = asyncio.ensure_future(way.queue.join())
                        await asyncio.wait([drained, writer], return_when=asyncio.FIRST_COMPLETED)
                        drained.cancel()
        finally:
            self.ended = True
            for task in [*readers, *writers]:
                task.cancel()
            for end in await asyncio.gather(*readers, *writers, return_exceptions=True):
                if isinstance(end, Exception):
                    _logger.error("a connection through the fault proxy failed", exc_info=end)
            await self._session.close()

    # -- cutting --

    async def cut(self, how: Cut) -> None:
        """End the connection, or one side of it, or only seem to have one."""
        if how is Cut.CLOSE:
            for way in self._ways.values():
                with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
                    await asyncio.wait_for(way.target.close(code=_GOING_AWAY), _CLOSE_TIMEOUT)
            return
        self._silent = True
        if how in (Cut.RESET, Cut.DEAD_CLIENT):
            self._reset_client()
        if how in (Cut.RESET, Cut.DEAD_SERVER):
            await self._reset_server()

    def _reset_client(self) -> None:
        if (transport := self._request.transport) is not None:
            reset_on_close(transport.get_extra_info("socket"))
            transport.abort()

    async def _reset_server(self) -> None:
        reset_on_close(self._server.get_extra_info("socket"))
        # Closing the session closes the transport, without a close frame.
        await self._session.close()

    # -- in --

    async def _read(self, way: _Way) -> None:
        while True:
            frame = await way.source.receive()
            while (outage := self._book.outage(self.identity)) is not None:
                await outage
            if frame.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                if not self._silent:
                    code = way.source.close_code if frame.type is WSMsgType.CLOSE else None
                    await self._enqueue(way, functools.partial(self._follow, way, code))
                return
            if not self._silent:
                await self._take(way, frame)

    async def _follow(self, way: _Way, code: int | None) -> None:
        """Tell the other side how this one ended."""
        if code is None:
            await (self._reset_server() if way.sender == "client" else self._abort_client())
        else:
            valid = code in (1000, 1001, 1011) or 3000 <= code < 5000
            await way.target.close(code=code if valid else 1000)

    async def _abort_client(self) -> None:
        self._reset_client()

    async def _take(self, way: _Way, frame: aiohttp.WSMessage) -> None:
        if frame.type is WSMsgType.BINARY:
            await self._take_message(way, frame.data)
        elif frame.type is WSMsgType.TEXT:
            await self._enqueue(way, lambda: way.target.send_str(frame.data), "text")
        elif frame.type is WSMsgType.PING:
            await self._enqueue(way, lambda: way.target.ping(frame.data), "ws_ping")
        elif frame.type is WSMsgType.PONG:
            await self._enqueue(way, lambda: way.target.pong(frame.data), "ws_pong")

    async def _take_message(self, way: _Way, data: bytes) -> None:
        kind = rtc.SignalRequest if way.sender == "client" else rtc.SignalResponse
        try:
            message: Any = kind.FromString(data)
        except DecodeError:
            await self._enqueue(way, lambda: way.target.send_bytes(data))
            return
        name = message.WhichOneof("message") or ""
        book, identity = self._book, self.identity
        for watch in book.active(WatchFault):
            if watch.matches(identity, name, way.sender):
                watch.fire(identity, name)
        if (drop := book.first(DropFault, identity, name, way.sender)) is not None:
            drop.fire(identity, name)
            return
        changed = await self._rewrite(message)
        if changed is None:
            return
        cut = book.first(CutFault, identity, name, way.sender) if self._has_message_cut() else None
        if cut is not None and cut.before:
            cut.fire(identity, name)
            await self._enqueue(way, lambda: self.cut(cut.how))
            return
        if (hold := book.first(HoldFault, identity, name, way.sender)) is not None:
            hold.fire(identity, name)
            hold.keep(lambda: self._release(way, changed, name))
        else:
            await self._enqueue(way, lambda: self._send(way, changed), name, len(changed))
        if cut is not None:
            cut.fire(identity, name)
            await self._enqueue(way, lambda: self.cut(cut.how))

    def _has_message_cut(self) -> bool:
        return any(fault.limit is None for fault in self._book.active(CutFault))

    async def _rewrite(self, message: rtc.SignalRequest | rtc.SignalResponse) -> bytes | None:
        """Return what is passed on in place of a message; `None` for nothing."""
        if isinstance(message, rtc.SignalRequest):
            return message.SerializeToString() if without_candidates(message) else None
        for candidate in candidates_of(message):
            await self._relays.ensure(self.identity, candidate)
        with_relays(message, lambda candidate: self._relays.address(self.identity, candidate))
        if self._ping is not None and message.HasField("join"):
            message.join.ping_interval, message.join.ping_timeout = self._ping
        return message.SerializeToString()

    # -- out --

    async def say(self, message: rtc.SignalRequest | rtc.SignalResponse) -> None:
        """Send a message in the place of the side whose kind it is."""
        way = self._ways["client" if isinstance(message, rtc.SignalRequest) else "server"]
        data = message.SerializeToString()
        await self._enqueue(way, lambda: way.target.send_bytes(data))

    def _release(self, way: _Way, data: bytes, name: str) -> None:
        if not self.ended:
            with contextlib.suppress(asyncio.QueueFull):
                way.queue.put_nowait((self._due(way, name, len(data)), lambda: self._send(way, data)))

    async def _enqueue(self, way: _Way, send: _Send, name: str = "", size: int = 0) -> None:
        await way.queue.put((self._due(way, name, size), send))

    def _due(self, way: _Way, name: str, size: int) -> float:
        now = self._loop.time()
        due = now
        for fault in self._book.active(DelayFault):
            if name and fault.matches(self.identity, name, way.sender):
                fault.fire(self.identity, name)
                due += fault.seconds
                if fault.rate:
                    # One after another, as on a slow line.
                    fault.free_at = max(fault.free_at, now) + size / fault.rate
                    due = max(due, fault.free_at)
        return due

    async def _write(self, way: _Way) -> None:
        while True:
            due, send = await way.queue.get()
            try:
                if (wait := due - self._loop.time()) > 0:
                    await asyncio.sleep(wait)
                if not self._silent:
                    # The side it goes to may have gone; its reader tells.
                    with contextlib.suppress(ConnectionError, RuntimeError, aiohttp.ClientError):
                        await send()
            finally:
                way.queue.task_done()

    async def _send(self, way: _Way, data: bytes) -> None:
        for fault in list(self._book.active(CutFault)):
            if fault.limit is None or not fault.matches(self.identity, "", way.sender):
                continue
            fault.limit -= len(data)
            if fault.limit < 0:
                fault.fire(self.identity, "bytes")
                if way.sender == "server" and (transport := self._request.transport) is not None:
                    transport.write(_frame_start(data)[: len(data) + fault.limit + 2])
                await self.cut(fault.how)
                return
        await way.target.send_bytes(data)


def _frame_start(data: bytes) -> bytes:
    """Return a message as a server's WebSocket frame (RFC 6455, section 5.2)."""
    if len(data) < 126:
        head = bytes([0x82, len(data)])
    elif len(data) < 65536:
        head = bytes([0x82, 126]) + len(data).to_bytes(2, "big")
    else:
        head = bytes([0x82, 127]) + len(data).to_bytes(8, "big")
    return head + data
