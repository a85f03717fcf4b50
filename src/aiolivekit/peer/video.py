"""Video in and out of libwebrtc, and its conversions of pixels."""

from __future__ import annotations

from typing import TypeAlias

import webrtc
import wrtc  # type: ignore[import-not-found,unused-ignore]

from ..core.packet_trailer import MetadataWindow
from ..enums import VideoBufferType
from ..errors import MediaError
from . import runtime
from .chroma import PLANAR_TYPES, convert_planar
from .pixels import RGB_TYPES, Plane, double, frame_size, from_native_rgb, halve, native_rgb, planes, to_native_rgb
from .track_reader import MediaSink, TrackReader

__all__ = [
    "LocalVideo",
    "NativePicture",
    "VideoItem",
    "VideoReader",
    "convert",
    "native_picture",
    "picture_type",
    "pixels_of",
]

_T = VideoBufferType

_NATIVE_NAMES = {
    _T.RGBA: "RGBA",
    _T.BGRA: "BGRA",
    _T.I420: "I420",
    _T.I420A: "I420A",
    _T.I422: "I422",
    _T.I444: "I444",
    _T.I010: "I420P10",
    _T.NV12: "NV12",
}
_TYPES = {name: each for each, name in _NATIVE_NAMES.items()}

_MATRIX = "smpte170m"
"""BT.601 in its limited range: what libwebrtc's software codecs mean by YUV, and what the official SDK converts by."""

_LOOP_STALL_FRAMES = 30
"""Frames libwebrtc keeps for a blocked loop."""

NativePicture: TypeAlias = wrtc.VideoFrameBuffer
"""A picture in libwebrtc's memory."""

VideoItem: TypeAlias = tuple[wrtc.VideoFrameBuffer, int, int, int]
"""What a reader reads: the picture, its time in microseconds, its rotation in degrees, the RTP timestamp or 0."""


def native_picture(buffer_type: VideoBufferType, width: int, height: int, data: memoryview) -> NativePicture:
    """Copy a picture into libwebrtc's memory.

    Args:
        buffer_type: How `data` is laid out.
        width: Pixels of a row.
        height: Rows.
        data: The bytes, at least as many as `frame_size` says.
    """
    if buffer_type in RGB_TYPES:
        data = to_native_rgb(buffer_type, data[: frame_size(buffer_type, width, height)])
        buffer_type = native_rgb(buffer_type)
    layout = [(plane.offset, plane.stride) for plane in planes(buffer_type, width, height)]
    return wrtc.VideoFrameBuffer.fromData(_NATIVE_NAMES[buffer_type], width, height, data, layout)


def picture_type(picture: NativePicture) -> VideoBufferType | None:
    """Return how a picture is laid out in libwebrtc's memory, or `None` if `VideoBufferType` has no name for it."""
    return _TYPES.get(picture.format)


def pixels_of(picture: NativePicture, buffer_type: VideoBufferType) -> bytearray | memoryview:
    """Return a picture's bytes in `buffer_type`.

    Raises:
        MediaError: If libwebrtc does not do its part.
    """
    width, height = picture.width, picture.height
    native_type = picture_type(picture)
    if buffer_type == native_type:
        return _planes_of(picture, native_type)
    if buffer_type in RGB_TYPES:
        target = native_rgb(buffer_type)
        return from_native_rgb(buffer_type, _rgb_of(picture, target))
    if native_type in PLANAR_TYPES:
        return convert_planar(native_type, _planes_of(picture, native_type), width, height, buffer_type)
    return _yuv_of(picture, native_type, buffer_type)


def convert(
    source: VideoBufferType, width: int, height: int, data: memoryview, target: VideoBufferType
) -> bytearray | memoryview:
    """Return a picture's bytes in another format (libyuv, through libwebrtc, and `chroma`).

    Raises:
        MediaError: If libwebrtc does not do its part.
    """
    if source == target:
        return bytearray(data[: frame_size(source, width, height)])
    if source in PLANAR_TYPES and target in PLANAR_TYPES:
        return convert_planar(source, data, width, height, target)
    return pixels_of(native_picture(source, width, height, data), target)


def _planes_of(picture: NativePicture, buffer_type: VideoBufferType) -> bytearray:
    width, height = picture.width, picture.height
    layout = planes(buffer_type, width, height)
    pixels = bytearray(layout[-1].offset + layout[-1].size)
    picture.copyPlanes(pixels, [_whole(plane) for plane in layout])
    return pixels


