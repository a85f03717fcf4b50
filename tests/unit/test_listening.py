"""A listener that closes just as somebody comes in leaves no connection behind."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest

from aiolivekit._listening import close_listener
from tests.leaks import no_leaks


class Guest(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport


@pytest.mark.parametrize("turns", range(5))
async def test_who_comes_in_as_it_closes(turns: int) -> None:
    guests: list[Guest] = []

    def guest() -> Guest:
        guests.append(Guest())
        return guests[-1]

    async with no_leaks():
        listener = await asyncio.get_running_loop().create_server(guest, "127.0.0.1", 0)
        with socket.create_connection(listener.sockets[0].getsockname()) as client:
            for _ in range(turns):
                await asyncio.sleep(0)
            close_listener(listener)
            for _ in range(5):
                await asyncio.sleep(0)
            assert not listener.is_serving()
            assert all(each.transport is not None for each in guests)
            for each in guests:
                each.transport.abort()  # type: ignore[union-attr]
            client.settimeout(5)
            # Let in and sent away, or not let in: but not left alone.
            await asyncio.sleep(0)
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
