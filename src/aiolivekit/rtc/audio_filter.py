"""Native filters, which cannot be loaded."""

from __future__ import annotations

from ..media.audio_filter import AudioFilter

__all__ = ["AudioFilter"]
