"""A client that is nothing but a WebSocket: it says what it is told to say, and has no media."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Self

import aiohttp
from livekit.protocol import rtc

__all__ = ["WireClient", "join_query"]


def join_query(join: rtc.JoinRequest, compress: Callable[[bytes], bytes] | None = None) -> str:
    """Return the query parameter `join_request`."""
    body = join.SerializeToString()
    wrapped = rtc.WrappedJoinRequest(join_request=body)
    if compress is not None:
        wrapped = rtc.WrappedJoinRequest(
            compression=rtc.WrappedJoinRequest.Compression.GZIP, join_request=compress(body)
        )
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


class WireClient:
    """One connection; what comes is read and forgotten, for the proxy writes it down.

    Args:
        session: Its HTTP session.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None

    async def connect(self, url: str, token: str, query: dict[str, str]) -> Self:
        """Connect; raises `aiohttp.WSServerHandshakeError` when it is refused."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._socket = await self._session.ws_connect(url, params=query, headers=headers, max_msg_size=0)
        self._reader = asyncio.get_running_loop().create_task(self._read(self._socket))
        return self

    @staticmethod
    async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
        async for _ in socket:
            pass

    async def send(self, request: rtc.SignalRequest) -> None:
        """Send a message."""
        assert self._socket is not None
        await self._socket.send_bytes(request.SerializeToString())

    async def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        await self._session.close()
