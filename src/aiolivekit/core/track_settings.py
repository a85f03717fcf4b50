"""How a remote track is to be sent to us (`livekit.UpdateTrackSettings`): what is wished of it, and what follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..enums import VideoQuality

__all__ = ["Demand", "TrackSettings", "TrackWishes", "demand_of"]

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """All settings of a track: the server takes what a message leaves out for its default, so they go as a whole.

    Attributes:
        enabled: Whether the track is sent at all.
        quality: Which of its layers, unless dimensions say it.
        width: Pixels it will be shown at; 0 leaves the choice to `quality`.
        height: The same.
        fps: Pictures a second that are enough; 0 takes all.
    """

    enabled: bool = True
    quality: VideoQuality = VideoQuality.VIDEO_QUALITY_HIGH
    width: int = 0
    height: int = 0
    fps: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """What those who look at a track need of it.

    Attributes:
        wanted: Whether anybody looks at it.
        size: The largest size at which it is looked at; `None`: all there is.
    """

    wanted: bool = True
    size: Size | None = None


def demand_of(sizes: Iterable[Size | None]) -> Demand:
    """Return the demand of several who look at a track, each at a size or at all there is (`None`)."""
    sizes = list(sizes)
    known = [size for size in sizes if size is not None]
    if not sizes or len(known) < len(sizes):
        return Demand(bool(sizes))
    return Demand(True, (max(width for width, _ in known), max(height for _, height in known)))


@dataclass(frozen=True, slots=True)
class TrackWishes:
    """What the application said of a track; what it said nothing of follows those who look at it.

    Attributes:
        enabled: Whether the track is sent; `None`: nothing was said.
        quality: Which of its layers; `None`: nothing was said, or dimensions were.
        width: Pixels it will be shown at; 0: nothing was said, or a quality was.
        height: The same.
        fps: Pictures a second that are enough; 0: nothing was said.
    """

    enabled: bool | None = None
    quality: VideoQuality | None = None
    width: int = 0
    height: int = 0
    fps: int = 0

    def with_enabled(self, enabled: bool) -> TrackWishes:
        """Return the wishes with the track switched on or off."""
        return replace(self, enabled=bool(enabled))

    def with_quality(self, quality: VideoQuality | int) -> TrackWishes:
        """Return the wishes with another quality, which takes the place of dimensions.

        Raises:
            ValueError: If there is no such quality.
        """
        return replace(self, quality=VideoQuality(quality), width=0, height=0)

    def with_dimensions(self, width: int, height: int) -> TrackWishes:
        """Return the wishes for pictures shown at a size, which take the place of a quality.

        Raises:
            ValueError: If it is not positive.
        """
        if width < 1 or height < 1:
            raise ValueError(f"a picture cannot be shown at {width} by {height} pixels")
        return replace(self, quality=None, width=int(width), height=int(height))

    def with_fps(self, fps: float) -> TrackWishes:
        """Return the wishes with another frame rate.

        Raises:
            ValueError: If it is not positive.
        """
        if not 0 < fps < 10_000:
            raise ValueError(f"{fps} is no frame rate")
        return replace(self, fps=max(1, round(fps)))

    def settings(self, demand: Demand | None = None) -> TrackSettings:
        """Return the settings that follow.

        Args:
            demand: What those who look at the track need, if that is known.
        """
        demand = demand or Demand()
        enabled = demand.wanted if self.enabled is None else self.enabled
        width, height = self.width, self.height
        if self.quality is None and not width and demand.size is not None:
            width, height = demand.size
        quality = VideoQuality.VIDEO_QUALITY_HIGH if self.quality is None else self.quality
        return TrackSettings(enabled, quality, width, height, self.fps)
