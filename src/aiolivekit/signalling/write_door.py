"""The one way out: requests leave in the order of the calls, whoever makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from livekit.protocol import rtc as proto_rtc

from .._tasks import Bell
from ..core.flight import SILENT, FlightTap
from ..core.flight_signals import note_message, prepare
from ..errors import SignalClosedError
from .link import SignalClosed

__all__ = ["WriteDoor"]

_POST_LIMIT = 1024
"""Requests that may wait without anyone waiting for them."""
_STALL_TIMEOUT = 10.0
"""Seconds the transport may refuse to take one more message."""

_PASSES_GATE = frozenset(
    {"sync_state", "trickle", "offer", "answer", "simulate", "leave", "ping", "ping_req"},
)
"""What a resume itself is made of; anything else would reach the server before it has our state again."""


class _Request:
    __slots__ = ("data", "passes", "prepared", "waiter")

    def __init__(
        self, request: proto_rtc.SignalRequest, waiter: asyncio.Future[None] | None, flight: FlightTap
    ) -> None:
        # Serialised now: the caller may change the message afterwards, and an unserialisable one is the caller's error.
        self.data = request.SerializeToString()
        self.passes = request.WhichOneof("message") in _PASSES_GATE
        self.prepared = prepare(flight, request)
        self.waiter = waiter

    def settle(self, error: SignalClosedError | None = None) -> None:
        if self.waiter is not None and not self.waiter.done():
            if error is None:
                self.waiter.set_result(None)
            else:
                self.waiter.set_exception(error)


class WriteDoor:
    """A queue with one writer, a limit, and a gate.

    Args:
        write: Puts one message on the wire.
        on_failure: Told once why nothing can be written any more; not for errors of `write`, which the reading side
            of the same connection reports with a better reason.
        flight: Where it is written down what was written.
    """

    def __init__(
        self,
        write: Callable[[bytes], Awaitable[None]],
        on_failure: Callable[[SignalClosed], None],
        *,
        post_limit: int = _POST_LIMIT,
        stall_timeout: float = _STALL_TIMEOUT,
        flight: FlightTap = SILENT,
    ) -> None:
        self._write = write
        self._on_failure = on_failure
        self._post_limit = post_limit
        self._stall_timeout = stall_timeout
        self._flight = flight
        self._ready: list[_Request] = []
        self._held: list[_Request] = []
        self._posted = 0
        self._gated = False
        self._open = True
        self._keeps_held = False
        self._writing = False
        self._wake = Bell()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="aiolivekit-signal-write")

    @property
    def gated(self) -> bool:
        """Whether requests other than those of a resume wait."""
        return self._gated

    @property
    def waiting(self) -> int:
        """How many requests are not written yet."""
        return len(self._ready) + len(self._held)

    @property
    def writing(self) -> bool:
        """Whether the transport is keeping a message waiting."""
        return self._writing

    def post(self, request: proto_rtc.SignalRequest) -> bool:
        """Queue a request; returns whether it was taken (a closed door takes none)."""
        entry = _Request(request, None, self._flight)
        if not self._accepts(entry):
            return False
        if self._posted >= self._post_limit:
            self._on_failure(SignalClosed("write", None, f"{self._posted} requests wait to be written"))
            return False
        self._posted += 1
        self._enqueue(entry)
        return True

    async def send(self, request: proto_rtc.SignalRequest) -> None:
        """Queue a request and wait until it is written; a caller cancelled before that withdraws it.

        Raises:
            SignalClosedError: If the link is closed before that.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = _Request(request, waiter, self._flight)
        if not self._accepts(entry):
            raise _closed()
        self._enqueue(entry)
        try:
            await waiter
        except asyncio.CancelledError:
            for queue in (self._ready, self._held):
                if entry in queue:
                    queue.remove(entry)
            raise

    def gate(self) -> None:
        """Let only the requests of a resume pass; the others wait, in order."""
        if self._gated:
            return
        self._gated = True
        self._flight.note("signalling", "gate closed")
        self._held.extend(entry for entry in self._ready if not entry.passes)
        self._ready = [entry for entry in self._ready if entry.passes]

    def flush_gate(self) -> None:
        """Open the gate: what waited goes first, in order."""
        if not self._gated:
            return
        self._gated = False
        self._flight.note("signalling", "gate opened", count=len(self._held))
        self._release(self._held)

    def take_over(self, predecessor: WriteDoor) -> None:
        """Take the requests a lost link still held, before our own, with those who wait for them."""
        entries = predecessor._held
        predecessor._held = []
        posted = sum(entry.waiter is None for entry in entries)
        predecessor._posted -= posted
        self._posted += posted
        own = self._held
        self._held = [*entries, *own]
        if not self._gated:
            self._release(self._held)

    def link_lost(self) -> None:
        """Stop writing. What the gate holds waits on for `take_over`, if there is a gate; the rest fails."""
        self._keeps_held = self._gated
        self._stop()
        if not self._keeps_held:
            self._fail(self._held)

    def close(self) -> None:
        """Stop for good: all that waits fails."""
        self._keeps_held = False
        self._stop()
        self._fail(self._held)

    async def aclose(self) -> None:
        """As `close`, and wait for the writer to end."""
        self.close()
        await asyncio.wait([self._task])

    def _accepts(self, entry: _Request) -> bool:
        return self._open or (self._keeps_held and not entry.passes)

    def _enqueue(self, entry: _Request) -> None:
        if self._gated and not entry.passes:
            self._held.append(entry)
        else:
            self._ready.append(entry)
            self._wake.set()

    def _release(self, entries: list[_Request]) -> None:
        self._held = []
        if not self._open:
            self._fail(entries)
            return
        self._ready.extend(entries)
        self._wake.set()

    def _stop(self) -> None:
        self._open = False
        self._task.cancel()
        self._fail(self._ready)

    def _fail(self, entries: list[_Request]) -> None:
        while entries:
            entry = entries.pop(0)
            self._forget(entry)
            entry.settle(_closed())

    def _forget(self, entry: _Request) -> None:
        if entry.waiter is None:
            self._posted -= 1

    async def _run(self) -> None:
        while True:
            while self._ready:
                entry = self._ready.pop(0)
                if not await self._write_one(entry):
                    return
            self._wake.clear()
            await self._wake.wait()

    async def _write_one(self, entry: _Request) -> bool:
        self._writing = True
        try:
            async with asyncio.timeout(self._stall_timeout):
                await self._write(entry.data)
        except OSError as error:
            # TimeoutError is one; what was not written goes back, so that a resume can still deliver it.
            queue = self._held if self._gated and not entry.passes else self._ready
            queue.insert(0, entry)
            if isinstance(error, TimeoutError):
                self._on_failure(SignalClosed("write", None, f"the server read nothing for {self._stall_timeout:g} s"))
            return False
        except asyncio.CancelledError:
            self._forget(entry)
            entry.settle(_closed())
            raise
        finally:
            self._writing = False
        note_message(self._flight, "sent", entry.prepared, len(entry.data))
        self._forget(entry)
        entry.settle()
        return True


def _closed() -> SignalClosedError:
    return SignalClosedError("the signalling connection is closed")
