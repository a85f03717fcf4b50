"""What strangers and hostile participants may send to a server: each attack takes a source of chance and a size."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import os
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from bench.raw.client import RawClient
from bench.raw.wire import RawTransport, binding_request
from google_crc32c import value as crc32c
from livekit.protocol import models, rtc

from aiolivekit.server.dtls import Certificate, DtlsEndpoint

__all__ = ["Target", "data", "dtls", "half_open", "mallory", "media", "media_port", "sctp", "signalling"]

_TURN = 64
"""Packets sent before the server gets its turn, where it shares our loop."""

_SOCKETS = 50


@dataclass(frozen=True)
class Target:
    """A server under attack.

    Args:
        url: With the scheme of WebSocket.
        api_key: Which an attacker may know.
        token: Returns a token for an identity: some attackers are participants.
        udp_port: Of media.
        tcp_port: Of media.
    """

    url: str
    api_key: str
    token: Callable[[str], str]
    udp_port: int
    tcp_port: int
    certificate: Certificate = field(default_factory=Certificate)

    @property
    def http_url(self) -> str:
        """Of the HTTP side."""
        return "http" + self.url.removeprefix("ws")

    @property
    def port(self) -> int:
        """Of HTTP and WebSocket."""
        return int(self.url.rpartition(":")[2])


@asynccontextmanager
async def mallory(target: Target, name: str) -> AsyncIterator[RawClient]:
    """A participant with a token, keys and bad intentions, who publishes sound and a picture."""
    async with RawClient(target.certificate) as client:
        await client.join(target.url, target.token(name), subscribe=True)
        await client.publish("audio", "video")
        await client.subscriber_connected()
        yield client


def mutated(rng: random.Random, original: bytes) -> bytes:
    """Return the bytes with some changed, cut off, repeated or put in."""
    changed = bytearray(original)
    for _ in range(rng.randrange(1, 6)):
        if not changed:
            break
        position = rng.randrange(len(changed))
        match rng.randrange(5):
            case 0:
                changed[position] ^= 1 << rng.randrange(8)
            case 1:
                changed[position] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                del changed[position : position + rng.randrange(1, 9)]
            case 3:
                changed[position:position] = rng.randbytes(rng.randrange(1, 9))
            case 4:
                changed[position:position] = changed[position : position + rng.randrange(1, 40)]
    return bytes(changed)


async def media_port(target: Target, rng: random.Random, count: int) -> None:
    """Noise, and STUN of users that are none, to the UDP port, from many addresses."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(_SOCKETS)]
    valid = binding_request("somebody:else", "secret")
    try:
        for number in range(count):
            match number % 5:
                case 0:
                    packet = rng.randbytes(rng.randrange(0, 1400))
                case 1:
                    packet = binding_request(f"{rng.randbytes(8).hex()}:x", "guess")
                case 2:
                    packet = mutated(rng, valid)
                case 3:
                    packet = bytes((rng.choice((20, 22, 23)),)) + b"\xfe\xfd" + rng.randbytes(rng.randrange(200))
                case _:
                    packet = bytes((0x80, rng.choice((96, 111, 200)))) + rng.randbytes(rng.randrange(200))
            rng.choice(sockets).sendto(packet, ("127.0.0.1", target.udp_port))
            if number % _TURN == 0:
                await asyncio.sleep(0)
    finally:
        for sock in sockets:
            sock.close()


async def dtls(target: Target, rng: random.Random, count: int) -> None:
    """Handshakes that stop after the first flight, and handshakes of broken records, by participants."""
    for number in range(count):
        client = RawClient(target.certificate)
        client.publisher.close()
        client.publisher = transport = _HalfHandshake(target.certificate, rng if number % 2 else None)
        try:
            await client.join(target.url, target.token(f"half-{number}"), subscribe=False)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(client.publish("audio"), 0.05)
            transport.flood(20)
            await asyncio.sleep(0)
        finally:
            await client.close()


