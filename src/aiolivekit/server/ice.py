"""ICE-lite over one UDP port and one TCP port for all peer connections of a server.

The server never sends checks. A datagram from an address nobody has proven to own (by a binding request signed with
a password of ours) is counted and dropped, so strangers cost no memory and reach no other layer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import string
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, cast

from aiolivekit._listening import close_listener
from aiolivekit.server.door import Door
from aiolivekit.server.ice_tcp import TcpPath
from aiolivekit.server.stun import binding_error, binding_response, is_stun, parse_binding_request, verifies

__all__ = ["Credentials", "IceAgent", "IceMux", "Path"]

_log = logging.getLogger("aiolivekit.server")

_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
"""Linux's way past the limit of buffers for those who may (`asm-generic/socket.h`); the socket module lacks them."""

_ALPHABET = string.ascii_letters + string.digits

DRAIN_LIMIT = 64
"""Datagrams read before other work of the loop gets its turn."""

SOCKET_BUFFER = 16 * 1024 * 1024
SMALLEST_BUFFER = 256 * 1024
"""Bytes asked of the kernel for each of the UDP socket's buffers, and the least: on a busy machine late is better
than lost."""

MAX_PATHS = 64
"""Addresses from which one agent takes packets; a new one takes the place of the oldest that is not in use."""

MAX_OLD_CREDENTIALS = 4
"""Credentials from before ICE restarts that are still good."""

PacketFilter = Callable[["IceAgent", bytes, bool, Callable[[bytes], None]], None]
"""Called with an agent, a packet, whether it is incoming, and where to pass it on (see `faults`)."""


class Path(Protocol):
    """A way to one remote address."""

    key: object
    address: tuple[str, int]
    protocol: str

    def send(self, data: bytes) -> None:
        """Send one packet; never blocks, drops what cannot be sent."""


