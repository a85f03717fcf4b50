"""The session's channels over a real pair of peer connections, without a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.protocol import models, rtc

from aiolivekit.core.reliable import ReceiveState, SendSequence
from aiolivekit.enums import DataPacketKind
from aiolivekit.errors import ClosedError, DataTimeoutError, OutboxFullError, PacketTooLargeError
from aiolivekit.options import Outage
from aiolivekit.peer.channel import ChannelState, DataChannel
from aiolivekit.peer.connection import PeerConnection
from aiolivekit.session.channels import SessionChannels
from aiolivekit.session.events import DataReceived, DataTrackPacketReceived, DataTrackReady

from ..peer.pair import RecordingSink, negotiate

RELIABLE = DataPacketKind.KIND_RELIABLE
LOSSY = DataPacketKind.KIND_LOSSY


def packet(payload: bytes, **members: Any) -> models.DataPacket:
    return models.DataPacket(user=models.UserPacket(payload=payload), **members)


class Side(RecordingSink):
    """A peer whose channels go to a `SessionChannels`."""

    def __init__(self, high: int, outage: Outage | None = None) -> None:
        super().__init__()
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.lost: list[str] = []
        self.received = ReceiveState()
        self.channels_of_session = SessionChannels(
            high, self.events.put_nowait, self.lost.append, SendSequence(), self.received, outage
        )
        self.open = asyncio.Event()
        self.gone = asyncio.Event()
        self.all_remote = asyncio.Event()

    async def payloads(self, count: int) -> list[bytes]:
        async with asyncio.timeout(10):
            return [(await self.events.get()).payload for _ in range(count)]

    def on_remote_channel(self, peer: PeerConnection, channel: DataChannel) -> None:
        self.channels_of_session.add_remote(channel)
        if len(self.channels_of_session._remote) == 3:
            self.all_remote.set()

    def on_channel_message(self, channel: DataChannel, data: bytes) -> None:
        self.channels_of_session.on_channel_message(channel, data)

    def on_channel_state(self, channel: DataChannel, state: ChannelState) -> None:
        self.channels_of_session.on_channel_state(channel, state)
        if self.channels_of_session._lanes and self.channels_of_session.usable:
            self.open.set()
        if state == "closed":
            self.gone.set()

    def on_channel_low(self, channel: DataChannel) -> None:
        self.channels_of_session.on_channel_low(channel)


@asynccontextmanager
async def sides(
    *, high: int = 2**21, connect: bool = True, outage: Outage | None = None
) -> AsyncIterator[tuple[Side, Side, PeerConnection]]:
    a, b = Side(high, outage), Side(high)
    pa, pb = PeerConnection("a", a), PeerConnection("b", b)
    a.other, b.other = pb, pa
    a.channels_of_session.create(pa)
    try:
        if connect:
            await negotiate(pa, pb)
            async with asyncio.timeout(10):
                await a.open.wait()
        yield a, b, pb
    finally:
        pa.close()
        pb.close()
        for task in [*a.tasks, *b.tasks]:
            task.cancel()


async def test_packets_arrive_in_order_with_numbers_from_one() -> None:
    async with sides() as (a, b, _):
        for number in range(100):
            sent = packet(b"%d" % number, participant_sid="PA_a", participant_identity="a")
            assert a.channels_of_session.try_publish(sent, RELIABLE)
            assert sent.sequence == number + 1
        async with asyncio.timeout(10):
            got = [await b.events.get() for _ in range(100)]
        assert got == [DataReceived("PA_a", "a", b"%d" % number, "", RELIABLE, 0) for number in range(100)]


async def test_duplicates_are_dropped_before_dispatch() -> None:
    async with sides() as (a, b, _):
        channel = a.channels_of_session._lanes[RELIABLE].channel
        for sequence in (1, 2, 2, 1, 3):
            channel.send(packet(b"%d" % sequence, participant_sid="PA_a", sequence=sequence).SerializeToString())
        async with asyncio.timeout(10):
            assert [(await b.events.get()).payload for _ in range(3)] == [b"1", b"2", b"3"]
        assert b.events.empty()


async def test_garbage_is_counted() -> None:
    async with sides() as (a, b, _):
        channel = a.channels_of_session._lanes[RELIABLE].channel
        channel.send(b"\xff\xff\xff")
        channel.send(models.DataPacket().SerializeToString())
        channel.send(packet(b"good").SerializeToString())
        async with asyncio.timeout(10):
            assert (await b.events.get()).payload == b"good"
        assert b.channels_of_session.incoming.undecodable == 1
        assert b.channels_of_session.incoming.unknown == 1


async def test_order_is_that_of_the_first_step_even_when_calls_wait() -> None:
    async with sides(high=50_000) as (a, b, _):
        channels = a.channels_of_session
        channels.set_threshold(RELIABLE, 10_000)
        channels._lanes[RELIABLE].outbox.high = 50_000

        async def send(number: int) -> None:
            message = packet(b"%06d" % number + bytes(9_000))
            if not channels.try_publish(message, RELIABLE):
                await channels.publish(message, RELIABLE)

        async with asyncio.timeout(20):
            tasks = [asyncio.create_task(send(number)) for number in range(200)]
            got = [int((await b.events.get()).payload[:6]) for _ in range(200)]
            await asyncio.gather(*tasks)
        assert got == list(range(200))


async def test_cancelled_while_waiting_leaves_no_gap() -> None:
    async with sides(connect=False) as (a, b, pb):
        channels = a.channels_of_session
        tasks = [asyncio.create_task(channels.publish(packet(b"%d" % n), RELIABLE)) for n in range(5)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[3].cancel()
        await asyncio.sleep(0)
        assert a.other is not None
        pa = b.other
        assert pa is not None
        await negotiate(pa, pb)
        async with asyncio.timeout(10):
            got = [(await b.events.get()).payload for _ in range(3)]
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert got == [b"0", b"2", b"4"]
        assert [isinstance(result, asyncio.CancelledError) for result in results] == [False, True, False, True, False]
        assert channels._sequence.last == 3


async def test_oversize_burns_no_number() -> None:
    async with sides() as (a, b, _):
        channels = a.channels_of_session
        channels.set_max_message_size(1000)
        with pytest.raises(PacketTooLargeError) as caught:
            channels.try_publish(packet(bytes(2000)), RELIABLE)
        assert caught.value.limit == 1000
        assert caught.value.size > 2000
        assert channels.try_publish(packet(b"next", participant_sid="PA_a"), RELIABLE)
        async with asyncio.timeout(10):
            assert (await b.events.get()).payload == b"next"
        assert channels._sequence.last == 1


async def test_exactly_the_limit_passes() -> None:
    async with sides() as (a, b, _):
        channels = a.channels_of_session
        sent = packet(bytes(500))
        sent.sequence = 1
        channels.set_max_message_size(sent.ByteSize())
        assert channels.try_publish(sent, RELIABLE)
        with pytest.raises(PacketTooLargeError):
            channels.try_publish(packet(bytes(501)), RELIABLE)
        async with asyncio.timeout(10):
            assert (await b.events.get()).payload == bytes(500)


async def test_close_fails_those_who_wait() -> None:
    async with sides(connect=False) as (a, _b, _):
        task = asyncio.create_task(a.channels_of_session.publish(packet(b"x"), LOSSY))
        await asyncio.sleep(0)
        a.channels_of_session.close(ClosedError("over"))
        with pytest.raises(ClosedError, match="over"):
            await task
        with pytest.raises(ClosedError):
            await a.channels_of_session.publish(packet(b"x"), LOSSY)


async def test_what_waits_when_the_other_side_closes_a_channel_goes_to_the_next_session() -> None:
    async with sides() as (a, b, _), sides() as (c, d, _):
        async with asyncio.timeout(10):
            await b.all_remote.wait()
            await d.all_remote.wait()
        for channel in b.channels_of_session._remote:
            if channel.label == "_reliable":
                channel._channel.close()
        async with asyncio.timeout(10):
            await a.gone.wait()
        assert a.lost == ["_reliable"]
        old, new = a.channels_of_session, c.channels_of_session
        waiting = [asyncio.create_task(old.publish(packet(b"%d" % number), RELIABLE)) for number in range(3)]
        await asyncio.sleep(0)
        assert old.try_publish(packet(b"lossy still goes"), LOSSY)
        new.adopt(old)
        async with asyncio.timeout(10):
            await asyncio.gather(*waiting)
        assert await d.payloads(3) == [b"0", b"1", b"2"]


async def test_lossy_packets_are_dropped_and_counted_while_the_path_is_down() -> None:
    async with sides() as (a, b, _):
        channels = a.channels_of_session
        channels.set_path(up=False)
        assert channels.try_publish(packet(b"old news"), LOSSY)
        assert channels.lossy_dropped == 1
        channels.set_path(up=True)
        assert channels.try_publish(packet(b"news"), LOSSY)
        assert await b.payloads(1) == [b"news"]


async def test_reliable_packets_are_kept_back_for_as_long_as_there_is_a_reason() -> None:
    async with sides() as (a, b, _):
        channels = a.channels_of_session
        channels.set_path(up=False)
        channels.hold("doubt")
        assert not channels.try_publish(packet(b"0"), RELIABLE)
        waiting = [asyncio.create_task(channels.publish(packet(b"%d" % number), RELIABLE)) for number in range(3)]
        await asyncio.sleep(0)
        assert channels.held("doubt")
        channels.release("doubt")
        assert not any(task.done() for task in waiting)
        channels.set_path(up=True)
        async with asyncio.timeout(10):
            await asyncio.gather(*waiting)
        assert channels.try_publish(packet(b"3"), RELIABLE)
        assert await b.payloads(4) == [b"0", b"1", b"2", b"3"]


async def test_packets_may_be_kept_back_until_a_moment_after_the_opening() -> None:
    async with sides(connect=False) as (a, b, pb):
        a.channels_of_session.hold("alone", after_open=0.0)
        waiting = asyncio.create_task(a.channels_of_session.publish(packet(b"0"), RELIABLE))
        assert b.other is not None
        await negotiate(b.other, pb)
        async with asyncio.timeout(10):
            await waiting
        assert await b.payloads(1) == [b"0"]


async def test_what_is_kept_back_has_a_deadline_and_goes_to_the_next_session() -> None:
    async with sides(outage=Outage(deadline=0.2)) as (a, _b, _), sides() as (c, d, _):
        old, new = a.channels_of_session, c.channels_of_session
        old.hold("doubt")
        with pytest.raises(DataTimeoutError):
            await old.publish(packet(b"too long"), RELIABLE)
        waiting = asyncio.create_task(old.publish(packet(b"kept"), RELIABLE))
        await asyncio.sleep(0)
        new.adopt(old)
        await waiting
        assert await d.payloads(1) == [b"kept"]


async def test_a_channel_that_closes_while_packets_are_kept_back_is_a_loss() -> None:
    async with sides() as (a, b, _):
        async with asyncio.timeout(10):
            await b.all_remote.wait()
        a.channels_of_session.hold("doubt")
        for channel in b.channels_of_session._remote:
            if channel.label == "_reliable":
                channel._channel.close()
        async with asyncio.timeout(10):
            await a.gone.wait()
        assert set(a.lost) == {"_reliable"}
        a.channels_of_session.release("doubt")
        assert not a.channels_of_session.try_publish(packet(b"0"), RELIABLE)


async def test_a_probe_is_nothing_to_anybody() -> None:
    async with sides() as (a, b, _):
        a.channels_of_session.probe()
        assert a.channels_of_session.try_publish(packet(b"1"), LOSSY)
        async with asyncio.timeout(10):
            sent = [await b.events.get() for _ in range(3)]
        assert [(each.topic, each.payload) for each in sent] == [("lk.aio.probe", b"")] * 2 + [("", b"1")]
        assert a.channels_of_session._sequence.last == 0


async def test_a_replay_sends_what_the_server_has_not_got_and_duplicates_are_dropped() -> None:
    async with sides() as (a, b, _):
        channels = a.channels_of_session
        for number in range(1, 6):
            assert channels.try_publish(packet(b"%d" % number, participant_sid="PA_a"), RELIABLE)
        channels._lanes[RELIABLE].retained.after(2)
        assert channels.replay(3) == (2, 0)
        assert channels.try_publish(packet(b"6", participant_sid="PA_a"), RELIABLE)
        assert await b.payloads(6) == [b"1", b"2", b"3", b"4", b"5", b"6"]
        assert b.received.duplicates == 2


async def test_channels_and_what_was_received_are_described_for_the_server() -> None:
    async with sides() as (a, b, _):
        assert a.channels_of_session.try_publish(packet(b"1", participant_sid="PA_a"), RELIABLE)
        assert await b.payloads(1) == [b"1"]
        assert {(info.label, info.target) for info in a.channels_of_session.describe()} == {
            ("_reliable", rtc.SignalTarget.PUBLISHER),
            ("_lossy", rtc.SignalTarget.PUBLISHER),
            ("_data_track", rtc.SignalTarget.PUBLISHER),
        }
        assert [(s.publisher_sid, s.last_seq) for s in b.channels_of_session.incoming.states()] == [("PA_a", 1)]


async def test_threshold_can_be_set() -> None:
    async with sides(connect=False) as (a, _b, _):
        channels = a.channels_of_session
        assert channels.threshold(RELIABLE) == 2 * 1024 * 1024
        channels.set_threshold(RELIABLE, 5)
        assert channels.threshold(RELIABLE) == 5
        assert channels.threshold(LOSSY) == 64 * 1024
        assert channels.buffered_amount(LOSSY) == 0


async def test_flush_waits_for_what_is_on_its_way() -> None:
    async with sides() as (a, b, _):
        channels = a.channels_of_session
        for number in range(100):
            assert channels.try_publish(packet(b"%d" % number + bytes(10_000)), RELIABLE)
        assert channels.buffered_amount(RELIABLE) > 0
        assert await channels.flush(5, 10)
        assert a.lost == []
        async with asyncio.timeout(10):
            assert len([await b.events.get() for _ in range(100)]) == 100


async def test_flush_gives_up_on_a_channel_that_never_opened() -> None:
    async with sides(connect=False) as (a, _b, _):
        task = asyncio.create_task(a.channels_of_session.publish(packet(b"x"), RELIABLE))
        await asyncio.sleep(0)
        assert not await a.channels_of_session.flush(0.01, 1)
        a.channels_of_session.close(ClosedError("over"))
        await asyncio.gather(task, return_exceptions=True)


async def test_nothing_to_flush() -> None:
    async with sides() as (a, _b, _):
        assert await a.channels_of_session.flush(1, 1)
        assert a.channels_of_session.usable


async def test_a_flush_that_makes_no_progress_ends_and_says_so() -> None:
    async with sides() as (a, _b, pb):
        channels = a.channels_of_session
        assert channels.try_publish(packet(b"x"), RELIABLE)
        pb.close()
        assert not await channels.flush(0.2, 10)
        # The channel closed under it before it was seen to leave.
        assert channels.unconfirmed(0.0) == channels.unconfirmed(time.monotonic()) == 1


async def test_what_has_left_long_ago_counts_as_arrived() -> None:
    async with sides() as (a, b, _pb):
        channels = a.channels_of_session
        assert channels.try_publish(packet(b"x"), RELIABLE)
        assert await b.payloads(1) == [b"x"]
        async with asyncio.timeout(5):
            while channels.unconfirmed(time.monotonic()):
                await asyncio.sleep(0.01)
        assert channels.unconfirmed(0.0) == 1


async def test_what_is_not_kept_any_more_is_counted_at_a_replay() -> None:
    async with sides() as (a, b, _):
        channels = a.channels_of_session
        for number in range(1, 6):
            assert channels.try_publish(packet(b"%d" % number, participant_sid="PA_a"), RELIABLE)
        assert await b.payloads(5) == [b"1", b"2", b"3", b"4", b"5"]
        channels._lanes[RELIABLE].retained.after(3)
        assert channels.replay(1) == (2, 2)


async def test_what_was_handed_over_is_confirmed_and_what_waits_goes_to_the_next_session() -> None:
    async with sides() as (a, b, _), sides() as (a2, b2, _):
        old, new = a.channels_of_session, a2.channels_of_session
        for number in range(50):
            assert old.try_publish(packet(b"%d" % number + bytes(10_000)), RELIABLE)
        confirming = asyncio.create_task(old.confirm(5, 10))
        await asyncio.sleep(0)
        late = packet(b"late")
        assert not old.try_publish(late, RELIABLE)
        waiting = asyncio.create_task(old.publish(late, RELIABLE))
        assert await confirming
        assert old.unconfirmed(0.0) == 0
        assert len(await b.payloads(50)) == 50
        assert a.lost == []
        new.adopt(old)
        assert await b2.payloads(1) == [b"late"]
        await waiting


async def test_packets_that_wait_for_a_connection_have_a_deadline_and_a_limit() -> None:
    outage = Outage(max_packets=3, deadline=0.2)
    async with sides(connect=False, outage=outage) as (a, _b, _):
        channels = a.channels_of_session
        tasks = [asyncio.create_task(channels.publish(packet(b"%d" % n), RELIABLE)) for n in range(4)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in results] == [DataTimeoutError] * 3 + [OutboxFullError]
        # A session that follows keeps the deadline.
        task = asyncio.create_task(channels.publish(packet(b"x"), RELIABLE))
        await asyncio.sleep(0)
        async with sides(connect=False, outage=outage) as (a2, _b2, _):
            a2.channels_of_session.adopt(channels)
            with pytest.raises(DataTimeoutError):
                await task


async def test_packets_on_a_dead_path_expire_and_those_on_a_slow_one_do_not() -> None:
    async with sides(high=0, outage=Outage(deadline=0.2)) as (a, _b, pb):
        channels = a.channels_of_session
        pb.close()
        assert channels.try_publish(packet(bytes(60_000)), RELIABLE)
        for _ in range(50):
            if not channels.try_publish(packet(bytes(60_000)), RELIABLE):
                break
        task = asyncio.create_task(channels.publish(packet(b"x"), RELIABLE))
        done, _ = await asyncio.wait([task], timeout=0.5)
        assert not done
        channels.set_path(up=False)
        with pytest.raises(DataTimeoutError):
            await task


async def test_lossy_packets_that_find_no_room_are_dropped_in_time_and_counted() -> None:
    async with sides() as (a, b, _):
        channels = a.channels_of_session
        outbox = channels._lanes[LOSSY].outbox
        high, outbox.high = outbox.high, -1
        old = [asyncio.create_task(channels.publish(packet(b"old"), LOSSY)) for _ in range(20)]
        await asyncio.sleep(0)
        old[0].cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(*old[1:])
        assert channels.lossy_dropped == 19
        outbox.high = high
        assert channels.try_publish(packet(b"new"), LOSSY)
        assert await b.payloads(1) == [b"new"]
        assert channels.buffered_amount(LOSSY) == 0


async def next_of(side: Side, kind: type) -> Any:
    async with asyncio.timeout(10):
        while not isinstance(event := await side.events.get(), kind):
            pass
        return event


async def test_packets_of_data_tracks_go_as_they_are() -> None:
    async with sides() as (a, b, _):
        channels = a.channels_of_session
        assert isinstance(await next_of(a, DataTrackReady), DataTrackReady)
        assert channels.data_tracks_ready()
        # No protobuf, and nothing that would read as one.
        for payload in (b"\xff\xff", b"\x08", b"x" * 16_000):
            channels.send_data_track_packet(payload)
            assert await next_of(b, DataTrackPacketReceived) == DataTrackPacketReceived(payload)
        assert b.channels_of_session.incoming.undecodable == 0


async def test_data_tracks_are_told_when_there_is_room_again() -> None:
    async with sides() as (a, b, _):
        channels = a.channels_of_session
        await next_of(a, DataTrackReady)
        sent = 0
        for _ in range(3):
            while channels.data_tracks_ready() and sent < 100_000:
                channels.send_data_track_packet(bytes(16_000))
                sent += 1
            assert not channels.data_tracks_ready()
            await next_of(a, DataTrackReady)
        assert channels.data_track_dropped == 0
        await next_of(b, DataTrackPacketReceived)


async def test_data_tracks_wait_without_a_path_and_end_with_the_session() -> None:
    async with sides() as (a, _b, _):
        channels = a.channels_of_session
        await next_of(a, DataTrackReady)
        channels.set_path(up=False)
        assert not channels.data_tracks_ready()
        channels.set_path(up=True)
        assert isinstance(await next_of(a, DataTrackReady), DataTrackReady)
        channels.pause()
        assert not channels.data_tracks_ready()
        channels.close(ClosedError("over"))
        assert not channels.data_tracks_ready()
        # A packet that was decided on before is dropped, not raised.
        a.other.close()
        channels.send_data_track_packet(b"late")
