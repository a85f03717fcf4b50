"""The audio devices of the system."""

from __future__ import annotations

from ..errors import PlatformAudioError
from ..media.platform_audio import AudioDeviceInfo, PlatformAudio, PlatformAudioOptions, PlatformAudioSource

__all__ = ["AudioDeviceInfo", "PlatformAudio", "PlatformAudioError", "PlatformAudioOptions", "PlatformAudioSource"]
