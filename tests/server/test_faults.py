"""Faults on demand, seen through the official Python SDK: each fires by event and leaves a line in the log."""

from __future__ import annotations

import asyncio
import base64
import json

import aiohttp
import pytest
from livekit import rtc
from livekit.protocol import rtc as pb

from aiolivekit.server import DevServer
from tests.server.conftest import Client, Clients


async def pair(clients: Clients) -> tuple[Client, Client]:
    return await clients.join("alice"), await clients.join("bob")


async def test_dropped_signal_message(clients: Clients) -> None:
    alice = await clients.join("alice")
    fault = clients.server.faults.drop_signal("update", identity="alice")
    bob = await clients.join("bob")
    await fault.wait_fired()
    await bob.me.set_metadata("seen")
    await alice.event("participant_connected")
    assert [f.detail for f in clients.server.faults.fired("drop_signal", "alice")] == ["update"]


async def test_held_messages_come_in_order_when_released(clients: Clients) -> None:
    alice, bob = await pair(clients)
    await alice.event("participant_connected")
    hold = clients.server.faults.hold("update", identity="bob")
    for text in ("one", "two", "three"):
        await alice.me.set_metadata(text)
    await hold.wait_fired(3)
    assert bob.of("participant_metadata_changed") == []
    hold.release()
    await bob.event("participant_metadata_changed", 3)
    assert [args[2] for args in bob.of("participant_metadata_changed")] == ["one", "two", "three"]


@pytest.mark.parametrize("abrupt", [False, True])
async def test_close_before_and_after_a_message(clients: Clients, abrupt: bool) -> None:
    alice = await clients.join("alice")
    before = clients.server.faults.close_before("update", identity="alice", abrupt=abrupt)
    bob = await clients.join("bob")
    await before.wait_fired()
    await alice.event("reconnected")
    # The update that was lost is in what a resume sends.
    await alice.until(lambda: "bob" in alice.room.remote_participants)
    after = clients.server.faults.close_after("update", identity="alice", abrupt=abrupt)
    await bob.me.set_metadata("m")
    await after.wait_fired()
    await alice.event("reconnected", 2)
    await alice.until(lambda: alice.room.remote_participants["bob"].metadata == "m")


async def test_unknown_first_message(clients: Clients) -> None:
    fault = clients.server.faults.unknown_first_message("alice")
    # The official SDK skips what it does not know before the join.
    await clients.join("alice")
    assert fault.fired == 1


@pytest.mark.parametrize("action", ["RESUME", "RECONNECT", "DISCONNECT"])
async def test_leave_with_each_action(clients: Clients, action: str) -> None:
    alice, bob = await pair(clients)
    sid = alice.me.sid
    clients.server.faults.leave("alice", action, "ROOM_CLOSED")
    match action:
        case "RESUME":
            # The official SDK may take the close that follows the request for a second failure, and join anew.
            await alice.event("reconnected")
        case "RECONNECT":
            await alice.event("reconnected", timeout=30)
            await alice.until(lambda: alice.me.sid != sid)
        case "DISCONNECT":
            (reason,) = await alice.event("disconnected")
            assert reason == rtc.DisconnectReason.ROOM_CLOSED
    assert [f.detail for f in clients.server.faults.fired("leave")] == [action]
    assert bob.room.isconnected()


async def test_migration_reconnects(clients: Clients) -> None:
    alice, bob = await pair(clients)
    clients.server.faults.migrate("alice")
    await alice.event("reconnected")
    await alice.me.publish_data(b"moved", reliable=True)
    await bob.event("data_received")


async def test_killed_transport_is_replaced(clients: Clients) -> None:
    alice, bob = await pair(clients)
    await alice.publish_tone()
    await bob.event("track_subscribed")
    clients.server.faults.kill_transport("alice")
    await alice.event("reconnected", timeout=40)
    await alice.me.publish_data(b"back", reliable=True)
    await bob.event("data_received", timeout=40)


