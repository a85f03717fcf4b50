"""Pixel formats: where their planes lie, and what can be rearranged without arithmetic.

The names are those of `VideoBufferType` and give the order of the bytes in memory. Planes lie one after another
without padding, and the chroma of an odd size is rounded up, as in the official SDK.
"""

from __future__ import annotations

import sys
from array import array
from typing import NamedTuple

from ..enums import VideoBufferType

__all__ = [
    "RGB_TYPES",
    "Plane",
    "double",
    "flip_rows",
    "frame_size",
    "from_native_rgb",
    "halve",
    "interleave_chroma",
    "native_rgb",
    "planes",
    "separate_chroma",
    "to_native_rgb",
]

_T = VideoBufferType

RGB_TYPES = frozenset({_T.RGBA, _T.BGRA, _T.ARGB, _T.ABGR, _T.RGB24})

_PIXEL_BYTES = {_T.RGBA: 4, _T.BGRA: 4, _T.ARGB: 4, _T.ABGR: 4, _T.RGB24: 3}

_REVERSED = {_T.ARGB: _T.BGRA, _T.ABGR: _T.RGBA}
"""libwebrtc has no name for these, but each is the mirror image of one it has."""


class Plane(NamedTuple):
    """A plane: where it starts, the bytes of a row, the rows."""

    offset: int
    stride: int
    rows: int

    @property
    def size(self) -> int:
        """The bytes of the plane."""
        return self.stride * self.rows


def planes(buffer_type: VideoBufferType, width: int, height: int) -> list[Plane]:
    """Return the planes of a picture in a buffer."""
    half_width, half_height = (width + 1) // 2, (height + 1) // 2
    shapes: list[tuple[int, int]]
    if buffer_type in _PIXEL_BYTES:
        shapes = [(width * _PIXEL_BYTES[buffer_type], height)]
    elif buffer_type == _T.NV12:
        shapes = [(width, height), (half_width * 2, half_height)]
    elif buffer_type == _T.I422:
        shapes = [(width, height), (half_width, height), (half_width, height)]
    elif buffer_type == _T.I444:
        shapes = [(width, height)] * 3
    elif buffer_type == _T.I010:
        shapes = [(width * 2, height), (half_width * 2, half_height), (half_width * 2, half_height)]
    else:
        shapes = [(width, height), (half_width, half_height), (half_width, half_height)]
        if buffer_type == _T.I420A:
            shapes.append((width, height))
    found: list[Plane] = []
    offset = 0
    for stride, rows in shapes:
        found.append(Plane(offset, stride, rows))
        offset += stride * rows
    return found


def frame_size(buffer_type: VideoBufferType, width: int, height: int) -> int:
    """Return the bytes of a picture."""
    last = planes(buffer_type, width, height)[-1]
    return last.offset + last.size


def native_rgb(buffer_type: VideoBufferType) -> VideoBufferType:
    """Return the order of RGB bytes, of those libwebrtc knows, from which `buffer_type` is made without arithmetic."""
    return _T.RGBA if buffer_type == _T.RGB24 else _REVERSED.get(buffer_type, buffer_type)


def to_native_rgb(buffer_type: VideoBufferType, pixels: memoryview) -> memoryview:
    """Return an RGB picture in the order `native_rgb(buffer_type)`."""
    if buffer_type in _REVERSED:
        return _reversed_words(pixels)
    if buffer_type == _T.RGB24:
        opaque = bytearray(b"\xff") * (len(pixels) // 3 * 4)
        _copy_colours(pixels, 3, opaque, 4)
        return memoryview(opaque)
    return pixels


def from_native_rgb(buffer_type: VideoBufferType, pixels: bytearray) -> bytearray | memoryview:
    """Return a picture in `buffer_type`, given in the order `native_rgb(buffer_type)`."""
    if buffer_type in _REVERSED:
        return _reversed_words(pixels)
    if buffer_type == _T.RGB24:
        packed = bytearray(len(pixels) // 4 * 3)
        _copy_colours(pixels, 4, packed, 3)
        return packed
    return pixels


def _reversed_words(pixels: bytearray | memoryview) -> memoryview:
    words = array("I")
    words.frombytes(pixels)
    words.byteswap()
    return memoryview(words).cast("B")


def _copy_colours(source: bytearray | memoryview, source_step: int, target: bytearray, target_step: int) -> None:
    # numpy does this in a fifth of the time, but is not worth importing for a program that does without.
    if (numpy := sys.modules.get("numpy")) is not None:
        pixels = numpy.frombuffer(source, numpy.uint8).reshape(-1, source_step)
        numpy.frombuffer(target, numpy.uint8).reshape(-1, target_step)[:, :3] = pixels[:, :3]
        return
    # Strides of bytes are copied in C, those of a memoryview one Python object at a time.
    flat = bytes(source)
    for channel in range(3):
        target[channel::target_step] = flat[channel::source_step]


def interleave_chroma(i420: bytes | bytearray | memoryview, width: int, height: int) -> bytearray:
    """Return an I420 picture as NV12."""
    luma, u, v = planes(_T.I420, width, height)
    flat = bytes(i420)
    nv12 = bytearray(frame_size(_T.NV12, width, height))
    nv12[: luma.size] = flat[: luma.size]
    nv12[luma.size :: 2] = flat[u.offset : u.offset + u.size]
    nv12[luma.size + 1 :: 2] = flat[v.offset : v.offset + v.size]
    return nv12


def separate_chroma(nv12: bytes | bytearray | memoryview, width: int, height: int) -> bytearray:
    """Return an NV12 picture as I420."""
    luma, u, v = planes(_T.I420, width, height)
    flat = bytes(nv12)
    i420 = bytearray(frame_size(_T.I420, width, height))
    i420[: luma.size] = flat[: luma.size]
    i420[u.offset : u.offset + u.size] = flat[luma.size : v.offset + v.size : 2]
    i420[v.offset : v.offset + v.size] = flat[luma.size + 1 : v.offset + v.size : 2]
    return i420


def double(pixels: bytearray, width: int, *, columns: bool, rows: bool) -> bytearray:
    """Return a picture of four bytes a pixel with each pixel repeated across, down or both."""
    if columns:
        words = array("I", bytes(pixels))
        wide = words * 2
        wide[::2] = wide[1::2] = words
        pixels, width = bytearray(wide.tobytes()), 2 * width
    if not rows:
        return pixels
    stride = 4 * width
    lines = [pixels[start : start + stride] for start in range(0, len(pixels), stride)]
    return bytearray().join(line for line in lines for _ in range(2))


def halve(i420: bytearray, buffer_type: VideoBufferType, width: int, height: int) -> bytearray:
    """Return a doubled picture in I420 as the I422 or I444 of the picture itself: its chroma is the right size."""
    columns = 2 if buffer_type == _T.I444 else 1
    luma, u, v = planes(_T.I420, columns * width, 2 * height)
    every_other = i420[: luma.size : columns]
    halved = bytearray().join(every_other[start : start + width] for start in range(0, len(every_other), 2 * width))
    return halved + i420[u.offset : v.offset + v.size]


def flip_rows(buffer_type: VideoBufferType, width: int, height: int, pixels: bytearray | memoryview) -> bytearray:
    """Return the picture upside down."""
    flipped = bytearray(frame_size(buffer_type, width, height))
    source = memoryview(pixels)
    for offset, stride, rows in planes(buffer_type, width, height):
        for row in range(rows):
            start = offset + row * stride
            mirrored = offset + (rows - 1 - row) * stride
            flipped[mirrored : mirrored + stride] = source[start : start + stride]
    return flipped
