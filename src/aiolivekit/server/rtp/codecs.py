"""What the forwarder has to know of payloads: where a key frame starts, VP8's counters, RED's blocks."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Vp8Descriptor", "is_key_frame", "primary_of_red", "read_vp8", "renumber_red", "write_vp8"]


def is_key_frame(mime: str, payload: bytes) -> bool:
    """Whether a payload is the start of a picture that can be decoded by itself; `mime` is the codec in lower case."""
    check = _KEY_FRAMES.get(mime)
    return check is None or (bool(payload) and check(payload))


class Vp8Descriptor(NamedTuple):
    """VP8's payload descriptor (RFC 7741): where its counters are, and the first byte of the frame."""

    starts_frame: bool
    picture_id: int | None
    picture_id_at: int
    picture_id_bits: int
    tl0: int | None
    tl0_at: int
    end: int


def read_vp8(payload: bytes) -> Vp8Descriptor | None:
    """Parse the payload descriptor; `None` when it is malformed."""
    size = len(payload)
    if not size:
        return None
    first = payload[0]
    position = 1
    picture_id = tl0 = None
    picture_id_at = picture_id_bits = tl0_at = 0
    if first & 0x80:
        if position >= size:
            return None
        flags = payload[position]
        position += 1
        if flags & 0x80:
            if position >= size:
                return None
            picture_id_at = position
            if payload[position] & 0x80:
                if position + 1 >= size:
                    return None
                picture_id = (payload[position] & 0x7F) << 8 | payload[position + 1]
                picture_id_bits = 15
                position += 2
            else:
                picture_id = payload[position]
                picture_id_bits = 7
                position += 1
        if flags & 0x40:
            if position >= size:
                return None
            tl0_at = position
            tl0 = payload[position]
            position += 1
        if flags & 0x30:
            position += 1
    if position > size:
        return None
    return Vp8Descriptor(
        bool(first & 0x10) and not first & 0x07, picture_id, picture_id_at, picture_id_bits, tl0, tl0_at, position
    )


def write_vp8(payload: bytes, descriptor: Vp8Descriptor, picture_id: int, tl0: int) -> bytes:
    """Return the payload with other counters, in fields of the same size."""
    changed = bytearray(payload)
    if descriptor.picture_id_bits == 15:
        changed[descriptor.picture_id_at] = 0x80 | (picture_id >> 8 & 0x7F)
        changed[descriptor.picture_id_at + 1] = picture_id & 0xFF
    elif descriptor.picture_id_bits == 7:
        changed[descriptor.picture_id_at] = picture_id & 0x7F
    if descriptor.tl0 is not None:
        changed[descriptor.tl0_at] = tl0 & 0xFF
    return bytes(changed)


def _vp8(payload: bytes) -> bool:
    descriptor = read_vp8(payload)
    return (
        descriptor is not None
        and descriptor.starts_frame
        and descriptor.end < len(payload)
        and not payload[descriptor.end] & 1
    )


def _vp9(payload: bytes) -> bool:
    # I P L F B E V Z: no inter-picture prediction, beginning of a frame, and of the lowest spatial layer.
    first = payload[0]
    if first & 0x40 or not first & 0x08:
        return False
    if not first & 0x20:
        return True
    position = 1
    if first & 0x80:
        if position >= len(payload):
            return False
        position += 2 if payload[position] & 0x80 else 1
    return position < len(payload) and not payload[position] >> 1 & 7


def _h264(payload: bytes) -> bool:
    kind = payload[0] & 31
    if kind in (5, 7):
        return True
    if kind == 24:  # STAP-A
        position = 1
        while position + 2 < len(payload):
            if payload[position + 2] & 31 in (5, 7):
                return True
            position += 2 + (payload[position] << 8 | payload[position + 1])
        return False
    if kind in (28, 29) and len(payload) > 1:  # FU-A, FU-B
        return bool(payload[1] & 0x80) and payload[1] & 31 in (5, 7)
    return False


def _h265(payload: bytes) -> bool:
    kind = payload[0] >> 1 & 63
    if kind == 49 and len(payload) > 2:  # fragmentation unit
        return bool(payload[2] & 0x80) and 16 <= payload[2] & 63 <= 21
    return 16 <= kind <= 21 or 32 <= kind <= 34 or kind == 48


def _av1(payload: bytes) -> bool:
    return bool(payload[0] & 0x08)  # N: first packet of a coded video sequence


_KEY_FRAMES = {"vp8": _vp8, "vp9": _vp9, "h264": _h264, "h265": _h265, "av1": _av1}


def _red_blocks(payload: bytes) -> tuple[list[int], int] | None:
    """Return where the block headers of a RED payload are, and where the primary's data starts (RFC 2198)."""
    positions = []
    position = skipped = 0
    while True:
        if position >= len(payload):
            return None
        positions.append(position)
        if not payload[position] & 0x80:
            break
        if position + 3 >= len(payload):
            return None
        skipped += (payload[position + 2] & 3) << 8 | payload[position + 3]
        position += 4
    start = position + 1 + skipped
    return (positions, start) if start <= len(payload) else None


def primary_of_red(payload: bytes) -> bytes | None:
    """Return the newest frame of a RED payload, for those who take no RED; `None` when it is malformed."""
    blocks = _red_blocks(payload)
    return None if blocks is None else payload[blocks[1] :]


def renumber_red(payload: bytes, payload_type: int) -> bytes | None:
    """Return a RED payload with another payload type in its blocks; `None` when it is malformed."""
    blocks = _red_blocks(payload)
    if blocks is None:
        return None
    changed = bytearray(payload)
    for position in blocks[0]:
        changed[position] = changed[position] & 0x80 | payload_type
    return bytes(changed)
