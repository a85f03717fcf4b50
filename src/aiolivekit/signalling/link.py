"""The WebSocket itself: bytes in, bytes out, and one reason for its end."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Literal

import aiohttp

from ..core.signal_errors import redact

__all__ = ["LinkClosed", "SignalClosed", "WebSocketLink"]

_CLOSE_TIMEOUT = 1.0
"""Seconds for the closing handshake; livekit-server answers within milliseconds."""


@dataclass(frozen=True, slots=True)
class SignalClosed:
    """Why a signalling link ended.

    Args:
        source: `transport`: the connection broke; `ping_timeout`: the server was silent for too long;
            `server_close`: the server closed it; `protocol`: the server broke the rules of WebSocket; `write`: what we
            had to say could not be written.
        code: The WebSocket close code, if there was one.
        detail: In words.
    """

    source: Literal["transport", "ping_timeout", "server_close", "protocol", "write"]
    code: int | None
    detail: str


class LinkClosed(Exception):  # noqa: N818 - an end, not always an error
    """Raised by `WebSocketLink.receive` at the end of the connection."""

    def __init__(self, cause: SignalClosed) -> None:
        super().__init__(cause.detail)
        self.cause = cause


class WebSocketLink:
    """An open WebSocket; one task receives, one writes."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse, token: str) -> None:
        self._websocket = websocket
        self._token = token
        # aiohttp offers no way to abort, and closing a transport whose peer no longer reads would keep its socket open
        # for as long as the kernel retries. So its transport is taken here, by the one private name we need.
        self._response: aiohttp.ClientResponse = websocket._response  # noqa: SLF001
        connection = self._response.connection
        self._transport = connection.transport if connection is not None else None

    async def receive(self) -> bytes | None:
        """Wait for a message; `None` stands for one that is not binary, which LiveKit's protocol has no use for.

        Raises:
            LinkClosed: At the end of the connection.
        """
        frame = await self._websocket.receive()
        kind = frame.type
        if kind is aiohttp.WSMsgType.BINARY:
            data: bytes = frame.data
            return data
        if kind is aiohttp.WSMsgType.TEXT:
            return None
        code = self._websocket.close_code
        if kind is aiohttp.WSMsgType.CLOSE:
            reason = redact(frame.extra, self._token) if isinstance(frame.extra, str) else ""
            raise LinkClosed(SignalClosed("server_close", code, reason or "the server closed the connection"))
        if kind is aiohttp.WSMsgType.ERROR:
            words = {1007: "invalid text", 1009: "an oversize message"}.get(code or 0, "a malformed frame")
            raise LinkClosed(SignalClosed("protocol", code, f"the server sent {words}"))
        raise LinkClosed(SignalClosed("transport", None, "the connection was lost"))

    async def write(self, data: bytes) -> None:
        """Hand a message to the transport; waits while its buffer is full.

        Raises:
            OSError: If the connection is closed.
        """
        await self._websocket.send_bytes(data)

    async def aclose(self) -> None:
        """Close with a handshake of at most a second; whatever happens, the socket is closed afterwards."""
        try:
            with contextlib.suppress(TimeoutError, OSError, aiohttp.ClientError):
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await self._websocket.close()
        finally:
            self.abort()

    def abort(self) -> None:
        """Close the socket now and drop what was not sent."""
        # By name: uvloop's transports are no subclass of asyncio's.
        abort = getattr(self._transport, "abort", None)
        if abort is not None:
            abort()
        # Gives the connection's place in the session back, which aiohttp forgets when the other side breaks it.
        self._response.close()
