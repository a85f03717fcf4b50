"""Frames of audio."""

from __future__ import annotations

from ..media.audio_frame import AudioFrame

__all__ = ["AudioFrame"]
