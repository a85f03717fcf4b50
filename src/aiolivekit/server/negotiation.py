"""Our session descriptions: answers to a client's offer, and offers to a subscriber, without I/O."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from livekit.protocol import rtc

from aiolivekit.server.codecs import (
    ACCEPTED_EXTENSIONS,
    RECEIVE_EXTENSIONS,
    SEND_EXTENSIONS,
    choose_publish_codecs,
    choose_subscribe_codecs,
)
from aiolivekit.server.sdp import Codec, Media, SdpError, Session
from aiolivekit.server.transport import RemoteParameters

__all__ = [
    "MAX_MESSAGE_SIZE",
    "OFFER_EXTENSIONS",
    "AnswerSection",
    "LocalTransport",
    "OfferSection",
    "Outgoing",
    "PublishWish",
    "answer_sections",
    "remote_parameters",
    "render_answer",
    "render_offer",
    "trickle_candidates",
]

MAX_MESSAGE_SIZE = 65535
"""The data channel message size we announce; the real server's."""


DEFAULT_MESSAGE_SIZE = 65536
"""The size to assume of a client that says nothing (RFC 8841 section 6)."""


@dataclass(frozen=True)
class LocalTransport:
    """Our side of a transport as a description shows it."""

    ufrag: str
    password: str
    fingerprint: str
    setup: str
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outgoing:
    """A track we send in a section."""

    ssrc: int
    stream_id: str
    track_id: str
    stereo: bool = False


@dataclass(frozen=True)
class PublishWish:
    """What was announced for a track that a client sends."""

    mime: str = ""
    red: bool = True
    dtx: bool = True
    stereo: bool = False


@dataclass
class AnswerSection:
    """One section of an answer, and what it means for us."""

    mid: str
    kind: str
    rejected: bool
    direction: str = "inactive"
    codecs: list[Codec] = field(default_factory=list)
    extensions: dict[str, int] = field(default_factory=dict)
    rids: list[str] = field(default_factory=list)
    outgoing: Outgoing | None = None
    wish: PublishWish | None = None


@dataclass
class OfferSection:
    """One section of our offers."""

    mid: str
    kind: str
    codecs: list[Codec] = field(default_factory=list)
    outgoing: Outgoing | None = None


def answer_sections(
    offer: Session, wishes: dict[str, PublishWish], outgoing: dict[str, Outgoing], released: Collection[str] = ()
) -> list[AnswerSection]:
    """Decide each section of the answer.

    Args:
        offer: The client's offer.
        wishes: By mid, what was announced for the tracks the client sends.
        outgoing: By mid, what we send.
        released: The mids of sections that carried a track, of either side; without one they are inactive.
    """
    sections = [_answer(media, wishes.get(media.mid), outgoing.get(media.mid)) for media in offer.media]
    for section in sections:
        if section.mid in released and section.outgoing is None and section.direction == "sendonly":
            section.direction = "inactive"
    return sections


def _answer(media: Media, wish: PublishWish | None, outgoing: Outgoing | None) -> AnswerSection:
    section = AnswerSection(media.mid, media.kind, rejected=True)
    if media.kind == "application":
        section.rejected = media.rejected or "SCTP" not in media.protocol
        return section
    if media.rejected or media.kind not in ("audio", "video"):
        return section
    direction = media.direction
    offered = media.extensions
    if direction in ("sendonly", "sendrecv"):
        wish = wish or PublishWish()
        section.codecs = choose_publish_codecs(media.kind, media.codecs, wish.mime, red=wish.red)
        section.direction = "recvonly"
        section.rids = media.send_rids
        section.wish = wish
        wanted = RECEIVE_EXTENSIONS[media.kind]
    else:
        section.codecs = choose_subscribe_codecs(media.kind, media.codecs)
        # Sections nobody uses yet are answered "sendonly" too, as the real server does: clients keep them ready.
        section.direction = "sendonly" if direction == "recvonly" else "inactive"
        section.outgoing = outgoing if direction == "recvonly" else None
        wanted = ACCEPTED_EXTENSIONS[media.kind]
    section.extensions = {uri: offered[uri] for uri in wanted if uri in offered}
    section.rejected = not section.codecs
    return section


def _codec_lines(codecs: list[Codec], wish: PublishWish | None, outgoing: Outgoing | None) -> list[str]:
    lines = []
    for codec in codecs:
        channels = f"/{codec.channels}" if codec.channels > 1 else ""
        lines.append(f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.clock_rate}{channels}")
        fmtp = codec.fmtp
        if wish is not None and codec.mime == "opus":
            fmtp = _opus_parameters(codec, wish)
        if outgoing is not None and outgoing.stereo and codec.mime == "opus":
            fmtp = f"{fmtp};sprop-stereo=1" if fmtp else "sprop-stereo=1"
        if fmtp:
            lines.append(f"a=fmtp:{codec.payload_type} {fmtp}")
        lines += [f"a=rtcp-fb:{codec.payload_type} {feedback}" for feedback in codec.feedback]
    return lines


def _opus_parameters(codec: Codec, wish: PublishWish) -> str:
    # What an answer says about Opus is what the client's encoder does.
    kept = [
        part
        for part in codec.fmtp.split(";")
        if part.strip().partition("=")[0] not in ("usedtx", "stereo", "sprop-stereo", "maxaveragebitrate")
    ]
    if wish.dtx:
        kept.append("usedtx=1")
    if wish.stereo:
        kept += ["stereo=1", "maxaveragebitrate=510000"]
    return ";".join(part for part in kept if part)


