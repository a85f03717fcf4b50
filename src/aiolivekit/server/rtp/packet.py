"""RTP packets and their header extensions (RFC 3550, RFC 8285)."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

__all__ = ["AUDIO_LEVEL", "DEPENDENCY_DESCRIPTOR", "MID", "RID", "TRANSPORT_CC", "Header", "make_extensions", "parse"]

AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
DEPENDENCY_DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"

ONE_BYTE = 0xBEDE
TWO_BYTE = 0x1000

_fixed = Struct("!BBHII")
_profile = Struct("!HH")


class Header(NamedTuple):
    """The header of a packet and where its parts are."""

    marker: int
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload_start: int
    payload_end: int
    profile: int
    extension_start: int
    extension_end: int


def parse(data: bytes) -> Header | None:
    """Parse a packet's header; `None` when it is malformed."""
    size = len(data)
    if size < 12:
        return None
    first, second, sequence, timestamp, ssrc = _fixed.unpack_from(data)
    if first >> 6 != 2:
        return None
    start = 12 + 4 * (first & 15)
    profile = extension_start = extension_end = 0
    if first & 16:
        if start + 4 > size:
            return None
        profile, words = _profile.unpack_from(data, start)
        extension_start = start + 4
        start = extension_end = extension_start + 4 * words
    end = size
    if first & 32:
        end -= data[-1]
        if data[-1] == 0:
            return None
    if start > end:
        return None
    return Header(
        second & 128,
        second & 127,
        sequence,
        timestamp,
        ssrc,
        start,
        end,
        profile,
        extension_start,
        extension_end,
    )


def read_extensions(data: bytes, header: Header) -> dict[int, bytes]:
    """Return the header extensions by id; malformed ones end the reading."""
    found: dict[int, bytes] = {}
    position, end = header.extension_start, header.extension_end
    if header.profile == ONE_BYTE:
        while position < end:
            byte = data[position]
            if byte == 0:
                position += 1
                continue
            number, size = byte >> 4, (byte & 15) + 1
            if number == 15 or position + 1 + size > end:
                break
            found[number] = data[position + 1 : position + 1 + size]
            position += 1 + size
    elif header.profile & 0xFFF0 == TWO_BYTE:
        while position + 1 < end:
            number = data[position]
            if number == 0:
                position += 1
                continue
            size = data[position + 1]
            if position + 2 + size > end:
                break
            found[number] = data[position + 2 : position + 2 + size]
            position += 2 + size
    return found


def make_extensions(values: list[tuple[int, bytes]]) -> bytes:
    """Return the extension block for these values, the shorter of the two forms; empty for none."""
    if not values:
        return b""
    body = b""
    if all(number < 15 and 0 < len(value) <= 16 for number, value in values):
        profile = ONE_BYTE
        for number, value in values:
            body += bytes(((number << 4) | (len(value) - 1),)) + value
    else:
        profile = TWO_BYTE
        for number, value in values:
            body += bytes((number, len(value))) + value
    body += b"\x00" * (-len(body) % 4)
    return _profile.pack(profile, len(body) // 4) + body


def make_packet(
    marker: int, payload_type: int, sequence: int, timestamp: int, ssrc: int, extensions: bytes, payload: bytes
) -> bytes:
    """Return a packet; `extensions` is what `make_extensions` returned."""
    return (
        _fixed.pack(0x90 if extensions else 0x80, marker | payload_type, sequence, timestamp, ssrc)
        + extensions
        + payload
    )


def make_padding(payload_type: int, sequence: int, timestamp: int, ssrc: int) -> bytes:
    """Return the smallest packet without payload: it keeps a sequence whole where a packet has nothing to say."""
    return _fixed.pack(0xA0, payload_type, sequence, timestamp, ssrc) + b"\x01"
