"""Adaptive stream: a video track is sent to us as large as its streams need it, and not at all while there are none."""

# ruff: noqa: SLF001 - a publication, its track and their streams are kept in step here

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..core.track_settings import Demand, demand_of
from .track import RemoteVideoTrack
from .track_publication import RemoteTrackPublication

__all__ = ["AdaptiveStream"]

_PAUSE_DELAY = 0.1
"""Seconds without a stream after which a track is paused: programs open another one as they close the first."""


class AdaptiveStream:
    """Follows the streams of the video tracks that are subscribed.

    Args:
        configure: Told of a publication whose demand may be another one.
    """

    def __init__(self, configure: Callable[[RemoteTrackPublication], None]) -> None:
        self._configure = configure
        self._loop = asyncio.get_running_loop()
        self._pauses: dict[RemoteTrackPublication, asyncio.TimerHandle] = {}

    def follow(self, publication: RemoteTrackPublication) -> bool:
        """Follow a track that arrives from now on; return whether it is one to be followed.

        The server begins with the lowest layer, and waits for our word.
        """
        track = publication.track
        if not isinstance(track, RemoteVideoTrack):
            return False
        track._on_demand = lambda: self._told(publication, track)
        self._look(publication, track)
        return True

    def _told(self, publication: RemoteTrackPublication, track: RemoteVideoTrack) -> None:
        """Look again; streams live on any loop."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            self._look(publication, track)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._look, publication, track)

    def _look(self, publication: RemoteTrackPublication, track: RemoteVideoTrack) -> None:
        if publication.track is not track:
            self._forget_pause(publication)
            return
        demand = demand_of(stream._wanted_size for stream in list(track._streams) if not stream._hidden)
        if not demand.wanted:
            if publication not in self._pauses:
                self._pauses[publication] = self._loop.call_later(_PAUSE_DELAY, self._pause, publication, track)
            return
        self._forget_pause(publication)
        self._set(publication, demand)

    def _pause(self, publication: RemoteTrackPublication, track: RemoteVideoTrack) -> None:
        del self._pauses[publication]
        if publication.track is track:
            self._set(publication, Demand(wanted=False))

    def _set(self, publication: RemoteTrackPublication, demand: Demand) -> None:
        publication._demand = demand
        self._configure(publication)

    def _forget_pause(self, publication: RemoteTrackPublication) -> None:
        if (pause := self._pauses.pop(publication, None)) is not None:
            pause.cancel()

    def close(self) -> None:
        """Follow nothing any more."""
        for pause in self._pauses.values():
            pause.cancel()
        self._pauses.clear()
