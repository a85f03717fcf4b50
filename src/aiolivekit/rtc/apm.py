"""The audio processing module."""

from __future__ import annotations

from ..compat.handles import with_handle
from ..media.apm import AudioProcessingModule

__all__ = ["AudioProcessingModule"]

with_handle(AudioProcessingModule)
