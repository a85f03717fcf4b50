"""What travels beside an encoded picture: LiveKit's packet trailer.

A trailer is a list of fields (tag, length, value), its own length and a magic word. All but the word is inverted, so
that what is mostly zeros brings no start code of H.264. It is appended to the frame; in AV1, whose frames are lists of
units (OBUs) that are taken apart on the way, it is a metadata unit of its own before the picture.
"""

from __future__ import annotations

from collections.abc import Collection
from threading import Lock

from ..enums import FrameMetadataFeature
from ..options import FrameMetadata

__all__ = ["MetadataWindow", "add_trailer", "check_metadata", "take_trailer", "trailer_of", "trailer_size"]

_MAGIC = b"LKTS"
_ENVELOPE = 5
_MAX_SIZE = 255
"""Bytes of a trailer: its length is one byte."""

_TIMESTAMP, _FRAME_ID, _USER_DATA = 1, 2, 3
_INVERT = bytes(each ^ 0xFF for each in range(256))

_OBU_SEQUENCE_HEADER, _OBU_TEMPORAL_DELIMITER, _OBU_METADATA = 1, 2, 5
_OBU_HAS_EXTENSION, _OBU_HAS_SIZE, _OBU_FORBIDDEN = 0x04, 0x02, 0x80
_METADATA_TYPE = 31
"""LiveKit's, in the range that is left to applications."""

_F = FrameMetadataFeature
ALL_FEATURES = (_F.FMF_USER_TIMESTAMP, _F.FMF_FRAME_ID, _F.FMF_USER_DATA)


def check_metadata(metadata: FrameMetadata) -> None:
    """See that metadata can travel.

    Raises:
        ValueError: If a number does not fit into its field.
        TypeError: If a field is of another type.
    """
    for name, bits in (("user_timestamp", 64), ("frame_id", 32)):
        value = getattr(metadata, name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} is an integer, not {value!r}")
        if not 0 <= value < 1 << bits:
            raise ValueError(f"{name} is within 0 to 2**{bits} - 1, not {value}")
    if not isinstance(metadata.user_data, bytes | bytearray | memoryview | None):
        raise TypeError(f"user_data are bytes, not {type(metadata.user_data).__name__}")


def trailer_of(metadata: FrameMetadata, features: Collection[int] = ALL_FEATURES) -> tuple[bytes, bool]:
    """Return the trailer with those of the metadata that are set and wanted, and whether all of them found room.

    Zeros count as unset, as with LiveKit's other clients; user data that find no room are left out as a whole. With
    nothing in it the trailer is empty.
    """
    fields = bytearray()
    if metadata.user_timestamp and _F.FMF_USER_TIMESTAMP in features:
        fields += bytes((_TIMESTAMP, 8)) + metadata.user_timestamp.to_bytes(8, "big")
    if metadata.frame_id and _F.FMF_FRAME_ID in features:
        fields += bytes((_FRAME_ID, 4)) + metadata.frame_id.to_bytes(4, "big")
    complete = True
    if metadata.user_data and _F.FMF_USER_DATA in features:
        complete = len(fields) + 2 + len(metadata.user_data) + _ENVELOPE <= _MAX_SIZE
        if complete:
            fields += bytes((_USER_DATA, len(metadata.user_data))) + metadata.user_data
    if not fields:
        return b"", complete
    fields.append(len(fields) + _ENVELOPE)
    return bytes(fields).translate(_INVERT) + _MAGIC, complete


def add_trailer(data: bytes | bytearray, trailer: bytes, *, is_av1: bool) -> bytes | bytearray:
    """Return an encoded frame with a trailer."""
    if not is_av1:
        return data + trailer
    content = bytes((_METADATA_TYPE,)) + trailer
    unit = bytes((_OBU_METADATA << 3 | _OBU_HAS_SIZE,)) + _leb128(len(content)) + content
    where = _after_sequence_header(data)
    return data[:where] + unit + data[where:]


