"""One signalling WebSocket: messages out in order through one writer, faults at one place, and an end that is sure."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from livekit.protocol import rtc

if TYPE_CHECKING:
    from aiolivekit.server.faults import Faults

__all__ = ["SignalConnection"]

_log = logging.getLogger("aiolivekit.server")

MAX_QUEUED = 10_000
"""Messages that may wait for a client that does not read; then its connection is dropped."""

CLOSE_TIMEOUT = 5.0


class SignalConnection:
    """The server's end of one signalling connection.

    Args:
        socket: The accepted WebSocket.
        request: Its HTTP request; gives access to the TCP connection.
        identity: Whose connection it is.
        faults: What may be done to its messages.
    """

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, identity: str, faults: Faults) -> None:
        self.identity = identity
        self.no_pong = False
        self.drop_on_close = False
        self._socket = socket
        self._request = request
        self._faults = faults
        self._queue: deque[rtc.SignalResponse | tuple[int | None, bytes]] = deque()
        self._wake = asyncio.Event()
        self._json = False
        self._closing = False
        self._ended = False
        self._reading = asyncio.Event()
        self._reading.set()

    @property
    def closed(self) -> bool:
        """Whether nothing more can be sent."""
        return self._closing or self._ended or self._socket.closed

    def send(self, response: rtc.SignalResponse) -> None:
        """Send a message after those before it; ignored once the connection closes."""
        if self.closed or (self.no_pong and response.WhichOneof("message") in ("pong", "pong_resp")):
            return
        self._faults.signal_out(self, response)

    def enqueue(self, response: rtc.SignalResponse) -> None:
        """Send a message that the faults have let pass."""
        if self.closed:
            return
        if len(self._queue) >= MAX_QUEUED:
            self.abort()
            return
        self._queue.append(response)
        self._wake.set()

    def close(self, code: int | None = 1000, reason: bytes = b"") -> None:
        """Close after what is queued has been sent; without a code TCP ends with no close frame before it."""
        if not self.closed:
            self._closing = True
            self._queue.append((code, reason))
            self._wake.set()

    def abort(self) -> None:
        """Drop the TCP connection now, without a word."""
        self._ended = True
        self._queue.clear()
        if self._request.transport is not None:
            self._request.transport.abort()
        self._wake.set()
        self._reading.set()

    def pause_reading(self) -> None:
        """Leave the client's messages in the socket."""
        self._reading.clear()

    def resume_reading(self) -> None:
        """Read the client's messages again."""
        self._reading.set()

    async def write(self) -> None:
        """Send what is queued until the connection ends; the task of `serve` runs it."""
        try:
            while not self._ended:
                while self._queue:
                    entry = self._queue.popleft()
                    if isinstance(entry, tuple):
                        await self._end(*entry)
                        return
                    if self._json:
                        await self._socket.send_str(json_format.MessageToJson(entry, indent=None))
                    else:
                        await self._socket.send_bytes(entry.SerializeToString())
                self._wake.clear()
                await self._wake.wait()
        except (ConnectionError, RuntimeError):
            return

    async def _end(self, code: int | None, reason: bytes) -> None:
        if code is not None:
            await self._socket.close(code=code, message=reason)
        elif self._request.transport is not None:
            self._request.transport.close()

    async def serve(self, on_request: Callable[[rtc.SignalRequest], None]) -> None:
        """Run the connection until it ends; calls `on_request` with each message of the client."""
        writer = asyncio.get_running_loop().create_task(self.write(), name="signal writer")
        try:
            await self._read(on_request)
        finally:
            if not self._ended and not self._socket.closed:
                self.close()
                await asyncio.wait([writer], timeout=CLOSE_TIMEOUT)
            self._ended = True
            self._wake.set()
            writer.cancel()
            await asyncio.wait([writer])

    async def _read(self, on_request: Callable[[rtc.SignalRequest], None]) -> None:
        while True:
            if not self._reading.is_set():
                await self._reading.wait()
            message = await self._socket.receive()
            if self._ended:
                return
            if message.type is WSMsgType.BINARY:
                self._json = False
                try:
                    request = rtc.SignalRequest.FromString(message.data)
                except DecodeError:
                    return  # the real server ends the connection too
            elif message.type is WSMsgType.TEXT:
                self._json = True
                try:
                    request = json_format.Parse(message.data, rtc.SignalRequest())
                except json_format.ParseError:
                    return
            else:
                if message.type is WSMsgType.CLOSE and self.drop_on_close:
                    self.abort()
                return
            if not self._faults.signal_in(self, request):
                continue
            on_request(request)
