"""Relays of media: between a client and one candidate of the server, over UDP and over TCP.

Each belongs to one participant, one of its peer connections and one candidate. Each client address has a socket of its
own towards the server, which so can tell them apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Protocol, cast

from ..._listening import close_listener
from ..._tasks import TaskScope
from .faults import FaultBook, MediaDirection, MediaTarget
from .rewriting import Candidate

__all__ = ["HOST", "MediaRelays", "reset_on_close"]

HOST = "127.0.0.1"
_TCP_FRAME = 2
"""Bytes of the length before each packet over TCP (RFC 4571)."""
_WAITING_LIMIT = 64
"""Packets kept while the socket towards the server is made."""

Address = tuple[str, int]


class _Relay(Protocol):
    @property
    def port(self) -> int: ...

    def cut(self) -> int: ...

    def close(self) -> None: ...


class MediaRelays:
    """The relays of one proxy.

    Args:
        book: The faults.
        scope: Owns the tasks.
    """

    def __init__(self, book: FaultBook, scope: TaskScope) -> None:
        self._book = book
        self._scope = scope
        self._relays: dict[tuple[str, Candidate], _Relay] = {}
        self._starting: dict[tuple[str, Candidate], asyncio.Future[_Relay]] = {}
        self._closed = False

    async def ensure(self, identity: str, candidate: Candidate) -> None:
        """Make the relay for a candidate, unless there is one."""
        key = (identity, candidate)
        while key not in self._relays:
            if key in self._starting:
                await asyncio.wait([self._starting[key]])
                continue
            made: asyncio.Future[_Relay] = asyncio.get_running_loop().create_future()
            self._starting[key] = made
            try:
                path = _Path(self._book, identity, candidate.target)
                if candidate.transport == "tcp":
                    relay: _Relay = await _TcpRelay.start(path, (candidate.host, candidate.port), self._scope)
                else:
                    relay = await _UdpRelay.start(path, (candidate.host, candidate.port), self._scope)
                if self._closed:
                    relay.close()
                    raise ConnectionAbortedError("the proxy is closed")
                self._relays[key] = relay
            finally:
                del self._starting[key]
                made.cancel()

    def address(self, identity: str, candidate: Candidate) -> Address:
        """Return where clients find the relay of a candidate."""
        return HOST, self._relays[identity, candidate].port

    def cut(self, identity: str | None, target: MediaTarget | None) -> int:
        """Let the flows there are end for good; returns how many."""
        return sum(
            relay.cut()
            for (owner, candidate), relay in self._relays.items()
            if identity in (None, owner) and target in (None, candidate.target)
        )

    def close(self) -> None:
        """Close all."""
        self._closed = True
        relays, self._relays = self._relays, {}
        for relay in relays.values():
            relay.close()


class _Path:
    """Whose packets they are, and what becomes of them."""

    def __init__(self, book: FaultBook, identity: str, target: MediaTarget) -> None:
        self._book = book
        self._identity = identity
        self._target = target

    def delay(self, direction: MediaDirection) -> float | None:
        return self._book.packet_delay(self._identity, self._target, direction)

    async def pass_through(self) -> None:
        """Wait while nothing passes."""
        while (outage := self._book.outage(self._identity)) is not None:
            await outage


# -- UDP --


class _Flow(asyncio.DatagramProtocol):
    """One client address, as the server sees it."""

    def __init__(self, relay: _UdpRelay, client: Address) -> None:
        self._relay = relay
        self._client = client
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: list[bytes] = []
        self.dead = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No `isinstance`: asyncio's own transport is none of its class before Python 3.12.
        made = cast(asyncio.DatagramTransport, transport)
        if self.dead:
            made.abort()
            return
        self._transport = made
        waiting, self._waiting = self._waiting, []
        for packet in waiting:
            made.sendto(packet)

    def send(self, packet: bytes) -> None:
        if self.dead:
            return
        if self._transport is not None:
            self._transport.sendto(packet)
        elif len(self._waiting) < _WAITING_LIMIT:
            self._waiting.append(packet)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._relay.from_server(self._client, data)

    def error_received(self, exc: Exception) -> None:
        """A server that is gone: packets are lost, as on any network."""

    def cut(self) -> None:
        self.dead = True
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


class _UdpRelay(asyncio.DatagramProtocol):
    def __init__(self, path: _Path, server: Address, scope: TaskScope) -> None:
        self._path = path
        self._server = server
        self._scope = scope
        self._flows: dict[Address, _Flow] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def start(cls, path: _Path, server: Address, scope: TaskScope) -> _UdpRelay:
        relay = cls(path, server, scope)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: relay, local_addr=(HOST, 0))
        return relay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: Address) -> None:
        flow = self._flows.get(addr)
        if flow is None:
            flow = self._flows[addr] = _Flow(self, addr)
            self._scope.spawn("fault-proxy-flow", self._open(flow))
        delay = self._path.delay("up")
        if delay is None:
            return
        if delay:
            self._loop.call_later(delay, flow.send, data)
        else:
            flow.send(data)

    async def _open(self, flow: _Flow) -> None:
        # A server that cannot be reached is packets lost.
        with contextlib.suppress(OSError):
            await self._loop.create_datagram_endpoint(lambda: flow, remote_addr=self._server)

    def from_server(self, client: Address, data: bytes) -> None:
        delay = self._path.delay("down")
        if delay is None:
            return
        if delay:
            self._loop.call_later(delay, self._to_client, data, client)
        else:
            self._to_client(data, client)

    def _to_client(self, data: bytes, client: Address) -> None:
        if self._transport is not None:
            self._transport.sendto(data, client)

    def error_received(self, exc: Exception) -> None:
        """A client's port that is closed: the same as above."""

    def cut(self) -> int:
        alive = [flow for flow in self._flows.values() if not flow.dead]
        for flow in alive:
            flow.cut()
        return len(alive)

    def close(self) -> None:
        self.cut()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


