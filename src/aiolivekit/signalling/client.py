"""The signalling link: messages both ways over one WebSocket, its life watched, its end named."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Protocol

from livekit.protocol import rtc as proto_rtc

from .._tasks import finish_despite_cancel
from ..core.flight import SILENT, FlightTap
from ..core.flight_signals import digest, note_message, prepare
from ..core.keepalive import Due, Keepalive
from ..errors import ConnectError, SignalClosedError
from ..options import SignalOptions
from .dialer import Dialer
from .join_request import ResumeRequest
from .joining import FirstMessage, Joined, decode, join
from .link import LinkClosed, SignalClosed
from .url import SignalPath
from .write_door import WriteDoor

__all__ = ["ResumeRequest", "SignalClient", "SignalClosed", "SignalCounters", "SignalSink"]

_logger = logging.getLogger("aiolivekit.signalling")

_LEAVE_TIMEOUT = 1.0
"""Seconds a leave request may take to be written."""


class SignalSink(Protocol):
    """Who takes what comes over the link. Neither method may raise; what they raise is logged and counted."""

    def on_signal_message(self, message: proto_rtc.SignalResponse) -> None:
        """Take a message: each one after the first, in order."""

    def on_signal_closed(self, cause: SignalClosed) -> None:
        """Learn that the link was lost or closed by the other side; at most once, not after `aclose`."""


@dataclass(slots=True)
class SignalCounters:
    """What went wrong without ending the link."""

    undecodable: int = 0
    """Messages dropped: text, or bytes that are no `SignalResponse`."""
    sink_errors: int = 0
    """Exceptions raised by the sink."""
    not_posted: int = 0
    """Requests posted when nothing could be sent any more."""
    stray_pongs: int = 0
    """Answers to pings that we did not send."""


class SignalClient:
    """A link to a LiveKit server, made by `connect`.

    Messages are delivered once `start` is called. After a loss the owner still calls `aclose`.
    """

    def __init__(
        self,
        url: str,
        joined: Joined,
        dialer: Dialer,
        token: str,
        sink: SignalSink,
        *,
        gated: bool,
        flight: FlightTap = SILENT,
    ) -> None:
        self.url = url
        self.path: SignalPath = joined.path
        self.first: FirstMessage = joined.first
        self.token = token
        self.counters = SignalCounters()
        self._dialer = dialer
        self._link = joined.link
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._keepalive = Keepalive(joined.ping_interval, joined.ping_timeout, self._loop.time())
        self._timer: asyncio.TimerHandle | None = None
        self._reader: asyncio.Task[None] | None = None
        self._end: asyncio.Task[None] | None = None
        self._loss: SignalClosed | None = None
        self._closing = False
        self._abandoned = False
        self._flight = flight
        self._door = WriteDoor(self._link.write, self._lost, flight=flight)
        if gated:
            self._door.gate()

    def __repr__(self) -> str:
        state = "closed" if self._closing else "lost" if self._loss else "open"
        return f"<SignalClient {self.path} {state}>"

    @classmethod
    async def connect(
        cls,
        url: str,
        token: str,
        options: SignalOptions,
        sink: SignalSink,
        *,
        publisher_offer: proto_rtc.SessionDescription | None = None,
        resume: ResumeRequest | None = None,
        flight: FlightTap = SILENT,
    ) -> SignalClient:
        """Open the WebSocket and wait for the first message.

        With `options.single_peer_connection`, `/rtc/v1` is asked first and `/rtc` only if that is not there (404); the
        answer to which one it was is `path`. A refused handshake is followed by a validate request, so that the error
        is exact.

        Args:
            url: The server: ws, wss, http or https, with a port and a path prefix if need be.
            token: The access token.
            options: How to connect.
            sink: Who takes messages and the end.
            publisher_offer: The first offer of a single peer connection; it travels inside the join request. `/rtc`
                has no place for it.
            resume: Take up a session again. The client is then gated from the start: call `flush_gate` in the end.
            flight: Where it is written down what happens.

        Raises:
            ConnectError: One of its kinds, by cause. Nothing is left behind then, nor when the call is cancelled.
            ValueError: If `options.sdk_name` is not one of `ClientInfo.SDK`.
        """
        flight.note("signalling", "dialling", kind="join" if resume is None else "resume")
        dialer = Dialer(token, options)
        try:
            joined = await join(dialer, url, options, publisher_offer, resume)
        except BaseException as error:
            status = error.status if isinstance(error, ConnectError) else None
            flight.note("signalling", "not connected", error=type(error).__name__, status=status)
            await finish_despite_cancel(dialer.aclose())
            raise
        _note_first(flight, joined)
        return cls(url, joined, dialer, token, sink, gated=resume is not None, flight=flight)

    @property
    def rtt(self) -> float | None:
        """Seconds the last ping took there and back; `None` before the first answer."""
        return self._keepalive.rtt

    @property
    def closed(self) -> bool:
        """Whether the link is lost or closed."""
        return self._closing or self._loss is not None

    def doubt(self) -> None:
        """Something else says that the server may be out of reach: give the link up unless it is heard of soon."""
        if self._reader is not None and not self.closed:
            self._keepalive.doubt(self._loop.time())
            self._stop_timer()
            self._arm()

    def start(self) -> None:
        """Begin to deliver messages, those that came since `connect` first, and to ping."""
        if self._reader is not None or self._closing:
            return
        self._reader = self._loop.create_task(self._read(), name="aiolivekit-signal-read")
        self._keepalive.heard(self._loop.time())
        self._arm()
        if self._loss is not None:
            self._loop.call_soon(self._report, self._loss)

    async def send(self, request: proto_rtc.SignalRequest) -> None:
        """Send a request; returns when it is written. Requests leave in the order of the calls, `post` included.

        A caller cancelled while its request still waits withdraws it.

        Raises:
            SignalClosedError: If the link is closed, or closes before the request is written.
        """
        await self._door.send(request)

    def post(self, request: proto_rtc.SignalRequest) -> None:
        """Send a request without waiting; on a closed link it is counted and dropped.

        If more than a thousand wait, the link is closed (`SignalClosed.source` is `write`).
        """
        if not self._door.post(request):
            self.counters.not_posted += 1

    def gate(self) -> None:
        """Hold back all requests but those a resume is made of.

        A client that is gated when the link is lost (the sink may do it in `on_signal_closed`) keeps the requests
        that were not written, and takes more, for `take_over` by its successor.
        """
        self._door.gate()

    def flush_gate(self) -> None:
        """Send what the gate held, in order, and everything after it."""
        self._door.flush_gate()

    def take_over(self, predecessor: SignalClient) -> None:
        """Send what a lost, gated client still held, before our own requests. Its callers wait on for us."""
        self._door.take_over(predecessor._door)

    def abandon(self) -> None:
        """Cut the link, as though it had been lost, and tell nobody; gated, so a successor can `take_over`."""
        self._abandoned = True
        self._door.gate()
        self._lost(SignalClosed("transport", None, "given up"))

    async def aclose(self, *, leave: proto_rtc.LeaveRequest | None = None) -> None:
        """Close the link; idempotent. The sink hears nothing more.

        Args:
            leave: Sent first, within a second; skipped if the link is lost.

        Cancelled, it closes the socket without further ado.
        """
        if not self._closing:
            self._closing = True
            self._stop_timer()
            if self._loss is None:
                self._flight.note("signalling", "closing")
            self._end = self._loop.create_task(self._shut(leave, self._end), name="aiolivekit-signal-close")
        assert self._end is not None
        try:
            await asyncio.shield(self._end)
        except asyncio.CancelledError:
            # Takes away what the end may be waiting for. The end itself must not be cancelled: others may wait for it.
            self._door.close()
            self._link.abort()
            await finish_despite_cancel(_wait(self._end))
            raise

    # -- the end --

    def _lost(self, cause: SignalClosed) -> None:
        if self._closing or self._loss is not None:
            return
        self._loss = cause
        self._flight.note("signalling", "link lost", source=cause.source, code=cause.code, detail=cause.detail)
        self._stop_timer()
        if self._reader is not None:
            self._report(cause)
        self._door.link_lost()
        self._link.abort()
        self._end = self._loop.create_task(self._dialer.aclose(), name="aiolivekit-signal-lost")

    def _report(self, cause: SignalClosed) -> None:
        if self._closing or self._abandoned:
            return
        _logger.debug("signalling link lost: %s (%s)", cause.source, cause.detail)
        try:
            self._sink.on_signal_closed(cause)
        except Exception:
            self.counters.sink_errors += 1
            _logger.exception("the handler of a lost signalling link raised")

    async def _shut(self, leave: proto_rtc.LeaveRequest | None, after_loss: asyncio.Task[None] | None) -> None:
        try:
            if after_loss is not None:
                await after_loss
            else:
                if leave is not None:
                    await self._say_goodbye(leave)
                await self._link.aclose()
        finally:
            self._link.abort()
            await self._door.aclose()
            if self._reader is not None:
                self._reader.cancel()
                await asyncio.wait([self._reader])
            await self._dialer.aclose()

    async def _say_goodbye(self, leave: proto_rtc.LeaveRequest) -> None:
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT):
                await self._door.send(proto_rtc.SignalRequest(leave=leave))
        except (SignalClosedError, TimeoutError) as error:
            _logger.debug("no leave was sent: %s", error)

    # -- reading --

    async def _read(self) -> None:
        try:
            while True:
                data = await self._link.receive()
                if self._closing or self._abandoned:
                    return
                self._keepalive.heard(self._loop.time())
                self._take(data)
        except LinkClosed as end:
            self._lost(end.cause)

    def _take(self, data: bytes | None) -> None:
        message = decode(data)
        if message is None:
            self.counters.undecodable += 1
            if self.counters.undecodable == 1:
                _logger.warning("the server sent something that is no signalling message; it is dropped")
            return
        note_message(self._flight, "received", prepare(self._flight, message), len(data or b""))
        kind = message.WhichOneof("message")
        if kind == "pong_resp":
            if not self._keepalive.pong(message.pong_resp.last_ping_timestamp, self._loop.time()):
                self.counters.stray_pongs += 1
        elif kind == "refresh_token":
            self._store(message.refresh_token)
        elif kind == "room_moved":
            self._store(message.room_moved.token)
        try:
            self._sink.on_signal_message(message)
        except Exception:
            self.counters.sink_errors += 1
            _logger.exception("the handler of a signalling message (%s) raised", kind)

    def _store(self, token: str) -> None:
        if token:
            self.token = token

    # -- staying alive --

    def _arm(self) -> None:
        deadline = self._keepalive.deadline
        if deadline is not None and not self.closed:
            self._timer = self._loop.call_at(deadline, self._wake)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        due = self._keepalive.wake(self._loop.time())
        if due is Due.GIVE_UP:
            if self._keepalive.doubted:
                patience = self._keepalive.patience
                detail = f"the media path was interrupted, and the server said nothing for {patience:.1f} s"
            else:
                detail = f"the server was silent for {self._keepalive.timeout:g} s"
            self._lost(SignalClosed("ping_timeout", None, detail))
            return
        if due is Due.PING and not self._door.writing:
            # Both kinds: `ping` for old servers, `ping_req` for the round trip.
            stamp, rtt = self._keepalive.ping(self._loop.time(), time.time())
            self.post(proto_rtc.SignalRequest(ping=stamp))
            self.post(proto_rtc.SignalRequest(ping_req=proto_rtc.Ping(timestamp=stamp, rtt=rtt)))
        self._arm()


def _note_first(flight: FlightTap, joined: Joined) -> None:
    flight.note("signalling", "link open", path=joined.path, ping_interval=joined.ping_interval)
    if flight.on:
        first = joined.first
        kind = "join" if isinstance(first, proto_rtc.JoinResponse) else "reconnect"
        flight.note("signalling", "received", kind=kind, size=first.ByteSize(), **digest(kind, first))


async def _wait(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])
