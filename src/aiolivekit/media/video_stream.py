"""Pictures of a track, as an asynchronous iterator."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from ..core.packet_trailer import MetadataWindow
from ..enums import TrackKind, VideoBufferType, VideoRotation
from ..options import FrameMetadata
from ..peer.video import VideoItem, VideoReader, picture_type, pixels_of
from .frame_stream import FrameStream, StreamParticipant, StreamTrack, source_of, tell_demand
from .video_frame import VideoFrame

__all__ = ["VideoFrameEvent", "VideoStream"]

_DEFAULT_QUEUE_FRAMES = 30
"""What a stream without `capacity` keeps. The official SDK keeps everything, until the memory is full."""


@dataclass(slots=True)
class VideoFrameEvent:
    """A picture was received.

    Attributes:
        frame: The picture, not turned.
        timestamp_us: Its time, in microseconds of the local monotonic clock.
        rotation: How it is to be turned before it is shown.
        metadata: What travelled beside it, if its publisher sends something there.
    """

    frame: VideoFrame
    timestamp_us: int
    rotation: VideoRotation
    metadata: FrameMetadata | None = None


class VideoStream(FrameStream[VideoItem, VideoFrameEvent]):
    """The decoded pictures of a track (`livekit.rtc.VideoStream`).

    Iterate over it for `VideoFrameEvent`. Pictures are copied out of libwebrtc only when they are taken, so those that
    are dropped cost nothing. Close it with `aclose`.

    Args:
        track: The track.
        loop: The loop on which the stream is read; by default the running one.
        capacity: Pictures kept while nobody takes them; then the oldest is dropped. 0 stands for 30.
        format: The pixel format wanted, a `VideoBufferType`; by default the decoder's, which is I420 as a rule.
        **kwargs: `participant` and `track_source` instead of a track (see `from_participant`); `wanted_size` (see the
            property).

    Raises:
        ValueError: If the capacity is negative, the format unknown, or the size not positive.
        MediaError: If the track carries no video.
    """

    _kind = TrackKind.KIND_VIDEO

    def __init__(
        self,
        track: StreamTrack | None,
        loop: asyncio.AbstractEventLoop | None = None,
        capacity: int = 0,
        format: int | None = None,  # noqa: A002 - the official name
        **kwargs: Any,
    ) -> None:
        if capacity < 0:
            raise ValueError(f"no capacity is negative: {capacity}")
        self._format = None if format is None else VideoBufferType(format)
        self._metadata: MetadataWindow | None = None
        self._wanted_size = _checked_size(kwargs.pop("wanted_size", None))
        self._hidden = False
        super().__init__(track, *source_of(kwargs), loop, capacity or _DEFAULT_QUEUE_FRAMES)

    @classmethod
    def from_track(
        cls,
        *,
        track: StreamTrack,
        loop: asyncio.AbstractEventLoop | None = None,
        format: int | None = None,  # noqa: A002 - the official name
        capacity: int = 0,
        wanted_size: tuple[int, int] | None = None,
    ) -> VideoStream:
        """Return a stream of a track; the arguments are those of the class."""
        return cls(track, loop, capacity, format, wanted_size=wanted_size)

    @classmethod
    def from_participant(
        cls,
        *,
        participant: StreamParticipant,
        track_source: int,
        loop: asyncio.AbstractEventLoop | None = None,
        format: int | None = None,  # noqa: A002 - the official name
        capacity: int = 0,
        wanted_size: tuple[int, int] | None = None,
    ) -> VideoStream:
        """Return a stream of a participant's track of a source, also of one that comes later or anew.

        Args:
            participant: Whose video.
            track_source: Which, a `TrackSource`.
            loop: See the class, as for the others.
            format: See there.
            capacity: See there.
            wanted_size: See there.
        """
        return cls(
            None,
            loop,
            capacity,
            format,
            wanted_size=wanted_size,
            participant=participant,
            track_source=track_source,
        )

    @property
    def wanted_size(self) -> tuple[int, int] | None:
        """At which size the pictures are looked at: width and height in pixels; `None`: all there is.

        In a room with `RoomOptions.adaptive_stream` the server then sends the smallest layer that covers the largest
        size wanted of the track. Pictures are not scaled: they have the size of that layer.
        """
        return self._wanted_size

    @wanted_size.setter
    def wanted_size(self, size: tuple[int, int] | None) -> None:
        self._wanted_size = _checked_size(size)
        tell_demand(self._track)

    @property
    def hidden(self) -> bool:
        """Whether nobody looks at the pictures for now.

        In a room with `RoomOptions.adaptive_stream` a track whose streams are all hidden is not sent to us.
        """
        return self._hidden

    @hidden.setter
    def hidden(self, hidden: bool) -> None:
        self._hidden = bool(hidden)
        tell_demand(self._track)

    def _open(self, media_track: Any) -> VideoReader:
        # Kept beyond the track: what is queued is converted later.
        self._metadata = getattr(self._track, "_frame_metadata", None)
        return VideoReader(media_track, self)

    def _convert(self, item: VideoItem) -> VideoFrameEvent:
        picture, timestamp_us, degrees, rtp_timestamp = item
        buffer_type = self._format
        if buffer_type is None:
            buffer_type = picture_type(picture) or VideoBufferType.I420
        frame = VideoFrame(picture.width, picture.height, buffer_type, pixels_of(picture, buffer_type))
        metadata = None if self._metadata is None else self._metadata.get(rtp_timestamp)
        return VideoFrameEvent(frame, timestamp_us, VideoRotation(degrees // 90 % 4), metadata)


def _checked_size(size: tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"a picture cannot be looked at with {width} by {height} pixels")
    return int(width), int(height)
