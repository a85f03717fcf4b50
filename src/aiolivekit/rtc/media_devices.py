"""Microphones and speakers."""

from __future__ import annotations

from ..media.media_devices import (
    BLOCKSIZE,
    DEFAULT_CHANNELS,
    DEFAULT_SAMPLE_RATE,
    InputCapture,
    MediaDevices,
    OutputPlayer,
)

__all__ = ["BLOCKSIZE", "DEFAULT_CHANNELS", "DEFAULT_SAMPLE_RATE", "InputCapture", "MediaDevices", "OutputPlayer"]
