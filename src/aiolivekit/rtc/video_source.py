"""Where video that is published comes from."""

from __future__ import annotations

from ..media.video_source import VideoSource

__all__ = ["VideoSource"]
