"""One peer connection of a participant: ICE-lite below, then DTLS, SRTP and SCTP."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import pylibsrtp

from aiolivekit.server.dtls import Certificate, DtlsEndpoint, DtlsError, SrtpSessions
from aiolivekit.server.ice import IceAgent, IceMux, Path
from aiolivekit.server.sctp import DataChannels

__all__ = ["Counters", "Events", "PeerTransport", "RemoteParameters", "State"]

_log = logging.getLogger("aiolivekit.server")

APPLICATION_DATA = 23
"""The type of DTLS records that carry data."""

MAX_EARLY_RECORDS = 16
"""DTLS datagrams kept when they arrive before the session description that lets us check them."""

MAX_SRTP_PACKET = 1500 - 160
"""What libsrtp's binding can protect, in bytes."""


class State(Enum):
    """How far a transport has come."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


@dataclass(frozen=True)
class RemoteParameters:
    """What the client's session description says about its transport."""

    ufrag: str
    fingerprints: list[tuple[str, str]]
    setup: str
    sctp_port: int | None
    max_message_size: int


@dataclass
class Events:
    """Where a transport reports to; each is called on the loop and must not raise."""

    connected: Callable[[], None]
    failed: Callable[[str], None]
    rtp: Callable[[bytes, float], None]
    rtcp: Callable[[bytes], None]
    message: Callable[[str, bytes], None]
    channel_open: Callable[[str], None]


@dataclass
class Counters:
    """What came and went, for those who look inside."""

    rtp_in: int = 0
    rtp_out: int = 0
    rtcp_in: int = 0
    rtcp_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, why: str) -> None:
        """Count a packet that was dropped."""
        self.dropped[why] = self.dropped.get(why, 0) + 1


