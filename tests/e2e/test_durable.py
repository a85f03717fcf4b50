"""Durable messages: whatever happens to a connection, each arrives once, in order; other clients are not disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

import aiolivekit
from aiolivekit.enums import SimulateScenarioKind
from aiolivekit.options import DurableOptions

from .conftest import OURS
from .sdk import DEADLINE, Recorder, Sdk, meeting, running, until

pytestmark = pytest.mark.e2e

FULL = SimulateScenarioKind.SIMULATE_FULL_RECONNECT
RESUME = SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT


class Heard:
    """What a room was told about durable messages, in order."""

    def __init__(self, room: Any, topic: str = "numbers") -> None:
        self.numbers: list[int] = []
        self.missed: list[int] = []
        self.undelivered: list[tuple[int, str]] = []
        self.topics: set[str] = set()
        self._topic = topic
        room.on("data_received", self._take)
        if isinstance(room, aiolivekit.Room):
            room.on("data_missed", lambda _participant, count: self.missed.append(count))
            room.on("data_undelivered", lambda count, reason: self.undelivered.append((count, reason)))

    def _take(self, packet: Any) -> None:
        self.topics.add(packet.topic)
        if packet.topic == self._topic:
            self.numbers.append(int(bytes(packet.data)))


class Stream:
    """Durable messages numbered from 0, until told to stop."""

    def __init__(self, room: Any, *to: str) -> None:
        self.sent = 0
        self._me = room.local_participant
        self._to = list(to)

    async def run(self) -> None:
        while True:
            await self.say()
            await asyncio.sleep(0.01)

    async def say(self, times: int = 1) -> None:
        for _ in range(times):
            await self._me.publish_data(str(self.sent), topic="numbers", destination_identities=self._to, durable=True)
            self.sent += 1

    async def more(self) -> None:
        sent = self.sent
        await until(lambda: self.sent > sent + 20, "more messages")


async def complete(stream: Stream, *heard: Heard) -> None:
    """Everything that was sent has arrived, once, in order."""
    for each in heard:
        await until(lambda each=each: each.numbers[-1:] == [stream.sent - 1], "the last message")
        assert each.numbers == list(range(stream.sent))
        assert each.missed == []


async def again(events: Recorder, times: int = 1) -> None:
    await until(lambda: len(events.of("reconnected")) >= times, f"reconnected {times} times")


async def all_acknowledged(room: Any) -> None:
    """Nobody lacks anything any more, so far as the sender knows."""
    sender = room._visit.durable._sender
    await until(
        lambda: not (sender.is_waiting(ours=True) or sender.is_waiting(ours=False)), "everything is acknowledged"
    )


@asynccontextmanager
async def joined(url: str, token: str, *, single: bool, sdk: Sdk = OURS, **options: Any) -> AsyncIterator[tuple]:
    room, events = await sdk.join(url, token, single=single, **options)
    try:
        yield room, events
    finally:
        await room.disconnect()


async def test_as_ordinary_messages(livekit_server, livekit_token, single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, events, bob, others):
        heard, told = Heard(bob), Heard(alice)
        stream = Stream(alice)
        await stream.say(300)
        await complete(stream, heard)
        (packet,) = others.of("data_received")[0]
        assert (packet.participant.identity, packet.topic, packet.kind) == ("alice", "numbers", 1)
        await all_acknowledged(alice)
        sender = alice._visit.durable._sender
        assert sender.replayed == 0
        assert heard.topics == {"numbers"}
        assert told.topics == set()
        assert told.undelivered == []
        with pytest.raises(ValueError, match="durable"):
            await alice.local_participant.publish_data("x", reliable=False, durable=True)
        await alice.local_participant.publish_data("plain", topic="plain")
        await until(lambda: heard.topics == {"numbers", "plain"}, "an ordinary message among them")
    assert told.undelivered == []


@pytest.mark.parametrize(
    ("scenario", "who"), [(FULL, "sender"), (FULL, "receiver"), (FULL, "both"), (FULL, "twice"), (RESUME, "both")]
)
async def test_a_stream_survives(livekit_server, livekit_token, single: bool, scenario, who: str) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, events, bob, others):
        heard, told = Heard(bob), Heard(alice)
        stream, back = Stream(alice), Stream(bob, "alice")
        rooms = {"sender": [alice], "receiver": [bob]}.get(who, [alice, bob])
        async with running(stream.run()), running(back.run()):
            await until(lambda: stream.sent > 20, "messages")
            for turn in range(2 if who == "twice" else 1):
                await asyncio.gather(*[room.simulate_scenario(scenario) for room in rooms])
                for room, recorder in ((alice, events), (bob, others)):
                    if room in rooms:
                        await again(recorder, turn + 1)
            await stream.more()
        await complete(stream, heard)
        await complete(back, told)
        assert told.undelivered == heard.undelivered == []


async def test_who_leaves_and_returns_gets_what_it_missed(livekit_server, livekit_token, single: bool) -> None:
    url = livekit_server.url
    async with AsyncExitStack() as stack:
        alice, events = await stack.enter_async_context(joined(url, livekit_token("alice"), single=single))
        told = Heard(alice)
        stream = Stream(alice)
        async with joined(url, livekit_token("bob"), single=single) as (bob, _):
            first = Heard(bob)
            await until(lambda: "bob" in alice.remote_participants, "alice sees bob")
            await stream.say(20)
            await complete(stream, first)
        await events.wait("participant_disconnected")
        async with running(stream.run()):
            await stream.more()
            bob = aiolivekit.Room()
            second = Heard(bob)
            stack.push_async_callback(bob.disconnect)
            options = aiolivekit.RoomOptions(single_peer_connection=single)
            await bob.connect(url, livekit_token("bob"), options)
            await until(lambda: len(second.numbers) > 30, "what was missed, and more")
        await until(lambda: second.numbers[-1:] == [stream.sent - 1], "the last message")
        assert first.numbers + second.numbers == list(range(stream.sent))
        assert second.missed == []
        assert told.undelivered == []


async def test_a_message_for_somebody_who_is_not_here_yet(livekit_server, livekit_token, single: bool) -> None:
    url = livekit_server.url
    async with AsyncExitStack() as stack:
        alice, _ = await stack.enter_async_context(joined(url, livekit_token("alice"), single=single))
        stream = Stream(alice, "bob")
        await stream.say(5)
        bob = aiolivekit.Room()
        heard = Heard(bob)
        stack.push_async_callback(bob.disconnect)
        await bob.connect(url, livekit_token("bob"), aiolivekit.RoomOptions(single_peer_connection=single))
        await complete(stream, heard)
        await all_acknowledged(alice)


@pytest.mark.parametrize("livekit_server_kind", ["real"])  # `tests/interop` has the official SDK on the embedded one
async def test_other_clients_are_not_disturbed(livekit_server, livekit_token, official, single: bool) -> None:
    url = livekit_server.url
    theirs = Sdk("official", official)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        alice, events = await enter(joined(url, livekit_token("alice"), single=single))
        bob, others = await enter(joined(url, livekit_token("bob"), single=single))
        carol, _ = await enter(joined(url, livekit_token("carol"), single=single, sdk=theirs))
        everybody = {"alice", "bob", "carol"}
        for room in (alice, bob, carol):
            await until(lambda room=room: len(room.remote_participants) == 2, f"all of {everybody}")
        heard, bystander = Heard(bob), Heard(carol)
        stream = Stream(alice)
        async with running(stream.run()):
            await until(lambda: stream.sent > 20, "messages")
            await bob.simulate_scenario(FULL)
            await again(others)
            await stream.more()
        await complete(stream, heard, bystander)
        # Neither side's bookkeeping is to be seen, and its own messages come through.
        await carol.local_participant.publish_data("7", topic="numbers")
        await until(lambda: heard.numbers[-1] == 7, "a message of the other client")
        assert bystander.topics == heard.topics == {"numbers"}
        sender = alice._visit.durable._sender
        await until(lambda: not sender.is_waiting(ours=True), "everything is acknowledged by the one that can")


async def test_what_cannot_be_delivered_is_reported(livekit_server, livekit_token, single: bool) -> None:
    url = livekit_server.url
    options = {"durable": DurableOptions(max_messages=10)}
    async with AsyncExitStack() as stack:
        alice, events = await stack.enter_async_context(joined(url, livekit_token("alice"), single=single, **options))
        told = Heard(alice)
        stream = Stream(alice, "bob")
        await stream.say(15)
        await until(lambda: bool(told.undelivered), "the report")
        assert sum(count for count, _ in told.undelivered) == 5
        bob = aiolivekit.Room()
        heard = Heard(bob)
        stack.push_async_callback(bob.disconnect)
        await bob.connect(url, livekit_token("bob"), aiolivekit.RoomOptions(single_peer_connection=single))
        await until(lambda: len(heard.numbers) == 10, "the newest ten")
        assert heard.numbers == list(range(5, 15))
        told.undelivered.clear()
        await bob.disconnect()
        await events.wait("participant_disconnected")
        await stream.say(3)
        await alice.disconnect()
        assert [count for count, _ in told.undelivered] == [3]


async def test_one_who_may_not_answer_gets_ordinary_messages(livekit_server, livekit_token, single: bool) -> None:
    url = livekit_server.url
    async with (
        joined(url, livekit_token("alice"), single=single) as (alice, _),
        joined(url, livekit_token("bob", can_publish_data=False), single=single) as (bob, _),
    ):
        heard = Heard(bob)
        stream = Stream(alice)
        await stream.say(20)
        await complete(stream, heard)
        await stream.say(20)
        await complete(stream, heard)


async def test_leaving_waits_for_what_was_sent_last(livekit_server, livekit_token, single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, _, bob, others):
        heard, told = Heard(bob), Heard(alice)
        stream = Stream(alice)
        await stream.say(100)
        async with asyncio.timeout(DEADLINE):
            await alice.disconnect()
        await complete(stream, heard)
        assert told.undelivered == []
