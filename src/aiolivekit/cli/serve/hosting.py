"""The servers that `aiolivekit server` can run: the dev server in this process, and the real one beside it."""

from __future__ import annotations

import asyncio
import errno
import http.client
import ipaddress
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from google.protobuf import json_format
from livekit.protocol import room as room_service

from ...testing.real_server import RealServer, ServerStartError
from ...testing.server_binary import SERVER_VERSION, find_server
from ..output import UsageProblem, fail
from .overview import Counts, Overview, RoomView, participant_view

if TYPE_CHECKING:
    from ...server import DevServer

__all__ = ["Host", "Settings", "checked_address", "embedded", "real"]

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with.

    Attributes:
        host: The address.
        port: Of HTTP and WebSocket; 0 takes a free one.
        udp_port: Of media over UDP; likewise.
        tcp_port: Of media over TCP; likewise.
        api_key: `None` for one that is made up.
        api_secret: Likewise.
    """

    host: str
    port: int
    udp_port: int
    tcp_port: int
    api_key: str | None
    api_secret: str | None


class Host(Protocol):
    """A running server."""

    name: str
    url: str
    api_key: str
    api_secret: str

    async def wait(self, seconds: float) -> None:
        """Wait until something may have changed, at most so long."""

    async def look(self) -> Overview:
        """Return what is in it.

        Raises:
            ServerStartError: If it does not run any more.
        """


def checked_address(host: str) -> str:
    """Return the address to listen on.

    Raises:
        UsageProblem: If clients cannot be told it.
    """
    if host == "localhost":
        return _LOOPBACK
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise UsageProblem(f"--host takes an IP address of this machine, not {host!r}") from None
    if address.is_unspecified:
        raise UsageProblem(
            f"--host {host} stands for every address of this machine, but clients are told one, for their media: "
            "give that of the network interface they come in by"
        )
    return str(address)


@asynccontextmanager
async def embedded(settings: Settings) -> AsyncIterator[Host]:
    """Run the dev server in this process; what keeps it from starting ends the command with one line.

    Raises:
        ModuleNotFoundError: If the extra `server` is not installed.
    """
    from ...server import DevServer

    server = DevServer(
        host=settings.host,
        port=settings.port,
        udp_port=settings.udp_port,
        tcp_port=settings.tcp_port,
        api_key=settings.api_key,
        api_secret=settings.api_secret,
    )
    try:
        await server.start()
    except OSError as error:
        fail(_why_not(settings, error))
    try:
        yield _Embedded(server)
    finally:
        await server.stop()


class _Embedded:
    name = "dev server"

    def __init__(self, server: DevServer) -> None:
        self._server = server
        self.url, self.api_key, self.api_secret = server.url, server.api_key, server.api_secret
        self._changed = asyncio.Event()
        server.core.on_change = self._changed.set

    async def wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    async def look(self) -> Overview:
        rooms = []
        for room in self._server.rooms:
            counts = {track.sid: Counts(track.packets, track.octets, len(track.down)) for track in room.tracks.values()}
            for data in room.data_tracks():
                counts[data.info.sid] = Counts(data.packets, None, len(data.subscribers))
            people = tuple(
                participant_view(person.info(), counts=counts.get, data_packets=person.data_packets)
                for person in room.participants.values()
            )
            rooms.append(RoomView(room.sid, room.name, people))
        return Overview(tuple(rooms))


@asynccontextmanager
async def real(settings: Settings, *, build: bool) -> AsyncIterator[Host]:
    """Run a real LiveKit server as a child process.

    Args:
        settings: Its address is loopback's.
        build: Whether to build it if there is none.

    Raises:
        ServerUnavailableError: If there is none.
        ServerStartError: If it does not come up.
    """
    binary = find_server(build=False) if not build else None
    server = RealServer(binary=binary, ports=(settings.port, settings.udp_port, settings.tcp_port))
    server.api_key = settings.api_key or server.api_key
    server.api_secret = settings.api_secret or server.api_secret
    with _announced_build():
        try:
            await server.__aenter__()
        except OSError as error:
            fail(_why_not(settings, error))
    try:
        yield _Real(server)
    finally:
        server.stop()


class _Real:
    name = f"LiveKit server {SERVER_VERSION}"

    def __init__(self, server: RealServer) -> None:
        self._server = server
        self.url, self.api_key, self.api_secret = server.url, server.api_key, server.api_secret

    async def wait(self, seconds: float) -> None:
        # It tells nobody of changes except those who run a web server for it.
        await asyncio.sleep(seconds)

    async def look(self) -> Overview:
        return await asyncio.to_thread(self._ask)

    def _ask(self) -> Overview:
        try:
            answer = self._server.api("RoomService/ListRooms")
        except (OSError, http.client.HTTPException, ValueError) as error:
            if not self._server.running:
                raise ServerStartError("the server has ended") from error
            raise ServerStartError("the server does not answer") from error
        rooms = json_format.ParseDict(answer, room_service.ListRoomsResponse(), ignore_unknown_fields=True)
        return Overview(tuple(self._room(room.sid, room.name) for room in rooms.rooms))

    def _room(self, sid: str, name: str) -> RoomView:
        try:
            answer = self._server.api("RoomService/ListParticipants", {"room": name})
        except (OSError, http.client.HTTPException, ValueError, ServerStartError):
            return RoomView(sid, name)  # it has ended between the two questions
        people = json_format.ParseDict(answer, room_service.ListParticipantsResponse(), ignore_unknown_fields=True)
        return RoomView(sid, name, tuple(participant_view(person) for person in people.participants))


class _announced_build(logging.Handler):  # noqa: N801 - used like contextlib's
    """The build of a server is announced in the log, and takes minutes."""

    def __enter__(self) -> None:
        self._logger = logging.getLogger("aiolivekit.testing")
        self._level = self._logger.level
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        from ..output import print_error

        if record.levelno < logging.WARNING:  # the others are shown anyway
            print_error(record.getMessage())


def _why_not(settings: Settings, error: OSError) -> str:
    """Return why no server can listen there."""
    if error.errno == errno.EADDRNOTAVAIL:
        return f"the server cannot be started: {settings.host} is no address of this machine"
    for option, port, kind in (
        ("--port", settings.port, socket.SOCK_STREAM),
        ("--udp-port", settings.udp_port, socket.SOCK_DGRAM),
        ("--tcp-port", settings.tcp_port, socket.SOCK_STREAM),
    ):
        if port and (reason := _refused(settings.host, port, kind)):
            if reason == errno.EADDRINUSE:
                return f"the server cannot be started: port {port} is taken; {option} takes another one, 0 a free one"
            return f"the server cannot be started on port {port}: {os.strerror(reason).lower()} ({option})"
    return f"the server cannot be started: {error.strerror or type(error).__name__}"


def _refused(host: str, port: int, kind: socket.SocketKind) -> int:
    """Return the number of the error with which the system refuses a port, or 0."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM and os.name == "posix":
            # As asyncio does: a port whose connections have just ended is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            if kind is socket.SOCK_STREAM:
                probe.listen(1)
        except OSError as error:
            return error.errno or 0
    return 0
