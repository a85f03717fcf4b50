"""Where audio that is published comes from."""

from __future__ import annotations

from ..media.audio_source import AudioSource

__all__ = ["AudioSource"]
