"""A way to the server that can be cut: bytes of TCP connections passed on both ways, nothing else."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

__all__ = ["CutProxy"]

_LOOPBACK = "127.0.0.1"


class CutProxy:
    """Passes TCP connections on to a port of this machine, until they are cut.

    Args:
        port: Where they go.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._ways: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.refuse()

    async def accept(self) -> None:
        """Take connections, on the same port each time."""
        self._server = await asyncio.start_server(self._pass_on, _LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Cut all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        if self._ways:
            await asyncio.wait(self._ways)

    def cut(self) -> None:
        """Reset all connections there are."""
        for writer in self._writers:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(OSError):
                there, onward = await asyncio.open_connection(_LOOPBACK, self._target)
                self._writers.add(onward)
                ways = [
                    asyncio.create_task(_copy(reader, onward)),
                    asyncio.create_task(_copy(there, writer)),
                ]
                self._ways.update(ways)
                for way in ways:
                    way.add_done_callback(self._ways.discard)
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                self._writers.discard(onward)
                onward.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
