"""Frames, and where they come from and go to: sources, streams, conversions."""

from .audio_frame import AudioFrame
from .audio_source import AudioSource
from .audio_stream import AudioFrameEvent, AudioStream
from .video_frame import VideoFrame
from .video_source import VideoSource
from .video_stream import VideoFrameEvent, VideoStream

__all__ = [
    "AudioFrame",
    "AudioFrameEvent",
    "AudioSource",
    "AudioStream",
    "VideoFrame",
    "VideoFrameEvent",
    "VideoSource",
    "VideoStream",
]
