"""Helpers."""

from __future__ import annotations

from ..media.utils import combine_audio_frames, sine_wave_generator

__all__ = ["combine_audio_frames", "sine_wave_generator"]
