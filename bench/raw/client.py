"""A participant that sends and takes bare RTP, on either server, with two peer connections."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import aiohttp
from livekit.protocol import models, rtc

from aiolivekit.server.dtls import Certificate
from aiolivekit.server.sctp import DataChannels
from aiolivekit.server.sdp import Media, Session, parse_sdp

from .wire import RawTransport

__all__ = ["RawClient"]

TIMEOUT = 20.0

_CODECS = {
    "audio": (111, ["a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1"]),
    "video": (96, ["a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli"]),
}


def _transport_lines(transport: RawTransport, setup: str) -> list[str]:
    return [
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{transport.credentials.ufrag}",
        f"a=ice-pwd:{transport.credentials.password}",
        f"a=fingerprint:sha-256 {transport.certificate.fingerprint}",
        f"a=setup:{setup}",
        "a=rtcp-mux",
    ]


def _head(mids: list[str]) -> list[str]:
    return ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(mids)}"]


def _publish_offer(transport: RawTransport, tracks: list[tuple[str, str, int]]) -> str:
    lines = _head([str(number) for number in range(len(tracks))])
    for number, (cid, kind, ssrc) in enumerate(tracks):
        payload_type, codec = _CODECS[kind]
        lines += [
            f"m={kind} 9 UDP/TLS/RTP/SAVPF {payload_type}",
            *_transport_lines(transport, "actpass"),
            f"a=mid:{number}",
            *codec,
            "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
            f"a=msid:- {cid}",
            f"a=ssrc:{ssrc} cname:raw",
            f"a=ssrc:{ssrc} msid:- {cid}",
            "a=sendonly",
        ]
    return "\r\n".join(lines) + "\r\n"


def _section(media: Media, transport: RawTransport) -> list[str]:
    lines = [
        f"m={media.kind} 9 {media.protocol} {' '.join(media.formats)}",
        *_transport_lines(transport, "active"),
        f"a=mid:{media.mid}",
    ]
    if media.kind == "application":
        return [*lines, "a=sctp-port:5000", "a=max-message-size:262144"]
    kept = ("rtpmap", "fmtp", "rtcp-fb")
    lines += [f"a={a.name}:{a.value}" for a in media.attributes if a.name in kept]
    return [*lines, "a=recvonly" if media.direction == "sendonly" else "a=inactive"]


def _answer(offer: Session, transport: RawTransport) -> str:
    lines = _head([media.mid for media in offer.media])
    for media in offer.media:
        lines += _section(media, transport)
    return "\r\n".join(lines) + "\r\n"


def _address(candidate: str) -> tuple[str, int] | None:
    words = candidate.split()
    return (words[4], int(words[5])) if len(words) > 5 and words[2].lower() == "udp" else None


class RawClient:
    """One participant.

    Args:
        certificate: May be shared between clients.
        on_packet: Called with each RTP packet from the server.
    """

    def __init__(self, certificate: Certificate, on_packet: Callable[[bytes], None] | None = None) -> None:
        self.publisher = RawTransport(certificate)
        self.subscriber = RawTransport(certificate, on_packet, self._on_sctp)
        self.ssrcs: list[int] = []
        """Of what it publishes."""
        self.subscribed: dict[int, str] = {}
        """Track sids by the SSRCs that the server sends."""
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._published: dict[str, asyncio.Future[models.TrackInfo]] = {}
        self._joined = asyncio.Event()
        self._addresses: dict[int, tuple[str, int]] = {}
        self._remotes: dict[int, Session] = {}
        self._changed = asyncio.Event()
        # Nothing is sent in them, but servers end participants whose association stays silent.
        self.channels = DataChannels(
            self.subscriber.send_message,
            server=False,
            on_message=lambda label, data: None,
            on_open=lambda label: self._changed.set(),
            on_lost=lambda: None,
        )
        self._channels_started = False

    async def join(self, url: str, token: str, *, subscribe: bool) -> None:
        """Join a room."""
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(
            f"{url}/rtc",
            params={"protocol": "16", "sdk": "go", "auto_subscribe": "1" if subscribe else "0"},
            headers={"Authorization": f"Bearer {token}"},
        )
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="raw client")
        await asyncio.wait_for(self._joined.wait(), TIMEOUT)

    async def publish(self, *kinds: str) -> list[int]:
        """Publish tracks, once, and return their SSRCs when they can be sent."""
        tracks = [(f"track-{secrets.token_hex(4)}", kind, secrets.randbits(31) | 1) for kind in kinds]
        for cid, kind, _ in tracks:
            self._published[cid] = asyncio.get_running_loop().create_future()
            video = kind == "video"
            await self._send(
                add_track=rtc.AddTrackRequest(
                    cid=cid,
                    name=cid,
                    type=models.TrackType.VIDEO if video else models.TrackType.AUDIO,
                    source=models.TrackSource.CAMERA if video else models.TrackSource.MICROPHONE,
                    disable_red=True,
                    width=1280 if video else 0,
                    height=720 if video else 0,
                )
            )
            await asyncio.wait_for(self._published[cid], TIMEOUT)
        sdp = _publish_offer(self.publisher, tracks)
        await self._send(offer=rtc.SessionDescription(type="offer", sdp=sdp, id=1))
        await asyncio.wait_for(self.publisher.connected.wait(), TIMEOUT)
        self.ssrcs = [ssrc for _, _, ssrc in tracks]
        return self.ssrcs

    async def subscriber_connected(self) -> None:
        """Wait until packets and messages can be received."""
        await asyncio.wait_for(self.subscriber.connected.wait(), TIMEOUT)
        async with asyncio.timeout(TIMEOUT):
            while not self.channels.is_open("_reliable"):
                self._changed.clear()
                await self._changed.wait()

    @staticmethod
    def offer_text(certificate: Certificate) -> str:
        """Return an offer as `publish` makes it, of a transport that does not exist."""
        transport = RawTransport(certificate)
        transport.close()
        return _publish_offer(transport, [("cid-a", "audio", 1), ("cid-v", "video", 2)])

    async def _send(self, **fields: Any) -> None:
        assert self._socket is not None
        await self._socket.send_bytes(rtc.SignalRequest(**fields).SerializeToString())

    async def _read(self) -> None:
        assert self._socket is not None
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                await self._handle(rtc.SignalResponse.FromString(message.data))

    async def _handle(self, response: rtc.SignalResponse) -> None:
        match response.WhichOneof("message"):
            case "join":
                self._joined.set()
            case "track_published":
                future = self._published.get(response.track_published.cid)
                if future is not None and not future.done():
                    future.set_result(response.track_published.track)
            case "trickle":
                self._candidate(response.trickle)
            case "answer":
                self._remote(0, parse_sdp(response.answer.sdp))
            case "offer":
                offer = parse_sdp(response.offer.sdp)
                self._remote(1, offer)
                answer = rtc.SessionDescription(
                    type="answer", sdp=_answer(offer, self.subscriber), id=response.offer.id
                )
                await self._send(answer=answer)
                for media in offer.media:
                    if media.direction == "sendonly" and media.ssrcs:
                        self.subscribed[media.ssrcs[0]] = media.track_id
                self._changed.set()

    def _on_sctp(self, packet: bytes) -> None:
        if not self._channels_started:
            self._channels_started = True
            self.channels.start(5000, 65536)
        self.channels.receive(packet)

    def _candidate(self, trickle: rtc.TrickleRequest) -> None:
        # The candidate stands in JSON: its words are all we need.
        _, _, text = trickle.candidateInit.partition("candidate:")
        address = _address(text)
        if address is not None:
            self._addresses.setdefault(int(trickle.target), address)
            self._connect(int(trickle.target))

    def _remote(self, target: int, description: Session) -> None:
        self._remotes.setdefault(target, description)
        for media in description.media:
            for value in media.all("candidate"):
                address = _address(value)
                if address is not None:
                    self._addresses.setdefault(target, address)
        self._connect(target)

    def _connect(self, target: int) -> None:
        description, address = self._remotes.get(target), self._addresses.get(target)
        if description is None or address is None:
            return
        transport = self.subscriber if target else self.publisher
        ufrag, password = description.get("ice-ufrag"), description.get("ice-pwd")
        assert ufrag is not None
        assert password is not None
        client = target == 1 or description.get("setup") == "passive"
        transport.connect(address, ufrag, password, description.fingerprints, client=client)

    async def close(self) -> None:
        """Leave and close everything."""
        if self._socket is not None and not self._socket.closed:
            await self._send(leave=rtc.LeaveRequest())
            await self._socket.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        if self._session is not None:
            await self._session.close()
        self.channels.close()
        self.publisher.close()
        self.subscriber.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
