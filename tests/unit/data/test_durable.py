"""The driver of durable messages, two of them with a link between that can fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from livekit.protocol import models

from aiolivekit.core.durable_wire import CONTROL_ID, CONTROL_TOPIC
from aiolivekit.data.durable import Durable, DurableEvents
from aiolivekit.errors import ClosedError, OutboxFullError, PacketTooLargeError
from aiolivekit.options import DurableOptions


@dataclass
class Received:
    participant_identity: str
    payload: bytes
    topic: str
    id: str


class Side:
    """A participant; what it publishes arrives at the other one in the next turn of the loop.

    Attributes:
        deaf: Whether what is sent to it is lost.
        refusal: What publishing raises.
        gate: What publishing waits for.
    """

    def __init__(self, identity: str, options: DurableOptions) -> None:
        self.identity = identity
        self.other: Side | None = None
        self.may_answer = True
        self.deaf = False
        self.refusal: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.heard: list[bytes] = []
        self.ordinary: list[Received] = []
        self.undelivered: list[tuple[int, str]] = []
        self.missed: list[tuple[str, int]] = []
        self.changed = asyncio.Event()
        self.durable: Durable[Received] = Durable(
            self,
            identity,
            options,
            DurableEvents(
                self._deliver,
                lambda count, reason: self.undelivered.append((count, reason)),
                lambda whose, count: self.missed.append((whose, count)),
            ),
            present=lambda: [self.other.identity] if self.other else [],
            may_answer=lambda: self.may_answer,
        )

    def _deliver(self, packet: Received) -> None:
        self.heard.append(packet.payload)
        self.changed.set()
        if packet.payload == b"poison":
            raise RuntimeError("an application's error")

    async def publish_data(self, packet: models.DataPacket, *, bulk: bool = False) -> None:
        if self.refusal is not None:
            raise self.refusal
        if self.gate is not None:
            await self.gate.wait()
        user = packet.user
        received = Received(self.identity, user.payload, user.topic, user.id)
        if self.other is not None and packet.destination_identities in ([], [self.other.identity]):
            asyncio.get_running_loop().call_soon(self.other.take, received)

    def take(self, packet: Received) -> None:
        if not self.deaf and not self.durable.intercept(packet):
            self.ordinary.append(packet)

    async def say(self, *payloads: bytes) -> None:
        for payload in payloads:
            packet = models.DataPacket()
            packet.user.payload = payload
            packet.user.topic = "t"
            await self.durable.publish(packet)

    async def has(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                self.changed.clear()
                await self.changed.wait()

    async def acknowledged(self) -> None:
        sender = self.durable._sender
        await self.until(lambda: not (sender.is_waiting(ours=True) or sender.is_waiting(ours=False)))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def two(**options: float) -> AsyncIterator[tuple[Side, Side]]:
    ann, ben = Side("ann", DurableOptions(**options)), Side("ben", DurableOptions())  # type: ignore[arg-type]
    ann.other, ben.other = ben, ann
    try:
        yield ann, ben
    finally:
        for side in (ann, ben):
            side.durable.close("the end")
            await side.durable.aclose()
    left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("aiolivekit")]
    assert left == []


async def test_messages_arrive_and_are_acknowledged() -> None:
    async with two() as (ann, ben):
        await ann.say(b"1", b"2", b"3")
        await ben.has(3)
        assert ben.heard == [b"1", b"2", b"3"]
        assert ben.ordinary == ann.ordinary == []
        await ann.acknowledged()


async def test_an_error_of_the_application_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with two() as (ann, ben):
        await ann.say(b"poison", b"2")
        await ben.has(2)
        assert "could not be delivered" in caplog.text


async def test_after_an_outage_everything_is_sent_again() -> None:
    async with two() as (ann, ben):
        await ann.say(b"1")
        await ann.acknowledged()
        ann.durable.interrupted(session_ends=True)
        ben.deaf = True
        await ann.say(*[b"%d" % number for number in range(2, 50)])
        await asyncio.sleep(0)
        ben.deaf = False
        ann.durable.recovered()
        await ben.has(49)
        assert ben.heard == [b"%d" % number for number in range(1, 50)]


async def test_when_too_much_is_kept_publishing_waits_its_turn() -> None:
    async with two(max_messages=3) as (ann, ben):
        await ann.say(b"1")
        await ben.has(1)
        await ann.acknowledged()
        ben.deaf = True
        await ann.say(b"2", b"3", b"4")
        late = [asyncio.create_task(ann.say(b"%d" % number)) for number in range(5, 9)]
        await asyncio.sleep(0)
        late[1].cancel()
        await asyncio.sleep(0)
        assert [task.done() for task in late] == [False, True, False, False]
        ben.deaf = False
        ann.durable.recovered()
        await ben.has(7)
        async with asyncio.timeout(10):
            await asyncio.wait(late)
        assert ben.heard == [b"%d" % number for number in (1, 2, 3, 4, 5, 7, 8)]


async def test_publishing_does_not_wait_for_ever() -> None:
    async with two(max_messages=1, deadline=0.05) as (ann, ben):
        await ann.say(b"1")
        await ben.has(1)
        await ann.acknowledged()
        ben.deaf = True
        await ann.say(b"2")
        with pytest.raises(OutboxFullError, match=r"0\.05 s"):
            await ann.say(b"3")
        ben.deaf = False
        ann.durable.recovered()
        await ben.has(2)
        await ann.acknowledged()
        await ann.say(b"4")
        await ben.has(3)
        assert ben.heard == [b"1", b"2", b"4"]


async def test_what_could_not_be_sent_is_forgotten() -> None:
    async with two() as (ann, ben):
        await ann.say(b"1")
        ann.refusal = PacketTooLargeError(2, 1)
        with pytest.raises(PacketTooLargeError):
            await ann.say(b"2")
        ann.refusal = None
        ann.gate = asyncio.Event()
        waiting = asyncio.create_task(ann.say(b"3"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        ann.gate.set()
        await ann.say(b"4")
        await ben.has(2)
        assert ben.heard == [b"1", b"4"]
        assert ben.missed == ann.undelivered == []


async def test_leaving_waits_for_acknowledgements_and_reports_the_rest() -> None:
    async with two() as (ann, ben):
        await ann.say(b"1", b"2")
        async with asyncio.timeout(10):
            await ann.durable.flush()
        assert ben.heard == [b"1", b"2"]
        ben.deaf = True
        await ann.say(b"3")
        async with asyncio.timeout(10):
            await ann.durable.flush()
        ann.durable.close("it is over")
        assert ann.undelivered == [(1, "it is over")]
        with pytest.raises(ClosedError):
            await ann.say(b"4")
        async with asyncio.timeout(10):
            await ann.durable.flush()


async def test_closing_ends_those_who_wait() -> None:
    async with two(max_messages=1) as (ann, ben):
        await ann.say(b"1")
        await ben.has(1)
        await ann.acknowledged()
        ben.deaf = True
        await ann.say(b"2")
        waiting = [asyncio.create_task(ann.say(b"3")) for _ in range(2)]
        await asyncio.sleep(0)
        ann.durable.close("it is over")
        async with asyncio.timeout(10):
            results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in results] == [ClosedError, ClosedError]
        assert ann.undelivered == [(1, "it is over")]


async def test_another_room_is_another_stream() -> None:
    async with two() as (ann, ben):
        await ann.say(b"1")
        await ann.acknowledged()
        ann.durable.interrupted(session_ends=True)
        ben.deaf = True
        await ann.say(b"2")
        await asyncio.sleep(0)
        ben.deaf = False
        ann.durable.moved()
        await ann.say(b"3")
        await ben.has(2)
        assert ben.heard == [b"1", b"3"]
        assert [count for count, _ in ann.undelivered] == [1]


@pytest.mark.parametrize(
    ("packet", "hidden", "malformed"),
    [
        (Received("ben", b"x", "t", "aio1.s.1"), False, 1),
        (Received("ben", b"x", "t", "somebody's own id"), False, 0),
        (Received("ben", b"x", "t", CONTROL_ID), False, 0),
        (Received("", b"x", "t", "aio1.s.1.0"), False, 0),
        (Received("ben", b"nonsense", CONTROL_TOPIC, CONTROL_ID), True, 1),
        (Received("", b"1 ack s 1 0", CONTROL_TOPIC, CONTROL_ID), True, 1),
        (Received("ben", b"1 ack s 1 0", CONTROL_TOPIC, CONTROL_ID), True, 0),
        (Received("ben", b"1 gone s", CONTROL_TOPIC, CONTROL_ID), True, 0),
        (Received("ben", b"1 skip s 0 1 0", CONTROL_TOPIC, CONTROL_ID), True, 0),
        (Received("ben", b"x", CONTROL_TOPIC, ""), False, 0),
    ],
)
async def test_what_others_may_send(packet: Received, hidden: bool, malformed: int) -> None:
    async with two() as (ann, _):
        assert ann.durable.intercept(packet) is hidden
        assert ann.durable.malformed == malformed
        assert ann.heard == []


async def test_who_may_not_answer_takes_messages_as_they_come() -> None:
    async with two() as (ann, ben):
        ben.may_answer = False
        await ann.say(b"1", b"2")
        await ben.until(lambda: len(ben.ordinary) == 2)
        assert [each.payload for each in ben.ordinary] == [b"1", b"2"]


async def test_who_is_not_here_yet_gets_messages_when_active() -> None:
    async with two() as (ann, ben):
        ann.other = None
        packet = models.DataPacket(destination_identities=["ben"])
        packet.user.payload = b"1"
        await ann.durable.publish(packet)
        ann.other = ben
        ann.durable.joined("ben")
        ann.durable.active("ben")
        await ben.has(1)
        ann.durable.left("ben", purposely=True)
        ben.durable.left("ann", purposely=True)
