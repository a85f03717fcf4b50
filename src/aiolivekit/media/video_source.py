"""Video of ours, to be published."""

from __future__ import annotations

import time
from dataclasses import replace

from ..core.packet_trailer import check_metadata
from ..enums import VideoRotation
from ..errors import MediaError
from ..options import FrameMetadata
from ..peer.video import LocalVideo, native_picture
from .placeholder import Placeholder
from .video_frame import VideoFrame

__all__ = ["VideoSource"]


class VideoSource:
    """Takes pictures and sends each at once (`livekit.rtc.VideoSource`).

    The program keeps the frame rate. A source may be published in several rooms. Before its first picture a track of it
    is black.

    Args:
        width: Pixels of a row, as announced when published; pictures may have other sizes.
        height: Rows, likewise.
        is_screencast: Whether the pictures show a screen: encoders then keep text sharp, at the cost of motion.

    Raises:
        ValueError: If a side is not positive.
    """

    def __init__(self, width: int, height: int, *, is_screencast: bool = False) -> None:
        if not (width > 0 and height > 0):
            raise ValueError(f"a video source has a positive size, not {width}x{height}")
        self._width = width
        self._height = height
        self._is_screencast = is_screencast
        self._output: LocalVideo | None = None
        self._placeholder: Placeholder | None = None
        self._begun = False
        self._closed = False

    @property
    def width(self) -> int:
        """Pixels of a row, as announced when published."""
        return self._width

    @property
    def height(self) -> int:
        """Rows, as announced when published."""
        return self._height

    @property
    def is_screencast(self) -> bool:
        """Whether the pictures show a screen."""
        return self._is_screencast

    @property
    def _local(self) -> LocalVideo:
        """What senders are given, made when first asked for.

        Raises:
            MediaError: If the source is closed.
        """
        if self._closed:
            raise MediaError("the video source is closed")
        if self._output is None:
            self._output = LocalVideo(is_screencast=self._is_screencast)
        if not self._begun:
            if self._placeholder is None:
                self._placeholder = Placeholder(self._output, self._width, self._height)
            self._placeholder.start()
        return self._output

    def capture_frame(
        self,
        frame: VideoFrame,
        *,
        timestamp_us: int = 0,
        rotation: int = VideoRotation.VIDEO_ROTATION_0,
        metadata: FrameMetadata | None = None,
    ) -> None:
        """Send a picture. Its bytes are copied once, so the frame may be changed afterwards.

        Args:
            frame: The picture.
            timestamp_us: When it was taken, in microseconds of any clock that does not run backwards; 0 is now.
            rotation: How it is to be turned before it is shown.
            metadata: What travels beside the picture, where the track is published with `frame_metadata_features`.
                It goes by the timestamp, so pictures of the same time have the same. All of it together has some 230
                bytes of room; user data beyond that are not sent.

        Raises:
            MediaError: If the source is closed.
            ValueError: If the timestamp or a number of the metadata is negative or too large, or the rotation unknown.
            TypeError: If the frame is none, or a timestamp or number is not an integer.
        """
        if self._closed:
            raise MediaError("the video source is closed")
        if not isinstance(frame, VideoFrame):
            raise TypeError(f"a video source takes VideoFrame, not {type(frame).__name__}")
        if isinstance(timestamp_us, bool) or not isinstance(timestamp_us, int):
            raise TypeError(f"a timestamp is an integer of microseconds, not {timestamp_us!r}")
        if not 0 <= timestamp_us < 1 << 63:
            raise ValueError(f"a timestamp is within 0 to 2**63 - 1, not {timestamp_us}")
        degrees = 90 * VideoRotation(rotation)
        if metadata is not None:
            if not isinstance(metadata, FrameMetadata):
                raise TypeError(f"metadata are FrameMetadata, not {type(metadata).__name__}")
            check_metadata(metadata)
        self._begin()
        if self._output is None:
            return  # nobody has asked for the track yet
        picture = native_picture(frame.type, frame.width, frame.height, frame.data)
        when = timestamp_us or time.monotonic_ns() // 1000
        if metadata is not None:
            self._output.metadata.put(when, replace(metadata))
        self._output.write(picture, when, degrees)

    def _begin(self) -> None:
        self._begun = True
        placeholder, self._placeholder = self._placeholder, None
        if placeholder is not None:
            placeholder.end()

    async def aclose(self) -> None:
        """End the track. Twice is once."""
        self._closed = True
        self._begin()
        if self._output is not None:
            self._output.close()
