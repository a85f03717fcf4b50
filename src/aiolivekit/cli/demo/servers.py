"""Which server the demo's participants meet on."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from ..connection import make_token

__all__ = ["Passage", "ServerSource", "ServerUnderDemo", "Tell", "embedded_server", "given_server", "real_server"]

Tell = Callable[[str], None]
"""Shows what is going on."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What a server has seen of one participant, in RTP packets.

    Attributes:
        taken: Packets it took from the participant.
        given: Packets it sent to the participant.
    """

    taken: int
    given: int


def _nothing_to_see(_room: str) -> dict[str, Passage]:
    return {}


@dataclass(frozen=True, slots=True)
class ServerUnderDemo:
    """A server that is up.

    Attributes:
        name: What it is, for people.
        url: Where it is.
        api_key: A key it knows.
        api_secret: The secret of that key.
        passages: What it has seen of each participant of a room, by identity; empty where nobody can look inside.
    """

    name: str
    url: str
    api_key: str
    api_secret: str = field(repr=False)
    passages: Callable[[str], dict[str, Passage]] = _nothing_to_see

    def token(self, identity: str, room: str) -> str:
        """Return an access token for a room of the demo."""
        return make_token(self.api_key, self.api_secret, identity, room=room, ttl=600)


ServerSource = Callable[[Tell], AbstractAsyncContextManager[ServerUnderDemo]]
"""Brings a server up and takes it down again."""


def given_server(url: str, api_key: str, api_secret: str) -> ServerSource:
    """Return the source of a server that runs already."""

    @asynccontextmanager
    async def source(_tell: Tell) -> AsyncIterator[ServerUnderDemo]:
        yield ServerUnderDemo("the given server", url, api_key, api_secret)

    return source


@asynccontextmanager
async def embedded_server(tell: Tell) -> AsyncIterator[ServerUnderDemo]:
    """Run the dev server in this process.

    Raises:
        ModuleNotFoundError: If the extra `server` is not installed.
        OSError: If there is no port to have.
    """
    from ...server import DevServer

    tell("starting the dev server in this process")
    async with DevServer() as server:

        def passages(room: str) -> dict[str, Passage]:
            return {
                identity: Passage(
                    participant.publisher.counters.rtp_in, participant.receiving_transport.counters.rtp_out
                )
                for identity, participant in server.room(room).participants.items()
            }

        yield ServerUnderDemo("the dev server in this process", server.url, server.api_key, server.api_secret, passages)


@asynccontextmanager
async def real_server(tell: Tell) -> AsyncIterator[ServerUnderDemo]:
    """Run a real LiveKit server on loopback; it is built first if it is not there.

    Raises:
        ServerUnavailableError: If there is none and it cannot be built.
        ServerStartError: If it does not come up.
    """
    from ...testing.real_server import RealServer
    from ...testing.server_binary import SERVER_VERSION

    tell(f"starting LiveKit server {SERVER_VERSION} on this machine")
    logger = logging.getLogger("aiolivekit.testing")
    handler = _Teller(tell)
    level = logger.level
    # The build is announced in the log, and takes minutes.
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        server = await RealServer().__aenter__()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    try:
        yield ServerUnderDemo(
            f"LiveKit server {SERVER_VERSION} on loopback", server.url, server.api_key, server.api_secret
        )
    finally:
        server.stop()


class _Teller(logging.Handler):
    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.INFO)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())
