"""RTCP packets: those we read and those we write (RFC 3550, RFC 4585, RFC 5104)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, error, pack, unpack_from

__all__ = [
    "Fir",
    "Nack",
    "Pli",
    "ReceiverReport",
    "Report",
    "SenderReport",
    "make_nack",
    "make_pli",
    "make_receiver_report",
    "make_sender_report",
    "ntp_now",
    "parse",
]

SENDER_REPORT, RECEIVER_REPORT, BYE, FEEDBACK, PAYLOAD_FEEDBACK = 200, 201, 203, 205, 206
NTP_EPOCH = 2208988800

_report = Struct("!IIIIII")


@dataclass(frozen=True, slots=True)
class Report:
    """One report block."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_sr: int
    delay: int


@dataclass(frozen=True, slots=True)
class SenderReport:
    """When a stream's RTP time was what wall-clock time."""

    ssrc: int
    ntp: int
    rtp: int
    reports: tuple[Report, ...]


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """How a receiver fares."""

    ssrc: int
    reports: tuple[Report, ...]


@dataclass(frozen=True, slots=True)
class Nack:
    """Sequence numbers that are missing."""

    ssrc: int
    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pli:
    """The receiver needs a key frame."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class Fir:
    """The receiver needs a key frame, said the older way."""

    ssrc: int


Message = SenderReport | ReceiverReport | Nack | Pli | Fir


def ntp_now() -> int:
    """The wall clock as a 64-bit NTP timestamp."""
    return int((time.time() + NTP_EPOCH) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


def parse(data: bytes) -> Iterator[Message]:
    """Yield what a compound packet says, of the kinds we act on; stops at what is malformed."""
    position = 0
    try:
        while position + 4 <= len(data):
            first, kind, words = unpack_from("!BBH", data, position)
            end = position + 4 * (words + 1)
            if first >> 6 != 2 or end > len(data):
                return
            yield from _message(data[position:end], first & 31, kind)
            position = end
    except error:
        return


def _message(data: bytes, count: int, kind: int) -> Iterator[Message]:
    if kind == SENDER_REPORT:
        ssrc, ntp, rtp = unpack_from("!IQI", data, 4)
        yield SenderReport(ssrc, ntp, rtp, _reports(data, 28, count))
    elif kind == RECEIVER_REPORT:
        yield ReceiverReport(unpack_from("!I", data, 4)[0], _reports(data, 8, count))
    elif kind == FEEDBACK and count == 1:
        sequences: list[int] = []
        for position in range(12, len(data) - 3, 4):
            first, mask = unpack_from("!HH", data, position)
            sequences.append(first)
            sequences.extend((first + bit + 1) & 0xFFFF for bit in range(16) if mask >> bit & 1)
        yield Nack(unpack_from("!I", data, 8)[0], tuple(sequences))
    elif kind == PAYLOAD_FEEDBACK and count == 1:
        yield Pli(unpack_from("!I", data, 8)[0])
    elif kind == PAYLOAD_FEEDBACK and count == 4:
        for position in range(12, len(data) - 7, 8):
            yield Fir(unpack_from("!I", data, position)[0])


def _reports(data: bytes, position: int, count: int) -> tuple[Report, ...]:
    found = []
    for index in range(count):
        ssrc, lost, highest, jitter, last_sr, delay = _report.unpack_from(data, position + 24 * index)
        signed = (lost & 0xFFFFFF) - ((lost & 0x800000) << 1)
        found.append(Report(ssrc, lost >> 24, signed, highest, jitter, last_sr, delay))
    return tuple(found)


def make_receiver_report(sender: int, reports: list[Report]) -> bytes:
    """Return a receiver report of up to 31 blocks."""
    body = pack("!I", sender) + b"".join(
        _report.pack(
            r.ssrc,
            (r.fraction_lost << 24) | (min(max(r.lost, -0x800000), 0x7FFFFF) & 0xFFFFFF),
            r.highest & 0xFFFFFFFF,
            r.jitter & 0xFFFFFFFF,
            r.last_sr,
            r.delay,
        )
        for r in reports[:31]
    )
    return pack("!BBH", 0x80 | min(len(reports), 31), RECEIVER_REPORT, len(body) // 4) + body


def make_sender_report(ssrc: int, ntp: int, rtp: int, packets: int, octets: int) -> bytes:
    """Return a sender report without blocks."""
    return pack("!BBHIQIII", 0x80, SENDER_REPORT, 6, ssrc, ntp, rtp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)


def make_pli(sender: int, media: int) -> bytes:
    """Return a picture loss indication."""
    return pack("!BBHII", 0x81, PAYLOAD_FEEDBACK, 2, sender, media)


def make_nack(sender: int, media: int, sequences: list[int]) -> bytes:
    """Return a negative acknowledgement of these sequence numbers, given in ascending order."""
    blocks: list[tuple[int, int]] = []
    for sequence in sequences:
        if blocks:
            first, mask = blocks[-1]
            distance = (sequence - first) & 0xFFFF
            if 0 < distance <= 16:
                blocks[-1] = (first, mask | 1 << (distance - 1))
                continue
        blocks.append((sequence, 0))
    body = pack("!II", sender, media) + b"".join(pack("!HH", *block) for block in blocks)
    return pack("!BBH", 0x81, FEEDBACK, len(body) // 4) + body


def make_remb(sender: int, bitrate: int, ssrcs: list[int]) -> bytes:
    """Return a receiver-estimated maximum bitrate (draft-alvestrand-rmcat-remb), in bits per second."""
    exponent = max(0, bitrate.bit_length() - 18)
    body = pack("!II4sI", sender, 0, b"REMB", len(ssrcs) << 24 | exponent << 18 | bitrate >> exponent)
    body += b"".join(pack("!I", ssrc) for ssrc in ssrcs)
    return pack("!BBH", 0x8F, PAYLOAD_FEEDBACK, len(body) // 4) + body