def _outgoing_lines(outgoing: Outgoing) -> list[str]:
    ssrc, stream, track = outgoing.ssrc, outgoing.stream_id, outgoing.track_id
    return [
        f"a=ssrc:{ssrc} cname:{stream}",
        f"a=ssrc:{ssrc} msid:{stream} {track}",
        f"a=ssrc:{ssrc} mslabel:{stream}",
        f"a=ssrc:{ssrc} label:{track}",
        f"a=msid:{stream} {track}",
    ]


def _transport_lines(transport: LocalTransport) -> list[str]:
    lines = [
        f"a=setup:{transport.setup}",
        f"a=ice-ufrag:{transport.ufrag}",
        f"a=ice-pwd:{transport.password}",
    ]
    if transport.candidates:
        lines += [f"a={candidate}" for candidate in transport.candidates]
        lines.append("a=end-of-candidates")
    return lines


def _data_lines(mid: str, transport: LocalTransport) -> list[str]:
    return [
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        "a=sendrecv",
        "a=sctp-port:5000",
        f"a=max-message-size:{MAX_MESSAGE_SIZE}",
        *_transport_lines(transport),
    ]


def _media_lines(
    mid: str,
    kind: str,
    codecs: list[Codec],
    direction: str,
    extensions: dict[str, int],
    transport: LocalTransport,
    *,
    rids: list[str] | None = None,
    outgoing: Outgoing | None = None,
    wish: PublishWish | None = None,
) -> list[str]:
    lines = [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF {' '.join(str(c.payload_type) for c in codecs)}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        *_transport_lines(transport),
        "a=rtcp-mux",
        "a=rtcp-rsize",
        *_codec_lines(codecs, wish, outgoing),
        *(f"a=extmap:{number} {uri}" for uri, number in extensions.items()),
    ]
    if rids:
        lines += [f"a=rid:{rid} recv" for rid in rids]
        lines.append(f"a=simulcast:recv {';'.join(rids)}")
    if outgoing is not None:
        lines += _outgoing_lines(outgoing)
    return [*lines, f"a={direction}"]


def _rejected_lines(media: Media) -> list[str]:
    formats = " ".join(media.formats) or "0"
    return [
        f"m={media.kind} 0 {media.protocol} {formats}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{media.mid}",
        "a=inactive",
    ]


def _head(session_id: int, transport: LocalTransport, mids: list[str]) -> list[str]:
    return [
        "v=0",
        f"o=- {session_id} {int(time.time())} IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=msid-semantic:WMS *",
        f"a=fingerprint:sha-256 {transport.fingerprint}",
        "a=ice-lite",
        "a=extmap-allow-mixed",
        f"a=group:BUNDLE {' '.join(mids)}".rstrip(),
    ]


def render_answer(session_id: int, offer: Session, sections: list[AnswerSection], transport: LocalTransport) -> str:
    """Return the text of an answer."""
    lines = _head(session_id, transport, [s.mid for s in sections if not s.rejected])
    for media, section in zip(offer.media, sections, strict=True):
        if section.rejected:
            lines += _rejected_lines(media)
            continue
        # All sections share one transport, so its candidates are said once.
        local, transport = transport, replace(transport, candidates=())
        if section.kind == "application":
            lines += _data_lines(section.mid, local)
        else:
            lines += _media_lines(
                section.mid,
                section.kind,
                section.codecs,
                section.direction,
                section.extensions,
                local,
                rids=section.rids,
                outgoing=section.outgoing,
                wish=section.wish,
            )
    return "\r\n".join(lines) + "\r\n"


OFFER_EXTENSIONS = {
    kind: {uri: number for number, uri in enumerate(SEND_EXTENSIONS[kind][::-1], 1)} for kind in SEND_EXTENSIONS
}
"""Header extension ids of our offers; the same URI has the same id in every section."""


def render_offer(session_id: int, sections: list[OfferSection], transport: LocalTransport) -> str:
    """Return the text of an offer: the data channels first, then a section for each track."""
    lines = _head(session_id, transport, ["0", *(s.mid for s in sections)])
    lines += _data_lines("0", transport)
    for section in sections:
        lines += _media_lines(
            section.mid,
            section.kind,
            section.codecs,
            # What the real server offers; a client that sends nothing here answers "recvonly".
            "recvonly" if section.outgoing is None else "sendrecv",
            OFFER_EXTENSIONS[section.kind],
            replace(transport, candidates=()),
            outgoing=section.outgoing,
        )
    return "\r\n".join(lines) + "\r\n"


def remote_parameters(session: Session) -> RemoteParameters:
    """Return what a client's description says about its transport; raises `SdpError` when something is missing."""
    ufrag, fingerprints = session.get("ice-ufrag"), session.fingerprints
    if not ufrag or not fingerprints:
        raise SdpError("no ICE credentials or no fingerprint")
    application = next((m for m in session.media if m.kind == "application" and not m.rejected), None)
    port = size = None
    if application is not None:
        port = _number(application.get("sctp-port"), 5000)
        size = _number(application.get("max-message-size"), DEFAULT_MESSAGE_SIZE)
    return RemoteParameters(
        ufrag, fingerprints, session.get("setup") or "actpass", port, DEFAULT_MESSAGE_SIZE if size is None else size
    )


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 16 else default


def trickle_candidates(candidates: list[str], target: rtc.SignalTarget) -> Iterator[rtc.TrickleRequest]:
    """Yield the messages for our candidates; the last one says so, as the real server's does."""
    for index, candidate in enumerate(candidates):
        text = json.dumps(
            {"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": None},
            separators=(",", ":"),
        )
        yield rtc.TrickleRequest(candidateInit=text, target=target, final=index == len(candidates) - 1)
