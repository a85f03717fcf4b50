"""Audio and video in step."""

from __future__ import annotations

from ..media.synchronizer import AVSynchronizer

__all__ = ["AVSynchronizer"]
