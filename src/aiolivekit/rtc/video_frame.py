"""Frames of video."""

from __future__ import annotations

from ..media.video_frame import VideoFrame

__all__ = ["VideoFrame"]
