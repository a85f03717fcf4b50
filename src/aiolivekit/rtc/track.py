"""Tracks."""

from __future__ import annotations

from typing import Any

from ..compat.handles import with_handle
from ..compat.internals import internal
from ..room.track import (
    AudioTrack,
    LocalAudioTrack,
    LocalTrack,
    LocalVideoTrack,
    RemoteAudioTrack,
    RemoteTrack,
    RemoteVideoTrack,
    Track,
    VideoTrack,
)

__all__ = [
    "AudioTrack",
    "LocalAudioTrack",
    "LocalTrack",
    "LocalVideoTrack",
    "RemoteAudioTrack",
    "RemoteTrack",
    "RemoteVideoTrack",
    "Track",
    "VideoTrack",
]

with_handle(Track)


def __getattr__(name: str) -> Any:
    return internal(__name__, name)