class _UdpPath:
    __slots__ = ("_mux", "_target", "address", "key", "protocol")

    def __init__(self, mux: IceMux, target: tuple[str, int]) -> None:
        self._mux = mux
        self._target = target
        self.key: object = target
        self.address = target
        self.protocol = "udp"

    def send(self, data: bytes) -> None:
        self._mux.send_udp(data, self._target)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user fragment and password of one side of a peer connection."""

    ufrag: str
    password: str

    @classmethod
    def generate(cls) -> Credentials:
        """Return new random credentials."""
        return cls(
            "".join(secrets.choice(_ALPHABET) for _ in range(16)),
            "".join(secrets.choice(_ALPHABET) for _ in range(32)),
        )


class IceAgent:
    """The server's side of ICE for one peer connection.

    Args:
        mux: Where packets come from.
        name: For the logs and the faults: whose agent this is.
        on_path: Called when a path was nominated (again).
        on_packet: Called with each packet that is no STUN.
    """

    def __init__(
        self,
        mux: IceMux,
        name: str,
        on_path: Callable[[Path], None],
        on_packet: Callable[[bytes], None],
    ) -> None:
        self._mux = mux
        self.name = name
        self.owner: object = None
        self.on_path = on_path
        self.on_packet = on_packet
        self.credentials = Credentials.generate()
        self.path: Path | None = None
        self.packets_in = 0
        self.packets_out = 0
        self._last_seen = 0.0
        self._seen = 0
        self._heard = 0
        self._old: list[Credentials] = []
        self._keys: dict[object, None] = {}
        mux.register(self, self.credentials.ufrag)

    def restart(self) -> None:
        """Take new credentials; the old ones stay good until a path is nominated with the new ones."""
        self._old.append(self.credentials)
        while len(self._old) > MAX_OLD_CREDENTIALS:
            self._mux.unregister(self._old.pop(0).ufrag)
        self.credentials = Credentials.generate()
        self._mux.register(self, self.credentials.ufrag)

    def password_of(self, ufrag: str) -> str | None:
        """Return the password that belongs to a user fragment of ours."""
        for credentials in (self.credentials, *self._old):
            if credentials.ufrag == ufrag:
                return credentials.password
        return None

    @property
    def last_seen(self) -> float:
        """When something came over a proven path: `time.monotonic()` at most as late as one looks here."""
        if self._heard != self._seen:
            self._seen = self._heard
            self._last_seen = time.monotonic()
        return self._last_seen

    def deliver(self, data: bytes) -> None:
        """Take a packet that is no STUN."""
        self._heard += 1
        self.on_packet(data)

    def proven(self, path: Path, *, ufrag: str, nominated: bool) -> None:
        """Take note that a valid binding request came over `path`."""
        self._last_seen = time.monotonic()
        self._keys[path.key] = None
        if len(self._keys) > MAX_PATHS:
            used = path.key if self.path is None else self.path.key
            oldest = next(key for key in self._keys if key not in (path.key, used))
            del self._keys[oldest]
            self._mux.forget([oldest])
        if ufrag == self.credentials.ufrag and self._old and nominated:
            for credentials in self._old:
                self._mux.unregister(credentials.ufrag)
            self._old.clear()
        if self.path is None or (nominated and self.path.key != path.key):
            self.path = path
            self.on_path(path)

    def send(self, data: bytes) -> None:
        """Send a packet over the nominated path; dropped when there is none."""
        if self.path is not None:
            self.packets_out += 1
            if self._mux.packet_filter is None:
                self.path.send(data)
            else:
                self._mux.packet_filter(self, data, False, self.path.send)

    def lost(self, path: Path) -> None:
        """Take note that a path is gone (a TCP connection closed)."""
        self._keys.pop(path.key, None)
        if self.path is path:
            self.path = None

    def close(self) -> None:
        """Forget everything; no packet arrives or leaves any more."""
        for credentials in (self.credentials, *self._old):
            self._mux.unregister(credentials.ufrag)
        self._mux.forget(list(self._keys))
        self._keys.clear()
        self.path = None


class IceMux:
    """The two sockets; finds the agent of each packet.

    Args:
        host: The address to bind.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.udp_port = 0
        self.tcp_port = 0
        self.dropped: Counter[str] = Counter()
        self.packet_filter: PacketFilter | None = None
        self._agents: dict[str, IceAgent] = {}
        self._paths: dict[object, tuple[IceAgent, Path]] = {}
        self._socket: socket.socket | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._door = Door(self._turned_away)
        self._tcp: set[TcpPath] = set()

    async def start(self, udp_port: int = 0, tcp_port: int = 0) -> None:
        """Bind both sockets; port 0 takes a free one."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._socket = sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            _enlarge_buffers(sock)
            sock.bind((self.host, udp_port))
            self.udp_port = sock.getsockname()[1]
            try:
                loop.add_reader(sock.fileno(), self._read_udp)
            except NotImplementedError:  # Windows' default loop
                self._transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=sock)
            self._server = await loop.create_server(lambda: TcpPath(self), self.host, tcp_port)
            self.tcp_port = self._server.sockets[0].getsockname()[1]
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close both sockets and every connection."""
        if self._socket is not None:
            if self._transport is not None:
                self._transport.close()
            else:
                with contextlib.suppress(NotImplementedError, ValueError):
                    asyncio.get_running_loop().remove_reader(self._socket.fileno())
                self._socket.close()
            self._socket = None
        self._door.close()
        for path in list(self._tcp):
            path.close()
        if self._server is not None:
            close_listener(self._server)
            await self._server.wait_closed()
            self._server = None
        self._agents.clear()
        self._paths.clear()

    def register(self, agent: IceAgent, ufrag: str) -> None:
        """Let binding requests for `ufrag` reach `agent`."""
        self._agents[ufrag] = agent

    def unregister(self, ufrag: str) -> None:
        """Stop taking binding requests for `ufrag`."""
        self._agents.pop(ufrag, None)

    def forget(self, keys: Iterable[object]) -> None:
        """Stop taking packets from these paths."""
        for key in keys:
            entry = self._paths.pop(key, None)
            if entry is not None and isinstance(entry[1], TcpPath):
                entry[1].close()

    def send_udp(self, data: bytes, target: tuple[str, int]) -> None:
        """Send a datagram; dropped and counted when the kernel's buffer is full."""
        if self._transport is not None:
            self._transport.sendto(data, target)
        elif self._socket is not None:
            try:
                self._socket.sendto(data, target)
            except OSError:
                self.dropped["udp send"] += 1

    def _read_udp(self) -> None:
        sock = self._socket
        if sock is None:
            return
        receive, paths, receive_from = self.receive, self._paths, sock.recvfrom
        for _ in range(DRAIN_LIMIT):
            try:
                data, address = receive_from(2048)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error of an earlier datagram
                continue
            entry = paths.get(address)
            if entry is not None and data and data[0] > 3 and self.packet_filter is None:
                agent = entry[0]
                agent.packets_in += 1
                agent.deliver(data)
            else:
                receive(data, address, None)
            if self._socket is None:
                return

    def receive(self, data: bytes, key: object, path: Path | None) -> None:
        """Take one packet from the path `key`; `path` is its object where the caller has one."""
        entry = self._paths.get(key)
        if is_stun(data):
            self._stun(data, key, path if path is not None else entry[1] if entry is not None else None)
        elif entry is None:
            self.dropped["unknown address"] += 1
        elif not data:
            self.dropped["empty"] += 1
        else:
            agent = entry[0]
            agent.packets_in += 1
            if self.packet_filter is None:
                agent.deliver(data)
            else:
                self.packet_filter(agent, data, True, agent.deliver)

    def _stun(self, data: bytes, key: object, path: Path | None) -> None:
        request = parse_binding_request(data)
        if request is None:
            self.dropped["malformed STUN"] += 1
            return
        agent = self._agents.get(request.local_ufrag)
        if agent is None:
            self.dropped["unknown STUN user"] += 1
            return
        if self.packet_filter is None:
            self._checked(agent, data, key, path)
        else:
            self.packet_filter(agent, data, True, lambda packet: self._checked(agent, packet, key, path))

    def _checked(self, agent: IceAgent, data: bytes, key: object, path: Path | None) -> None:
        request = parse_binding_request(data)
        password = agent.password_of(request.local_ufrag) if request is not None else None
        if request is None or password is None:
            self.dropped["malformed STUN"] += 1
            return
        if path is None:
            path = _UdpPath(self, cast("tuple[str, int]", key))
        if not verifies(request, password):
            self.dropped["wrong STUN password"] += 1
            path.send(binding_error(request, 401, "Unauthorized", password))
            return
        self._paths[key] = (agent, path)
        if isinstance(path, TcpPath):
            path.agent = agent
            self._door.admit(path)
        response = binding_response(request, path.address, password)
        if self.packet_filter is None:
            path.send(response)
        else:
            self.packet_filter(agent, response, False, path.send)
        agent.proven(path, ufrag=request.local_ufrag, nominated=request.use_candidate)

    def accept(self, path: TcpPath) -> None:
        """Take a new TCP connection."""
        self._tcp.add(path)
        self._door.enter(path, path.close)

    def _turned_away(self) -> None:
        self.dropped["TCP without proof"] += 1

    def closed(self, path: TcpPath) -> None:
        """Take note that a TCP connection ended."""
        self._tcp.discard(path)
        self._door.admit(path)
        self._paths.pop(path.key, None)
        if path.agent is not None:
            path.agent.lost(path)


def _enlarge_buffers(sock: socket.socket) -> None:
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        size = SOCKET_BUFFER
        while size >= SMALLEST_BUFFER:
            # Some systems refuse what is over their limit, Linux takes as much as the limit allows.
            try:
                sock.setsockopt(socket.SOL_SOCKET, option, size)
            except OSError:
                size //= 2
            else:
                break
    if sys.platform == "linux":
        for option in (_SO_RCVBUFFORCE, _SO_SNDBUFFORCE):
            with contextlib.suppress(PermissionError):
                sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, mux: IceMux) -> None:
        self._mux = mux

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._mux.receive(data, addr, None)
