"""Publications of tracks."""

from __future__ import annotations

from ..room.track import LocalTrack, RemoteTrack
from ..room.track_publication import LocalTrackPublication, RemoteTrackPublication, TrackPublication

__all__ = ["LocalTrack", "LocalTrackPublication", "RemoteTrack", "RemoteTrackPublication", "TrackPublication"]
