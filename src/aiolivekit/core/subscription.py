"""When a remote track counts as subscribed: its publication is known and its media arrive, in either order.

Signalling says what is published, the media path says what arrives, and nothing orders the two. Media that arrive
first are held until their publication is known, and given up after a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["EARLY_MEDIA_TIMEOUT", "MediaExpired", "MediaMatcher", "MediaSubscribed", "MediaUnsubscribed"]

EARLY_MEDIA_TIMEOUT = 10.0
"""Seconds that media wait for their publication to be known."""

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class MediaSubscribed(Generic[M]):
    """Publication and media have met."""

    track_sid: str
    media: M


@dataclass(frozen=True, slots=True)
class MediaUnsubscribed:
    """One of the two is gone."""

    track_sid: str


@dataclass(frozen=True, slots=True)
class MediaExpired:
    """Media arrived for a publication that has not become known in time."""

    participant_sid: str
    track_sid: str


@dataclass(slots=True)
class _Track(Generic[M]):
    participant_sid: str
    media: M | None = None
    published: bool = False
    deadline: float | None = None


class MediaMatcher(Generic[M]):
    """Brings publications and media of remote tracks together.

    For each track, `MediaSubscribed` and `MediaUnsubscribed` alternate, beginning with the former.

    Args:
        timeout: Seconds that media wait for their publication.
    """

    def __init__(self, timeout: float = EARLY_MEDIA_TIMEOUT) -> None:
        self._timeout = timeout
        self._tracks: dict[str, _Track[M]] = {}

    @property
    def deadline(self) -> float | None:
        """When `expire` must be called next, if at all."""
        return min((track.deadline for track in self._tracks.values() if track.deadline is not None), default=None)

    def media_added(
        self, participant_sid: str, track_sid: str, media: M, now: float
    ) -> list[MediaSubscribed[M] | MediaUnsubscribed]:
        """Media of a track arrive; what arrived for it before, if that was something else, is replaced."""
        track = self._tracks.setdefault(track_sid, _Track(participant_sid))
        before, track.media = track.media, media
        if not track.published:
            if before is None:
                track.deadline = now + self._timeout
            return []
        if before is media:
            return []
        subscribed = MediaSubscribed(track_sid, media)
        return [subscribed] if before is None else [MediaUnsubscribed(track_sid), subscribed]

    def media_removed(self, track_sid: str) -> list[MediaUnsubscribed]:
        """Media of a track arrive no more."""
        track = self._tracks.get(track_sid)
        if track is None or track.media is None:
            return []
        track.media = None
        track.deadline = None
        if not track.published:
            del self._tracks[track_sid]
            return []
        return [MediaUnsubscribed(track_sid)]

    def published(self, participant_sid: str, track_sid: str) -> list[MediaSubscribed[M]]:
        """A publication is known now."""
        track = self._tracks.setdefault(track_sid, _Track(participant_sid))
        if track.published:
            return []
        track.published = True
        track.deadline = None
        return [] if track.media is None else [MediaSubscribed(track_sid, track.media)]

    def unpublished(self, track_sid: str) -> list[MediaUnsubscribed]:
        """A publication is gone; its media, if they still arrive, are kept for its return."""
        track = self._tracks.get(track_sid)
        if track is None or not track.published:
            return []
        track.published = False
        if track.media is None:
            del self._tracks[track_sid]
            return []
        return [MediaUnsubscribed(track_sid)]

    def expire(self, now: float) -> list[MediaExpired]:
        """Give up media whose publication has not become known in time."""
        expired = [
            MediaExpired(track.participant_sid, sid)
            for sid, track in self._tracks.items()
            if track.deadline is not None and track.deadline <= now
        ]
        for item in expired:
            del self._tracks[item.track_sid]
        return expired

    def clear(self) -> list[MediaUnsubscribed]:
        """Forget everything, as when a session ends."""
        ended = [
            MediaUnsubscribed(sid) for sid, track in self._tracks.items() if track.published and track.media is not None
        ]
        self._tracks.clear()
        return ended