class _HalfHandshake(RawTransport):
    """Never gets further than its first flight, which it sends again, whole or broken."""

    def __init__(self, certificate: Certificate, rng: random.Random | None) -> None:
        super().__init__(certificate)
        self._rng = rng
        endpoint = DtlsEndpoint(certificate, client=True, fingerprints=[])
        endpoint.handshake()
        self._flight = endpoint.outgoing()
        self._answers = 3

    def flood(self, count: int) -> None:
        """Send the first flight so many times."""
        for _ in range(count):
            for datagram in self._flight:
                self.send(datagram if self._rng is None else mutated(self._rng, datagram))

    def _step(self) -> None:
        # To each flight of the server its own again, but not for ever.
        self._answers -= 1
        for datagram in self._flight if self._answers >= 0 else ():
            self.send(datagram)

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            super().send(data)


async def media(client: RawClient, rng: random.Random, count: int) -> None:
    """RTP and RTCP that is encrypted as it should be, and broken within."""
    outbound = client.publisher.outbound
    assert outbound is not None
    ssrcs = client.ssrcs
    sequence = 0
    for number in range(count):
        sequence += rng.choice((1, 1, 1, 2, 30, 4000))
        ssrc = rng.choice((*ssrcs, *ssrcs, *ssrcs, rng.randrange(1 << 32)))
        first = rng.choice((0x80, 0x80, 0x90, 0xA0, 0xB0, 0x8F, 0x9F))
        payload_type = rng.choice((96, 111, 96 | 0x80, rng.randrange(256) | 64))
        head = struct.pack("!BBHII", first, payload_type, sequence & 0xFFFF, rng.randrange(1 << 32), ssrc)
        rtp = head + rng.choice((b"", b"\xbe\xde\x00\x01", b"\x10\x00\x00\x02")) + rng.randbytes(rng.randrange(300))
        kind = rng.choice((200, 201, 202, 203, 205, 206, 207))
        body = struct.pack("!II", rng.randrange(1 << 32), ssrc) + rng.randbytes(4 * rng.randrange(60))
        rtcp = struct.pack("!BBH", 0x80 | rng.randrange(32), kind, len(body) // 4) + body
        with contextlib.suppress(Exception):  # what libsrtp refuses to encrypt cannot be sent
            client.publisher.send(outbound.protect(rtp))
        control = rtcp if rng.random() < 0.5 else mutated(rng, rtcp)
        with contextlib.suppress(Exception):
            client.publisher.send(outbound.protect_rtcp(control))
        if client.subscriber.outbound is not None:
            with contextlib.suppress(Exception):
                client.subscriber.send(client.subscriber.outbound.protect_rtcp(control))
        if number % _TURN == 0:
            client.publisher.send(mutated(rng, rtp))  # no SRTP at all
            client.publisher.send(b"")
            await asyncio.sleep(0)


def sctp_chunk(kind: int, flags: int, body: bytes, length: int | None = None) -> bytes:
    """Return an SCTP chunk; `length` may lie."""
    size = 4 + len(body) if length is None else length
    return struct.pack("!BBH", kind, flags, size) + body + b"\0" * (-len(body) % 4)


def sctp_packet(tag: int, *chunks: bytes) -> bytes:
    """Return an SCTP packet with a valid checksum."""
    head, body = struct.pack("!HHL", 5000, 5000, tag), b"".join(chunks)
    return head + struct.pack("<L", crc32c(head + b"\0\0\0\0" + body)) + body


def sctp_attacks(rng: random.Random, tsn: int) -> list[bytes]:
    """Return chunks that once hung, filled or broke an association, and one of noise; `tsn` is the next in order."""
    after = rng.choice((0, 1, 1, 2, 5, 1 << 15, 1 << 31))
    return [
        sctp_chunk(4, 0, struct.pack("!HH", 1, 0) * 3),  # a heartbeat with a parameter of length zero
        sctp_chunk(130, 0, struct.pack("!HH", 13, 0)),
        sctp_chunk(9, 0, struct.pack("!HH", 1, 0)),
        sctp_chunk(1, 0, struct.pack("!LLHHL", 1, 1 << 20, 1, 1, tsn) + struct.pack("!HH", 7, 0)),
        # acknowledgements of everything there could be, and of what was never sent
        sctp_chunk(3, 0, struct.pack("!LLHH", tsn, 1 << 20, 250, 0) + struct.pack("!HH", 1, 65535) * 250),
        sctp_chunk(3, 0, struct.pack("!LLHH", rng.randrange(1 << 32), 0, 65535, 65535)),
        # data: fragments of messages that never end, far ahead, of streams that are none
        sctp_chunk(0, rng.randrange(8), struct.pack("!LHHL", tsn + after & 0xFFFFFFFF, rng.randrange(3), 0, 53) + b"x"),
        sctp_chunk(0, 2, struct.pack("!LHHL", tsn, rng.randrange(1 << 16), 0, 53) + rng.randbytes(600)),
        # a channel with a name of 60,000 bytes, in form
        sctp_chunk(0, 3, struct.pack("!LHHL", tsn, 9, 0, 50) + struct.pack("!BBHLHH", 3, 0, 0, 0, 60_000, 0) + b"n"),
        sctp_chunk(192, 0, struct.pack("!L", rng.randrange(1 << 32)) + rng.randbytes(4 * rng.randrange(20))),
        sctp_chunk(rng.randrange(256), rng.randrange(256), rng.randbytes(rng.randrange(60)), rng.randrange(80)),
        sctp_chunk(rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 130, 192)), 0, rng.randbytes(rng.randrange(80))),
    ]


