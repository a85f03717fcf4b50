"""What a recording is written as, and how it is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import RecordingError

__all__ = ["FORMATS", "RecordingFormat", "RecordingOptions", "format_of"]


@dataclass(frozen=True, slots=True)
class RecordingFormat:
    """A container, and what is in it by default.

    Attributes:
        container: FFmpeg's name of it.
        audio_codec: FFmpeg's name of the encoder.
        video_codec: Likewise; `None` if it holds no pictures.
        options: FFmpeg's options of the container.
    """

    container: str
    audio_codec: str
    video_codec: str | None
    options: tuple[tuple[str, str], ...] = ()


# Written in fragments, so that it can be played even if the program was killed, and put in order at the end.
_MP4_OPTIONS = (("movflags", "hybrid_fragmented+delay_moov"), ("use_editlist", "1"))
_MATROSKA_OPTIONS = (("cluster_time_limit", "1000"),)

FORMATS = {
    ".wav": RecordingFormat("wav", "pcm_s16le", None),
    ".opus": RecordingFormat("opus", "libopus", None),
    ".ogg": RecordingFormat("ogg", "libopus", None),
    ".mp4": RecordingFormat("mp4", "aac", "libx264", _MP4_OPTIONS),
    ".mov": RecordingFormat("mov", "aac", "libx264", _MP4_OPTIONS),
    ".webm": RecordingFormat("webm", "libopus", "libvpx", _MATROSKA_OPTIONS),
    ".mkv": RecordingFormat("matroska", "libopus", "libx264", _MATROSKA_OPTIONS),
}


@dataclass(frozen=True)
class RecordingOptions:
    """How a recording is written.

    Args:
        width: Pixels of a row. Pictures of other sizes are scaled to fit, and not distorted.
        height: Rows.
        fps: Pictures a second at most.
        channels: Of the sound, 1 or 2.
        audio_bitrate: Bits a second; `None`: 96,000, or the 64,000 of one channel.
        video_bitrate: Bits a second; `None`: by quality with H.264, by size with VP8.
        audio_codec: FFmpeg's name of the encoder; `None`: the container's usual one.
        video_codec: Likewise.
        codec_options: FFmpeg's options of the video encoder.
        overwrite: Whether a file that is there is replaced.

    Raises:
        ValueError: If a number is out of range.
    """

    width: int = 1280
    height: int = 720
    fps: float = 30.0
    channels: int = 2
    audio_bitrate: int | None = None
    video_bitrate: int | None = None
    audio_codec: str | None = None
    video_codec: str | None = None
    codec_options: dict[str, str] = field(default_factory=dict)
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not (16 <= self.width <= 8192 and 16 <= self.height <= 8192) or self.width % 2 or self.height % 2:
            raise ValueError(f"a recording has even sides of 16 to 8192 pixels, not {self.width}x{self.height}")
        if not (math.isfinite(self.fps) and 1 <= self.fps <= 120):
            raise ValueError(f"a recording has 1 to 120 pictures a second, not {self.fps}")
        if self.channels not in (1, 2):
            raise ValueError(f"a recording has 1 or 2 channels, not {self.channels}")
        if any(rate is not None and rate < 1000 for rate in (self.audio_bitrate, self.video_bitrate)):
            raise ValueError("a bitrate is at least 1,000 bits a second")


def format_of(path: Path) -> RecordingFormat:
    """Return what a file of that name is written as.

    Raises:
        RecordingError: If its end is none that is known.
    """
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise RecordingError(f"a recording ends in one of {', '.join(FORMATS)}, not in {path.suffix or 'nothing'!r}")
    return found