async def test_expired_token_ends_the_attempts(clients: Clients) -> None:
    alice = await clients.join("alice")
    fault = clients.server.faults.expire_token("alice")
    clients.server.faults.close_signal("alice")
    await alice.event("disconnected", timeout=60)
    assert fault.fired >= 1


async def test_packets_lost_by_number_are_asked_for_again(clients: Clients) -> None:
    alice, bob = await pair(clients)
    await alice.publish_picture(size=(1280, 720))
    track, _, _ = await bob.event("track_subscribed")
    frames = bob.watch(track)
    await bob.until(lambda: len(frames) >= 5)
    up = clients.server.faults.drop_packets("rtp", identity="alice", direction="in", every=20, count=0)
    down = clients.server.faults.drop_packets("rtp", identity="bob", direction="out", every=20, count=0)
    count = len(frames)
    await bob.until(lambda: len(frames) >= count + 60, timeout=30)
    published = clients.server.room("test").tracks[track.sid]
    assert up.fired > 3
    assert down.fired > 3
    assert sum(r.recovered for r in published.receivers.values()) > 0
    assert published.down[0].sender.resent > 0


async def test_reliable_data_survives_loss_duplicates_and_disorder(clients: Clients) -> None:
    alice, bob = await pair(clients)
    faults = clients.server.faults
    faults.drop_packets("sctp", every=7, count=0)
    faults.duplicate_packets("sctp", every=5, count=0)
    faults.reorder_packets("sctp", every=3, count=0)
    for number in range(300):
        await alice.me.publish_data(f"{number}".encode() * 50, reliable=True)
    await bob.event("data_received", 300, timeout=40)
    assert [p.data for (p,) in bob.of("data_received")] == [f"{n}".encode() * 50 for n in range(300)]


async def test_delay_and_blackout(clients: Clients) -> None:
    alice, bob = await pair(clients)
    delay = clients.server.faults.delay_packets(0.2, "sctp", identity="bob", direction="out")
    loop = asyncio.get_running_loop()
    began = loop.time()
    await alice.me.publish_data(b"late", reliable=True)
    await bob.event("data_received")
    assert loop.time() - began >= 0.2
    delay.lift()
    blackout = clients.server.faults.blackout("bob")
    await alice.me.publish_data(b"dark", reliable=True)
    await alice.until(lambda: blackout.fired > 3)
    assert len(bob.of("data_received")) == 1
    blackout.lift()
    await bob.event("data_received", 2)


async def test_slow_reader(clients: Clients) -> None:
    alice, bob = await pair(clients)
    clients.server.faults.slow_reader("alice")
    await alice.me.publish_data(b"unread", reliable=True)
    await bob.me.publish_data(b"read", reliable=True)
    await alice.event("data_received")
    assert bob.of("data_received") == []
    clients.server.faults.normal_reader("alice")
    await bob.event("data_received")


async def test_crash_of_a_participants_node(clients: Clients) -> None:
    alice, bob = await pair(clients)
    clients.server.faults.kill("alice")
    await bob.event("participant_disconnected")
    await alice.event("reconnected", timeout=40)
    await bob.event("participant_connected")


async def test_scenarios_that_clients_ask_for(clients: Clients) -> None:
    alice, bob = await pair(clients)
    await alice.publish_tone()
    await bob.event("track_subscribed")
    kinds = rtc.SimulateScenarioKind
    for number, kind in enumerate((kinds.SIMULATE_SIGNAL_RECONNECT, kinds.SIMULATE_NODE_FAILURE), 1):
        await alice.room.simulate_scenario(kind)
        await alice.event("reconnected", number, timeout=40)
    await bob.event("track_subscribed", 2)
    await alice.room.simulate_scenario(kinds.SIMULATE_SERVER_LEAVE)
    (reason,) = await alice.event("disconnected")
    assert reason == rtc.DisconnectReason.SERVER_SHUTDOWN