async def sctp(client: RawClient, rng: random.Random, count: int) -> None:
    """SCTP packets with the right tag and checksum, and chunks that are wrong; the first may end the association."""
    association = client.channels._association
    tag = association._remote_verification_tag
    for number in range(count):
        tsn = association._local_tsn + number // 8 & 0xFFFFFFFF
        chunks = sctp_attacks(rng, tsn)
        packet = sctp_packet(tag if number % 9 else 0, *rng.choices(chunks, k=rng.randrange(1, 3)))
        client.subscriber.send_message(packet if number % 5 else mutated(rng, packet))
        if number % _TURN == 0:
            await asyncio.sleep(0)


async def data(client: RawClient, rng: random.Random, count: int) -> None:
    """Data packets that are none, or say what the sender may not say."""
    packets = [
        models.DataPacket(user=models.UserPacket(payload=b"x" * 50, destination_sids=["PA_x"] * 20, nonce=b"n")),
        models.DataPacket(
            sequence=5, participant_identity="victim", rpc_request=models.RpcRequest(id="1", method="m", payload="p")
        ),
        models.DataPacket(speaker=models.ActiveSpeakerUpdate(speakers=[models.SpeakerInfo(sid="PA_victim")])),
        models.DataPacket(sequence=0xFFFFFFFF, stream_chunk=models.DataStream.Chunk(stream_id="s", content=b"c")),
    ]
    for number in range(count):
        original = rng.choice(packets).SerializeToString()
        message = rng.choice((original, mutated(rng, original), rng.randbytes(rng.randrange(120))))
        client.channels.send(rng.choice(("_reliable", "_lossy", "_data_track")), message)
        if number % _TURN == 0:
            await asyncio.sleep(0)


def _signal_requests(offer: str) -> list[bytes]:
    requests = [
        rtc.SignalRequest(offer=rtc.SessionDescription(type="offer", sdp=offer, id=1)),
        rtc.SignalRequest(answer=rtc.SessionDescription(type="answer", sdp=offer, id=1)),
        rtc.SignalRequest(add_track=rtc.AddTrackRequest(cid="c", name="n", type=models.TrackType.VIDEO, width=99)),
        rtc.SignalRequest(
            trickle=rtc.TrickleRequest(candidateInit='{"candidate":"candidate:1 1 udp 1 ::1 1 typ host"}')
        ),
        rtc.SignalRequest(subscription=rtc.UpdateSubscription(track_sids=["TR_x"], subscribe=True)),
        rtc.SignalRequest(track_setting=rtc.UpdateTrackSettings(track_sids=["TR_x"], quality=2, width=1, height=1)),
        rtc.SignalRequest(update_metadata=rtc.UpdateParticipantMetadata(metadata="m", name="n", attributes={"a": "b"})),
        rtc.SignalRequest(sync_state=rtc.SyncState(publish_tracks=[rtc.TrackPublishedResponse(cid="c")])),
        rtc.SignalRequest(subscription_permission=rtc.SubscriptionPermission(all_participants=False)),
        rtc.SignalRequest(ping_req=rtc.Ping(timestamp=-1, rtt=-1)),
        rtc.SignalRequest(simulate=rtc.SimulateScenario(subscriber_bandwidth=-1)),
        rtc.SignalRequest(publish_data_track_request=rtc.PublishDataTrackRequest(pub_handle=1, name="d")),
    ]
    return [request.SerializeToString() for request in requests]