class PeerTransport:
    """The transport of one peer connection.

    Args:
        mux: The server's sockets.
        certificate: The server's certificate.
        name: For logs and faults.
        events: Where to report to.
        channels: Labels of the data channels we announce, with ordered and max retransmits.
    """

    def __init__(
        self,
        mux: IceMux,
        certificate: Certificate,
        name: str,
        events: Events,
        channels: tuple[tuple[str, bool, int | None], ...] = (),
    ) -> None:
        self.name = name
        self.state = State.NEW
        self.was_connected = False
        self.counters = Counters()
        self.remote: RemoteParameters | None = None
        self.ice = IceAgent(mux, name, self._on_path, self._on_packet)
        self.data: DataChannels | None = None
        self._certificate = certificate
        self._events = events
        self._channels = channels
        self._client: bool | None = None
        self._dtls: DtlsEndpoint | None = None
        self._srtp: SrtpSessions | None = None
        self._early: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def fingerprint(self) -> str:
        """The SHA-256 fingerprint for our session descriptions."""
        return self._certificate.fingerprint

    @property
    def is_dtls_client(self) -> bool | None:
        """Whether we start the handshake; `None` while that is open."""
        return self._client

    def set_remote(self, remote: RemoteParameters, *, client: bool) -> None:
        """Take what the client said; the first time decides, later ones only renew the ICE credentials.

        Args:
            remote: From the client's description.
            client: Whether we are the DTLS client.
        """
        first = self.remote is None
        self.remote = remote
        if not first or self.state is State.CLOSED:
            return
        self._client = client
        self._dtls = DtlsEndpoint(self._certificate, client=client, fingerprints=remote.fingerprints)
        self.state = State.CONNECTING
        early, self._early = self._early, []
        for datagram in early:
            self._on_dtls(datagram)
        if self.ice.path is not None:
            self._step()

    def _on_path(self, path: Path) -> None:
        if self._dtls is not None and not self._dtls.established:
            self._step()

    def _on_packet(self, data: bytes) -> None:
        first = data[0]
        if 127 < first < 192:
            self._on_srtp(data)
        elif 19 < first < 64:
            if self._dtls is None:
                if len(self._early) < MAX_EARLY_RECORDS:
                    self._early.append(data)
                return
            self._on_dtls(data)
        else:
            self.counters.drop("unknown protocol")

    # DTLS

    def _on_dtls(self, data: bytes) -> None:
        dtls = self._dtls
        if dtls is None:
            return
        dtls.feed(data)
        if not dtls.established:
            self._step()
            if not dtls.established:
                return
        # Nearly always a datagram is one record of data; then there is nothing more to read and nothing to answer.
        single = data[0] == APPLICATION_DATA and len(data) == 13 + (data[11] << 8 | data[12])
        try:
            while (message := dtls.read()) is not None:
                if message and self.data is not None:
                    self.data.receive(message)
                if single or self._dtls is None:
                    return
        except ConnectionError:
            self._fail("the client closed DTLS")
            return
        self._flush()

    def _step(self) -> None:
        dtls = self._dtls
        if dtls is None or dtls.established:
            return
        try:
            done = dtls.handshake()
            if done:
                self._srtp = dtls.srtp()
        except DtlsError as error:
            self._flush()
            self._fail(str(error))
            return
        self._flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if done:
            self.state = State.CONNECTED
            self.was_connected = True
            self._start_data()
            self._events.connected()
        elif (timeout := dtls.timeout()) is not None:
            self._timer = self._loop.call_later(timeout, self._on_dtls_timeout)

    def _on_dtls_timeout(self) -> None:
        self._timer = None
        if self._dtls is not None and not self._dtls.established:
            self._dtls.on_timeout()
            self._flush()
            self._step()

    def _flush(self) -> None:
        if self._dtls is not None:
            for datagram in self._dtls.outgoing():
                self.ice.send(datagram)

    # SCTP

    def _start_data(self) -> None:
        remote = self.remote
        if remote is None or remote.sctp_port is None:
            return
        self.data = DataChannels(
            self._send_sctp,
            server=not self._client,
            on_message=self._events.message,
            on_open=self._events.channel_open,
            on_lost=lambda: self._fail("SCTP was lost"),
        )
        for label, ordered, max_retransmits in self._channels:
            self.data.create(label, ordered=ordered, max_retransmits=max_retransmits)
        self.data.start(remote.sctp_port, remote.max_message_size)

    def _send_sctp(self, packet: bytes) -> None:
        if self._dtls is None:
            return
        try:
            record = self._dtls.encrypt(packet)
        except DtlsError:
            self.counters.drop("SCTP not sendable")
            return
        self.ice.send(record)

    # SRTP

    def _on_srtp(self, data: bytes) -> None:
        srtp = self._srtp
        if srtp is None or len(data) < 12:
            self.counters.drop("SRTP before DTLS")
            return
        try:
            if 63 < data[1] & 0x7F < 96:
                packet = srtp.inbound.unprotect_rtcp(data)
                self.counters.rtcp_in += 1
                self._events.rtcp(packet)
            else:
                packet = srtp.inbound.unprotect(data)
                self.counters.rtp_in += 1
                self._events.rtp(packet, time.monotonic())
        except (pylibsrtp.Error, ValueError):
            # A retransmission that was not needed after all is a replay, and no attack.
            self.counters.drop("SRTP replay or forgery")

    def protect(self, packet: bytes) -> bytes | None:
        """Return an RTP packet as it goes over the wire; `None` before the handshake or when it is too long."""
        srtp = self._srtp
        if srtp is None or len(packet) > MAX_SRTP_PACKET:
            self.counters.drop("RTP not sendable")
            return None
        try:
            return srtp.outbound.protect(packet)
        except pylibsrtp.Error:
            self.counters.drop("RTP not sendable")
            return None

    def send_protected(self, packet: bytes) -> None:
        """Send what `protect` returned."""
        self.counters.rtp_out += 1
        self.ice.send(packet)

    def send_rtcp(self, packet: bytes) -> None:
        """Protect and send an RTCP packet; dropped before the handshake."""
        if self._srtp is None:
            return
        try:
            data = self._srtp.outbound.protect_rtcp(packet)
        except (pylibsrtp.Error, ValueError):
            self.counters.drop("RTCP not sendable")
            return
        self.counters.rtcp_out += 1
        self.ice.send(data)

    def _fail(self, why: str) -> None:
        if self.state is not State.CLOSED:
            _log.debug("transport %s failed: %s", self.name, why)
            self.close(goodbye=False)
            self._events.failed(why)

    def close(self, *, goodbye: bool = True) -> None:
        """End the connection."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.data is not None:
            self.data.close()
        if self._dtls is not None and goodbye:
            self._dtls.close()
            self._flush()
        self.ice.close()
        self._dtls = None
        self._srtp = None
