"""Round trips and throughput between two participants of a room, both in this process."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

from ..drivers import Participant
from ..settings import PAYLOADS
from ..usage import cpu_seconds

__all__ = ["measure"]

_PING_SIZE = 100
_WARM_UP = 30


async def measure(
    new: Callable[[], Participant], url: str, tokens: list[str], pings: int, seconds: float
) -> dict[str, float]:
    """Return the median round trip, and for each payload size messages/s, MB/s and CPU a message of both ends."""
    sender, receiver = new(), new()
    hands: Hands = {"sender": _ignore, "receiver": _ignore}
    sender.on_data = lambda payload: hands["sender"](payload)
    receiver.on_data = lambda payload: hands["receiver"](payload)
    await sender.connect(url, tokens[0])
    await receiver.connect(url, tokens[1])
    result = {"rtt_ms": await _round_trips(sender, receiver, hands, pings) * 1e3}
    for size in PAYLOADS:
        result |= await _throughput(sender, hands, size, seconds)
    await asyncio.gather(sender.close(), receiver.close())
    return result


def _ignore(payload: bytes) -> None:
    pass


Hands = dict[str, Callable[[bytes], None]]


async def _round_trips(sender: Participant, receiver: Participant, hands: Hands, count: int) -> float:
    loop = asyncio.get_running_loop()
    replies: set[asyncio.Task[None]] = set()
    waiting: list[asyncio.Future[bytes]] = []

    def reply(payload: bytes) -> None:
        task = loop.create_task(receiver.send(payload))
        replies.add(task)
        task.add_done_callback(replies.discard)

    hands["receiver"] = reply
    hands["sender"] = lambda payload: waiting.pop().set_result(payload)
    times: list[float] = []
    for number in range(_WARM_UP + count):
        payload = number.to_bytes(8, "big").ljust(_PING_SIZE, b"x")
        future: asyncio.Future[bytes] = loop.create_future()
        waiting.append(future)
        began = time.perf_counter()
        await sender.send(payload)
        # The first one waits until the receiver can be reached.
        assert await asyncio.wait_for(future, 20) == payload
        times.append(time.perf_counter() - began)
    hands["sender"] = hands["receiver"] = _ignore
    return statistics.median(times[_WARM_UP:])


async def _throughput(sender: Participant, hands: Hands, size: int, seconds: float) -> dict[str, float]:
    """Send one message after the other for some seconds, and count until the last has arrived, in order."""
    rest = bytes(size - 8)
    received = 0
    last = 0.0
    sent = -1
    all_here: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(payload: bytes) -> None:
        nonlocal received, last
        if len(payload) != size or int.from_bytes(payload[:8], "big") != received:
            if not all_here.done():
                all_here.set_exception(AssertionError(f"message {received} is wrong or out of order"))
            return
        received += 1
        last = time.perf_counter()
        if received == sent and not all_here.done():
            all_here.set_result(None)

    hands["receiver"] = take
    cpu = cpu_seconds()
    began = time.perf_counter()
    number = 0
    while time.perf_counter() - began < seconds:
        await sender.send(number.to_bytes(8, "big") + rest)
        number += 1
    sent = number
    if received < sent:
        await asyncio.wait_for(all_here, 60)
    used = cpu_seconds() - cpu
    hands["receiver"] = _ignore
    rate = received / (last - began)
    return {
        f"messages_{size}": rate,
        f"mb_{size}": rate * size / 1e6,
        f"cpu_us_{size}": used / received * 1e6,
    }