# -- TCP --


class _TcpRelay:
    def __init__(self, path: _Path, server: Address, scope: TaskScope) -> None:
        self._path = path
        self._server_address = server
        self._scope = scope
        self._writers: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def start(cls, path: _Path, server: Address, scope: TaskScope) -> _TcpRelay:
        relay = cls(path, server, scope)
        relay._listener = await asyncio.start_server(relay._accept, HOST, 0)
        return relay

    @property
    def port(self) -> int:
        assert self._listener is not None
        return int(self._listener.sockets[0].getsockname()[1])

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._scope.spawn("fault-proxy-tcp", self._serve(reader, writer))
        if task is None:
            writer.transport.abort()
        else:
            # A task that is cancelled before it begins closes nothing.
            task.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._server_address)
        except OSError:
            return
        pair = (writer, up_writer)
        self._writers.append(pair)
        ways = [
            asyncio.ensure_future(self._pass_on(reader, up_writer, "up")),
            asyncio.ensure_future(self._pass_on(up_reader, writer, "down")),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._writers.remove(pair)
            # Before anything is waited for, which may be cancelled.
            for each in pair:
                each.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: MediaDirection
    ) -> None:
        """Pass packets on, each with its length, so that one may be lost and the next still be understood."""
        try:
            while True:
                length = await reader.readexactly(_TCP_FRAME)
                packet = length + await reader.readexactly(int.from_bytes(length, "big"))
                await self._path.pass_through()
                delay = self._path.delay(direction)
                if delay is None:
                    continue
                if delay:
                    self._loop.call_later(delay, _write, writer, packet)
                else:
                    writer.write(packet)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    def cut(self) -> int:
        pairs = list(self._writers)
        for pair in pairs:
            for writer in pair:
                reset_on_close(writer.get_extra_info("socket"))
                writer.transport.abort()
        return len(pairs)

    def close(self) -> None:
        self.cut()
        if self._listener is not None:
            close_listener(self._listener)


def _write(writer: asyncio.StreamWriter, packet: bytes) -> None:
    if not writer.is_closing():
        writer.write(packet)


def reset_on_close(connection: socket.socket | None) -> None:
    """Have a TCP connection end with a reset when it is closed."""
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