@pytest.mark.parametrize(
    ("mode", "joins"),
    [
        ("happy", True),
        ("validate_500", False),
        ("validate_service_not_found", False),
        ("room_not_found", False),
        ("close_before_join", False),
    ],
)
async def test_mock_modes_before_the_join(clients: Clients, mode: str, joins: bool) -> None:
    attributes = {"lk.mock": json.dumps({"signal": mode})}
    if joins:
        await clients.join("alice", attributes=attributes)
        return
    with pytest.raises(rtc.ConnectError):
        await clients.join("alice", attributes=attributes)


@pytest.mark.parametrize("path", ["/rtc", "/rtc/v1"])
async def test_mock_leave_as_the_first_message(server: DevServer, path: str) -> None:
    # Without a client: the official SDK waits for a join response all the same, and tries again, for 20 seconds.
    attributes = {"lk.mock": json.dumps({"signal": "leave_first_message", "leaveAction": "RECONNECT"})}
    wrapped = pb.WrappedJoinRequest(join_request=pb.JoinRequest(metadata="m").SerializeToString())
    query = {
        "access_token": server.token("alice", attributes=attributes),
        "join_request": base64.urlsafe_b64encode(wrapped.SerializeToString()).decode(),
    }
    async with aiohttp.ClientSession() as session, session.ws_connect(server.http_url + path, params=query) as socket:
        response = pb.SignalResponse.FromString(await socket.receive_bytes(timeout=10))
    assert response.leave.action == pb.LeaveRequest.Action.RECONNECT
    assert server.rooms == []


@pytest.mark.parametrize("mode", ["close_when_connected", "drop_when_connected", "no_pong"])
async def test_mock_modes_that_lose_the_signal(clients: Clients, mode: str) -> None:
    attributes = {"lk.mock": json.dumps({"signal": mode})}
    alice = await clients.join("alice", attributes=attributes)
    await alice.event("reconnecting")


async def test_mock_leave_when_connected(clients: Clients) -> None:
    attributes = {"lk.mock": json.dumps({"signal": "leave_when_connected", "leaveAction": "DISCONNECT"})}
    alice = await clients.join("alice", attributes=attributes)
    await alice.event("disconnected")


async def test_faults_of_an_unknown_participant(server: DevServer) -> None:
    with pytest.raises(LookupError):
        server.faults.leave("nobody")
    with pytest.raises(ValueError):
        server.faults.drop_packets("rtp", nth=0)


async def test_a_starved_subscriber_gets_no_pictures_until_it_is_fed(clients: Clients) -> None:
    alice, bob = await pair(clients)
    connection = clients.server.room("test").participants["bob"].connection
    assert connection is not None
    told: list[pb.StreamStateInfo] = []
    enqueue = connection.enqueue

    def spy(response: pb.SignalResponse) -> None:
        told.extend(response.stream_state_update.stream_states)
        enqueue(response)

    connection.enqueue = spy  # type: ignore[method-assign]
    await alice.publish_tone()
    await alice.publish_picture()
    await bob.event("track_subscribed", 2)
    tracks = {track.kind: track for track, _, _ in bob.of("track_subscribed")}
    sound, picture = bob.watch(tracks[rtc.TrackKind.KIND_AUDIO]), bob.watch(tracks[rtc.TrackKind.KIND_VIDEO])
    await bob.until(lambda: len(picture) >= 5)
    faults = clients.server.faults
    faults.starve("bob")
    faults.starve("bob")
    sid = tracks[rtc.TrackKind.KIND_VIDEO].sid
    assert [fired.detail for fired in faults.fired("starve", "bob")] == [sid]
    # What was under way still comes; sound goes on.
    heard = len(sound)
    await bob.until(lambda: len(sound) >= heard + 50)
    seen = len(picture)
    await bob.until(lambda: len(sound) >= heard + 100)
    assert len(picture) == seen
    faults.feed("bob")
    await bob.until(lambda: len(picture) >= seen + 5)
    assert [(each.track_sid, pb.StreamState.Name(each.state)) for each in told] == [
        (sid, "ACTIVE"),
        (sid, "PAUSED"),
        (sid, "ACTIVE"),
    ]
