"""From one planar YUV format to another: luma is kept as it is, chroma is averaged or repeated.

libwebrtc offers conversions to RGB and to I420 only, and going through RGB would cut off colours it does not have. So
the averages are taken here, as digits of long integers (see `_Lanes`), which is fast enough without numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ..enums import VideoBufferType
from .pixels import Plane, frame_size, interleave_chroma, planes, separate_chroma

__all__ = ["PLANAR_TYPES", "convert_planar"]

_T = VideoBufferType

PLANAR_TYPES = frozenset({_T.I420, _T.I420A, _T.I422, _T.I444, _T.I010, _T.NV12})

_OPAQUE = 255


@dataclass(slots=True)
class _Chroma:
    """One chroma plane, without padding."""

    data: bytes
    width: int
    height: int


def convert_planar(
    source: VideoBufferType, data: bytes | bytearray | memoryview, width: int, height: int, target: VideoBufferType
) -> bytearray:
    """Return a picture of a planar YUV format in another one.

    Ten bits are cut down to eight, as libyuv does it, and eight are shifted up to ten. Alpha is kept between pictures
    that have it, dropped, or opaque.

    Args:
        source: The format of `data`, one of `PLANAR_TYPES`.
        data: The bytes.
        width: Pixels of a row.
        height: Rows.
        target: The format wanted, one of `PLANAR_TYPES`.
    """
    if (source, target) == (_T.I420, _T.NV12):
        return interleave_chroma(data, width, height)
    if (source, target) == (_T.NV12, _T.I420):
        return separate_chroma(data, width, height)
    flat = bytes(data[: frame_size(source, width, height)])
    if source == target:
        return bytearray(flat)
    alpha = None
    if source == _T.I420A:
        alpha_plane = planes(source, width, height)[3]
        alpha = flat[alpha_plane.offset : alpha_plane.offset + alpha_plane.size]
    if source == _T.NV12:
        flat, source = bytes(separate_chroma(flat, width, height)), _T.I420
    elif source == _T.I010:
        flat, source = _ten_to_eight(flat), _T.I420
    luma, *chroma_planes = planes(source, width, height)[:3]

    out = bytearray(flat[: luma.size])
    layout = _T.I420 if target in (_T.I420A, _T.I010, _T.NV12) else target
    wanted = planes(layout, width, height)[1]
    for plane in chroma_planes:
        chroma = _Chroma(flat[plane.offset : plane.offset + plane.size], plane.stride, plane.rows)
        out += _resized(chroma, width, height, wanted)
    if target == _T.NV12:
        return interleave_chroma(out, width, height)
    if target == _T.I010:
        return _eight_to_ten(out)
    if target == _T.I420A:
        out += alpha if alpha is not None else bytes([_OPAQUE]) * luma.size
    return out


def _resized(chroma: _Chroma, width: int, height: int, wanted: Plane) -> bytes:
    halve_rows = wanted.rows < chroma.height
    if wanted.stride < chroma.width:
        return _halved(chroma, rows_too=halve_rows)
    if halve_rows:
        return _halved_rows(chroma)
    if wanted.stride > chroma.width:
        chroma = _repeat_columns(chroma, width)
    return _repeat_rows(chroma, height) if wanted.rows > chroma.height else chroma.data


def _repeat_columns(chroma: _Chroma, width: int) -> _Chroma:
    doubled = bytearray(2 * len(chroma.data))
    doubled[::2] = doubled[1::2] = chroma.data
    if width % 2:
        doubled = bytearray().join(_rows(doubled, 2 * chroma.width, width))
    return _Chroma(bytes(doubled), width, chroma.height)


def _repeat_rows(chroma: _Chroma, height: int) -> bytes:
    rows = _rows(chroma.data, chroma.width, chroma.width)
    return b"".join(rows[row // 2] for row in range(height))


def _rows(data: bytes | bytearray, stride: int, width: int) -> list[bytes | bytearray]:
    return [data[start : start + width] for start in range(0, len(data), stride)]


def _even(chroma: _Chroma, *, rows_too: bool) -> _Chroma:
    """Repeat the last column, and the last row, of an odd plane, so that averages have all they are taken of."""
    data, width, height = chroma.data, chroma.width, chroma.height
    if width % 2:
        data = b"".join(row + row[-1:] for row in _rows(data, width, width))
        width += 1
    if rows_too and height % 2:
        data += data[-width:]
        height += 1
    return _Chroma(data, width, height)


def _halved(chroma: _Chroma, *, rows_too: bool) -> bytes:
    """Return the averages of pairs of columns, or of squares of two by two."""
    even = _even(chroma, rows_too=rows_too)
    lanes = _lanes(len(even.data) // 2)
    pairs = int.from_bytes(even.data, "little")
    sums = (pairs & lanes.low) + ((pairs >> 8) & lanes.low)
    if not rows_too:
        return _low_bytes((sums + lanes.ones) >> 1, lanes)
    # Each sum of a pair takes the two bytes that the pair had, so a row is as long as before.
    rows = _rows(sums.to_bytes(len(even.data), "little"), even.width, even.width)
    upper = int.from_bytes(b"".join(rows[::2]), "little")
    lower = int.from_bytes(b"".join(rows[1::2]), "little")
    lanes = _lanes(len(even.data) // 4)
    return _low_bytes((upper + lower + 2 * lanes.ones) >> 2, lanes)


def _halved_rows(chroma: _Chroma) -> bytes:
    """Return the averages of pairs of rows."""
    data = chroma.data if chroma.height % 2 == 0 else chroma.data + chroma.data[-chroma.width :]
    rows = _rows(data, chroma.width, chroma.width)
    upper, lower = b"".join(rows[::2]), b"".join(rows[1::2])
    averages = bytearray(len(upper))
    for start in (0, 1):
        half = len(upper[start::2])
        lanes = _lanes(half)
        sums = _wide(upper[start::2]) + _wide(lower[start::2])
        averages[start::2] = _low_bytes((sums + lanes.ones) >> 1, lanes)
    return bytes(averages)


@dataclass(frozen=True, slots=True)
class _Lanes:
    """Digits of 16 bits in a long integer: a byte in each, and room for the sum of four."""

    count: int
    low: int
    ones: int


@lru_cache(maxsize=4)
def _lanes(count: int) -> _Lanes:
    return _Lanes(count, int.from_bytes(b"\xff\x00" * count, "little"), int.from_bytes(b"\x01\x00" * count, "little"))


def _wide(data: bytes) -> int:
    wide = bytearray(2 * len(data))
    wide[::2] = data
    return int.from_bytes(wide, "little")


def _low_bytes(number: int, lanes: _Lanes) -> bytes:
    return (number & lanes.low).to_bytes(2 * lanes.count, "little")[::2]


_LOW_OF_TEN = bytes((value << 2) & 0xFF for value in range(256))
_HIGH_OF_TEN = bytes(value >> 6 for value in range(256))


def _eight_to_ten(data: bytearray) -> bytearray:
    wide = bytearray(2 * len(data))
    wide[::2] = data.translate(_LOW_OF_TEN)
    wide[1::2] = data.translate(_HIGH_OF_TEN)
    return wide


def _ten_to_eight(data: bytes) -> bytes:
    lanes = _lanes(len(data) // 2)
    return _low_bytes(int.from_bytes(data, "little") >> 2, lanes)
