"""Media over TCP, subscriptions, data tracks, rooms that end: what the first suite leaves out."""

from __future__ import annotations

import asyncio
import gc

import pytest
from aiohttp import web
from bench.raw.load import Load, run_load
from livekit import rtc
from livekit.protocol import rtc as pb

from aiolivekit.server import DevServer, ServerOptions
from aiolivekit.server.dtls import Certificate
from tests.server.conftest import Client, Clients, tone_of
from tests.soak.starts import cycle, held


async def pair(clients: Clients) -> tuple[Client, Client]:
    return await clients.join("alice"), await clients.join("bob")


async def test_media_and_data_over_tcp(clients: Clients) -> None:
    alice, bob = await pair(clients)
    await alice.publish_tone(frequency=650)
    await bob.event("track_subscribed")
    participants = clients.server.room("test").participants

    def protocols(identity: str) -> set[str]:
        return {t.ice.path.protocol for t in participants[identity].transports if t.ice.path is not None}

    for identity, client in (("alice", alice), ("bob", bob)):
        for attempt in range(1, 4):
            await client.room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_FORCE_TCP)
            await client.event("reconnected", attempt, timeout=40)
            # The SDK joins anew without waiting for the server to have read its request, which comes on another link.
            if protocols(identity) == {"tcp"}:
                break
    assert (protocols("alice"), protocols("bob")) == ({"tcp"}, {"tcp"})
    track, _, _ = await bob.until(
        lambda: bob.of("track_subscribed")[-1] if len(bob.of("track_subscribed")) >= 2 else None
    )
    frames = bob.watch(track)
    await bob.until(lambda: len(frames) >= 100)
    assert tone_of(frames) == pytest.approx(650.0, abs=5)
    await bob.me.publish_data(b"x" * 15000, reliable=True)
    (packet,) = await alice.event("data_received")
    assert packet.data == b"x" * 15000


async def test_subscriptions_by_hand(clients: Clients) -> None:
    alice = await clients.join("alice")
    options = rtc.RoomOptions(auto_subscribe=False, single_peer_connection=clients.single)
    bob = await clients.join("bob", options=options)
    await alice.publish_tone()
    publication, _ = await bob.event("track_published")
    assert bob.of("track_subscribed") == []
    publication.set_subscribed(True)
    track, _, _ = await bob.event("track_subscribed")
    frames = bob.watch(track)
    await bob.until(lambda: len(frames) >= 20)
    publication.set_subscribed(False)
    await bob.event("track_unsubscribed")
    # Bob's SDK tells of it before the server has heard of it.
    await bob.until(lambda: not clients.server.room("test").tracks[publication.sid].down)
    publication.set_subscribed(True)
    await bob.event("track_subscribed", 2)


async def test_subscription_permissions(clients: Clients) -> None:
    alice, bob = await pair(clients)
    carol = await clients.join("carol")
    await alice.publish_tone()
    await bob.event("track_subscribed")
    await carol.event("track_subscribed")
    alice.me.set_track_subscription_permissions(
        allow_all_participants=False,
        participant_permissions=[rtc.ParticipantTrackPermission(participant_identity="bob", allow_all=True)],
    )
    # The official SDK has no event for it: what counts is who is sent what.
    participants = clients.server.room("test").participants
    await carol.until(lambda: not participants["carol"].subscriptions.active)
    assert participants["bob"].subscriptions.active
    alice.me.set_track_subscription_permissions(allow_all_participants=True, participant_permissions=[])
    down = await carol.until(lambda: next(iter(participants["carol"].subscriptions.active.values()), None))
    await carol.until(lambda: down.sender.packets > 20)


async def test_many_tracks_need_more_sections(clients: Clients) -> None:
    alice, bob = await pair(clients)
    for number in range(6):
        await alice.publish_tone(f"tone {number}", frequency=300 + 100 * number)
    await bob.event("track_subscribed", 6)
    expected = {f"tone {number}": 300 + 100 * number for number in range(6)}
    for track, publication, _ in bob.of("track_subscribed"):
        frames = bob.watch(track)
        # The right tone in the right track; on a busy machine not at once.
        frequency = expected.pop(publication.name)
        await bob.until(lambda frames=frames, hz=frequency: len(frames) >= 50 and abs(tone_of(frames) - hz) < 10)
    assert not expected


