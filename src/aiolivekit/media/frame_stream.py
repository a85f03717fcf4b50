"""What audio and video streams have in common: the iterator, its bounded queue, and the change of tracks under it."""

# ruff: noqa: SLF001 - tracks and streams call hooks of each other's that are not for users

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, MutableSet
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar
from weakref import WeakKeyDictionary

from ..enums import TrackKind, TrackSource
from ..errors import MediaError
from ..peer.track_reader import TrackReader

__all__ = ["FrameStream", "StreamParticipant", "StreamTrack", "source_of", "tell_demand"]

logger = logging.getLogger("aiolivekit.media")

ItemT = TypeVar("ItemT")
EventT = TypeVar("EventT")


class StreamTrack(Protocol):
    """What a stream needs of a track.

    The room tells the streams of a track, which it finds in `_streams`: `_rebind` when `_media_track` changes, before
    the connection of the old one is closed; `_track_gone` when the track is unsubscribed or unpublished.
    """

    _streams: MutableSet[Any]

    @property
    def kind(self) -> int:
        """A `TrackKind`."""

    @property
    def _media_track(self) -> Any:
        """The `webrtc.MediaStreamTrack`, or `None` while there is none."""


class _Publication(Protocol):
    @property
    def source(self) -> int: ...

    @property
    def track(self) -> Any: ...


class StreamParticipant(Protocol):
    """What a stream needs of a participant.

    The room tells the streams in `_streams`: `_track_found` when a track of the participant is subscribed (of ours:
    published), and `_end` when the participant is gone.
    """

    _streams: MutableSet[Any]

    @property
    def track_publications(self) -> Mapping[str, _Publication]:
        """The publications by sid."""


class _Waker:
    """Wakes the readers of one loop, all that got something in one turn of it together.

    What libwebrtc reports reaches the loop in batches, as the tracks of a room are decoded together. wrtc hands over
    the rest of a batch only when nothing else is ready to run, so a reader woken at once would cost each track a turn
    of the loop. A timer that is due is not yet ready to run.
    """

    def __init__(self) -> None:
        self._streams: list[FrameStream[Any, Any]] = []

    def wake(self, stream: FrameStream[Any, Any]) -> None:
        """Wake the readers of a stream in the loop's next turn."""
        if not self._streams:
            stream._loop.call_later(0, self._flush)
        self._streams.append(stream)

    def _flush(self) -> None:
        streams, self._streams = self._streams, []
        for stream in streams:
            stream._wake()


_wakers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Waker] = WeakKeyDictionary()


