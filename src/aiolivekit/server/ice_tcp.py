"""ICE over TCP: packets with a length of two bytes before each (RFC 4571, RFC 6544)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiolivekit.server.ice import IceAgent, IceMux

__all__ = ["TcpPath"]

MAX_TCP_BUFFER = 4 * 1024 * 1024
"""Bytes that may wait for a slow TCP peer; what comes on top is dropped as UDP would."""


class TcpPath(asyncio.Protocol):
    """One connection of a client, a `Path` once it has proven itself."""

    def __init__(self, mux: IceMux) -> None:
        self._mux = mux
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self.agent: IceAgent | None = None
        self.key: object = self
        self.address: tuple[str, int] = ("0.0.0.0", 0)  # noqa: S104 - a placeholder, nothing is bound
        self.protocol = "tcp"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the new connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if peer is None:
            transport.abort()
            return
        self.address = (peer[0], peer[1])
        self._mux.accept(self)

    def data_received(self, data: bytes) -> None:
        """Take what came, and pass on the packets it completes."""
        self._buffer += data
        position, buffer = 0, self._buffer
        while len(buffer) - position >= 2:
            size = (buffer[position] << 8) | buffer[position + 1]
            if len(buffer) - position < 2 + size:
                break
            packet = bytes(buffer[position + 2 : position + 2 + size])
            position += 2 + size
            self._mux.receive(packet, self.key, self)
        del buffer[:position]

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note of the end."""
        self._mux.closed(self)

    def send(self, data: bytes) -> None:
        """Send one packet."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > MAX_TCP_BUFFER:
            self._mux.dropped["TCP send"] += 1
            return
        transport.write(len(data).to_bytes(2, "big") + data)

    def close(self) -> None:
        """Close the connection now."""
        if self._transport is not None:
            self._transport.abort()