def take_trailer(data: bytes | bytearray, *, is_av1: bool) -> tuple[bytes | bytearray, FrameMetadata | None]:
    """Return an encoded frame without its trailer, and what was in it; the frame as it is if it has none."""
    if is_av1:
        return _take_unit(data)
    size = trailer_size(data)
    if not size:
        return data, None
    metadata = _parse(data[len(data) - size : -_ENVELOPE])
    return (data, None) if metadata is None else (data[: len(data) - size], metadata)


def trailer_size(data: bytes | bytearray | memoryview) -> int:
    """Return how many bytes the trailer has with which the data end; 0 if there is none."""
    if len(data) < _ENVELOPE or data[-4:] != _MAGIC:
        return 0
    size = data[-_ENVELOPE] ^ 0xFF
    return size if _ENVELOPE <= size <= len(data) else 0


def _parse(inverted: bytes | bytearray) -> FrameMetadata | None:
    fields = bytes(inverted).translate(_INVERT)
    metadata = FrameMetadata()
    at = 0
    while at + 2 <= len(fields):
        tag, size = fields[at], fields[at + 1]
        value = fields[at + 2 : at + 2 + size]
        if len(value) < size:
            break
        if tag == _TIMESTAMP and size == 8:
            metadata.user_timestamp = int.from_bytes(value, "big")
        elif tag == _FRAME_ID and size == 4:
            metadata.frame_id = int.from_bytes(value, "big")
        elif tag == _USER_DATA:
            metadata.user_data = value
        at += 2 + size
    return metadata if metadata.is_set else None


# -- AV1 --


def _leb128(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_leb128(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Return a number and where it ends, or `None` if there is none."""
    value = 0
    for index in range(8):
        if at + index >= len(data):
            return None
        byte = data[at + index]
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value, at + index + 1
    return None


def _unit_at(data: bytes | bytearray, at: int) -> tuple[int, int, int] | None:
    """Return the type of the unit that begins there, where its content begins and where it ends."""
    header = data[at]
    if header & _OBU_FORBIDDEN:
        return None
    start = at + 1 + bool(header & _OBU_HAS_EXTENSION)
    if start > len(data):
        return None
    end = len(data)
    if header & _OBU_HAS_SIZE:
        size = _read_leb128(data, start)
        if size is None or size[1] + size[0] > len(data):
            return None
        start, end = size[1], size[1] + size[0]
    return header >> 3 & 0x0F, start, end


def _after_sequence_header(data: bytes | bytearray) -> int:
    where = at = 0
    while at < len(data):
        unit = _unit_at(data, at)
        if unit is None:
            return 0
        has_size = data[at] & _OBU_HAS_SIZE
        kind, _, at = unit
        if kind == _OBU_SEQUENCE_HEADER and has_size:
            # One without a size is the last unit: what stood behind it would be a part of it.
            where = at
        elif kind != _OBU_TEMPORAL_DELIMITER:
            break
    return where


def _take_unit(data: bytes | bytearray) -> tuple[bytes | bytearray, FrameMetadata | None]:
    at = 0
    while at < len(data):
        unit = _unit_at(data, at)
        if unit is None:
            break
        kind, start, end = unit
        if kind == _OBU_METADATA and data[start:end][:1] == bytes((_METADATA_TYPE,)):
            rest, metadata = take_trailer(data[start + 1 : end], is_av1=False)
            if metadata is not None and not rest:
                return data[:at] + data[end:], metadata
        at = end
    return data, None


class MetadataWindow:
    """The metadata of the newest frames by their time on some clock; written and read by different threads."""

    _SIZE = 300
    """As LiveKit's other clients: ten seconds at 30 frames a second."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_time: dict[int, FrameMetadata] = {}

    def put(self, time: int, metadata: FrameMetadata) -> None:
        """Keep the metadata of a frame, in place of the oldest and of those of an earlier frame of that time."""
        with self._lock:
            self._by_time.pop(time, None)
            self._by_time[time] = metadata
            if len(self._by_time) > self._SIZE:
                del self._by_time[next(iter(self._by_time))]

    def get(self, time: int) -> FrameMetadata | None:
        """Return the metadata of a frame, if there are any."""
        with self._lock:
            return self._by_time.get(time)
