"""Faults under a stream of messages: how long it falls silent, and what is missing.

One participant sends 100 numbered messages a second, each in a task of its own, as programs do that must not wait;
another notes what arrives and when. The sender's signalling goes through a proxy that can be cut. Each fault hits
connected rooms, and the next one comes when messages flow again.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiolivekit.testing import RealServer

from ..cutting import CutProxy
from ..drivers import Participant

__all__ = ["FAULTS", "measure"]

_PERIOD = 0.01
_BEFORE, _AFTER = 1.0, 1.0
_LIMIT = 30.0


class _Stream:
    """The numbered messages of one fault."""

    def __init__(self, sender: Participant) -> None:
        self._sender = sender
        self._tasks: set[asyncio.Task[None]] = set()
        self._wanted = 0
        self._heard = asyncio.Event()
        self.sent = 0
        self.arrivals: list[tuple[int, float]] = []

    def take(self, payload: bytes) -> None:
        number = int(payload)
        self.arrivals.append((number, time.perf_counter()))
        if number > self._wanted:
            self._heard.set()

    async def run(self) -> None:
        due = time.perf_counter()
        while True:
            task = asyncio.create_task(self._send(b"%d" % self.sent))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self.sent += 1
            due += _PERIOD
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def _send(self, payload: bytes) -> None:
        # What cannot be sent is missing, whatever the error says.
        with suppress(Exception):
            await self._sender.send(payload)

    async def until_heard(self, number: int) -> None:
        """Wait for a message sent later than this one."""
        self._wanted = number
        self._heard.clear()
        async with asyncio.timeout(_LIMIT):
            await self._heard.wait()

    async def settle(self) -> None:
        """Wait until what is on its way has arrived or is lost."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)
        seen = -1
        while seen != len(self.arrivals):
            seen = len(self.arrivals)
            await asyncio.sleep(0.3)

    def outcome(self, began: float) -> tuple[float, int]:
        """Return the longest silence in milliseconds, and how many messages never came."""
        times = [when for _, when in self.arrivals if when >= began - _BEFORE / 2]
        silence = max(later - earlier for earlier, later in itertools.pairwise(times))
        return silence * 1e3, self.sent - len({number for number, _ in self.arrivals})


class _Scene:
    """A server, the way of the sender to it, and what can be done to both."""

    def __init__(self, server: RealServer, proxy: CutProxy, sender: Participant) -> None:
        self._server = server
        self._proxy = proxy
        self._sender = sender

    async def signal_cut(self) -> None:
        self._proxy.cut()

    async def cut_three_times(self) -> None:
        for _ in range(3):
            self._proxy.cut()
            await asyncio.sleep(0.5)

    async def refused(self) -> None:
        await self._proxy.refuse()
        await asyncio.sleep(2.5)
        await self._proxy.accept()

    async def full_reconnect(self) -> None:
        await self._sender.simulate("full_reconnect")

    async def node_failure(self) -> None:
        await self._sender.simulate("node_failure")

    async def server_killed(self) -> None:
        await asyncio.to_thread(self._kill_and_start)

    def _kill_and_start(self) -> None:
        self._server.kill()
        self._server.start()


FAULTS: dict[str, Callable[[_Scene], Awaitable[None]]] = {
    "cut": _Scene.signal_cut,
    "cut3": _Scene.cut_three_times,
    "refused": _Scene.refused,
    "full": _Scene.full_reconnect,
    "node": _Scene.node_failure,
    "killed": _Scene.server_killed,
}


async def measure(new: Callable[[], Participant], fault: str) -> dict[str, float]:
    """Return the longest silence and the number of missing messages of one fault."""
    server = RealServer(departure_timeout=5, empty_timeout=5)
    await asyncio.to_thread(server.start)
    try:
        async with CutProxy(int(server.url.rpartition(":")[2])) as proxy:
            sender, receiver = new(), new()
            stream = _Stream(sender)
            receiver.on_data = stream.take
            await receiver.connect(server.url, server.token("receiver", room="faults"))
            await sender.connect(f"ws://127.0.0.1:{proxy.port}", server.token("sender", room="faults"))
            await _met(sender, stream)
            running = asyncio.create_task(stream.run())
            await asyncio.sleep(_BEFORE)
            began = time.perf_counter()
            await FAULTS[fault](_Scene(server, proxy, sender))
            await stream.until_heard(stream.sent)
            await asyncio.sleep(_AFTER)
            running.cancel()
            await stream.settle()
            silence, missing = stream.outcome(began)
            await asyncio.gather(sender.close(), receiver.close())
    finally:
        await asyncio.to_thread(server.stop)
    return {f"{fault}_silence_ms": silence, f"{fault}_missing": float(missing)}


async def _met(sender: Participant, stream: _Stream) -> None:
    """Send until something arrives, then forget what did."""
    async with asyncio.timeout(_LIMIT):
        while not stream.arrivals:
            await sender.send(b"0")
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    stream.arrivals.clear()
