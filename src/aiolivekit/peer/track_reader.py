"""Reading the decoded media of a track.

`webrtc.MediaStreamTrackProcessor` gives them as a W3C stream, which costs more than the decoding for audio. So this
takes them where that stream takes them: from the native queue, whenever it reports that something came in. What is
private to wrtc here is kept to `_Processor` and `TrackReader`, and a contract test names it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar, cast

import webrtc

from ..errors import MediaError
from . import runtime

__all__ = ["MediaSink", "TrackReader"]

ItemT = TypeVar("ItemT")
SinkItemT = TypeVar("SinkItemT", contravariant=True)


class MediaSink(Protocol[SinkItemT]):
    """Who takes what a reader reads; called on the reader's loop, and must not raise."""

    def _on_media(self, item: SinkItemT) -> None:
        """Take one item, in order."""

    def _on_media_ended(self) -> None:
        """The track has ended; nothing follows."""

    def _pause(self) -> float:
        """Return for how many seconds nothing that comes in can be of use; asked after what has come was taken."""


class _Processor(webrtc.MediaStreamTrackProcessor):
    __slots__ = ("_notify",)

    def __init__(self, init: webrtc.MediaStreamTrackProcessorInit, notify: Callable[[], None]) -> None:
        self._notify = notify
        super().__init__(init)

    def _on_event(self, name: str, *_args: object) -> None:
        if name == "_ready":
            self._notify()


class TrackReader(Generic[ItemT]):
    """Reads one track on the running event loop and hands over what comes in.

    The sink is held weakly, and a reader nobody holds stops reading. An ended track drops what its native queue still
    holds, so that queue is only for the time in which the loop is blocked, or (audio) the sink has no use for more: it
    is emptied whenever the loop runs otherwise.

    Args:
        media_track: The track.
        sink: Takes the media.
        kind: What the track must carry.
        queue_size: Items libwebrtc keeps while the loop is blocked; then it drops the oldest.

    Raises:
        MediaError: If the track carries something else.
    """

    def __init__(
        self, media_track: webrtc.MediaStreamTrack, sink: MediaSink[ItemT], *, kind: str, queue_size: int
    ) -> None:
        runtime.check()
        if media_track.kind != kind:
            raise MediaError(f"a reader of {kind} was given a track of {media_track.kind}")
        self._sink = weakref.ref(sink)
        self._closed = False
        told = weakref.WeakMethod(self._told)

        def notify() -> None:
            if (method := told()) is not None:
                method()

        self._processor = _Processor(webrtc.MediaStreamTrackProcessorInit(media_track, queue_size), notify)
        self._native = self._processor._native_obj
        self._stop = weakref.finalize(self, self._native.cancel)
        # Media that came in before the processor was bound to the loop raised no event.
        asyncio.get_running_loop().call_soon(notify)

    @property
    def dropped(self) -> int:
        """Items dropped while the loop was blocked for longer than the native queue lasts."""
        return int(self._native.discardedFrames)

    def close(self) -> None:
        """Hand over what has come in and stop reading; the sink is not told of the end. Twice is once."""
        if not self._closed:
            self._drain()
            self._closed = True
            self._stop()

    def _told(self) -> None:
        """Something has come in, or the track has ended."""
        self._acknowledge()
        self._read()

    def _acknowledge(self) -> None:
        # Before reading: what comes in while we read must raise a new event.
        self._native._ackWakeup()

    def _read(self) -> ItemT | None:
        """Hand over what has come in, and the end; return the last item."""
        if self._closed:
            return None
        last = self._drain()
        if self._native.ended:
            self._closed = True
            self._stop()
            if (sink := self._sink()) is not None:
                sink._on_media_ended()
        return last

    def _drain(self) -> ItemT | None:
        sink = self._sink()
        if sink is None:
            self._closed = True
            self._stop()
            return None
        read = self._native.read
        last = None
        while (item := read()) is not None:
            last = cast(ItemT, item)
            sink._on_media(last)
        return last
