"""The fault proxy in front of both servers: it is not noticed until it is told to, and then does what it was told."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from aiolivekit import ServerFullError, UnreachableError
from aiolivekit.testing import Cut, FaultProxy, RealServer, access_token

from ..leaks import no_leaks
from . import media
from .conftest import OURS
from .sdk import DEADLINE, Recorder, meeting, room_service, running, subscribed, until

pytestmark = pytest.mark.e2e


async def join(proxy: FaultProxy, token: str, *, single: bool = True, **options):
    return await OURS.join(proxy.url, token, single=single, **options)


async def active(server, identity: str) -> None:
    """Wait until the server has a participant's media: before, it ends with its first signalling connection."""
    async with asyncio.timeout(DEADLINE):
        while True:
            found = await room_service(server, "ListParticipants", {"room": server.room_name})
            if (identity, "ACTIVE") in [(each["identity"], each["state"]) for each in found["participants"]]:
                return
            await asyncio.sleep(0.01)


async def reconnected(events: Recorder, times: int = 1) -> None:
    await until(lambda: len(events.of("reconnected")) >= times, "reconnected")


async def test_it_is_not_noticed(livekit_server, livekit_token, single: bool) -> None:
    async with no_leaks(), FaultProxy(livekit_server.url) as proxy:
        async with meeting(proxy.url, livekit_token, OURS, OURS, single=single) as (alice, events, bob, others):
            heard: list[bytes] = []
            bob.on("data_received", lambda packet: heard.append(packet.data))
            source = OURS.rtc.AudioSource(media.RATE, 1)
            await alice.local_participant.publish_track(OURS.rtc.LocalAudioTrack.create_audio_track("tone", source))
            async with running(media.play_tone(OURS.rtc, source, 700.0)):
                remote, _, _ = await subscribed(others)
                async with asyncio.timeout(DEADLINE):
                    sound = await media.listen(OURS.rtc, remote, 0.5)
            await alice.local_participant.publish_data(b"through the relay")
            await until(lambda: heard == [b"through the relay"], "the message")
            assert media.peak_frequency(sound) == pytest.approx(700, abs=5)
            assert sorted(proxy.connected()) == ["alice", "bob"]
            # Media takes the relays and no other way: when they lose it, it is lost.
            lost = proxy.lose_media("bob", direction="down")
            await alice.local_participant.publish_data(b"late")
            await lost.wait_fired()
            lost.lift()
            await until(lambda: heard == [b"through the relay", b"late"], "the message sent again")
            assert not events.of("reconnecting")
            await source.aclose()
        assert [(fired.fault, fired.identity) for fired in proxy.log] == [("lose_media", "bob")]


async def test_the_servers_answers_pass(livekit_server, livekit_token) -> None:
    wrong = access_token(livekit_server.api_key, "another secret", "alice", room=livekit_server.room_name)
    headers = [{"Authorization": f"Bearer {token}"} for token in (livekit_token("alice"), wrong)]
    async with FaultProxy(livekit_server.url) as proxy, aiohttp.ClientSession() as session:
        for path in ("/rtc/validate", "/rtc/v1/validate", "/rtc/nothing"):
            for each in headers:
                found = []
                for url in (livekit_server.http_url, proxy.http_url):
                    async with session.get(url + path, headers=each) as answer:
                        kept = {name: answer.headers.get(name) for name in ("Content-Type", "Vary")}
                        found.append((answer.status, await answer.text(), kept))
                assert found[0] == found[1]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(proxy.url + "/rtc?protocol=17", headers=headers[1])
        assert refused.value.status == 401
        api = {"Authorization": f"Bearer {livekit_server.admin_token(livekit_server.room_name)}"}
        async with session.post(
            f"{proxy.http_url}/twirp/livekit.RoomService/ListRooms", json={}, headers=api
        ) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("how", list(Cut))
async def test_each_cut_ends_what_it_says(livekit_server, livekit_token, how: Cut) -> None:
    async with no_leaks(), FaultProxy(livekit_server.url, ping=(1, 2)) as proxy:
        alice, events = await join(proxy, livekit_token("alice"))
        try:
            sid = alice.local_participant.sid
            await active(livekit_server, "alice")
            assert await proxy.cut("bob", how) == 0
            assert await proxy.cut("alice", how) == 1
            await reconnected(events)
            assert alice.local_participant.sid == sid
            assert [(fired.identity, fired.detail) for fired in proxy.fired("cut")] == [("alice", how.value)]
        finally:
            await alice.disconnect()


