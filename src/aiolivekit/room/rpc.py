"""Calls between participants, as users make and answer them."""

# ruff: noqa: SLF001 - the classes of this package belong together

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, overload

from ..core.rpc_error import RpcError
from ..data.rpc import Rpc, RpcPeers
from ..data.rpc_chain import (
    IncomingRpcNext,
    OutgoingRpcNext,
    RpcCallInfo,
    RpcHandler,
    RpcInterceptor,
    RpcInvocationData,
)
from . import events

if TYPE_CHECKING:
    from ..data.port import TextPort
    from .visit import Visit

__all__ = [
    "IncomingRpcNext",
    "OutgoingRpcNext",
    "RpcCallInfo",
    "RpcError",
    "RpcHandler",
    "RpcInterceptor",
    "RpcInvocationData",
    "RpcMethods",
    "rpc_calls",
    "tell_departure",
]

F = TypeVar("F", bound=RpcHandler)


class RpcMethods:
    """The part of `LocalParticipant` that is about calls."""

    def __init__(self) -> None:
        self._rpc: Rpc | None = None
        self._rpc_handlers: dict[str, RpcHandler] = {}
        self._rpc_interceptors: list[RpcInterceptor] = []

    async def perform_rpc(
        self,
        *,
        destination_identity: str,
        method: str,
        payload: str,
        response_timeout: float | None = None,
        max_round_trip_latency: float | None = None,
    ) -> str:
        """Call a method of another participant and return its answer.

        Hundreds of calls may be under way at once. A call goes on while the connection is brought back; it fails as
        soon as the other one leaves the room, or we do. Cancelling it leaves nothing behind; the protocol has no way to
        tell the other one, who works on in vain until its time is over.

        Args:
            destination_identity: Who is called.
            method: Which method.
            payload: What it gets; up to 15,360 bytes of UTF-8, or more if the other one's SDK takes requests as
                streams.
            response_timeout: Seconds for the answer, counted from the acknowledgement (15 if `None`). The handler is
                given what is left of it after `max_round_trip_latency`, but at least a second.
            max_round_trip_latency: Seconds for the acknowledgement (7 if `None`).

        Returns:
            What the handler returned.

        Raises:
            RpcError: If the call fails; its code says how (`RpcError.ErrorCode`), or is the handler's own.
            TypeError: If the method or the payload is no text.
            ValueError: If a timeout is no positive number, or the payload cannot be written as UTF-8.
        """
        assert self._rpc is not None
        call = RpcCallInfo(destination_identity, method, payload, response_timeout, max_round_trip_latency)
        return await self._rpc.perform(call)

    @overload
    def register_rpc_method(self, method_name: str, handler: None = None) -> Callable[[F], F]: ...

    @overload
    def register_rpc_method(self, method_name: str, handler: F) -> F: ...

    def register_rpc_method(self, method_name: str, handler: F | None = None) -> F | Callable[[F], F]:
        """Answer the calls of a method, in place of who answered them before. Also usable as a decorator.

        The handler, a function or a coroutine function, gets an `RpcInvocationData` and returns a text (`None` for an
        empty one). What it raises becomes an `APPLICATION_ERROR` for its caller, but for an `RpcError`, which the
        caller gets as it is. It is cancelled when the caller's time is over or the room is left.

        Args:
            method_name: The method.
            handler: Who answers; without it a decorator is returned.

        Returns:
            The handler, or the decorator.
        """

        def register(function: F) -> F:
            self._rpc_handlers[method_name] = function
            return function

        return register if handler is None else register(handler)

    def unregister_rpc_method(self, method: str) -> None:
        """Answer the calls of a method no more; handlers that run go on.

        Args:
            method: The method; it need not have been registered.
        """
        self._rpc_handlers.pop(method, None)

    def add_rpc_interceptor(self, interceptor: RpcInterceptor) -> None:
        """Have calls, those made and those answered, go through an interceptor from now on; twice is once.

        Args:
            interceptor: The first one added is the outermost.
        """
        if not any(each is interceptor for each in self._rpc_interceptors):
            self._rpc_interceptors.append(interceptor)

    def remove_rpc_interceptor(self, interceptor: RpcInterceptor) -> None:
        """Take an interceptor away; calls that are under way keep it.

        Args:
            interceptor: It need not have been added.
        """
        self._rpc_interceptors[:] = [each for each in self._rpc_interceptors if each is not interceptor]


def rpc_calls(visit: Visit, texts: TextPort | None = None) -> Rpc:
    """Return what makes and answers the calls of a visit.

    Args:
        visit: The visit.
        texts: Sends and receives texts as streams.
    """
    members, engine = visit.members, visit.engine

    def client_protocol(identity: str) -> int:
        participant = members.remote.get(identity)
        return 0 if participant is None else participant._info.client_protocol

    def server_version() -> str:
        join = engine.join_response
        return join.server_info.version or join.server_version

    local = members.local
    peers = RpcPeers(lambda: local._info.identity, client_protocol, server_version)
    return Rpc(engine, texts, peers, local._rpc_handlers, local._rpc_interceptors)


def tell_departure(rpc: Rpc, event: events.RoomEvent) -> None:
    """Tell who has left from an event of a participant."""
    if isinstance(event, events.ParticipantDisconnected):
        rpc.left(event.participant.identity)
