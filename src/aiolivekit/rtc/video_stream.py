"""Where video that is received can be read."""

from __future__ import annotations

from ..media.video_stream import VideoFrameEvent, VideoStream

__all__ = ["VideoFrameEvent", "VideoStream"]
