"""Where audio that is received can be read."""

from __future__ import annotations

from ..media.audio_filter import NoiseCancellationOptions
from ..media.audio_stream import AudioFrameEvent, AudioStream

__all__ = ["AudioFrameEvent", "AudioStream", "NoiseCancellationOptions"]