def _whole(plane: Plane) -> tuple[int, int, int, int, int, int]:
    """Say that all of a plane is copied: first byte and row, bytes and rows, where to and how far apart."""
    return (0, 0, plane.stride, plane.rows, plane.offset, plane.stride)


def _rgb_of(picture: NativePicture, buffer_type: VideoBufferType) -> bytearray:
    width, height = picture.width, picture.height
    pixels = bytearray(width * height * 4)
    picture.convertTo(pixels, _NATIVE_NAMES[buffer_type], 0, 0, width, height, 0, width * 4, _MATRIX, False)
    return pixels


def _yuv_of(
    picture: NativePicture, native_type: VideoBufferType | None, buffer_type: VideoBufferType
) -> bytearray | memoryview:
    """Return the bytes in a planar format of a picture that is RGB, or something libwebrtc turns into RGB."""
    width, height = picture.width, picture.height
    if native_type is None:
        native_type = _T.RGBA
        picture = native_picture(native_type, width, height, memoryview(_rgb_of(picture, native_type)))
    if buffer_type == _T.I420:
        return _i420_of(picture)
    if buffer_type in (_T.I422, _T.I444):
        # libyuv leads to I420 only, which has a chroma sample for every square of two by two: so each pixel is made
        # as many as share one there.
        columns, rows = buffer_type == _T.I444, True
        doubled = double(_planes_of(picture, native_type), width, columns=columns, rows=rows)
        large = native_picture(native_type, width * (1 + columns), height * 2, memoryview(doubled))
        return halve(_i420_of(large), buffer_type, width, height)
    pixels = convert_planar(_T.I420, _i420_of(picture), width, height, buffer_type)
    if buffer_type == _T.I420A:  # both orders libwebrtc knows have alpha last
        alpha = planes(_T.I420A, width, height)[3]
        pixels[alpha.offset :] = bytes(_planes_of(picture, native_type))[3::4]
    return pixels


def _i420_of(picture: NativePicture) -> bytearray:
    # A generated track carries I420, so libwebrtc converts what is written to it, before the write returns.
    generator = wrtc.TrackGenerator("video")
    processor = wrtc.MediaStreamTrackProcessor(generator.track, 1)
    try:
        generator.writeVideo(picture, 0, 0)
        item = processor.read()
    finally:
        processor.cancel()
        generator.close()
    if item is None or len(item) != 4 or item[0].format != "I420":
        raise MediaError(f"libwebrtc did not convert a picture from {picture.format} to I420")
    return _planes_of(item[0], _T.I420)


class LocalVideo:
    """Video of ours: a track for senders, and the way to write to it.

    Args:
        is_screencast: Whether the track shows a screen: encoders then keep its text sharp, at the cost of motion.
    """

    __slots__ = ("_generator", "_native", "_track", "metadata")

    def __init__(self, *, is_screencast: bool = False) -> None:
        runtime.check()
        self.metadata = MetadataWindow()
        """What belongs to the newest pictures, by their time."""
        self._generator = webrtc.VideoTrackGenerator()
        self._native = self._generator._native
        # The native track has no other strong wrapper, and senders compare wrappers.
        self._track = self._generator.track
        if is_screencast:
            self._track.content_hint = "detail"

    @property
    def media_track(self) -> webrtc.MediaStreamTrack:
        """The track to be given to senders, of any number of connections."""
        return self._track

    def write(self, picture: NativePicture, timestamp_us: int, rotation: int) -> None:
        """Send a picture; from any thread. Does nothing after `close`.

        Args:
            picture: The picture, left as it is.
            timestamp_us: When it was taken; libwebrtc translates any clock to its own.
            rotation: Degrees by which it is to be turned clockwise.
        """
        self._native.writeVideo(picture, timestamp_us, rotation)

    def close(self) -> None:
        """End the track. Twice is once."""
        self._native.close()


class VideoReader(TrackReader[VideoItem]):
    """Reads the decoded pictures of a track.

    Args:
        media_track: The track.
        sink: Takes the pictures.
    """

    def __init__(self, media_track: webrtc.MediaStreamTrack, sink: MediaSink[VideoItem]) -> None:
        super().__init__(media_track, sink, kind="video", queue_size=_LOOP_STALL_FRAMES)