class FrameStream(ABC, Generic[ItemT, EventT]):
    """An asynchronous iterator of the frames of a track.

    Frames wait in a queue of bounded length, which drops the oldest when it is full, and are converted when they are
    taken. The iterator ends after the last queued frame when the track ends, is unsubscribed, or `aclose` is called.

    Args:
        track: The track; or `None`, and `participant` and `source` are given.
        participant: Whose tracks are read, one after another.
        source: Which of them.
        loop: The loop on which the stream is read; by default the running one.
        queue_size: Items kept.

    Raises:
        MediaError: If the track is of another kind.
        RuntimeError: If no loop is given, and none runs.
    """

    _kind: ClassVar[TrackKind]
    _comes_together: ClassVar[bool] = False
    """Whether what a loop reads is handed over in one turn anyway, so that readers need no waker."""

    # A reader that waits is reachable from libwebrtc only weakly. Without this, an iterator whose task nobody holds
    # either would be garbage in mid-stream.
    _awaited: ClassVar[set[FrameStream[Any, Any]]] = set()

    def __init__(
        self,
        track: StreamTrack | None,
        participant: StreamParticipant | None,
        source: int | None,
        loop: asyncio.AbstractEventLoop | None,
        queue_size: int,
    ) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._waker = _wakers.setdefault(self._loop, _Waker())
        self._items: deque[ItemT] = deque()
        self._queue_size = queue_size
        self._events: deque[EventT] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._reader: TrackReader[ItemT] | None = None
        self._dropped = 0
        self._ended = False
        self._track: StreamTrack | None = None
        self._participant = participant
        self._source = source
        if participant is not None:
            participant._streams.add(self)
            track = self._find_track()
        elif track is None:
            raise TypeError("a stream is of a track, or of a participant and a track source")
        elif track.kind != self._kind:
            raise MediaError(f"{type(self).__name__} does not read a track of {TrackKind(track.kind).name}")
        if track is not None:
            self._follow(track)

    @property
    def dropped(self) -> int:
        """Received pieces (10 ms of audio, one picture) that were dropped because they were not taken in time."""
        return self._dropped + (0 if self._reader is None else self._reader.dropped)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EventT:
        while True:
            if self._events:
                return self._events.popleft()
            if self._items:
                if (event := self._convert(self._items.popleft())) is not None:
                    return event
            elif self._ended:
                raise StopAsyncIteration
            else:
                await self._wait()

    async def aclose(self) -> None:
        """Stop reading. What is queued can still be iterated over; then the iterator ends. Twice is once."""
        self._end()

    @abstractmethod
    def _open(self, media_track: Any) -> TrackReader[ItemT]:
        """Start reading a track into this stream."""

    @abstractmethod
    def _convert(self, item: ItemT) -> EventT | None:
        """Return the frame of an item; further ones are put into `_events`."""

    def _is_enough(self) -> bool:
        """Whether a reader who waits can have something of what came; waking it for nothing costs as much."""
        return True

    # What the room calls, on whatever loop.

    def _rebind(self, media_track: Any) -> None:
        """Read another media track from now on, or none until there is one again."""
        self._run_on_loop(self._change_reader, media_track)

    def _track_gone(self) -> None:
        """The track is unsubscribed or unpublished: read the participant's next one, or end."""
        self._run_on_loop(self._leave_track if self._participant is not None else self._finish)

    def _track_found(self, track: StreamTrack) -> None:
        """The participant has a track more: read it if it is the one waited for."""
        self._run_on_loop(self._consider, track)

    def _place_changed(self) -> None:
        """The track's `_place` is another one: tell whoever wants to know."""

    def _end(self) -> None:
        """Let the iterator end after what is queued."""
        self._run_on_loop(self._finish)

    def _run_on_loop(self, method: Callable[..., None], *arguments: Any) -> None:
        if self._on_loop():
            method(*arguments)
            return
        try:
            self._loop.call_soon_threadsafe(method, *arguments)
        except RuntimeError:
            logger.debug("a stream outlived its loop")

    def _change_reader(self, media_track: Any) -> None:
        self._close_reader()
        if media_track is not None and not self._ended:
            self._reader = self._open(media_track)

    def _consider(self, track: StreamTrack) -> None:
        if not self._ended and self._track is None and self._find_track() is track:
            self._follow(track)

    def _leave_track(self) -> None:
        self._close_reader()
        self._forget_track()
        if (track := self._find_track()) is not None and not self._ended:
            self._follow(track)

    def _finish(self) -> None:
        self._close_reader()
        self._forget_track()
        if self._participant is not None:
            self._participant._streams.discard(self)
        self._ended = True
        self._wake()

    # What the reader calls, on our loop.

    def _on_media(self, item: ItemT) -> None:
        if len(self._items) >= self._queue_size:
            self._items.popleft()
            self._dropped += 1
        self._items.append(item)
        if self._waiters and self._is_enough():
            if self._comes_together:
                self._wake()
            else:
                self._waker.wake(self)

    def _pause(self) -> float:
        return 0.0

    def _on_media_ended(self) -> None:
        # The connection was closed under us. Whoever means to go on with another one rebinds before.
        self._close_reader()
        if self._participant is None:
            self._finish()

    def _find_track(self) -> StreamTrack | None:
        if self._participant is not None:
            for publication in self._participant.track_publications.values():
                track: StreamTrack | None = publication.track
                if publication.source == self._source and track is not None and track.kind == self._kind:
                    return track
        return None

    def _follow(self, track: StreamTrack) -> None:
        self._track = track
        track._streams.add(self)
        self._rebind(track._media_track)
        tell_demand(track)

    def _forget_track(self) -> None:
        track, self._track = self._track, None
        if track is not None:
            track._streams.discard(self)
            tell_demand(track)

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
            self._dropped += reader.dropped

    def _on_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _wait(self) -> None:
        if not self._on_loop():
            raise MediaError("a stream is read on the loop it was made for")
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        FrameStream._awaited.add(self)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)
            if not self._waiters:
                FrameStream._awaited.discard(self)


def tell_demand(track: StreamTrack | None) -> None:
    """Tell a track, if it wants to know, that its streams may need it otherwise."""
    tell: Callable[[], None] | None = getattr(track, "_on_demand", None)
    if tell is not None:
        tell()


def source_of(arguments: dict[str, Any]) -> tuple[StreamParticipant | None, int | None]:
    """Take `participant` and `track_source` out of keyword arguments.

    Raises:
        TypeError: If one is missing, or there are others.
    """
    participant = arguments.pop("participant", None)
    source = arguments.pop("track_source", None)
    if arguments:
        raise TypeError(f"unexpected keyword arguments: {', '.join(sorted(arguments))}")
    if (participant is None) != (source is None):
        raise TypeError("participant and track_source go together")
    return participant, None if source is None else TrackSource(source)