async def test_data_tracks(clients: Clients) -> None:
    alice, bob = await pair(clients)
    track = await alice.me.publish_data_track(name="sensor")
    (remote,) = await bob.event("data_track_published")
    assert remote.info.name == "sensor"
    received: list[bytes] = []

    async def read() -> None:
        stream = remote.subscribe()
        async for frame in stream:
            received.append(bytes(frame.payload))  # noqa: PERF401 - read while it grows

    bob.background(read())
    published = await bob.until(lambda: next(iter(clients.server.room("test").data_tracks()), None))
    await bob.until(lambda: published.subscribers)
    number = 0

    async def push() -> None:
        nonlocal number
        while True:
            track.try_push(rtc.DataTrackFrame(payload=b"%06d" % number * 500))
            number += 1
            await asyncio.sleep(0.02)

    alice.background(push())
    await bob.until(lambda: len(received) >= 20)
    assert all(len(payload) == 3000 and payload == payload[:6] * 500 for payload in received)
    numbers = [int(payload[:6]) for payload in received]
    assert numbers == sorted(numbers)


async def test_dynacast_tells_what_is_wanted(clients: Clients) -> None:
    alice, bob = await pair(clients)
    room = clients.server.room("test")
    sent: list[list[bool]] = []
    connection = room.participants["alice"].connection
    assert connection is not None
    enqueue = connection.enqueue

    def spy(response: pb.SignalResponse) -> None:
        if response.WhichOneof("message") == "subscribed_quality_update":
            sent.append([q.enabled for q in response.subscribed_quality_update.subscribed_qualities])
        enqueue(response)

    connection.enqueue = spy  # type: ignore[method-assign]
    await alice.publish_picture(size=(1280, 720), simulcast=True)
    track, publication, _ = await bob.event("track_subscribed")
    await bob.until(lambda: sent == [[True, True, True]])
    subscriptions = room.participants["bob"].subscriptions
    subscriptions.update_settings(track.sid, pb.UpdateTrackSettings(width=300, height=170))
    await bob.until(lambda: sent[-1] == [True, False, False])
    publication.set_subscribed(False)
    await bob.until(lambda: sent[-1] == [False, False, False])
    publication.set_subscribed(True)
    await bob.until(lambda: sent[-1] == [True, True, True])
    assert len(sent) == 4


async def test_rooms_end_when_they_are_empty() -> None:
    async with DevServer(options=ServerOptions(departure_timeout=1)) as server:
        clients = Clients(server, single=True)
        alice = await clients.join("alice")
        sid = await alice.room.sid
        await clients.close()
        async with asyncio.timeout(10):
            while server.rooms:
                await asyncio.sleep(0.05)
        again = Clients(server, single=True)
        bob = await again.join("bob")
        assert await bob.room.sid != sid
        await again.close()


async def test_several_servers_in_one_process() -> None:
    async with DevServer() as one, DevServer() as two:
        assert one.url != two.url
        first, second = Clients(one, single=True), Clients(two, single=False)
        await first.join("alice")
        await second.join("alice")
        with pytest.raises(rtc.ConnectError):
            await second.join("bob", token=one.token("bob"))
        assert list(one.room("test").participants) == ["alice"]
        await first.close()
        await second.close()


@pytest.mark.parametrize("kind", ["audio", "video"])
async def test_bare_rtp_arrives_whole_and_in_order(server: DevServer, kind: str) -> None:
    load = Load(rooms=2, subscribers=2, rate=500.0, seconds=1.0, kind=kind)
    outcome = await run_load(server.url, lambda identity, room: server.token(identity, room=room), load, lambda: 0.0)
    assert outcome.expected == 2000
    assert (outcome.received, outcome.out_of_order) == (outcome.expected, 0)
    assert not any(server.room(room).participants for room in ("raw-0", "raw-1"))


async def test_starts_and_stops_leave_nothing() -> None:
    certificate = Certificate()
    for _ in range(5):
        await cycle(certificate, join=True)
    before = held()
    for number in range(60):
        await cycle(certificate, join=number % 10 == 9)
    assert held() == before
    # Nor does a cache keep the servers themselves.
    assert not [thing for thing in gc.get_objects() if isinstance(thing, web.Application)]
