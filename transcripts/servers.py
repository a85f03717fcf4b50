"""The two servers, set up alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from livekit.api import LiveKitAPI

from aiolivekit.server import DevServer, ServerOptions
from aiolivekit.testing import RealServer

from .proxy import Proxy

__all__ = ["SERVERS", "Endpoint", "dev_server", "real_server"]

EMPTY_TIMEOUT, DEPARTURE_TIMEOUT = 60, 20
SERVERS = ("real", "dev")


@dataclass(frozen=True)
class Endpoint:
    """A running server behind its proxy.

    Args:
        name: `real` or `dev`.
        proxy: What records it; clients connect to its address.
        api_key: The server's key.
        api_secret: The secret of that key.
        api: The server's RoomService, not recorded.
    """

    name: str
    proxy: Proxy
    api_key: str
    api_secret: str
    api: LiveKitAPI


@asynccontextmanager
async def _endpoint(name: str, url: str, key: str, secret: str) -> AsyncIterator[Endpoint]:
    # Its own session: the API's default gives up after a minute in all.
    async with Proxy(url) as proxy, aiohttp.ClientSession() as session:
        yield Endpoint(name, proxy, key, secret, LiveKitAPI(url, key, secret, session=session))


@asynccontextmanager
async def real_server(binary: Path | None = None) -> AsyncIterator[Endpoint]:
    """Start LiveKit's own server."""
    async with (
        RealServer(binary=binary, empty_timeout=EMPTY_TIMEOUT, departure_timeout=DEPARTURE_TIMEOUT) as server,
        _endpoint("real", server.url, server.api_key, server.api_secret) as endpoint,
    ):
        yield endpoint


@asynccontextmanager
async def dev_server() -> AsyncIterator[Endpoint]:
    """Start the embedded dev server."""
    options = ServerOptions(empty_timeout=EMPTY_TIMEOUT, departure_timeout=DEPARTURE_TIMEOUT)
    async with (
        DevServer(options=options) as server,
        _endpoint("dev", server.url, server.api_key, server.api_secret) as endpoint,
    ):
        yield endpoint
