"""One transport of the raw client: a UDP socket with ICE, DTLS and SRTP, as cheap as Python allows."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
import socket
import struct
import zlib
from collections.abc import Callable

import pylibsrtp

from aiolivekit.server.dtls import Certificate, DtlsEndpoint
from aiolivekit.server.ice import Credentials
from aiolivekit.server.stun import binding_response, is_stun, parse_binding_request, verifies

__all__ = ["RawTransport", "binding_request"]

CHECK_INTERVAL = 0.05
KEEPALIVE = 2.0
"""Seconds between connectivity checks until the first answer, and after it."""

DRAIN_LIMIT = 256
SOCKET_BUFFER = 4 * 1024 * 1024

_COOKIE = b"\x21\x12\xa4\x42"


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + b"\x00" * (-len(value) % 4)


def binding_request(username: str, password: str, *, nominate: bool = True) -> bytes:
    """Return a connectivity check of a controlling agent (RFC 8445)."""
    transaction = secrets.token_bytes(12)
    body = _attribute(0x0006, username.encode())
    body += _attribute(0x0024, struct.pack("!I", 0x6E7F1EFF))
    body += _attribute(0x802A, secrets.token_bytes(8))
    if nominate:
        body += _attribute(0x0025, b"")
    head = struct.pack("!HH", 1, len(body) + 24) + _COOKIE + transaction
    body += _attribute(0x0008, hmac.new(password.encode(), head + body, hashlib.sha1).digest())
    head = struct.pack("!HH", 1, len(body) + 8) + _COOKIE + transaction
    return head + body + _attribute(0x8028, struct.pack("!I", zlib.crc32(head + body) ^ 0x5354554E))


class RawTransport:
    """One ICE and DTLS connection to a server on this machine.

    Args:
        certificate: Ours.
        on_packet: Called with each RTP packet, decrypted.
        on_message: Called with each DTLS message (SCTP packets).
    """

    def __init__(
        self,
        certificate: Certificate,
        on_packet: Callable[[bytes], None] | None = None,
        on_message: Callable[[bytes], None] | None = None,
    ) -> None:
        self.certificate = certificate
        self.credentials = Credentials.generate()
        self.connected = asyncio.Event()
        self.failures = 0
        self._on_packet = on_packet
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._socket = sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
        self._dtls: DtlsEndpoint | None = None
        self._inbound: pylibsrtp.Session | None = None
        self.outbound: pylibsrtp.Session | None = None
        self._remote = ("", "")
        self._timer: asyncio.TimerHandle | None = None
        self._reachable = False

    def connect(
        self, address: tuple[str, int], ufrag: str, password: str, fingerprints: list[tuple[str, str]], *, client: bool
    ) -> None:
        """Begin to connect; `connected` is set when packets can be sent.

        Args:
            address: The server's candidate.
            ufrag: The server's user fragment.
            password: The server's ICE password.
            fingerprints: Of the server's certificate.
            client: Whether we send the first flight of DTLS.
        """
        if self._dtls is not None:
            return
        self._remote = (ufrag, password)
        self._socket.connect(address)
        self._loop.add_reader(self._socket.fileno(), self._read)
        self._dtls = DtlsEndpoint(self.certificate, client=client, fingerprints=fingerprints)
        self._check()

    def _check(self) -> None:
        self.send(binding_request(f"{self._remote[0]}:{self.credentials.ufrag}", self._remote[1]))
        if self._dtls is not None and self._reachable and not self._dtls.established:
            self._dtls.on_timeout()
            self._step()
        delay = KEEPALIVE if self.connected.is_set() else CHECK_INTERVAL
        self._timer = self._loop.call_later(delay, self._check)

    def send(self, data: bytes) -> None:
        """Send a datagram."""
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            self._socket.send(data)

    def send_message(self, data: bytes) -> None:
        """Send an SCTP packet."""
        if self._dtls is not None and self._dtls.established:
            self.send(self._dtls.encrypt(data))

    def _read(self) -> None:
        receive, inbound, on_packet = self._socket.recv, self._inbound, self._on_packet
        for _ in range(DRAIN_LIMIT):
            try:
                data = receive(2048)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue
            if inbound is not None and 127 < data[0] < 192:
                if on_packet is not None and not 63 < data[1] & 0x7F < 96:
                    try:
                        on_packet(inbound.unprotect(data))
                    except pylibsrtp.Error:
                        self.failures += 1
                continue
            self._control(data)
            inbound = self._inbound

    def _control(self, data: bytes) -> None:
        if is_stun(data):
            request = parse_binding_request(data)
            if request is not None:
                # A server that is no lite agent checks us, too.
                if verifies(request, self.credentials.password):
                    address = self._socket.getpeername()
                    self.send(binding_response(request, (address[0], address[1]), self.credentials.password))
            elif data[:2] == b"\x01\x01" and not self._reachable:
                self._reachable = True
                self._step()
        elif self._dtls is not None and 19 < data[0] < 64:
            self._dtls.feed(data)
            if not self._dtls.established:
                self._step()
            with contextlib.suppress(ConnectionError):
                while (message := self._dtls.read()) is not None:
                    if self._on_message is not None and message:
                        self._on_message(message)

    def _step(self) -> None:
        dtls = self._dtls
        if dtls is None or dtls.established:
            return
        done = dtls.handshake()
        for datagram in dtls.outgoing():
            self.send(datagram)
        if done:
            sessions = dtls.srtp()
            self._inbound, self.outbound = sessions.inbound, sessions.outbound
            self.connected.set()

    def close(self) -> None:
        """Close the socket."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._dtls is not None:
            if self._dtls.established:
                self._dtls.close()
                for datagram in self._dtls.outgoing():
                    self.send(datagram)
            self._loop.remove_reader(self._socket.fileno())
            self._dtls = None
        self._socket.close()
