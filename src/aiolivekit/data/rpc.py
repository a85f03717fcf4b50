"""Calls between participants: drives the decisions of `core.rpc` over packets and text streams."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from livekit.protocol import models

from .._begin import step
from .._tasks import TaskScope
from ..core import rpc_wire as wire
from ..core.rpc import ACK_TIMEOUT, RpcCaller, handler_time, seconds_of
from ..core.rpc_error import RpcError, rpc_error
from ..errors import ClosedError, EngineError
from .port import PacketPort, TextPort
from .rpc_chain import RpcCallInfo, RpcHandler, RpcInterceptor, chain_outgoing
from .rpc_handling import RpcHandling

__all__ = ["Rpc", "RpcPeers"]

_logger = logging.getLogger("aiolivekit.data")

MAX_STREAMED_BYTES = 16 * 1024 * 1024
"""Bytes of a request or an answer that somebody else may make us hold."""

_CODE = RpcError.ErrorCode
Waiter = asyncio.Future[str]


@dataclass(frozen=True, slots=True)
class RpcPeers:
    """What calls need to know of the room.

    Args:
        local_identity: Returns our own identity.
        client_protocol: Returns what a participant's client understands (`ParticipantInfo.client_protocol`), 0 if it
            is not known.
        server_version: Returns the server's version, or an empty string.
    """

    local_identity: Callable[[], str]
    client_protocol: Callable[[str], int]
    server_version: Callable[[], str]


class Rpc:
    """The calls of one visit to a room, both ways.

    Args:
        port: Sends packets.
        texts: Sends and receives texts as streams; without it large payloads are refused.
        peers: What is known of the room.
        handlers: Who answers which method.
        interceptors: What calls go through.
    """

    def __init__(
        self,
        port: PacketPort,
        texts: TextPort | None,
        peers: RpcPeers,
        handlers: Mapping[str, RpcHandler],
        interceptors: Sequence[RpcInterceptor],
    ) -> None:
        self._port = port
        self._texts = texts
        self._peers = peers
        self._interceptors = interceptors
        self._loop = asyncio.get_running_loop()
        self._calls: RpcCaller[Waiter] = RpcCaller(secrets.token_hex(8) + "-")
        self._handling = RpcHandling(self, handlers, interceptors)
        self._scope = TaskScope(self._task_failed)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._held: set[str] | None = None
        self._closed = False
        self.malformed = 0
        self.unsent = 0
        """Acknowledgements and answers that could not be sent."""
        if texts is not None:
            texts.on_text(wire.REQUEST_TOPIC, self._on_streamed_request, MAX_STREAMED_BYTES)
            texts.on_text(wire.RESPONSE_TOPIC, self._on_streamed_response, MAX_STREAMED_BYTES)

    # -- out --

    async def perform(self, call: RpcCallInfo) -> str:
        """Make a call and return the answer. Cancelling leaves nothing behind; the handler is not told.

        Raises:
            RpcError: If it fails.
            TypeError: If the method or the payload is no text.
            ValueError: If a timeout is no positive number, or the payload no valid text.
        """
        interceptors = self._interceptors
        if not interceptors:
            return await self._perform(call)
        return await chain_outgoing(list(interceptors), self._perform)(call)

    async def _perform(self, call: RpcCallInfo) -> str:
        destination, method, payload = call.destination_identity, call.method, call.payload
        if not isinstance(method, str) or not isinstance(payload, str):
            raise TypeError("the method and the payload of a call are str")
        response_timeout = seconds_of("response_timeout", call.response_timeout, wire.DEFAULT_RESPONSE_TIMEOUT)
        ack_timeout = seconds_of("max_round_trip_latency", call.max_round_trip_latency, ACK_TIMEOUT)
        size = wire.payload_size(payload)
        if self._closed:
            raise rpc_error(_CODE.SEND_FAILED, "the room is disconnected")
        if not wire.server_does_rpc(self._peers.server_version()):
            raise rpc_error(_CODE.UNSUPPORTED_SERVER)
        if not destination or destination == self._peers.local_identity():
            # The server passes nothing on to nobody, nor back to us.
            raise rpc_error(_CODE.RECIPIENT_NOT_FOUND)
        texts = self._texts if self._streams_to(destination) else None
        if texts is None and size > wire.MAX_V1_PAYLOAD_BYTES:
            raise rpc_error(_CODE.REQUEST_PAYLOAD_TOO_LARGE)

        waiter: Waiter = self._loop.create_future()
        call_id = self._calls.begin(destination, response_timeout, waiter)
        try:
            time = handler_time(response_timeout, ack_timeout)
            if texts is None:
                packet = wire.request_packet(destination, call_id, method, payload, time)
                sending: Coroutine[Any, Any, None] = self._port.publish_data(packet)
            else:
                attributes = wire.request_attributes(call_id, method, time)
                sending = texts.send_text(
                    payload, topic=wire.REQUEST_TOPIC, attributes=attributes, destination=destination
                )
            await self._send_request(sending, waiter)
            if not waiter.done():
                until = self._loop.time() + ack_timeout
                self._calls.sent(call_id, until)
                self.arm(until)
            return await waiter
        finally:
            self._calls.drop(call_id)
            if waiter.done() and not waiter.cancelled():
                # Cancelled in the step in which it failed, nobody looks at the exception.
                waiter.exception()

    def _streams_to(self, identity: str) -> bool:
        return self._texts is not None and wire.speaks_v2(self._peers.client_protocol(identity))

    async def _send_request(self, sending: Coroutine[Any, Any, None], waiter: Waiter) -> None:
        """Send a request, unless its call ends before."""
        try:
            task = step(self._loop, sending, "aiolivekit-rpc-request")
            if task is None:
                return
            self._scope.keep(task)
            try:
                await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
                if task.done() and not waiter.done():
                    if task.cancelled():
                        raise ClosedError("the room is disconnected")
                    task.result()
            finally:
                if not task.done():
                    task.cancel()
        except (EngineError, ClosedError) as error:
            raise rpc_error(_CODE.SEND_FAILED, str(error)) from error

    # -- in --

    def on_ack(self, sender: str, call_id: str) -> None:
        """Take an acknowledgement."""
        until = self._calls.acknowledged(call_id, sender, self._loop.time())
        if until is not None:
            self.arm(until)

    def on_response(self, sender: str, call_id: str, payload: str | None, error: models.RpcError | None) -> None:
        """Take an answer."""
        waiter = self._calls.answered(call_id, sender)
        if waiter is None or waiter.done():
            return
        if error is not None:
            waiter.set_exception(wire.error_of(error))
        else:
            waiter.set_result(payload or "")

    def on_request(
        self, caller: str, call_id: str, method: str, payload: str, response_timeout: float, version: int
    ) -> None:
        """Take a request; `response_timeout` in seconds."""
        if not call_id:
            self.malformed += 1
        elif not self._closed:
            supported = version == wire.VERSION_1
            self._handling.request(caller, call_id, method, payload, response_timeout, supported, streamed=False)

    def _on_streamed_request(self, caller: str, attributes: Mapping[str, str], payload: str) -> None:
        request = wire.read_request(attributes)
        if request is None:
            self.malformed += 1
            if (call_id := wire.answers_id(attributes)) and not self._closed:
                error = rpc_error(_CODE.APPLICATION_ERROR, "the attributes of the request are malformed")
                self.post(wire.error_packet(caller, call_id, error))
        elif not self._closed:
            supported = request.version == wire.VERSION_2
            self._handling.request(
                caller, request.call_id, request.method, payload, request.response_timeout, supported, streamed=True
            )

    def _on_streamed_response(self, sender: str, attributes: Mapping[str, str], payload: str) -> None:
        self.on_response(sender, wire.answers_id(attributes), payload, None)

    # -- who is here --

    def left(self, identity: str) -> None:
        """Somebody has left the room: calls to it fail."""
        if self._held is not None:
            self._held.add(identity)
        else:
            self._fail(self._calls.left([identity]), "the participant has left the room")

    @contextmanager
    def rejoining(self, present: Callable[[], Collection[str]]) -> Iterator[None]:
        """While we join again everybody seems to leave; who is back at the end was never away.

        Args:
            present: Returns the identities of those who are in the room.
        """
        self._held = set()
        try:
            yield
        finally:
            gone, self._held = self._held, None
            self._fail(self._calls.left(gone.difference(present())), "the participant has left the room")

    def _fail(self, waiters: Iterable[Waiter], why: str) -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(rpc_error(_CODE.RECIPIENT_DISCONNECTED, why))

    # -- for what handles requests --

    def post(self, packet: models.DataPacket) -> None:
        """Send an acknowledgement or an answer; one that cannot be sent is counted."""
        self._post(self._port.publish_data(packet), "aiolivekit-rpc-answer")

    def _post(self, sending: Coroutine[Any, Any, None], name: str) -> None:
        try:
            task = step(self._loop, sending, name)
        except Exception as error:  # noqa: BLE001 - reported
            self._task_failed(name, error)
        else:
            if task is not None:
                self._scope.keep(task)

    def answer(self, caller: str, call_id: str, payload: str, *, streamed: bool) -> None:
        """Send the answer of a handler: in a packet if it fits, in a stream otherwise.

        Callers take a packet as the answer to a request that was a stream as well (that is how they learn of errors),
        and it costs half as much.
        """
        if wire.payload_size(payload) <= wire.MAX_V1_PAYLOAD_BYTES:
            self.post(wire.response_packet(caller, call_id, payload))
        elif self._texts is not None and (streamed or self._streams_to(caller)):
            self._post(self._stream_answer(self._texts, caller, call_id, payload), "aiolivekit-rpc-answer")
        else:
            self.post(wire.error_packet(caller, call_id, rpc_error(_CODE.RESPONSE_PAYLOAD_TOO_LARGE)))

    async def _stream_answer(self, texts: TextPort, caller: str, call_id: str, payload: str) -> None:
        attributes = wire.response_attributes(call_id)
        try:
            await texts.send_text(payload, topic=wire.RESPONSE_TOPIC, attributes=attributes, destination=caller)
        except EngineError as error:
            failed = rpc_error(_CODE.SEND_FAILED, str(error))
            await self._port.publish_data(wire.error_packet(caller, call_id, failed))

    def _task_failed(self, name: str, error: BaseException) -> None:
        if name == "aiolivekit-rpc-answer":
            self.unsent += 1
        if isinstance(error, (EngineError, ClosedError)):
            _logger.debug("%s: %s", name, error)
        else:
            _logger.error("%s failed", name, exc_info=error)

    # -- time --

    def arm(self, at: float) -> None:
        """Wake up at `at`, if not before."""
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        if not self._closed:
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self._loop.time()
        for waiter, code in self._calls.expire(now):
            if not waiter.done():
                waiter.set_exception(rpc_error(code))
        self._handling.expire(now)
        for at in (self._calls.deadline, self._handling.deadline):
            if at is not None:
                self.arm(at)

    # -- end --

    def close(self) -> None:
        """The visit ends: calls under way fail, handlers are cancelled, and their callers told so if that is possible.

        A task that calls this is not cancelled, though it may be a handler.
        """
        if self._closed:
            return
        self._handling.close()
        self._closed = True
        self._fail(self._calls.close(), "the room was disconnected")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def aclose(self) -> None:
        """Wait for the end of what is under way; `close` was called."""
        await self._handling.aclose()
        await self._scope.aclose()
