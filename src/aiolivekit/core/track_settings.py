"""How a remote video track is to be sent to us (`livekit.UpdateTrackSettings`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..enums import VideoQuality

__all__ = ["TrackSettings"]


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

    def with_enabled(self, enabled: bool) -> TrackSettings:
        """Return the settings with the track switched on or off."""
        return replace(self, enabled=bool(enabled))

    def with_quality(self, quality: VideoQuality | int) -> TrackSettings:
        """Return the settings with another quality, which takes the place of dimensions.

        Raises:
            ValueError: If there is no such quality.
        """
        return replace(self, quality=VideoQuality(quality), width=0, height=0)

    def with_dimensions(self, width: int, height: int) -> TrackSettings:
        """Return the settings for pictures shown at a size.

        Raises:
            ValueError: If it is not positive.
        """
        if width < 1 or height < 1:
            raise ValueError(f"a picture cannot be shown at {width} by {height} pixels")
        return replace(self, width=int(width), height=int(height))

    def with_fps(self, fps: float) -> TrackSettings:
        """Return the settings with another frame rate.

        Raises:
            ValueError: If it is not positive.
        """
        if not 0 < fps < 10_000:
            raise ValueError(f"{fps} is no frame rate")
        return replace(self, fps=max(1, round(fps)))
