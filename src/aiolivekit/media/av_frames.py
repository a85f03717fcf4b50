"""Frames of ours from those of FFmpeg, and the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..enums import VideoBufferType, VideoRotation
from .video_frame import VideoFrame

if TYPE_CHECKING:
    import av

__all__ = ["Scaler", "fill_planes", "packed_plane", "picture_of", "rotation_of"]

_I420 = VideoBufferType.I420

# FFmpeg's numbers (AVColorSpace, AVColorRange).
_UNSPECIFIED, _BT470BG, _SMPTE170M = 2, 5, 6
_BT601 = 5
_LIMITED, _FULL = 1, 2
_RGB_NAMES = ("rgb", "bgr", "gbr", "argb", "abgr", "pal", "0rgb", "0bgr")


class Scaler:
    """Turns pictures into I420 of BT.601 in its limited range, which is what libwebrtc's codecs mean by it.

    Not for several threads at once.
    """

    def convert(self, frame: av.VideoFrame, width: int = 0, height: int = 0) -> av.VideoFrame:
        """Return the picture so, of another size if one is given; the same object if it is so already."""
        width, height = width or frame.width, height or frame.height
        same_size = (width, height) == (frame.width, frame.height)
        name = frame.format.name
        if name.startswith(_RGB_NAMES):
            return frame.reformat(width, height, "yuv420p", dst_colorspace=_BT601, dst_color_range=_LIMITED)
        source = frame.colorspace
        foreign = source not in (_UNSPECIFIED, _BT470BG, _SMPTE170M)
        wide = frame.color_range == _FULL or name.startswith("yuvj")
        if name == "yuv420p" and same_size and not foreign and not wide:
            return frame
        return frame.reformat(
            width,
            height,
            "yuv420p",
            src_colorspace=source if foreign else _BT601,
            dst_colorspace=_BT601,
            src_color_range=_FULL if wide else _LIMITED,
            dst_color_range=_LIMITED,
        )


def packed_plane(plane: Any, width: int, height: int) -> bytes | memoryview:
    """Return the bytes of a plane of 8-bit samples without what FFmpeg pads its rows with."""
    view = memoryview(plane)
    stride = plane.line_size
    if stride == width:
        return view[: width * height]
    return b"".join(view[row * stride : row * stride + width] for row in range(height))


def picture_of(frame: av.VideoFrame) -> VideoFrame:
    """Return a copy of an I420 picture of FFmpeg's."""
    width, height = frame.width, frame.height
    half = ((width + 1) // 2, (height + 1) // 2)
    sizes = ((width, height), half, half)
    data = b"".join(packed_plane(plane, *size) for plane, size in zip(frame.planes, sizes, strict=False))
    return VideoFrame(width, height, _I420, data)


def fill_planes(frame: av.VideoFrame, data: memoryview) -> None:
    """Put the planes of I420, one after another without padding, into a picture of FFmpeg's of the same size."""
    width, height = frame.width, frame.height
    half = ((width + 1) // 2, (height + 1) // 2)
    offset = 0
    for plane, (columns, rows) in zip(frame.planes, ((width, height), half, half), strict=False):
        part = data[offset : offset + columns * rows]
        offset += columns * rows
        stride = plane.line_size
        if stride == columns:
            plane.update(part.tobytes())
            continue
        padded = bytearray(plane.buffer_size)
        for row in range(rows):
            padded[row * stride : row * stride + columns] = part[row * columns : (row + 1) * columns]
        plane.update(bytes(padded))


def rotation_of(frame: av.VideoFrame) -> VideoRotation:
    """Return how the picture is to be turned before it is shown."""
    return VideoRotation(round(-frame.rotation / 90) % 4)