async def signalling(target: Target, rng: random.Random, count: int) -> None:
    """Broken and odd signalling: paths, join requests, protobuf, JSON and session descriptions."""
    offer = RawClient.offer_text(target.certificate)
    originals = _signal_requests(offer)
    async with aiohttp.ClientSession() as session:
        for number in range(count):
            await _join_request(session, target, rng, number)
            query = {"access_token": target.token(f"mallory-{number}"), "protocol": rng.choice(("16", "-1", "9" * 99))}
            try:
                async with session.ws_connect(f"{target.http_url}/rtc", params=query) as connection:
                    for _ in range(15):
                        await _one_message(connection, rng, originals, offer)
            except (aiohttp.ClientError, ConnectionError):
                continue


async def _join_request(session: aiohttp.ClientSession, target: Target, rng: random.Random, number: int) -> None:
    wrapped = rtc.WrappedJoinRequest(
        compression=rng.choice((0, 1)), join_request=gzip.compress(rng.choice((bytes(9), bytes(3_000_000))))
    )
    text = base64.urlsafe_b64encode(mutated(rng, wrapped.SerializeToString())[:4000]).decode()
    text = rng.choice((text, text[:-1], "%", "\u00fc", ""))
    query = {"access_token": target.token(f"joiner-{number}"), "join_request": text}
    with contextlib.suppress(aiohttp.ClientError):
        async with session.get(f"{target.http_url}/rtc/v1/validate", params=query) as response:
            assert response.status < 500, f"a join request made the server fail with {response.status}"


async def _one_message(
    connection: aiohttp.ClientWebSocketResponse, rng: random.Random, originals: list[bytes], offer: str
) -> None:
    if connection.closed:
        return
    original = rng.choice(originals)
    match rng.randrange(6):
        case 0:
            await connection.send_bytes(original)
        case 1:
            await connection.send_bytes(mutated(rng, original))
        case 2:
            lines = offer.split("\r\n")
            for _ in range(rng.randrange(1, 5)):
                line = rng.randrange(len(lines))
                lines[line : line + 1] = rng.choice(
                    ([], [lines[line]] * 3, [lines[line][:-1]], [lines[line] + "9" * 30], ["a=" + "\0" * 9, "m=x"])
                )
            sdp = "\r\n".join(lines)
            request = rtc.SignalRequest(offer=rtc.SessionDescription(type="offer", sdp=sdp))
            await connection.send_bytes(request.SerializeToString())
        case 3:
            await connection.send_str(
                rng.choice(("[" * 5000, "{}", '{"ping":"x"}', '{"offer":{"sdp":1}}', "\ud7ff", "1"))
            )
        case 4:
            await connection.send_bytes(rng.randbytes(rng.randrange(300)))
        case _:
            await connection.ping(rng.randbytes(20))


@asynccontextmanager
async def half_open(target: Target, rng: random.Random, count: int) -> AsyncIterator[int]:
    """Keep so many TCP connections that say nothing or half of something; yields how many could be opened."""
    loop = asyncio.get_running_loop()
    sockets: list[socket.socket] = []
    said = (
        b"",
        b"GET /rtc HTTP/1.1\r\nHost: x\r\n",
        b"POST /twirp/livekit.RoomService/ListRooms HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        os.urandom(30),
    )
    try:
        for number in range(count):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setblocking(False)
            sockets.append(sock)
            port = target.tcp_port if number % 4 == 3 else target.port
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(loop.sock_connect(sock, ("127.0.0.1", port)), 5.0)
                if text := rng.choice(said):
                    sock.send(text)
        yield len(sockets)
    finally:
        for sock in sockets:
            sock.close()
