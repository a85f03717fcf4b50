"""How an encrypted frame looks: which of its bytes stay readable, and what follows the encrypted ones.

    readable header | ciphertext with its tag | IV | size of the IV | index of the key

The header is what packetizers and servers must be able to read; it is authenticated. All that follows it is escaped
where H.264 would take it for the beginning of another unit. Of AV1 nothing is left readable, since its packetizer wants
whole units: the frame is put into a unit that says no more than how long it is and whether it begins a sequence.
"""

from __future__ import annotations

import hashlib
import re

__all__ = [
    "IV_SIZE",
    "MIN_SEALED",
    "TAG_SIZE",
    "TRAILER_SIZE",
    "av1_header",
    "av1_header_size",
    "escape",
    "h264_header_size",
    "header_size",
    "injected_payload",
    "unescape",
]

IV_SIZE = 12
TAG_SIZE = 16
TRAILER_SIZE = 2
MIN_SEALED = TAG_SIZE + IV_SIZE + TRAILER_SIZE
"""Bytes that follow the header at least."""

_AUDIO_HEADER = 1
"""The byte that says how an Opus frame is coded."""
_VP8_KEY_HEADER, _VP8_DELTA_HEADER = 10, 3
_NAL_START = b"\0\0\1"
_NAL_STARTS = re.compile(rb"\x00?\x00\x00\x01")
_NAL_TYPE = 0x1F
_SLICES = (1, 5)
_SLICE_HEADER = 2
_ESCAPE = re.compile(rb"\x00\x00(?=[\x00-\x03])")
_AV1_SEQUENCE = b"\x0a\0"
"""A sequence header of no bytes: with it the packetizer marks the beginning of a sequence."""
_AV1_FRAME, _AV1_FRAME_HEADER = 0x32, 0x00
_MAX_LEB128 = 8


def header_size(kind: str, codec: str, key_frame: bool, data: bytes | bytearray) -> int:
    """Return how many bytes at the beginning of a frame stay readable; may be more than it has.

    Args:
        kind: `"audio"` or `"video"`.
        codec: In small letters. H.265 is unknown here, as it is to libwebrtc; AV1 is not asked for (`av1_header`).
        key_frame: Whether a frame of video can be decoded by itself.
        data: The frame.
    """
    if kind == "audio":
        return _AUDIO_HEADER
    if codec == "vp8":
        return _VP8_KEY_HEADER if key_frame else _VP8_DELTA_HEADER
    if codec == "h264":
        return h264_header_size(data)
    return 0


def h264_header_size(data: bytes | bytearray) -> int:
    """Return where the first slice's own header ends: parameter sets before it stay readable. 0 if there is none."""
    at = data.find(_NAL_START)
    while at >= 0:
        at += len(_NAL_START)
        if at < len(data) and data[at] & _NAL_TYPE in _SLICES:
            return at + _SLICE_HEADER
        at = data.find(_NAL_START, at)
    return 0


def escape(data: bytes) -> bytes:
    """Return the bytes with those broken up that would begin another H.264 unit."""
    return _ESCAPE.sub(b"\0\0\3", data)


def unescape(data: bytes) -> bytes:
    """Undo `escape`."""
    return data.replace(b"\0\0\3", b"\0\0")


def av1_header(size: int, key_frame: bool) -> bytes:
    """Return what stands before the encrypted bytes of an AV1 frame.

    Args:
        size: How many bytes follow.
        key_frame: Whether the frame can be decoded by itself.
    """
    size += 1
    length = bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return b"".join((_AV1_SEQUENCE if key_frame else b"", bytes((_AV1_FRAME,)), length, bytes((_AV1_FRAME_HEADER,))))


def av1_header_size(data: bytes | bytearray) -> int | None:
    """Return where the encrypted bytes of an AV1 frame begin, or `None` if it is not one that `av1_header` made."""
    at = len(_AV1_SEQUENCE) if data.startswith(_AV1_SEQUENCE) else 0
    if at >= len(data) or data[at] != _AV1_FRAME:
        return None
    at += 1
    size = 0
    for index in range(_MAX_LEB128):
        if at >= len(data):
            return None
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            break
    else:
        return None
    if size != len(data) - at or not size or data[at] != _AV1_FRAME_HEADER:
        return None
    return at + 1


_OPUS_SILENCE = "aad8d31fc56b2802ca500e58c2fb9d0b29ad71bb7cb52cd6530251eade188988"
_VP8_BLACK = "ef0161653d8b2b23aad46624b420af1d03ce48950e9fc85718028f91b50f9219"
_H264_BLACK = {
    "f0a0e09647d891d6d50aa898bce7108090375d0d55e50a2bb21147afee558e44",
    "61d9665eed71b6d424ae9539330a3bdd5cb386d4d781c808219a6e36750493a7",
    "faffc26b68a2fc09096fa20f3351e706398b6f838a7500c8063472c2e476e90d",
}
"""SHA-256 of what livekit-server puts in the place of a track that is muted or gone, for H.264 unit by unit."""


def injected_payload(data: bytes | bytearray, trailer: bytes) -> bytes | None:
    """Return the frame without its trailer if the server made it: silence, or a black picture.

    Nothing else may reach a decoder unencrypted, so the trailer alone proves nothing.

    Args:
        data: A frame that ends in the trailer.
        trailer: How the server marks its own frames (`JoinResponse.sif_trailer`).
    """
    payload = bytes(data[: len(data) - len(trailer)])
    digest = hashlib.sha256(payload).hexdigest()
    if digest in (_OPUS_SILENCE, _VP8_BLACK) or digest in _H264_BLACK:
        return payload
    units = [unit for unit in _NAL_STARTS.split(payload) if unit]
    if units and all(hashlib.sha256(unit).hexdigest() in _H264_BLACK for unit in units):
        return payload
    return None
