"""Data tracks."""

from __future__ import annotations

from ..errors import PushFrameError, SubscribeDataTrackError
from ..room.data_tracks import DataTrackFrame, DataTrackInfo, DataTrackStream, LocalDataTrack, RemoteDataTrack

__all__ = [
    "DataTrackFrame",
    "DataTrackInfo",
    "DataTrackStream",
    "LocalDataTrack",
    "PushFrameError",
    "RemoteDataTrack",
    "SubscribeDataTrackError",
]
