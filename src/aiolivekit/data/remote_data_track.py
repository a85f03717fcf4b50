"""A data track of somebody else and the streams of its frames: what a program holds."""

# ruff: noqa: SLF001 - the tracks and their keeper belong together

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from ..core.data_track_frames import FrameAssembler
from ..core.data_track_roster import Entry
from ..errors import SubscribeDataTrackError
from .data_track import DataTrackFrame, DataTrackInfo, info_of

if TYPE_CHECKING:
    from .remote_data_tracks import RemoteDataTracks

__all__ = ["DataTrackStream", "RemoteDataTrack"]

DEFAULT_BUFFER_SIZE = 16
"""Frames a stream keeps for its reader; the reference's."""


class DataTrackStream:
    """The frames of a data track from now on, as an asynchronous iterator; `RemoteDataTrack.subscribe` makes it.

    It keeps as many frames as it was made for; when the reader falls behind, the oldest ones are dropped. It ends
    when the track is unpublished or the room disconnected, after the frames it still has. Closing it, or letting go
    of it, ends the subscription unless the track has other streams.

    Attributes:
        dropped: How many frames were dropped because the reader fell behind (not in `livekit.rtc`).
    """

    def __init__(self, track: RemoteDataTrack, buffer_size: int) -> None:
        self._track: RemoteDataTrack | None = track
        self._frames: deque[DataTrackFrame] = deque(maxlen=buffer_size)
        self._arrived = asyncio.Event()
        self._ended = False
        self._error: SubscribeDataTrackError | None = None
        self.dropped = 0

    async def read(self) -> DataTrackFrame | None:
        """Return the next frame, or `None` at the end.

        Raises:
            SubscribeDataTrackError: If the track could not be subscribed to.
        """
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DataTrackFrame:
        while not self._frames:
            if self._ended:
                error, self._error = self._error, None
                if error is not None:
                    raise error
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    def close(self) -> None:
        """End the stream; frames that were not read are dropped. Twice is once."""
        self._frames.clear()
        self._error = None
        self._end(None)

    async def aclose(self) -> None:
        """The same."""
        self.close()

    def _push(self, frame: DataTrackFrame) -> None:
        frames = self._frames
        if len(frames) == frames.maxlen:
            self.dropped += 1
        frames.append(frame)
        self._arrived.set()

    def _end(self, error: SubscribeDataTrackError | None) -> None:
        if not self._ended:
            self._ended = True
            self._error = error
            self._arrived.set()
            if self._track is not None:
                track, self._track = self._track, None
                track._stream_ended(self)


class RemoteDataTrack:
    """A data track somebody else publishes; the event `data_track_published` brings it."""

    def __init__(self, owner: RemoteDataTracks, entry: Entry) -> None:
        self._owner = owner
        self._entry = entry
        self._info = info_of(entry.info)
        self._assembler = FrameAssembler()
        self._streams: list[weakref.ref[DataTrackStream]] = []
        self._giving_up: asyncio.TimerHandle | None = None
        self._turn: asyncio.TimerHandle | None = None
        self._saying_again: asyncio.TimerHandle | None = None
        self._active = False

    @property
    def info(self) -> DataTrackInfo:
        """What the server says of it; its sid changes if the publisher has to join anew."""
        if self._info.sid != self._entry.info.sid:
            self._info = info_of(self._entry.info)
        return self._info

    @property
    def publisher_identity(self) -> str:
        """Who publishes it."""
        return self._entry.identity

    @property
    def frames_dropped(self) -> Mapping[str, int]:
        """Packets and frames that were dropped on the way, by cause (not in `livekit.rtc`)."""
        return self._assembler.dropped

    def is_published(self) -> bool:
        """Whether it is still published."""
        return self._entry.published

    def subscribe(self, *, buffer_size: int | None = None) -> DataTrackStream:
        """Receive its frames from now on.

        It may be called more than once; each stream has all frames.

        Args:
            buffer_size: How many frames the stream keeps for its reader; `None` for 16, and at least one.

        Returns:
            The stream. What is wrong with the subscription, it raises as `SubscribeDataTrackError`: the track is
            unpublished, is encrypted and the room is not or the other way round, or the server did not give it to us
            within ten seconds.
        """
        size = DEFAULT_BUFFER_SIZE if buffer_size is None else max(1, buffer_size)
        stream = DataTrackStream(self, size)
        self._owner._subscribe(self, stream)
        return stream

    def set_pipeline_options(self, *, max_partial_frames: int | None = None) -> None:
        """Say how frames are put together, for all subscriptions, from the next packet on.

        Args:
            max_partial_frames: How many unfinished frames are kept at a time, one at first and at least. Frames of
                several packets that overtake each other need more. `None` leaves it as it is.
        """
        if max_partial_frames is not None:
            self._assembler.max_partial_frames = max_partial_frames

    def _stream_ended(self, stream: DataTrackStream) -> None:
        self._owner._stream_ended(self, lambda reference: reference() is stream)

    def __repr__(self) -> str:
        info = self.info
        return f"RemoteDataTrack(sid={info.sid!r}, name={info.name!r}, publisher_identity={self.publisher_identity!r})"
