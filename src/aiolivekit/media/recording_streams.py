"""What a recording reads of tracks: the media as they are handed over by libwebrtc, with their times."""

from __future__ import annotations

from typing import Any

from ..enums import TrackKind
from ..peer.audio import AudioChunk, AudioReader
from ..peer.video import VideoItem, VideoReader
from .frame_stream import FrameStream, StreamTrack

__all__ = ["BREAK", "ChunkStream", "PictureStream"]

BREAK: AudioChunk = (b"", 0, 0, 0, 0, 0)
"""Stands between what came through one connection and what comes through the next."""

_SOUND_QUEUE = 3_000
_PICTURE_QUEUE = 30


class ChunkStream(FrameStream[AudioChunk, AudioChunk]):
    """The sound of a track in chunks of 10 ms; `BREAK` where another connection takes over.

    Args:
        track: The track.
    """

    _kind = TrackKind.KIND_AUDIO

    def __init__(self, track: StreamTrack) -> None:
        super().__init__(track, None, None, None, _SOUND_QUEUE)

    def _open(self, media_track: Any) -> AudioReader:
        return AudioReader(media_track, self)

    def _close_reader(self) -> None:
        had = self._reader is not None
        super()._close_reader()  # hands over what has come in
        if had:
            # Before what the next reader reads, and behind what this one has read.
            self._on_media(BREAK)

    def _convert(self, item: AudioChunk) -> AudioChunk:
        return item


class PictureStream(FrameStream[VideoItem, VideoItem]):
    """The pictures of a track, as they are in libwebrtc's memory.

    Args:
        track: The track.
    """

    _kind = TrackKind.KIND_VIDEO

    def __init__(self, track: StreamTrack) -> None:
        super().__init__(track, None, None, None, _PICTURE_QUEUE)

    def _open(self, media_track: Any) -> VideoReader:
        return VideoReader(media_track, self)

    def _convert(self, item: VideoItem) -> VideoItem:
        return item