async def test_cuts_at_a_message_and_after_bytes(livekit_server, livekit_token) -> None:
    async with FaultProxy(livekit_server.url) as proxy:
        before = proxy.cut_at("join", before=True, identity="alice")
        alice, events = await join(proxy, livekit_token("alice"))
        assert before.fired == 1
        assert before.lifted
        try:
            await active(livekit_server, "alice")
            after = proxy.cut_at("request_response", identity="alice")
            await alice.local_participant.set_metadata("one")
            await reconnected(events)
            assert after.fired == 1
            # Enough for what comes by itself, but not for this.
            cut = proxy.cut_after_bytes(4000, identity="alice")
            body = {"room": livekit_server.room_name, "metadata": "x" * 8000}
            await room_service(livekit_server, "UpdateRoomMetadata", body)
            await cut.wait_fired()
            await reconnected(events, 2)
            await until(lambda: alice.metadata == "x" * 8000, "what the cut kept from us")
        finally:
            await alice.disconnect()


async def test_messages_dropped_held_and_delayed(livekit_server, livekit_token) -> None:
    async with FaultProxy(livekit_server.url) as proxy:
        async with meeting(proxy.url, livekit_token, OURS, OURS, single=True) as (alice, _, bob, others):
            held = proxy.hold("update", identity="bob")
            await alice.local_participant.set_attributes({"a": "1"})
            await held.wait_fired()
            await alice.local_participant.set_attributes({"a": "2"})
            await held.wait_fired(2)
            assert held.held >= 2
            assert not others.of("participant_attributes_changed")
            held.release()
            await until(lambda: len(others.of("participant_attributes_changed")) == 2, "both changes")
            assert [change["a"] for change, _ in others.of("participant_attributes_changed")] == ["1", "2"]
            dropped = proxy.drop("update", identity="bob")
            await alice.local_participant.set_attributes({"a": "3"})
            await dropped.wait_fired()
            slow = proxy.delay(0.3, identity="alice", sender="client")
            began = time.monotonic()
            await alice.local_participant.set_attributes({"a": "4"})
            assert time.monotonic() - began >= 0.3
            slow.lift()
            narrow = proxy.throttle(4000, identity="alice", sender="client")
            began = time.monotonic()
            await alice.local_participant.set_metadata("x" * 2000)
            assert time.monotonic() - began >= 0.5
            narrow.lift()
            await until(lambda: bob.remote_participants["alice"].metadata == "x" * 2000, "all that was said")
            assert bob.remote_participants["alice"].attributes == {"a": "4"}


async def test_connections_refused_and_answered(livekit_server, livekit_token) -> None:
    async with no_leaks(), FaultProxy(livekit_server.url) as proxy:
        token = livekit_token("alice")
        refused = proxy.refuse()
        with pytest.raises(UnreachableError):
            await join(proxy, token, connect_timeout=1.0)
        refused.lift()
        full = proxy.answer(503, to="join", count=0, body="full")
        with pytest.raises(ServerFullError):
            await join(proxy, token)
        full.lift()
        # One of each is got over by trying again.
        resets, errors = proxy.refuse(1), proxy.answer(500, to="join")
        alice, events = await join(proxy, token)
        assert resets.fired == errors.fired == 1
        sid = alice.local_participant.sid
        await active(livekit_server, "alice")
        unknown = proxy.refuse_resume(identity="alice")
        await proxy.cut("alice")
        await reconnected(events)
        assert unknown.fired == 1
        assert alice.local_participant.sid != sid
        await alice.disconnect()


async def test_media_over_tcp_takes_the_relay_too(server_binary) -> None:
    with RealServer(binary=server_binary, udp=False) as server:
        async with no_leaks(), FaultProxy(server.url) as proxy:
            async with meeting(proxy.url, server.token, OURS, OURS, single=True) as (alice, _, bob, _others):
                heard: list[bytes] = []
                bob.on("data_received", lambda packet: heard.append(packet.data))
                slow = proxy.delay_media(0.2, "alice", direction="up")
                began = time.monotonic()
                await alice.local_participant.publish_data(b"slowly")
                await until(lambda: heard == [b"slowly"], "the message")
                assert time.monotonic() - began >= 0.2
                slow.lift()
                blackout = proxy.blackout("alice")
                await alice.local_participant.publish_data(b"after the blackout")
                change = asyncio.ensure_future(alice.local_participant.set_metadata("after it"))
                await asyncio.sleep(0.5)
                assert heard == [b"slowly"]
                assert not change.done()
                blackout.lift()
                async with asyncio.timeout(DEADLINE):
                    await change
                await until(lambda: heard == [b"slowly", b"after the blackout"], "what TCP kept")


async def test_every_nth_packet_is_lost(livekit_server, livekit_token) -> None:
    async with FaultProxy(livekit_server.url) as proxy:
        async with meeting(proxy.url, livekit_token, OURS, OURS, single=False) as (alice, _, bob, _others):
            heard: list[int] = []
            bob.on("data_received", lambda packet: heard.append(int(packet.data)))
            loss = proxy.lose_media("alice", every=4, direction="up", target="publisher")
            for number in range(200):
                await alice.local_participant.publish_data(str(number))
                await asyncio.sleep(0.002)
            await until(lambda: len(heard) == 200, "all messages in spite of it")
            assert heard == list(range(200))
            assert loss.lost == loss.seen // 4 > 10
            proxy.heal()
            assert loss.lifted
