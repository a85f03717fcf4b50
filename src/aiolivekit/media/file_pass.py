"""What there is in a file, and where on the line of time a way through it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

__all__ = ["RATE", "FilePass", "MediaInfo"]

RATE = 48_000
"""Samples a second in which time is counted, and at which sound is played."""


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What there is in a file.

    Attributes:
        duration: Seconds, or `None` if it is not known, as of live streams.
        channels: Of the sound as it is played, 1 or 2; 0 if there is none.
        width: Pixels of a row; 0 if there are no pictures.
        height: Rows.
        fps: Pictures a second, on average; 0 if it is not known.
        audio_codec: FFmpeg's name of it, or an empty string.
        video_codec: Likewise.
    """

    duration: float | None
    channels: int
    width: int
    height: int
    fps: float
    audio_codec: str
    video_codec: str


class FilePass:
    """One way through a file, or a part of it: from the second `target` on, played from `start` on."""

    def __init__(self, start: int, target: float, info: MediaInfo) -> None:
        self.start = start
        self.info = info
        self.end = start
        self.audio_end: int | None = None
        self.picture_end = start
        self.held: tuple[int, av.VideoFrame] | None = None
        self.target = target

    def index(self, seconds: float) -> int:
        """Return when the second of the file is played."""
        return self.start + round((seconds - self.target) * RATE)
