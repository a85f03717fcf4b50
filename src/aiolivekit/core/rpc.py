"""Calls between participants: what a caller waits for and how long, and what a callee takes on.

Times are of any clock that only goes forward. The waiters and handles that callers of these classes put in are kept
for them and come out again; nothing is known of them here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .deadlines import Deadlines
from .rpc_error import RpcError

__all__ = ["ACK_TIMEOUT", "Call", "RpcCallee", "RpcCaller", "handler_time", "seconds_of"]

ACK_TIMEOUT = 7.0
"""Seconds within which a request must be acknowledged once it was sent, unless the caller says otherwise."""
MIN_HANDLER_TIME = 1.0
MAX_INVOCATIONS = 10_000
MAX_INVOCATIONS_OF_ONE = 2_000
MAX_BYTES = 64 * 1024 * 1024
"""Requests, those of one caller, and bytes of their payloads that a callee works on at a time."""
_OVERHEAD = 1024
"""Bytes a request takes beside its payload."""

_CODE = RpcError.ErrorCode

T = TypeVar("T")


def seconds_of(name: str, value: float | None, default: float) -> float:
    """Return how long is meant.

    Raises:
        ValueError: If `value` is no positive, finite number.
    """
    if value is None:
        return default
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be a positive number of seconds, not {value!r}")
    return value


def handler_time(response_timeout: float, ack_timeout: float) -> float:
    """Return the seconds a handler gets, so that its answer is on its way before the caller gives up."""
    return max(response_timeout - ack_timeout, MIN_HANDLER_TIME)


@dataclass(slots=True)
class Call(Generic[T]):
    """A call of ours that is under way."""

    call_id: str
    destination: str
    response_timeout: float
    waiter: T
    acknowledged: bool = False


class RpcCaller(Generic[T]):
    """The calls of ours that have no answer yet.

    Args:
        prefix: Begins the ids of the calls, so that those of two callers differ.
    """

    __slots__ = ("_calls", "_count", "_deadlines", "_prefix", "stray")

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = 0
        self._calls: dict[str, Call[T]] = {}
        self._deadlines: Deadlines[str] = Deadlines()
        self.stray = 0
        """Acknowledgements and answers that belong to no call, or to one that went to somebody else."""

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def deadline(self) -> float | None:
        """When `expire` has something to do next."""
        return self._deadlines.next

    def begin(self, destination: str, response_timeout: float, waiter: T) -> str:
        """Take up a call that is about to be sent, and return its id."""
        self._count += 1
        call_id = f"{self._prefix}{self._count:x}"
        self._calls[call_id] = Call(call_id, destination, response_timeout, waiter)
        return call_id

    def sent(self, call_id: str, until: float) -> None:
        """The request was handed over, to be acknowledged by `until`; if it was already, it has its deadline."""
        call = self._calls.get(call_id)
        if call is not None and not call.acknowledged:
            self._deadlines.set(call_id, until)

    def acknowledged(self, call_id: str, sender: str, now: float) -> float | None:
        """The callee has the request; return until when it has time to answer, if that begins now."""
        call = self._calls.get(call_id)
        if call is None or call.destination != sender:
            self.stray += 1
            return None
        if call.acknowledged:
            return None
        call.acknowledged = True
        until = now + call.response_timeout
        self._deadlines.set(call_id, until)
        return until

    def answered(self, call_id: str, sender: str) -> T | None:
        """Return whose call is answered, or `None` for an answer to none. It need not be acknowledged before."""
        call = self._calls.get(call_id)
        if call is None or call.destination != sender:
            self.stray += 1
            return None
        return self._end(call)

    def drop(self, call_id: str) -> None:
        """Nobody waits for the call any more, or it could not be sent."""
        if (call := self._calls.get(call_id)) is not None:
            self._end(call)

    def _end(self, call: Call[T]) -> T:
        del self._calls[call.call_id]
        self._deadlines.discard(call.call_id)
        return call.waiter

    def expire(self, now: float) -> list[tuple[T, RpcError.ErrorCode]]:
        """Return the calls whose time is over, and why they fail."""
        expired = []
        for call_id in self._deadlines.due(now):
            call = self._calls.pop(call_id)
            expired.append((call.waiter, _CODE.RESPONSE_TIMEOUT if call.acknowledged else _CODE.CONNECTION_TIMEOUT))
        return expired

    def left(self, identities: Iterable[str]) -> list[T]:
        """Return the calls to participants that are gone; there will be no answer."""
        gone = set(identities)
        return [self._end(call) for call in list(self._calls.values()) if call.destination in gone]

    def close(self) -> list[T]:
        """Return all calls; there will be no answer."""
        waiters = [call.waiter for call in self._calls.values()]
        self._calls.clear()
        self._deadlines.clear()
        return waiters


@dataclass(slots=True)
class _Invocation(Generic[T]):
    size: int
    answered: bool = False
    handle: T | None = None


class RpcCallee(Generic[T]):
    """The requests of others that are being worked on.

    Args:
        max_invocations: How many at most.
        max_of_one: How many of one caller at most.
        max_bytes: Bytes of their payloads at most.
    """

    __slots__ = ("_bytes", "_deadlines", "_max", "_max_bytes", "_max_of_one", "_of_caller", "_running", "duplicates")

    def __init__(
        self,
        max_invocations: int = MAX_INVOCATIONS,
        max_of_one: int = MAX_INVOCATIONS_OF_ONE,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._max = max_invocations
        self._max_of_one = max_of_one
        self._max_bytes = max_bytes
        self._running: dict[tuple[str, str], _Invocation[T]] = {}
        self._of_caller: dict[str, int] = {}
        self._deadlines: Deadlines[tuple[str, str]] = Deadlines()
        self._bytes = 0
        self.duplicates = 0

    def __len__(self) -> int:
        return len(self._running)

    @property
    def deadline(self) -> float | None:
        """When `expire` has something to do next."""
        return self._deadlines.next

    def is_duplicate(self, caller: str, call_id: str) -> bool:
        """Whether this very request is being worked on."""
        if (caller, call_id) not in self._running:
            return False
        self.duplicates += 1
        return True

    def begin(self, caller: str, call_id: str, size: int, until: float) -> bool:
        """Take on a request with a payload of `size` bytes, to be answered by `until`; return false if it is too much.

        It counts until `end`, whether it was answered before or not.
        """
        size += _OVERHEAD
        count = self._of_caller.get(caller, 0)
        if len(self._running) >= self._max or count >= self._max_of_one or self._bytes + size > self._max_bytes:
            return False
        self._running[caller, call_id] = _Invocation(size)
        self._of_caller[caller] = count + 1
        self._bytes += size
        self._deadlines.set((caller, call_id), until)
        return True

    def attach(self, caller: str, call_id: str, handle: T) -> None:
        """Keep what `expire` is to return for a request."""
        if (invocation := self._running.get((caller, call_id))) is not None:
            invocation.handle = handle

    def answers(self, caller: str, call_id: str) -> bool:
        """Whether the request is to be answered now: once, and in time."""
        invocation = self._running.get((caller, call_id))
        if invocation is None or invocation.answered:
            return False
        invocation.answered = True
        self._deadlines.discard((caller, call_id))
        return True

    def end(self, caller: str, call_id: str) -> None:
        """The work on a request is over."""
        invocation = self._running.pop((caller, call_id), None)
        if invocation is None:
            return
        self._deadlines.discard((caller, call_id))
        self._bytes -= invocation.size
        left = self._of_caller[caller] - 1
        if left:
            self._of_caller[caller] = left
        else:
            del self._of_caller[caller]

    def expire(self, now: float) -> list[tuple[str, str, T | None]]:
        """Return the requests whose time is over: caller, id and handle. They are to be told so; they count as before.

        Their handlers are to be stopped; what these say after all is too late.
        """
        expired = []
        for caller, call_id in self._deadlines.due(now):
            invocation = self._running[caller, call_id]
            invocation.answered = True
            expired.append((caller, call_id, invocation.handle))
        return expired
