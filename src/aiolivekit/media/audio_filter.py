"""Native audio filters, which this package cannot load, by the official SDK's names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import UnsupportedError

__all__ = ["AudioFilter", "NoiseCancellationOptions"]


@dataclass
class NoiseCancellationOptions:
    """Which native filter is asked for, and how it is set (`livekit.rtc.NoiseCancellationOptions`).

    `AudioStream` refuses it with `UnsupportedError`, as such a filter is a plugin for the official SDK's Rust library.

    Attributes:
        module_id: The filter.
        options: Its settings.
    """

    module_id: str
    options: dict[str, Any] = field(default_factory=dict)


class AudioFilter:
    """A native filter (`livekit.rtc.AudioFilter`); it cannot be loaded.

    Args:
        module_id: Its name.
        path: Its file.
        dependencies: Files it needs.

    Raises:
        UnsupportedError: Always: these plugins are made for the official SDK's Rust library, which is not here.
    """

    def __init__(self, module_id: str, path: str, dependencies: list[str] | None = None) -> None:
        raise UnsupportedError(
            f"the native audio filter {module_id!r} is a plugin for the official SDK's Rust library and cannot be "
            "loaded; give AudioStream a FrameProcessor instead, such as one that uses AudioProcessingModule"
        )
