"""Order, backpressure, the limit and the gate of outgoing requests."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable

import pytest
from livekit.protocol import models as proto_models
from livekit.protocol import rtc as proto_rtc

from aiolivekit.errors import SignalClosedError
from aiolivekit.signalling import SignalClosed
from aiolivekit.signalling.write_door import WriteDoor

from .servers import DEADLINE

Request = proto_rtc.SignalRequest


class Wire:
    """Takes messages as long as it is open."""

    def __init__(self) -> None:
        self.written: list[Request] = []
        self.failures: list[SignalClosed] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: OSError | None = None
        self._changed = asyncio.Event()

    async def write(self, data: bytes) -> None:
        self._changed.set()
        await self.open.wait()
        if self.error is not None:
            self._changed.set()
            raise self.error
        self.written.append(Request.FromString(data))
        self._changed.set()

    @property
    def numbers(self) -> list[int]:
        return [number_of(request) for request in self.written]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def mute(number: int) -> Request:
    """What waits at the gate."""
    return Request(mute=proto_rtc.MuteTrackRequest(sid=str(number)))


def trickle(number: int) -> Request:
    """What passes it."""
    return Request(trickle=proto_rtc.TrickleRequest(candidateInit=str(number)))


def number_of(request: Request) -> int:
    return int(request.mute.sid if request.HasField("mute") else request.trickle.candidateInit)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def door(wire: Wire) -> AsyncIterator[WriteDoor]:
    door = WriteDoor(wire.write, wire.failures.append)
    yield door
    await door.aclose()


async def test_order_of_calls_whoever_calls_how(wire: Wire, door: WriteDoor) -> None:
    """A call's place is taken at its first step: that of the call itself for `post`, that of the task for `send`."""
    numbers = itertools.count()
    random.seed(1)

    async def sender() -> None:
        for _ in range(20):
            await door.send(mute(next(numbers)))
            if random.random() < 0.3:
                await asyncio.sleep(0)

    async def poster() -> None:
        for _ in range(20):
            assert door.post(trickle(next(numbers)))
            if random.random() < 0.3:
                await asyncio.sleep(0)

    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*(sender() if n % 2 else poster() for n in range(10)))
        await wire.until(lambda: len(wire.written) == 200)
    assert wire.numbers == list(range(200))


async def test_send_waits_until_the_message_is_written(wire: Wire, door: WriteDoor) -> None:
    wire.open.clear()
    first, second = (asyncio.create_task(door.send(mute(n))) for n in (1, 2))
    await wire.until(lambda: door.writing)
    assert not first.done()
    assert not second.done()
    wire.open.set()
    async with asyncio.timeout(DEADLINE):
        await first
        await second
    assert wire.numbers == [1, 2]


async def test_what_is_sent_is_what_was_given(wire: Wire, door: WriteDoor) -> None:
    request = mute(1)
    door.post(request)
    request.mute.sid = "2"
    await wire.until(lambda: len(wire.written) == 1)
    assert wire.numbers == [1]


async def test_too_many_posts_end_the_link_by_name(wire: Wire) -> None:
    door = WriteDoor(wire.write, wire.failures.append, post_limit=3)
    wire.open.clear()
    assert all(door.post(trickle(n)) for n in range(3))
    waiting = asyncio.create_task(door.send(mute(99)))  # a send waits instead
    await asyncio.sleep(0)
    assert not door.post(trickle(3))
    assert [(cause.source, cause.code) for cause in wire.failures] == [("write", None)]
    assert "3" in wire.failures[0].detail
    door.link_lost()
    with pytest.raises(SignalClosedError):
        await waiting
    await door.aclose()
    assert wire.written == []


async def test_the_limit_is_for_what_waits_not_for_all_that_was(wire: Wire) -> None:
    door = WriteDoor(wire.write, wire.failures.append, post_limit=3)
    for n in range(20):
        assert door.post(trickle(n))
        await wire.until(lambda n=n: len(wire.written) == n + 1)  # type: ignore[misc]
    assert wire.failures == []
    await door.aclose()


async def test_a_transport_that_takes_nothing_is_named(wire: Wire) -> None:
    door = WriteDoor(wire.write, lambda cause: (wire.failures.append(cause), door.link_lost()), stall_timeout=0.05)  # type: ignore[func-returns-value]
    wire.open.clear()
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(SignalClosedError):
            await door.send(mute(1))
    assert [cause.source for cause in wire.failures] == ["write"]
    assert "0.05" in wire.failures[0].detail
    await door.aclose()


