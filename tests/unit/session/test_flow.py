"""What goes ahead of what in a channel, and when it says that it is full, over a real pair of peer connections."""

from __future__ import annotations

import asyncio
from typing import Any

from aiolivekit.core.outbox import MAX_BULK_HIGH, MIN_BULK_HIGH, SHARE
from aiolivekit.options import Outage
from aiolivekit.session.events import DataChannelBufferStatusChanged, DataTrackReady

from .test_channels import LOSSY, RELIABLE, Side, packet, sides

SIZE = 15_000


async def send(side: Side, name: bytes, *, bulk: bool = False, size: int = SIZE) -> None:
    channels = side.channels_of_session
    message = packet(name + bytes(size))
    if not channels.try_publish(message, RELIABLE, bulk=bulk):
        await channels.publish(message, RELIABLE, bulk=bulk)


def statuses(side: Side) -> list[tuple[bool, Any]]:
    found = []
    while not side.events.empty():
        event = side.events.get_nowait()
        if isinstance(event, DataTrackReady):
            continue
        assert isinstance(event, DataChannelBufferStatusChanged)
        found.append((event.is_low, event.kind))
    return found


async def payloads(side: Side, count: int) -> list[bytes]:
    got: list[bytes] = []
    async with asyncio.timeout(30):
        while len(got) < count:
            event = await side.events.get()
            if not isinstance(event, DataChannelBufferStatusChanged):
                got.append(event.payload[:8])
    return got


async def test_a_packet_has_few_chunks_of_a_large_transfer_before_it() -> None:
    async with sides(high=2**22) as (a, b, _):
        count = 400
        chunks = [asyncio.create_task(send(a, b"c%07d" % number, bulk=True)) for number in range(count)]
        await asyncio.sleep(0)
        lane = a.channels_of_session._lanes[RELIABLE]
        ahead = lane.sequence.last if lane.sequence is not None else 0
        assert ahead <= MIN_BULK_HIGH // SIZE + 1
        await send(a, b"p0000000", size=10)
        got = await payloads(b, count + 1)
        await asyncio.gather(*chunks)
        assert [name for name in got if name.startswith(b"c")] == [b"c%07d" % number for number in range(count)]
        assert got.index(b"p0000000") == ahead
        assert MIN_BULK_HIGH <= lane.outbox.bulk_high <= MAX_BULK_HIGH


async def test_others_do_not_keep_a_transfer_from_going_on() -> None:
    async with sides(high=2**18) as (a, b, _):
        a.channels_of_session.set_threshold(RELIABLE, 2**17)
        others, count = 300, 20
        plain = [asyncio.create_task(send(a, b"p%07d" % number)) for number in range(others)]
        await asyncio.sleep(0)
        bulk = [asyncio.create_task(send(a, b"c%07d" % number, bulk=True)) for number in range(count)]
        got = await payloads(b, others + count)
        await asyncio.gather(*plain, *bulk)
        assert [name for name in got if name.startswith(b"p")] == [b"p%07d" % number for number in range(others)]
        assert [name for name in got if name.startswith(b"c")] == [b"c%07d" % number for number in range(count)]
        share = SHARE // SIZE + 2
        waits = got[got.index(b"c0000000") : got.index(b"c0000019")]
        assert len(waits) <= share * count
        # It did not wait for all others.
        assert got.index(b"c0000000") < others


async def test_the_status_is_told_when_it_changes() -> None:
    async with sides(high=2**22) as (a, b, _):
        channels = a.channels_of_session
        channels.set_threshold(RELIABLE, 100_000)
        assert statuses(a) == []
        for number in range(6):
            assert channels.try_publish(packet(b"%08d" % number + bytes(SIZE)), RELIABLE)
        assert statuses(a) == []
        assert channels.try_publish(packet(bytes(SIZE)), RELIABLE)
        assert channels.try_publish(packet(bytes(SIZE)), RELIABLE)
        assert statuses(a) == [(False, RELIABLE)]
        await payloads(b, 8)
        async with asyncio.timeout(10):
            while a.events.empty():
                await asyncio.sleep(0.01)
        assert statuses(a) == [(True, RELIABLE)]
        # Another threshold may change it too.
        assert channels.try_publish(packet(bytes(60_000)), LOSSY)
        channels.set_threshold(LOSSY, 50_000)
        channels.set_threshold(LOSSY, 60_000)
        channels.set_threshold(LOSSY, 61_000)
        assert statuses(a) == [(False, LOSSY), (True, LOSSY)]


async def test_the_threshold_and_what_waits_go_over_to_the_next_session() -> None:
    async with sides(connect=False) as (old, _1, _2), sides() as (new, received, _3):
        channels = old.channels_of_session
        channels.set_threshold(RELIABLE, 12_345)
        waiting = [
            asyncio.create_task(send(old, b"%08d" % number, bulk=bool(number % 2), size=10)) for number in range(6)
        ]
        await asyncio.sleep(0)
        new.channels_of_session.adopt(channels)
        assert new.channels_of_session.threshold(RELIABLE) == 12_345
        got = await payloads(received, 6)
        await asyncio.gather(*waiting)
        assert got == [b"%08d" % number for number in (0, 2, 4, 1, 3, 5)]


async def test_those_of_both_classes_have_a_deadline_and_can_be_cancelled() -> None:
    async with sides(connect=False, outage=Outage(max_packets=100, deadline=0.2)) as (a, _b, _):
        waiting = [asyncio.create_task(send(a, b"%d" % number, bulk=bool(number % 2))) for number in range(6)]
        await asyncio.sleep(0)
        for task in waiting[:2]:
            task.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        kinds = [type(result).__name__ for result in results]
        assert kinds == ["CancelledError"] * 2 + ["DataTimeoutError"] * 4
        assert len(a.channels_of_session._lanes[RELIABLE].outbox) == 0


async def test_leaving_waits_for_a_transfer() -> None:
    async with sides() as (a, b, _):
        chunks = [asyncio.create_task(send(a, b"%08d" % number, bulk=True)) for number in range(100)]
        await asyncio.sleep(0)
        assert await a.channels_of_session.flush(5, 20)
        assert len(await payloads(b, 100)) == 100
        await asyncio.gather(*chunks)
