"""One file into which tracks that come and go are written; what users hold is in `room.recorder`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._tasks import TaskScope, finish_despite_cancel
from ..errors import RecordingError
from .recording_delays import RecordedTrack, RecordingDelays
from .recording_format import RecordingOptions
from .recording_streams import BREAK, ChunkStream, PictureStream
from .recording_thread import RecorderStats, RecordingThread

__all__ = ["Recording"]

logger = logging.getLogger("aiolivekit.media")

_LINGER = 2.0
"""Seconds for which the last picture of a track that is gone stays: it may come back by another connection."""


@dataclass(slots=True)
class _Entry:
    stream: ChunkStream | PictureStream
    muted: bool
    task: asyncio.Task[Any] | None = None


class Recording:
    """Writes tracks into one file: their sound mixed, their pictures beside one another.

    Args:
        path: Where to; its end says as what.
        options: How.
        audio: Whether there is sound.
        video: Whether there are pictures.
        delays: Knows by how much pictures are late against the sound; for the one who gives it to run.
        failed: Told, once, that it cannot be written on.
    """

    def __init__(
        self,
        path: Path,
        options: RecordingOptions,
        *,
        audio: bool,
        video: bool,
        delays: RecordingDelays,
        failed: Callable[[RecordingError], None],
    ) -> None:
        self._kinds = {"audio": audio, "video": video}
        self._loop = asyncio.get_running_loop()
        self._thread = RecordingThread(path, options, audio=audio, video=video, on_failure=self._on_failure)
        self._delays = delays
        self._entries: dict[Hashable, _Entry] = {}
        self._tasks = TaskScope(self._task_failed)
        self._failed = failed
        self._error: RecordingError | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def stats(self) -> RecorderStats:
        """What it has come to."""
        return self._thread.stats

    async def start(self) -> None:
        """Begin the file, and the recording's time.

        Raises:
            RecordingError: If it cannot be begun.
        """
        await finish_despite_cancel(asyncio.to_thread(self._thread.open))
        self._thread.start()

    def add(self, key: Hashable, track: RecordedTrack, kind: str, owner: Hashable, *, muted: bool = False) -> None:
        """Record a track, from now on, instead of the one that had the key.

        Args:
            key: Which it is; one that comes back by another connection has the one it had.
            track: The track.
            kind: `audio` or `video`; a kind that the recording does not have is ignored.
            owner: With whose sound pictures go.
            muted: Whether it is muted now.
        """
        if self._closing is not None or not self._kinds[kind]:
            return
        self.remove(key)
        entry = self._entries[key] = _Entry(ChunkStream(track) if kind == "audio" else PictureStream(track), muted)
        self._delays.add(key, track, kind, owner)
        entry.task = self._tasks.spawn(f"aiolivekit recording {kind}", self._read(key, entry))

    def remove(self, key: Hashable) -> None:
        """Record a track no longer; one that is not recorded is ignored."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._delays.remove(key)
            entry.stream._end()  # noqa: SLF001 - as `aclose`, which does not wait
            self._tasks.spawn("aiolivekit recording linger", self._linger(key))

    def set_muted(self, key: Hashable, muted: bool) -> None:
        """Show nothing of a track while it is muted, whatever of its pictures is still on the way."""
        entry = self._entries.get(key)
        if entry is not None:
            entry.muted = muted
            if muted:
                self._thread.hide(key, self._delays.later(key))

    async def aclose(self) -> None:
        """Finish the file, even if this is cancelled. Twice is once.

        Raises:
            RecordingError: If it could not be written.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="aiolivekit recording end")
        await finish_despite_cancel(_wait(self._closing))
        if self._error is not None:
            raise self._error

    async def _close(self) -> None:
        for key, entry in list(self._entries.items()):
            self._delays.remove(key)
            entry.stream._end()  # noqa: SLF001
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None]
        if tasks:
            await asyncio.wait(tasks)  # they hand over what has come in, and end
        await self._tasks.aclose()
        await asyncio.to_thread(self._thread.close)
        await asyncio.sleep(0)  # what the thread says of a failure is ahead of us

    async def _read(self, key: Hashable, entry: _Entry) -> None:
        stream = entry.stream
        if isinstance(stream, PictureStream):
            async for item in stream:
                self._delays.seen(key, item[1], item[3])
                if not entry.muted:
                    self._thread.see(key, item, self._delays.later(key))
            return
        async for chunk in stream:
            if chunk is BREAK:
                self._thread.break_off(key)
            else:
                self._thread.hear(key, chunk)
        self._thread.break_off(key)

    async def _linger(self, key: Hashable) -> None:
        await asyncio.sleep(_LINGER)
        if key not in self._entries:
            self._thread.hide(key)

    def _on_failure(self, error: RecordingError) -> None:
        try:
            self._loop.call_soon_threadsafe(self._fail, error)
        except RuntimeError:
            logger.debug("a recording outlived its loop")

    def _task_failed(self, name: str, error: BaseException) -> None:
        logger.error("%s failed", name, exc_info=error)
        problem = RecordingError(f"the recording failed: {error}")
        problem.__cause__ = error
        self._fail(problem)

    def _fail(self, error: RecordingError) -> None:
        if self._error is None:
            self._error = error
            self._failed(error)


async def _wait(task: asyncio.Task[None]) -> None:
    await asyncio.shield(task)
