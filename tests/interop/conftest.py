"""The behavioural suite: one server, one way to connect and one client under test a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from types import ModuleType
from typing import Any

import pytest

import aiolivekit
from aiolivekit.testing.plugin import LiveKitServer, unavailable
from tests.conftest import PeerMode

from .capabilities import CLIENTS, ClientKind
from .chromium import BrowserUnavailableError, Chromium
from .client import Client
from .page_client import PageClient
from .sdk_client import SdkClient

try:
    from livekit import api
except ImportError:
    api = None


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One browser for the whole run."""
    try:
        browser = Chromium().__enter__()
    except BrowserUnavailableError as error:
        unavailable(f"no browser: {error}")
    with browser:
        yield browser


class Stage:
    """Where clients come on: one server, one room, one way to connect.

    Args:
        server: The server.
        single: Whether one peer connection is asked for.
        request: Brings what the clients need.
        exits: Ends what was begun.
    """

    def __init__(self, server: LiveKitServer, *, single: bool, request: Any, exits: AsyncExitStack) -> None:
        self.server = server
        self.room = server.room_name
        self.single = single
        self._request = request
        self._exits = exits
        self._api: Any = None

    async def client(self, kind: ClientKind, identity: str) -> Client:
        """A client that has not joined."""
        client: Client
        if kind == "browser":
            chromium: Chromium = self._request.getfixturevalue("chromium")
            client = PageClient(await chromium.borrow(), chromium, identity)
        elif kind == "official":
            official: ModuleType = self._request.getfixturevalue("official")
            client = SdkClient(official, kind, identity)
        else:
            client = SdkClient(aiolivekit, kind, identity)
        self._exits.push_async_callback(client.close)
        return client

    async def join(
        self, kind: ClientKind, identity: str, /, *, auto_subscribe: bool = True, dynacast: bool = False, **claims: Any
    ) -> Client:
        """A client that has joined; the claims are those of its token."""
        client = await self.client(kind, identity)
        token = self.server.token(identity, **claims)
        await client.join(self.server.url, token, single=self.single, auto_subscribe=auto_subscribe, dynacast=dynacast)
        return client

    async def acquaint(self, *clients: Client) -> None:
        """Let everybody know of everybody.

        Of who publishes the real server tells at once, of others only every three seconds; so all publish something.
        """
        await asyncio.gather(*(client.publish_tone(300) for client in clients))
        for client in clients:
            for other in clients:
                if other is not client:
                    await client.events.wait("track_published", identity=other.identity)

    @property
    def api(self) -> Any:
        """`RoomService`, by `livekit-api`."""
        if self._api is None:
            self._api = api.LiveKitAPI(self.server.http_url, self.server.api_key, self.server.api_secret)
            self._exits.push_async_callback(self._api.aclose)
        return self._api.room

    async def there(self) -> list[str]:
        """The identities the server knows in the room."""
        try:
            answer = await self.api.list_participants(api.ListParticipantsRequest(room=self.room))
        except api.TwirpError as error:
            if error.code == "not_found":
                return []
            raise
        return sorted(each.identity for each in answer.participants)


@pytest.fixture
async def stage(
    request: pytest.FixtureRequest, livekit_server: LiveKitServer, peer_mode: PeerMode
) -> AsyncIterator[Stage]:
    if api is None:
        unavailable("livekit-api is not installed")
    async with AsyncExitStack() as exits:
        yield Stage(livekit_server, single=peer_mode == "single", request=request, exits=exits)


@pytest.fixture(params=CLIENTS)
def kind(request: pytest.FixtureRequest) -> ClientKind:
    """The client under test; where it needs another one beside it, that is the official Python SDK."""
    client: ClientKind = request.param
    return client
