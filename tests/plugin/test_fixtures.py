"""The fixtures of the plugin, used as anybody would use them."""

from __future__ import annotations

import asyncio
import threading
import urllib.request
from typing import Any

import pytest

from aiolivekit.testing import EmbeddedServer


async def test_two_rooms_talk(room_pair: Any, livekit_server: Any) -> None:
    async with room_pair() as (alice, bob):
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        bob.on("data_received", lambda packet: heard.done() or heard.set_result(packet.data))
        await alice.local_participant.publish_data(b"hello", topic="greeting")
        async with asyncio.timeout(10):
            assert await heard == b"hello"
        assert {alice.name, bob.name} == {livekit_server.room_name}


async def test_claims_reach_the_server(livekit_room: Any) -> None:
    async with livekit_room("alice", metadata="m", attributes={"a": "1"}, can_publish=False) as alice:
        me = alice.local_participant
        assert (me.identity, me.metadata, me.attributes) == ("alice", "m", {"a": "1"})
        assert not me.permissions.can_publish


async def test_the_room_can_be_looked_into(livekit_server: Any, livekit_room: Any) -> None:
    if livekit_server.kind == "real":
        with pytest.raises(TypeError, match="real"):
            _ = livekit_server.embedded
        return
    async with livekit_room("alice"):
        room = livekit_server.embedded.room()
        assert list(room.participants) == ["alice"]
        assert room.participants["alice"].single_peer_connection
    with pytest.raises(LookupError):
        livekit_server.embedded.room("elsewhere")


async def test_faults_are_on_the_embedded_server_alone(
    livekit_server: Any, livekit_faults: Any, livekit_room: Any
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


def test_without_an_event_loop(livekit_server: Any, livekit_token: Any) -> None:
    request = urllib.request.Request(f"{livekit_server.http_url}/rtc/validate?access_token={livekit_token('alice')}")
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.read() == b"success"


def test_a_server_leaves_no_thread_and_can_be_used_by_hand() -> None:
    before = threading.active_count()
    with EmbeddedServer() as server:
        assert server.url.startswith("ws://127.0.0.1:")
        assert server.rooms == []
        hold = server.faults.hold("update")
        hold.release()
        with pytest.raises(TypeError, match="holds nothing"):
            server.faults.no_pong().release()
        with pytest.raises(TimeoutError):
            server.faults.no_pong().wait_fired_blocking(timeout=0.05)
    assert threading.active_count() == before
    server.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.call(lambda: 1)
