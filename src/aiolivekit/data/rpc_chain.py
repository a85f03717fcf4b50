"""What users see of a call on its way, and the interceptors it goes through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ..core.rpc_error import RpcError

__all__ = [
    "IncomingRpcNext",
    "OutgoingRpcNext",
    "RpcCallInfo",
    "RpcHandler",
    "RpcInterceptor",
    "RpcInvocationData",
    "chain_incoming",
    "chain_outgoing",
]


@dataclass
class RpcInvocationData:
    """A call of somebody else, as its handler gets it.

    Args:
        request_id: Names the call, on both sides.
        caller_identity: Who calls. When the server itself does, this is no participant's identity.
        payload: What was sent.
        response_timeout: Seconds the handler has.
        method: Which method was called.
        cancel_reason: Why the handler is being cancelled: `RESPONSE_TIMEOUT` when the caller's time is over,
            `RECIPIENT_DISCONNECTED` when we leave the room; `None` before, and for a cancellation of its own.
    """

    request_id: str
    caller_identity: str
    payload: str
    response_timeout: float
    method: str = ""
    cancel_reason: RpcError.ErrorCode | None = None


@dataclass
class RpcCallInfo:
    """A call of ours, as interceptors get it; they may pass on a changed copy.

    Args:
        destination_identity: Who is called.
        method: Which method.
        payload: What is sent.
        response_timeout: Seconds for the answer, counted from the acknowledgement; `None` for the default.
        max_round_trip_latency: Seconds for the acknowledgement; `None` for the default.
    """

    destination_identity: str
    method: str
    payload: str
    response_timeout: float | None = None
    max_round_trip_latency: float | None = None


RpcHandler = Callable[[RpcInvocationData], Awaitable[str | None] | str | None]
"""Answers calls of one method; a function or a coroutine function. `None` stands for an empty answer."""
OutgoingRpcNext = Callable[[RpcCallInfo], Awaitable[str]]
IncomingRpcNext = Callable[[RpcInvocationData], Awaitable[str | None]]


class RpcInterceptor:
    """Watches or changes the calls that a participant makes and handles (`LocalParticipant.add_rpc_interceptor`).

    Both methods get the call and what comes next; they return what that returns, and let through what it raises,
    unless they mean to step in. The interceptor that was added first is the outermost. Override what is of interest.

    What handlers raise comes by unchanged: it becomes an `APPLICATION_ERROR` for the caller behind the outermost
    interceptor. A call of a method that nobody registered comes by too; `next` then raises `UNSUPPORTED_METHOD`. The
    caller's time is that of all interceptors and the handler together; when it is over they are cancelled.
    """

    async def intercept_outgoing(self, call: RpcCallInfo, next: OutgoingRpcNext) -> str:  # noqa: A002 - official name
        """Make a call of ours.

        Args:
            call: The call.
            next: Makes it.

        Returns:
            The answer.
        """
        return await next(call)

    async def intercept_incoming(
        self,
        invocation: RpcInvocationData,
        next: IncomingRpcNext,  # noqa: A002 - official name
    ) -> str | None:
        """Handle a call of somebody else.

        Args:
            invocation: The call.
            next: Runs the handler.

        Returns:
            The answer.
        """
        return await next(invocation)


def chain_outgoing(interceptors: Sequence[RpcInterceptor], last: OutgoingRpcNext) -> OutgoingRpcNext:
    """Return what goes through the interceptors, and then does `last`."""

    def before(interceptor: RpcInterceptor, following: OutgoingRpcNext) -> OutgoingRpcNext:
        return lambda call: interceptor.intercept_outgoing(call, following)

    for interceptor in reversed(interceptors):
        last = before(interceptor, last)
    return last


def chain_incoming(interceptors: Sequence[RpcInterceptor], last: IncomingRpcNext) -> IncomingRpcNext:
    """Return what goes through the interceptors, and then does `last`."""

    def before(interceptor: RpcInterceptor, following: IncomingRpcNext) -> IncomingRpcNext:
        return lambda invocation: interceptor.intercept_incoming(invocation, following)

    for interceptor in reversed(interceptors):
        last = before(interceptor, last)
    return last
