"""Requests of others: their handlers, one task each if they wait for anything."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import copy_context
from typing import Protocol

from livekit.protocol import models

from .._begin import begin
from ..core import rpc_wire as wire
from ..core.rpc import RpcCallee
from ..core.rpc_error import RpcError, rpc_error
from .rpc_chain import RpcHandler, RpcInterceptor, RpcInvocationData, chain_incoming

__all__ = ["RpcHandling"]

_logger = logging.getLogger("aiolivekit.data")

UNWIND_TIME = 2.0
"""Seconds that leaving waits for handlers that were cancelled."""

_CODE = RpcError.ErrorCode


class Answering(Protocol):
    """Sends acknowledgements and answers."""

    def post(self, packet: models.DataPacket) -> None:
        """Send a packet."""

    def answer(self, caller: str, call_id: str, payload: str, *, streamed: bool) -> None:
        """Send what a handler returned."""

    def arm(self, at: float) -> None:
        """Have `RpcHandling.expire` called at that time."""


class RpcHandling:
    """The requests that are being handled.

    Args:
        out: Sends what is to be sent.
        handlers: Who answers which method.
        interceptors: What requests go through.
    """

    def __init__(
        self, out: Answering, handlers: Mapping[str, RpcHandler], interceptors: Sequence[RpcInterceptor]
    ) -> None:
        self._out = out
        self._handlers = handlers
        self._interceptors = interceptors
        self._loop = asyncio.get_running_loop()
        self._callee: RpcCallee[RpcInvocationData] = RpcCallee()
        self._tasks: dict[asyncio.Task[None], RpcInvocationData] = {}
        self._task_of: dict[tuple[str, str], asyncio.Task[None]] = {}

    @property
    def deadline(self) -> float | None:
        """When `expire` has something to do next."""
        return self._callee.deadline

    def request(
        self,
        caller: str,
        call_id: str,
        method: str,
        payload: str,
        response_timeout: float,
        supported: bool,
        *,
        streamed: bool,
    ) -> None:
        """Acknowledge a request and have it handled; its answer goes out by itself.

        Args:
            caller: Who calls.
            call_id: Names the call.
            method: Which method.
            payload: What was sent.
            response_timeout: Seconds for the answer; 0 for the default.
            supported: Whether its version is one that is understood.
            streamed: Whether it came as a stream.
        """
        if self._callee.is_duplicate(caller, call_id):
            return
        self._out.post(wire.ack_packet(caller, call_id))
        if not supported:
            self._refuse(caller, call_id, _CODE.UNSUPPORTED_VERSION)
            return
        handler = self._handlers.get(method)
        if handler is None and not self._interceptors:
            self._refuse(caller, call_id, _CODE.UNSUPPORTED_METHOD)
            return
        seconds = response_timeout or wire.DEFAULT_RESPONSE_TIMEOUT
        until = self._loop.time() + seconds
        if not self._callee.begin(caller, call_id, sys.getsizeof(payload), until):
            self._refuse(caller, call_id, _CODE.APPLICATION_ERROR, "too many calls are being handled")
            return
        invocation = RpcInvocationData(call_id, caller, payload, seconds, method)
        work: Callable[[RpcInvocationData], Awaitable[str | None] | str | None] | None = handler
        if self._interceptors:
            work = chain_incoming(list(self._interceptors), self._handle)
        assert work is not None
        try:
            result = work(invocation)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the caller is told
            self._finish(invocation, error, streamed)
            return
        if inspect.isawaitable(result):
            self._begin(result, invocation, streamed, until)
        else:
            self._finish(invocation, result, streamed)

    async def _handle(self, invocation: RpcInvocationData) -> str | None:
        """Run the handler, behind the interceptors."""
        handler = self._handlers.get(invocation.method)
        if handler is None:
            raise rpc_error(_CODE.UNSUPPORTED_METHOD)
        result = handler(invocation)
        return result if isinstance(result, str) or result is None else await result

    def _refuse(self, caller: str, call_id: str, code: RpcError.ErrorCode, data: str | None = None) -> None:
        self._out.post(wire.error_packet(caller, call_id, rpc_error(code, data)))

    # -- one request --

    def _begin(
        self, working: Awaitable[str | None], invocation: RpcInvocationData, streamed: bool, until: float
    ) -> None:
        key = invocation.caller_identity, invocation.request_id
        self._callee.attach(*key, invocation)
        task = begin(
            self._loop, self._work(working, invocation, streamed), f"aiolivekit RPC {invocation.method}", copy_context()
        )
        if task.done():
            self._callee.end(*key)
            return
        self._tasks[task] = invocation
        self._task_of[key] = task
        task.add_done_callback(self._ended)
        self._out.arm(until)

    def _ended(self, task: asyncio.Task[None]) -> None:
        invocation = self._tasks.pop(task)
        key = invocation.caller_identity, invocation.request_id
        # Its caller may have used the id again meanwhile.
        if self._task_of.get(key) is task:
            del self._task_of[key]
            # One that was cancelled before its first step never came to its end.
            self._callee.end(*key)

    async def _work(self, working: Awaitable[str | None], invocation: RpcInvocationData, streamed: bool) -> None:
        result: object
        try:
            result = await working
        except asyncio.CancelledError as error:
            result = error
        except Exception as error:  # noqa: BLE001 - the caller is told
            result = error
        self._finish(invocation, result, streamed)

    def _finish(self, invocation: RpcInvocationData, result: object, streamed: bool) -> None:
        """A handler has ended: tell its caller, unless it was told already that it is too late."""
        caller, call_id = invocation.caller_identity, invocation.request_id
        answers = self._callee.answers(caller, call_id)
        self._callee.end(caller, call_id)
        if isinstance(result, BaseException) and not isinstance(result, RpcError):
            if invocation.cancel_reason is None or not isinstance(result, asyncio.CancelledError):
                _logger.error("the RPC handler of %r failed", invocation.method, exc_info=result)
            result = rpc_error(_CODE.APPLICATION_ERROR)
        if not answers:
            return
        try:
            if isinstance(result, RpcError):
                self._out.post(wire.error_packet(caller, call_id, result))
            elif isinstance(result, str) or result is None:
                self._out.answer(caller, call_id, result or "", streamed=streamed)
            else:
                raise TypeError(f"a handler returned {type(result).__name__}, not str")
        except (AttributeError, TypeError, ValueError) as error:
            # An answer that cannot be written: no text, not valid Unicode, a code that is no number of 32 bits.
            _logger.error("what the RPC handler of %r answered cannot be sent", invocation.method, exc_info=error)
            self._refuse(caller, call_id, _CODE.APPLICATION_ERROR)

    # -- time and end --

    def expire(self, now: float) -> None:
        """Stop the handlers whose time is over, and tell their callers."""
        for caller, call_id, invocation in self._callee.expire(now):
            self._refuse(caller, call_id, _CODE.RESPONSE_TIMEOUT)
            self._cancel((caller, call_id), invocation, _CODE.RESPONSE_TIMEOUT)

    def _cancel(self, key: tuple[str, str], invocation: RpcInvocationData | None, reason: RpcError.ErrorCode) -> None:
        task = self._task_of.get(key)
        if task is None or task is asyncio.current_task():
            return
        if invocation is not None and invocation.cancel_reason is None:
            invocation.cancel_reason = reason
        task.cancel()

    def close(self) -> None:
        """Stop all handlers but the one that calls this, and tell their callers."""
        for invocation in list(self._tasks.values()):
            key = invocation.caller_identity, invocation.request_id
            if self._callee.answers(*key):
                self._refuse(*key, _CODE.RECIPIENT_DISCONNECTED)
            self._cancel(key, invocation, _CODE.RECIPIENT_DISCONNECTED)

    async def aclose(self) -> None:
        """Wait for the end of the handlers that were stopped, but not for long."""
        current = asyncio.current_task()
        if others := [task for task in self._tasks if task is not current]:
            _, pending = await asyncio.wait(others, timeout=UNWIND_TIME)
            for task in pending:
                _logger.warning("the RPC handler of %r does not end though cancelled", self._tasks[task].method)