async def test_cancelled_while_waiting_is_not_sent(wire: Wire, door: WriteDoor) -> None:
    wire.open.clear()
    tasks = [asyncio.create_task(door.send(mute(n))) for n in range(4)]
    await wire.until(lambda: door.writing)
    tasks[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[2]
    wire.open.set()
    await asyncio.gather(tasks[0], tasks[1], tasks[3])
    assert wire.numbers == [0, 1, 3]
    assert door.waiting == 0


async def test_closed_door(wire: Wire, door: WriteDoor) -> None:
    wire.open.clear()
    tasks = [asyncio.create_task(door.send(mute(n))) for n in range(3)]
    door.post(mute(3))
    await wire.until(lambda: door.writing)
    await door.aclose()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert type(result) is SignalClosedError
    with pytest.raises(SignalClosedError):
        await door.send(mute(4))
    assert not door.post(mute(5))
    assert door.waiting == 0
    assert wire.written == []
    await door.aclose()


GATE = [
    (Request(sync_state=proto_rtc.SyncState()), True),
    (Request(trickle=proto_rtc.TrickleRequest()), True),
    (Request(offer=proto_rtc.SessionDescription()), True),
    (Request(answer=proto_rtc.SessionDescription()), True),
    (Request(simulate=proto_rtc.SimulateScenario()), True),
    (Request(leave=proto_rtc.LeaveRequest()), True),
    (Request(ping=1), True),
    (Request(ping_req=proto_rtc.Ping()), True),
    (Request(add_track=proto_rtc.AddTrackRequest()), False),
    (Request(mute=proto_rtc.MuteTrackRequest()), False),
    (Request(subscription=proto_rtc.UpdateSubscription()), False),
    (Request(track_setting=proto_rtc.UpdateTrackSettings()), False),
    (Request(update_metadata=proto_rtc.UpdateParticipantMetadata()), False),
    (Request(subscription_permission=proto_rtc.SubscriptionPermission()), False),
    (Request(publish_data_track_request=proto_rtc.PublishDataTrackRequest()), False),
    (Request(), False),
]


@pytest.mark.parametrize(("request_", "passes"), GATE)
async def test_what_passes_the_gate(request_: Request, passes: bool, wire: Wire, door: WriteDoor) -> None:
    door.gate()
    door.post(request_)
    door.post(trickle(7))
    await wire.until(lambda: bool(wire.written) and wire.written[-1].HasField("trickle"))
    if request_.HasField("trickle"):
        await wire.until(lambda: len(wire.written) == 2)
    assert (request_ in wire.written) is passes
    assert door.waiting == (0 if passes else 1)
    door.flush_gate()
    await wire.until(lambda: len(wire.written) == 2)
    assert request_ in wire.written


async def test_the_gate_keeps_order(wire: Wire, door: WriteDoor) -> None:
    wire.open.clear()
    for n in range(3):
        door.post(mute(n))
    await wire.until(lambda: door.writing)  # 0 is on its way
    door.gate()
    door.gate()
    door.post(trickle(10))
    door.post(mute(3))
    sending = asyncio.create_task(door.send(mute(4)))
    await asyncio.sleep(0)
    wire.open.set()
    await wire.until(lambda: len(wire.written) == 2)
    assert wire.numbers == [0, 10]
    door.flush_gate()
    door.flush_gate()
    door.post(mute(5))
    await wire.until(lambda: len(wire.written) == 7)
    assert wire.numbers == [0, 10, 1, 2, 3, 4, 5]
    await sending


async def test_a_successor_takes_over_what_the_gate_held(wire: Wire, door: WriteDoor) -> None:
    lost = WriteDoor(wire.write, wire.failures.append)
    lost.gate()
    lost.post(mute(0))
    waiting = asyncio.create_task(lost.send(mute(1)))
    wire.open.clear()
    passing = asyncio.create_task(lost.send(trickle(10)))
    await wire.until(lambda: lost.writing)
    lost.link_lost()
    with pytest.raises(SignalClosedError):  # it belongs to the old link
        await passing
    assert lost.post(mute(2))
    assert not lost.post(trickle(11))
    wire.open.set()

    door.gate()
    door.post(mute(3))
    door.take_over(lost)
    await lost.aclose()
    assert not waiting.done()
    door.post(trickle(12))
    await wire.until(lambda: len(wire.written) == 1)
    door.flush_gate()
    await wire.until(lambda: len(wire.written) == 5)
    assert wire.numbers == [12, 0, 1, 2, 3]
    async with asyncio.timeout(DEADLINE):
        await waiting


async def test_what_failed_to_be_written_is_kept_for_the_successor(wire: Wire, door: WriteDoor) -> None:
    lost = WriteDoor(wire.write, wire.failures.append)
    wire.open.clear()
    waiting = asyncio.create_task(lost.send(mute(1)))
    await wire.until(lambda: lost.writing)
    lost.post(mute(2))
    lost.gate()
    wire.error = ConnectionResetError()
    wire.open.set()
    await wire.until(lambda: not lost.writing)
    lost.link_lost()
    wire.error = None
    door.take_over(lost)
    await lost.aclose()
    await wire.until(lambda: len(wire.written) == 2)
    assert wire.numbers == [1, 2]
    await waiting
    assert wire.failures == []  # the reader of the same connection knows better why


async def test_a_lost_link_without_a_gate_keeps_nothing(wire: Wire, door: WriteDoor) -> None:
    wire.open.clear()
    waiting = asyncio.create_task(door.send(mute(1)))
    await wire.until(lambda: door.writing)
    door.link_lost()
    with pytest.raises(SignalClosedError):
        await waiting
    assert not door.post(mute(2))
    assert door.waiting == 0


def test_every_request_kind_is_decided_on() -> None:
    """A new kind in the protocol waits at the gate until someone thinks about it; this list is what was thought."""
    known = {
        *("offer", "answer", "trickle", "add_track", "mute", "subscription", "track_setting", "leave", "update_layers"),
        *("subscription_permission", "sync_state", "simulate", "ping", "update_metadata", "ping_req"),
        *("update_audio_track", "update_video_track", "publish_data_track_request", "unpublish_data_track_request"),
        *("update_data_subscription", "store_data_blob_request", "get_data_blob_request"),
    }
    assert {field.name for field in Request.DESCRIPTOR.fields} >= known
    assert proto_models.DisconnectReason.JOIN_FAILURE
