"""What processes frames as they are read."""

from __future__ import annotations

from ..media.frame_processor import FrameProcessor

__all__ = ["FrameProcessor"]
