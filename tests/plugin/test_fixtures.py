"""The fixtures of the plugin, used as anybody would use them, and by hand."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.request
from typing import Any

import pytest

import aiolivekit
from aiolivekit.testing import EmbeddedServer, FaultControl, LiveKitServer, RealServer, rooms
from aiolivekit.testing.plugin import RoomFactory, RoomPairFactory, TokenFactory


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


async def test_two_rooms_talk(room_pair: RoomPairFactory, livekit_server: LiveKitServer) -> None:
    async with room_pair() as (alice, bob):
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        bob.on("data_received", lambda packet: heard.done() or heard.set_result(packet.data))
        await alice.local_participant.publish_data(b"hello", topic="greeting")
        async with asyncio.timeout(10):
            assert await heard == b"hello"
        assert {alice.name, bob.name} == {livekit_server.room_name}
    assert not alice.isconnected()
    assert not bob.isconnected()


async def test_claims_reach_the_server(livekit_room: RoomFactory) -> None:
    async with livekit_room("alice", metadata="m", attributes={"a": "1"}, can_publish=False) as alice:
        me = alice.local_participant
        assert (me.identity, me.metadata, me.attributes) == ("alice", "m", {"a": "1"})
        assert not me.permissions.can_publish


async def test_the_room_can_be_looked_into(livekit_server: LiveKitServer, livekit_room: RoomFactory) -> None:
    if livekit_server.kind == "real":
        for attribute in ("embedded", "faults", "rooms"):
            with pytest.raises(TypeError, match="real"):
                getattr(livekit_server, attribute)
        with pytest.raises(TypeError, match="real"):
            livekit_server.room()
        return
    async with livekit_room("alice", name="Alice", attributes={"a": "1"}) as alice:
        room = livekit_server.room()
        assert room == livekit_server.embedded.room(livekit_server.room_name)
        assert [each.name for each in livekit_server.rooms] == [livekit_server.room_name]
        assert list(room.participants) == ["alice"]
        seen = room.participants["alice"]
        assert (seen.sid, seen.name, seen.attributes) == (alice.local_participant.sid, "Alice", {"a": "1"})
        assert (seen.state, seen.single_peer_connection, seen.resumes, seen.tracks) == ("active", True, 0, ())
    assert livekit_server.room().participants == {}
    with pytest.raises(LookupError):
        livekit_server.room("elsewhere")


async def test_a_room_is_left_after_a_failure_too(livekit_server: LiveKitServer, livekit_room: RoomFactory) -> None:
    with pytest.raises(ZeroDivisionError):
        async with livekit_room("alice") as alice:
            raise ZeroDivisionError
    assert not alice.isconnected()
    with pytest.raises(aiolivekit.ConnectError):
        async with livekit_room("alice", room_join=False):
            pytest.fail("was let in")


async def test_who_does_not_come_is_named(
    livekit_room: RoomFactory, livekit_faults: FaultControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "_ACQUAINT_LIMIT", 0.02)
    async with livekit_room("alice") as alice:
        with pytest.raises(TimeoutError, match=r"bob was not seen within 0\.02 s"):
            await rooms.acquainted(alice, "bob")


async def test_faults_are_on_the_embedded_server_alone(
    livekit_server: LiveKitServer, livekit_faults: FaultControl, livekit_room: RoomFactory
) -> None:
    assert livekit_server.kind == "embedded"
    async with livekit_room("alice") as alice:
        reconnected = asyncio.Event()
        alice.on("reconnected", reconnected.set)
        refusal = livekit_faults.refuse_resume(identity="alice")
        livekit_faults.close_signal("alice", abrupt=True)
        await refusal.wait_fired()
        async with asyncio.timeout(15):
            await reconnected.wait()
        assert [each.fault for each in livekit_faults.log] == ["close_signal", "refuse_resume"]
        assert (refusal.fired, refusal.spent) == (1, True)


async def test_faults_of_packets_can_be_waited_for(livekit_faults: FaultControl, livekit_room: RoomFactory) -> None:
    async with livekit_room("alice"):
        twice = livekit_faults.duplicate_packets("stun", identity="alice", direction="in", count=2)
        await twice.wait_fired(2)
        assert (twice.fired, twice.spent) == (2, True)
        assert [each.detail for each in livekit_faults.fired("duplicate_packets", "alice")] == ["stun", "stun"]


async def test_held_messages_go_out_when_released(livekit_faults: FaultControl, livekit_room: RoomFactory) -> None:
    async with livekit_room("alice") as alice:
        hold = livekit_faults.hold("update", identity="alice")
        async with livekit_room("bob"):
            await hold.wait_fired()
            assert hold.held >= 1
            assert not alice.remote_participants
            hold.release()
            await rooms.acquainted(alice, "bob")
        assert hold.held == 0


def test_without_an_event_loop(livekit_server: LiveKitServer, livekit_token: TokenFactory) -> None:
    request = urllib.request.Request(f"{livekit_server.http_url}/rtc/validate?access_token={livekit_token('alice')}")
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.read() == b"success"


def test_tokens_say_the_same_on_every_server(livekit_server: LiveKitServer, livekit_token: TokenFactory) -> None:
    grants: dict[str, Any] = {"can_publish": False, "can_publish_sources": ["camera"], "hidden": True, "name": "A"}
    rest: dict[str, Any] = {"metadata": "m", "attributes": {"a": "1"}, "kind": "agent", "ttl": 60}
    room = livekit_server.room_name
    made = [
        livekit_token("alice", **grants, **rest),
        livekit_server.token("alice", **grants, **rest),
        livekit_server.server.token("alice", room=room, **grants, **rest),
    ]
    if livekit_server.kind == "embedded":
        made.append(
            livekit_server.embedded.call(
                lambda: livekit_server.embedded.dev_server().token("alice", room=room, **grants, **rest)
            )
        )
    found = [claims(each) for each in made]
    for each in found:
        assert each.pop("exp") == each.pop("nbf") + 60
        assert each == found[0]
    assert (found[0]["iss"], found[0]["sub"]) == (livekit_server.api_key, "alice")
    assert found[0]["video"]["room"] == room
    assert claims(livekit_token("alice", room=""))["video"]["room"] == ""
    assert claims(livekit_server.admin_token("r"))["video"] == {
        **claims(livekit_token(""))["video"],
        "room": "r",
        "roomJoin": False,
        "roomAdmin": True,
        "roomCreate": True,
        "roomList": True,
    }


async def test_a_server_stops_though_a_client_does_not_answer() -> None:
    with EmbeddedServer() as server:
        alice = aiolivekit.Room()
        gone = asyncio.Event()
        alice.on("disconnected", lambda *_: gone.set())
        await alice.connect(server.url, server.token("alice"), aiolivekit.RoomOptions())
        try:
            # This blocks the loop, so alice cannot hang up; it is as at the end of a test that leaves a room open.
            server.stop()
            async with asyncio.timeout(10):
                await gone.wait()
        finally:
            await alice.disconnect()


def test_reports_hold_no_secret(livekit_real_server: RealServer) -> None:
    class Logging:
        url = http_url = ""
        api_key, api_secret = "key", "a-secret-of-the-server"
        log = "before\n"

    logging: Any = Logging()
    server = LiveKitServer(logging, "room")
    assert server.report() == []
    logging.log += f"it took {server.token('alice')} signed with {logging.api_secret}\n"
    assert server.report() == [("log of the LiveKit server", "it took ••• signed with •••\n")]
    assert LiveKitServer(livekit_real_server, "room").report() == []
