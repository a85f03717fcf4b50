"""Hostile input neither ends the server nor lets anybody in, and harms nobody who is in."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import socket
import struct

import aiohttp
import pytest
from livekit.protocol import models, rtc

from aiolivekit.server import DevServer
from tests.server.conftest import Clients
from tests.soak import attacks, forgeries
from tests.unit.server.test_stun import make_request


def noise(rng: random.Random, size: int) -> bytes:
    return rng.randbytes(rng.randrange(size))


async def test_noise_on_the_media_ports(clients: Clients) -> None:
    alice, bob = await clients.join("alice"), await clients.join("bob")
    core = clients.server.core
    rng = random.Random(7)
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    target = ("127.0.0.1", core.mux.udp_port)
    ufrag = core.rooms["test"].participants["alice"].publisher.ice.credentials.ufrag
    for number in range(3000):
        kind = number % 6
        data = noise(rng, 400)
        if kind == 1:
            data = b"\x00\x01" + struct.pack("!H", len(data)) + b"\x21\x12\xa4\x42" + data
        elif kind == 2:
            data = bytes((rng.choice((20, 22, 23)),)) + b"\xfe\xfd" + data
        elif kind == 3:
            data = bytes((0x80, 96)) + data
        elif kind == 4:
            # The right user, the wrong password.
            data = make_request(ufrag, "them", "guess")
        elif kind == 5:
            request = bytearray(make_request(ufrag, "them", "guess"))
            request[rng.randrange(len(request))] ^= 1 << rng.randrange(8)
            data = bytes(request)
        await loop.sock_sendto(sock, data, target)
    await asyncio.sleep(0)
    sock.close()
    await bob.until(lambda: core.mux.dropped["wrong STUN password"] > 100)
    assert core.mux.dropped["unknown address"] > 100
    await alice.me.publish_data(b"fine", reliable=True)
    await bob.event("data_received")


async def test_noise_from_within_the_encrypted_channel(server: DevServer) -> None:
    """Packets that a participant with keys may send: broken SCTP, RTP, RTCP and data."""
    clients = Clients(server, single=True)
    alice, bob = await clients.join("alice"), await clients.join("bob")
    await alice.publish_tone()
    await bob.event("track_subscribed")
    session = server.room("test").participants["bob"]
    rng = random.Random(3)
    for _ in range(2000):
        data = noise(rng, 200)
        session._rtp(b"\x90" + data, 1.0)
        session._rtcp(b"\x81" + bytes((rng.choice((200, 201, 203, 205, 206)),)) + data)
        for label in ("_reliable", "_lossy", "_data_track", "other"):
            session._message(label, data)
    assert session.malformed > 100
    channels = session.publisher.data
    assert channels is not None
    for _ in range(300):
        channels.receive(noise(rng, 200))
    await alice.me.publish_data(b"fine", reliable=True)
    await bob.event("data_received")
    await clients.close()


async def test_broken_sctp_ends_only_its_own_association(server: DevServer) -> None:
    from google_crc32c import value as crc32c

    clients = Clients(server, single=True)
    await clients.join("alice")
    bob = await clients.join("bob")
    carol = await clients.join("carol")
    session = server.room("test").participants["alice"]
    channels = session.publisher.data
    assert channels is not None
    tag = channels._association._local_verification_tag
    rng = random.Random(5)
    for number in range(3000):
        body = b"".join(
            struct.pack("!BBH", rng.choice((0, 1, 2, 3, 4, 6, 7, 10, 14, 130, 192)), rng.randrange(256), 4 + len(part))
            + part
            + b"\0" * (-len(part) % 4)
            for part in (noise(rng, 60) for _ in range(rng.randrange(1, 3)))
        )
        head = struct.pack("!HHL", 5000, 5000, tag if number % 3 else 0)
        packet = head + struct.pack("<L", crc32c(head + b"\0\0\0\0" + body)) + body
        channels.receive(packet)
    await bob.me.publish_data(b"fine", reliable=True)
    await carol.event("data_received")
    await clients.close()


async def connect(server: DevServer, session: aiohttp.ClientSession, token: str) -> aiohttp.ClientWebSocketResponse:
    return await session.ws_connect(f"{server.http_url}/rtc", params={"access_token": token, "protocol": "17"})


async def test_noise_on_the_signalling_connection(server: DevServer) -> None:
    clients = Clients(server, single=False)
    alice, bob = await clients.join("alice"), await clients.join("bob")
    rng = random.Random(11)
    fields = [f.number for f in rtc.SignalRequest.DESCRIPTOR.fields]
    async with aiohttp.ClientSession() as session:
        for number in range(60):
            socket_ = await connect(server, session, server.token(f"mallory{number}"))
            for _ in range(20):
                payload = noise(rng, 60)
                if rng.random() < 0.8:
                    key = rng.choice(fields) << 3 | 2
                    size = len(payload)
                    prefix = bytes((key & 0x7F | 0x80, key >> 7)) if key > 127 else bytes((key,))
                    payload = prefix + bytes((size,)) + payload
                if socket_.closed:
                    break
                await socket_.send_bytes(payload)
            await socket_.close()
    await alice.me.publish_data(b"fine", reliable=True)
    await bob.event("data_received")
    assert {i for i in server.room("test").participants if not i.startswith("mallory")} == {"alice", "bob"}
    await clients.close()


async def test_odd_but_well_formed_requests(server: DevServer) -> None:
    clients = Clients(server, single=True)
    alice, bob = await clients.join("alice"), await clients.join("bob")
    requests = [
        rtc.SignalRequest(offer=rtc.SessionDescription(type="offer", sdp="v=0\r\n" + "m=audio 9 UDP 1\r\n" * 2000)),
        rtc.SignalRequest(offer=rtc.SessionDescription(type="offer", sdp="\0" * 1000)),
        rtc.SignalRequest(trickle=rtc.TrickleRequest(candidateInit="[" * 100_000)),
        rtc.SignalRequest(add_track=rtc.AddTrackRequest(type=7, cid="x")),
        rtc.SignalRequest(mute=rtc.MuteTrackRequest(sid="TR_nothing", muted=True)),
        rtc.SignalRequest(subscription=rtc.UpdateSubscription(track_sids=["x"] * 10_000, subscribe=True)),
        rtc.SignalRequest(track_setting=rtc.UpdateTrackSettings(track_sids=["y"], quality=99)),
        rtc.SignalRequest(simulate=rtc.SimulateScenario(speaker_update=-5)),
        rtc.SignalRequest(update_metadata=rtc.UpdateParticipantMetadata(metadata="x" * 600_000)),
        rtc.SignalRequest(sync_state=rtc.SyncState()),
        rtc.SignalRequest(publish_data_track_request=rtc.PublishDataTrackRequest(pub_handle=70_000, name="n")),
        rtc.SignalRequest(
            update_data_subscription=rtc.UpdateDataSubscription(updates=[{"track_sid": "z", "subscribe": True}])
        ),
        rtc.SignalRequest(subscription_permission=rtc.SubscriptionPermission(track_permissions=[{}])),
        rtc.SignalRequest(ping=-1),
        rtc.SignalRequest(),
    ]
    async with aiohttp.ClientSession() as session:
        socket_ = await connect(server, session, server.token("mallory"))
        for request in requests:
            await socket_.send_bytes(request.SerializeToString())
        await socket_.send_bytes(rtc.SignalRequest(ping_req=rtc.Ping(timestamp=5)).SerializeToString())
        async with asyncio.timeout(10):
            reasons = []
            while True:
                response = rtc.SignalResponse.FromString(await socket_.receive_bytes())
                if response.WhichOneof("message") == "request_response":
                    reasons.append(response.request_response.reason)
                if response.WhichOneof("message") == "pong_resp":
                    assert response.pong_resp.last_ping_timestamp == 5
                    break
        names = rtc.RequestResponse.Reason
        assert {names.UNSUPPORTED_TYPE, names.NOT_FOUND, names.LIMIT_EXCEEDED, names.INVALID_HANDLE} <= set(reasons)
        await socket_.close()
    await alice.me.publish_data(b"fine", reliable=True)
    await bob.event("data_received")
    await clients.close()


@pytest.mark.parametrize(
    "path", ["/rtc", "/rtc/v1", "/rtc/validate", "/rtc/v1/validate", "/twirp/livekit.RoomService/ListRooms"]
)
async def test_nobody_gets_in_without_a_token(server: DevServer, path: str) -> None:
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    claims = f'{{"iss":"{server.api_key}","sub":"m","video":{{"roomJoin":true,"room":"r","roomList":true}}}}'
    body = base64.urlsafe_b64encode(claims.encode()).rstrip(b"=").decode()
    other = DevServer(api_key=server.api_key)
    tokens = ["", "x", f"{head}.{body}.", other.token("m"), server.token("m", ttl=-100)]
    async with aiohttp.ClientSession() as session:
        for token in tokens:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            if "twirp" in path:
                async with session.post(server.http_url + path, json={}, headers=headers) as response:
                    assert response.status == 401
                continue
            async with session.get(server.http_url + path, headers=headers) as response:
                assert response.status in (401, 404)
                assert "success" not in await response.text()
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(server.http_url + path, headers=headers)
    assert server.rooms == []


async def test_half_open_connections_keep_nobody_out(server: DevServer) -> None:
    clients = Clients(server, single=True)
    writers = []
    for number in range(700):
        for port in (server.port, server.core.mux.tcp_port) if number < 50 else (server.port,):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            if number % 2:
                writer.write(b"GET /rtc HTTP/1.1\r\nHost: x\r\n" if number % 4 == 1 else os.urandom(20))
            writers.append(writer)
    alice, bob = await clients.join("alice"), await clients.join("bob")
    await alice.me.publish_data(b"fine", reliable=True)
    await bob.event("data_received")
    assert server.core.turned_away > 100
    for writer in writers:
        writer.close()
    await clients.close()


async def test_a_joiner_cannot_speak_for_others(server: DevServer) -> None:
    from aiolivekit.server.data import accept_packet

    clients = Clients(server, single=True)
    await clients.join("alice")
    session = server.room("test").participants["alice"]
    packet = models.DataPacket(
        participant_identity="bob",
        participant_sid="PA_bob",
        user=models.UserPacket(participant_identity="bob", participant_sid="PA_bob", payload=b"x"),
    )
    assert accept_packet(packet, session, reliable=True)
    assert {packet.participant_identity, packet.user.participant_identity} == {"alice"}
    assert {packet.participant_sid, packet.user.participant_sid} == {session.sid}
    transcription = models.DataPacket(transcription=models.Transcription())
    assert not accept_packet(transcription, session, reliable=True)
    await clients.close()


@pytest.fixture
def target(server: DevServer) -> attacks.Target:
    mux = server.core.mux
    return attacks.Target(server.url, server.api_key, server.token, mux.udp_port, mux.tcp_port)


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What went wrong in the server unforeseen; the official client's own complaints are none of it."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelname in ("ERROR", "CRITICAL")
        and record.name.partition(".")[0] in ("asyncio", "aiohttp", "aiolivekit")
    ]


async def honest_exchange(server: DevServer) -> None:
    """Two newcomers hear each other."""
    clients = Clients(server, single=True)
    try:
        alice, bob = await clients.join("alice"), await clients.join("bob")
        await alice.publish_tone()
        track, _, _ = await bob.event("track_subscribed")
        frames = bob.watch(track)
        await bob.until(lambda: len(frames) >= 10)
        await alice.me.publish_data(b"fine", reliable=True)
        await bob.event("data_received")
    finally:
        await clients.close()


@pytest.mark.parametrize("attack", ["media", "sctp", "data"])
async def test_participants_with_bad_intentions(
    server: DevServer, target: attacks.Target, caplog: pytest.LogCaptureFixture, attack: str
) -> None:
    rng = random.Random(attack)
    # Broken SCTP soon ends the association, so there it takes more participants.
    times, count = (40, 20) if attack == "sctp" else (5, 400)
    for number in range(times):
        async with attacks.mallory(target, f"mallory{number}") as client:
            await getattr(attacks, attack)(client, rng, count)
            await asyncio.sleep(0.01)
    await honest_exchange(server)
    assert failures(caplog) == []


@pytest.mark.parametrize("attack", ["media_port", "dtls", "signalling"])
async def test_strangers_with_bad_intentions(
    server: DevServer, target: attacks.Target, caplog: pytest.LogCaptureFixture, attack: str
) -> None:
    await getattr(attacks, attack)(target, random.Random(attack), {"media_port": 3000}.get(attack, 20))
    await honest_exchange(server)
    assert failures(caplog) == []


async def test_forged_tokens_open_nothing(server: DevServer, target: attacks.Target) -> None:
    assert await forgeries.tokens(target) == []
    assert server.rooms == []


async def test_connections_that_stay_open_after_a_request(server: DevServer, target: attacks.Target) -> None:
    """A request costs nothing, so one alone must not keep a place for ever."""
    sockets = []
    for _ in range(400):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"OK")
        sockets.append(writer)
    assert server.core.turned_away > 100
    for writer in sockets:
        writer.close()
    await honest_exchange(server)
