"""The reliable channel: what goes ahead of what, how full it is, and how large a packet may be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.protocol import models

import aiolivekit
from aiolivekit.enums import DataPacketKind

from .sdk import DEADLINE, Sdk, meeting, until
from .test_data import received

pytestmark = pytest.mark.e2e

OURS = Sdk("ours", aiolivekit)
RELIABLE = DataPacketKind.KIND_RELIABLE
CHUNK = 15_000


async def transfer(room: Any, count: int) -> None:
    """Send what a stream's chunks are to the channel, as fast as it takes them."""
    for number in range(count):
        user = models.UserPacket(payload=b"%06d" % number + bytes(CHUNK), topic="chunk")
        await room.local_participant._engine.publish_data(models.DataPacket(user=user), bulk=True)


async def test_calls_and_packets_do_not_wait_for_a_large_transfer(livekit_server, livekit_token, single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, _, bob, bob_events):
        arrived: list[int] = []

        def answer(data: Any) -> str:
            arrived.append(len(received(bob_events, "chunk")))
            return data.payload

        bob.local_participant.register_rpc_method("echo", answer)
        count = 600
        sending = asyncio.create_task(transfer(alice, count))
        calls = 0
        async with asyncio.timeout(4 * DEADLINE):
            while not sending.done():
                await alice.local_participant.perform_rpc(destination_identity="bob", method="echo", payload="x")
                await alice.local_participant.publish_data(b"%06d" % calls, topic="packet")
                calls += 1
            await sending
        await until(lambda: len(received(bob_events, "chunk")) == count, "bob got all chunks")
        await until(lambda: len(received(bob_events, "packet")) == calls, "bob got all packets")
        assert [int(each[:6]) for each in received(bob_events, "chunk")] == list(range(count))
        assert [int(each) for each in received(bob_events, "packet")] == list(range(calls))
        # Each call found its place among the chunks; they were not all ahead of it.
        assert arrived == sorted(arrived)
        assert len(set(arrived)) > 5, arrived


async def test_the_status_of_the_buffer(livekit_server, livekit_token, single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (
        alice,
        events,
        _bob,
        bob_events,
    ):
        log: list[tuple[Any, ...]] = []
        low = asyncio.Event()

        @alice.on("data_channel_buffer_status_changed")
        def changed(is_low: bool, kind: DataPacketKind) -> None:
            log.append((is_low, kind))
            if is_low:
                low.set()

        thresholds: list[tuple[Any, ...]] = []
        alice.on("data_channel_buffered_amount_low_threshold_changed", lambda *args: thresholds.append(args))
        local = alice.local_participant
        assert local.data_channel_buffered_amount_low_threshold() == 2 * 1024 * 1024
        local.set_data_channel_buffered_amount_low_threshold(50_000)
        assert thresholds == [(RELIABLE, 50_000)]
        assert local.data_channel_buffered_amount_low_threshold() == 50_000
        for number in range(4):
            await local.publish_data(bytes([number]) * CHUNK, topic="fill")
        assert log == [(False, RELIABLE)]
        assert local.data_channel_buffered_amount() > 50_000
        async with asyncio.timeout(DEADLINE):
            await low.wait()
        assert log == [(False, RELIABLE), (True, RELIABLE)]
        await until(lambda: len(received(bob_events, "fill")) == 4, "bob got all")
        with pytest.raises(ValueError, match="negative"):
            local.set_data_channel_buffered_amount_low_threshold(-1)


async def test_packets_near_the_limit_at_it_and_over_it_and_a_thousand_at_once(
    livekit_server, livekit_token, single: bool
) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, _, _bob, bob_events):
        local = alice.local_participant
        await local.publish_data(b"first", topic="size")
        with pytest.raises(aiolivekit.PacketTooLargeError) as raised:
            await local.publish_data(bytes(70_000), topic="size")
        limit = raised.value.limit
        assert limit == 64_000
        largest = 70_000 - (raised.value.size - limit)
        sizes = [largest - 100, largest - 1, largest]
        for size in sizes:
            await local.publish_data(bytes(size), topic="size")
        for size in (largest + 1, largest + 100, 1_000_000):
            with pytest.raises(aiolivekit.PacketTooLargeError, match=f"the limit is {limit}") as raised:
                await local.publish_data(bytes(size), topic="size")
            assert raised.value.size > limit
        await local.publish_data(b"last", topic="size")
        await until(
            lambda: bool(bob_events.of("data_received")) and received(bob_events, "size")[-1] == b"last", "last"
        )
        assert [len(each) for each in received(bob_events, "size")] == [5, *sizes, 4]
        payloads = [b"%04d" % number + bytes(5_000) for number in range(1000)]
        await asyncio.gather(*(alice.local_participant.publish_data(payload, topic="n") for payload in payloads))
        await until(lambda: len(received(bob_events, "n")) == 1000, "bob got all")
        assert received(bob_events, "n") == payloads
