"""The audio processing module."""

from __future__ import annotations

from ..media.apm import AudioProcessingModule

__all__ = ["AudioProcessingModule"]
