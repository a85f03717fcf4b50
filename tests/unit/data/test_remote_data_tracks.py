"""Subscribing to data tracks, over a port that records."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
from livekit.protocol import models, rtc

from aiolivekit.core.data_track_packet import FrameEncryption, Packetizer
from aiolivekit.data import remote_data_tracks
from aiolivekit.data.data_track import DataTrackFrame
from aiolivekit.data.remote_data_track import RemoteDataTrack
from aiolivekit.data.remote_data_tracks import RemoteDataTracks
from aiolivekit.errors import SubscribeDataTrackError

from .track_port import Port


class Subscriber:
    def __init__(self) -> None:
        self.port = Port()
        self.log: list[tuple[str, str]] = []
        self.tracks = RemoteDataTracks(
            self.port,
            lambda track: self.log.append(("published", track.info.sid)),
            lambda track, sid: self.log.append(("unpublished", sid)),
        )

    def publish(self, *sids: str, identity: str = "ann", **fields: Any) -> list[RemoteDataTrack]:
        self.tracks.update(
            identity,
            [models.DataTrackInfo(sid=sid, pub_handle=n + 1, name=f"t{n}", **fields) for n, sid in enumerate(sids)],
        )
        return self.tracks.tracks

    def handles(self, sids: dict[int, str]) -> None:
        published = {
            handle: rtc.DataTrackSubscriberHandles.PublishedDataTrack(track_sid=sid) for handle, sid in sids.items()
        }
        self.tracks.on_handles(rtc.DataTrackSubscriberHandles(sub_handles=published))

    def receive(self, handle: int, *payloads: bytes, **fields: Any) -> None:
        packetizer = self.packetizers.setdefault(handle, Packetizer(handle))
        for payload in payloads:
            for packet in packetizer.packets(payload, 0, **fields):
                self.tracks.on_packet(packet)

    packetizers: dict[int, Packetizer]


@pytest.fixture
def they() -> Subscriber:
    made = Subscriber()
    made.packetizers = {}
    return made


async def read(stream: Any, count: int) -> list[bytes]:
    async with asyncio.timeout(5):
        return [(await anext(stream)).payload for _ in range(count)]


async def test_subscribe_and_read(they: Subscriber) -> None:
    (track,) = they.publish("DTR_1")
    assert they.log == [("published", "DTR_1")]
    assert (track.publisher_identity, track.info.name, track.is_published()) == ("ann", "t0", True)
    stream = track.subscribe()
    assert they.port.take() == [("subscribe", "DTR_1")]
    they.receive(5, b"too early")
    they.handles({5: "DTR_1"})
    they.receive(5, b"one", bytes(40_000), user_timestamp=12)
    frame = await stream.read()
    assert frame == DataTrackFrame(b"one", 12)
    assert await read(stream, 1) == [bytes(40_000)]
    assert they.tracks.dropped == {"unknown handle": 1}
    await stream.aclose()
    assert they.port.take() == [("unsubscribe", "DTR_1")]
    assert await stream.read() is None
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_each_stream_has_all_frames(they: Subscriber) -> None:
    (track,) = they.publish("DTR_1")
    one = track.subscribe()
    they.handles({1: "DTR_1"})
    two = track.subscribe(buffer_size=2)
    assert they.port.take() == [("subscribe", "DTR_1")]
    they.receive(1, b"a", b"b", b"c")
    assert await read(one, 3) == [b"a", b"b", b"c"]
    assert await read(two, 2) == [b"b", b"c"]
    assert (one.dropped, two.dropped) == (0, 1)
    one.close()
    assert they.port.take() == []
    they.receive(1, b"d")
    assert await read(two, 1) == [b"d"]
    two.close()
    assert they.port.take() == [("unsubscribe", "DTR_1")]


@pytest.mark.parametrize(("asked", "kept"), [(None, 16), (0, 1), (-3, 1), (40, 40)])
async def test_buffers(they: Subscriber, asked: int | None, kept: int) -> None:
    (track,) = they.publish("DTR_1")
    stream = track.subscribe(buffer_size=asked)
    they.handles({1: "DTR_1"})
    they.receive(1, *(b"%d" % number for number in range(50)))
    assert await read(stream, kept) == [b"%d" % number for number in range(50 - kept, 50)]
    assert stream.dropped == 50 - kept


async def test_a_stream_that_is_let_go_unsubscribes(they: Subscriber) -> None:
    (track,) = they.publish("DTR_1")
    stream = track.subscribe()
    they.handles({1: "DTR_1"})
    they.port.take()
    del stream
    gc.collect()
    await asyncio.sleep(0)
    assert they.port.take() == [("unsubscribe", "DTR_1")]
    again = track.subscribe()
    assert they.port.take() == [("subscribe", "DTR_1")]
    again.close()


async def test_a_stream_that_is_opened_again_at_once_has_frames(
    they: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_data_tracks, "SUBSCRIBE_TIMEOUT", 0.01)
    (track,) = they.publish("DTR_1")
    stream = track.subscribe()
    they.handles({1: "DTR_1"})
    stream.close()
    they.receive(1, b"for nobody")
    # The server does not tell the handle again if it saw both wishes at once.
    again = track.subscribe()
    assert they.port.take() == [("subscribe", "DTR_1"), ("unsubscribe", "DTR_1"), ("subscribe", "DTR_1")]
    await asyncio.sleep(0.05)
    they.receive(1, b"one")
    assert await read(again, 1) == [b"one"]
    # Or it was quicker, and gives another one.
    they.handles({})
    they.receive(1, b"lost")
    they.handles({2: "DTR_1"})
    they.receive(2, b"two")
    assert await read(again, 1) == [b"two"]
    they.publish()
    assert await again.read() is None


async def test_a_subscription_that_the_server_forgets_is_asked_for_again(
    they: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_data_tracks, "_SAY_AGAIN", 0.02)
    (track,) = they.publish("DTR_1")
    stream = track.subscribe()
    they.handles({1: "DTR_1"})
    stream.close()
    again = track.subscribe()
    they.port.take()
    # It heeds the first wish only now, and forgets the second one with it.
    they.handles({})
    async with asyncio.timeout(5):
        while not (asked := they.port.take()):
            await asyncio.sleep(0.01)
    assert set(asked) == {("subscribe", "DTR_1")}
    they.handles({2: "DTR_1"})
    they.port.take()
    await asyncio.sleep(0.05)
    assert they.port.take() == []
    they.receive(2, b"one")
    assert await read(again, 1) == [b"one"]
    again.close()
    assert they.port.take() == [("unsubscribe", "DTR_1")]


async def test_a_reader_that_waits_hears_of_the_end(they: Subscriber) -> None:
    (track,) = they.publish("DTR_1")
    stream = track.subscribe()
    they.handles({1: "DTR_1"})
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    they.publish()
    assert they.log[1:] == [("unpublished", "DTR_1")]
    assert await reading is None
    assert not track.is_published()
    # The server knows by itself.
    assert they.port.take() == [("subscribe", "DTR_1")]


async def test_frames_that_came_before_the_end_are_read(they: Subscriber) -> None:
    (track,) = they.publish("DTR_1")
    stream = track.subscribe()
    they.handles({1: "DTR_1"})
    they.receive(1, b"last")
    they.publish()
    assert [frame.payload async for frame in stream] == [b"last"]


async def failing(read_it: Callable[[], Any], words: str) -> None:
    with pytest.raises(SubscribeDataTrackError, match=words):
        await read_it()


async def test_what_cannot_be_subscribed_to(they: Subscriber, monkeypatch: pytest.MonkeyPatch) -> None:
    (track,) = they.publish("DTR_1")
    pending = track.subscribe()
    they.publish()
    await failing(pending.read, "unpublished")
    assert await pending.read() is None
    await failing(track.subscribe().read, "not published any more")
    (encrypted,) = they.publish("DTR_2", encryption=models.Encryption.GCM)
    assert encrypted.info.uses_e2ee
    await failing(encrypted.subscribe().read, "encrypted")
    monkeypatch.setattr(remote_data_tracks, "SUBSCRIBE_TIMEOUT", 0.01)
    (slow,) = they.publish("DTR_3")
    they.port.take()
    await failing(slow.subscribe().read, "within")
    assert they.port.take() == [("subscribe", "DTR_3"), ("unsubscribe", "DTR_3")]
    monkeypatch.undo()
    pending = slow.subscribe()
    they.tracks.close()
    await failing(pending.read, "disconnected")
    await failing(slow.subscribe().read, "disconnected")
    assert not slow.is_published()


async def test_nonsense_is_counted(they: Subscriber) -> None:
    (track,) = they.publish("DTR_1")
    stream = track.subscribe()
    they.handles({1: "DTR_1"})
    they.tracks.on_packet(b"nonsense")
    they.receive(2, b"of a handle that is not known")
    they.receive(1, b"secret", encryption=FrameEncryption(0, bytes(12)))
    they.receive(1, b"fine")
    assert await read(stream, 1) == [b"fine"]
    assert they.tracks.dropped == {"malformed": 1, "unknown handle": 1, "encrypted": 1}
    they.tracks.on_packet(Packetizer(1, 900, 900).packets(bytes(40_000), 0)[0])
    they.tracks.on_packet(Packetizer(1, 910, 910).packets(bytes(40_000), 0)[0])
    assert track.frames_dropped == {"interrupted": 1}
    stream.close()


async def test_a_publisher_that_joins_anew_is_heard_on(they: Subscriber) -> None:
    (track,) = they.publish("DTR_1")
    stream = track.subscribe()
    they.handles({1: "DTR_1"})
    they.receive(1, b"before")
    they.publish("DTR_2")
    assert they.log == [("published", "DTR_1")]
    assert they.port.take() == [("subscribe", "DTR_1"), ("subscribe", "DTR_2")]
    assert track.info.sid == "DTR_2"
    they.handles({2: "DTR_2"})
    they.receive(2, b"after")
    assert await read(stream, 2) == [b"before", b"after"]


async def test_after_a_restart_subscriptions_are_asked_for_again(they: Subscriber) -> None:
    track, other = they.publish("DTR_1", "DTR_2")
    stream = track.subscribe()
    they.handles({1: "DTR_1"})
    they.receive(1, b"before")
    they.port.take()
    they.tracks.interrupted(session_ends=True)
    waiting = other.subscribe()
    infos = [models.DataTrackInfo(sid=f"DTR_{n}", pub_handle=n, name=f"t{n - 1}") for n in (1, 2)]
    they.tracks.replace({"ann": infos})
    assert they.port.take() == []
    they.tracks.restarted()
    assert they.port.take() == [("subscribe", "DTR_1"), ("subscribe", "DTR_2")]
    they.handles({1: "DTR_2", 2: "DTR_1"})
    they.packetizers.clear()
    they.receive(2, b"after")
    they.receive(1, b"other")
    assert await read(stream, 2) == [b"before", b"after"]
    assert await read(waiting, 1) == [b"other"]
    assert they.log == [("published", "DTR_1"), ("published", "DTR_2")]


async def test_much_is_asked_a_few_at_a_time(they: Subscriber, monkeypatch: pytest.MonkeyPatch) -> None:
    sids = [f"DTR_{number}" for number in range(10)]
    streams = [track.subscribe() for track in they.publish(*sids)]
    assert they.port.take() == [("subscribe", sid) for sid in sids[:4]]
    they.handles({1: "DTR_0"})
    assert they.port.take() == [("subscribe", "DTR_4")]
    # Whether they are wanted is said when it is their turn.
    streams[1].close()
    streams[9].close()
    assert they.port.take() == [("subscribe", "DTR_5")]
    they.handles({1: "DTR_0", 2: "DTR_2", 3: "DTR_3", 4: "DTR_4"})
    assert they.port.take() == [("subscribe", "DTR_6"), ("subscribe", "DTR_7"), ("subscribe", "DTR_8")]
    they.handles({number + 1: f"DTR_{number}" for number in (0, 2, 3, 4, 5, 6, 7, 8)})
    assert they.port.take() == [("unsubscribe", "DTR_9"), ("unsubscribe", "DTR_1")]
    # Those that are gone need no answer.
    they.publish(*sids[:1])
    # One that is not answered does not hold up the others for long.
    they.publish()
    infos = [models.DataTrackInfo(sid=f"more {number}", pub_handle=number + 1) for number in range(6)]
    they.tracks.update("bob", infos)
    tracks = they.tracks.tracks
    more = [track.subscribe() for track in tracks]
    assert they.port.take() == [("subscribe", f"more {number}") for number in range(4)]
    async with asyncio.timeout(5):
        while len(they.port.requests) < 2:
            await asyncio.sleep(0.01)
    they.tracks.close()
    for stream in more:
        stream.close()


async def test_what_was_let_go_meanwhile_is_told_after_a_resume(they: Subscriber) -> None:
    one, two = they.publish("DTR_1", "DTR_2")
    first = one.subscribe()
    they.handles({1: "DTR_1"})
    they.port.take()
    they.tracks.interrupted(session_ends=False)
    first.close()
    second = two.subscribe()
    assert they.port.take() == []
    they.tracks.resumed()
    assert they.port.take() == [("unsubscribe", "DTR_1"), ("subscribe", "DTR_2")]
    second.close()


async def test_who_is_gone_after_a_restart(they: Subscriber) -> None:
    (track,) = they.publish("DTR_1")
    stream = track.subscribe()
    they.handles({1: "DTR_1"})
    they.tracks.interrupted(session_ends=True)
    they.tracks.replace({})
    they.tracks.restarted()
    assert await stream.read() is None
    assert they.log[1:] == [("unpublished", "DTR_1")]


async def test_after_a_resume_what_was_not_answered_is_asked_again(
    they: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_data_tracks, "_HANDLES_SETTLE", 0.0)
    track, other = they.publish("DTR_1", "DTR_2")
    known, waiting = other.subscribe(), track.subscribe()
    they.handles({1: "DTR_2"})
    they.port.take()
    they.tracks.interrupted(session_ends=False)
    they.tracks.resumed()
    async with asyncio.timeout(5):
        while len(they.port.requests) < 2:
            await asyncio.sleep(0)
    assert they.port.take() == [("unsubscribe", "DTR_1"), ("subscribe", "DTR_1")]
    they.handles({1: "DTR_2", 2: "DTR_1"})
    they.receive(2, b"x")
    assert await read(waiting, 1) == [b"x"]
    they.tracks.close()
    assert await known.read() is None
    assert await waiting.read() is None
