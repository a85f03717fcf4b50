"""The thread of a recording: it places, mixes, encodes and writes what the event loop hands over."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

from ..core.recording import AudioPlacer, PictureTimes
from ..errors import MediaError, RecordingError
from ..peer.audio import AudioChunk
from ..peer.video import VideoItem
from .picture_board import PictureBoard
from .recording_file import RATE, RecordingFile
from .recording_format import RecordingOptions, format_of
from .resampling import require_numpy
from .sound_mixer import SoundMixer

__all__ = ["RecorderStats", "RecordingThread"]

_ROUND = 0.04
"""Seconds between two looks at what has come. Being asked for each piece would cost more than the work."""

_HOLD = 5.0
"""Seconds for which a track that is behind is waited for, before it is silent in the recording."""

_LATELY = 1.0
"""Seconds by which sound is written later than it is heard, for tracks of which nothing has been heard yet."""

_AHEAD = 0.02
"""Seconds by which the time that a picture bears may be ahead of when it is handed over."""

_MAX_SOUND = 6_000
_MAX_PICTURES = 120


@dataclass(frozen=True, slots=True)
class RecorderStats:
    """What a recording has come to.

    Attributes:
        duration: Its seconds.
        size: Its bytes on the disk.
        pictures: Pictures that were written.
        dropped_pictures: Pictures that were dropped: the encoder or the disk was not fast enough, or the event loop
            was blocked.
        dropped_sound_ms: Milliseconds of the tracks' sound that were dropped, likewise.
    """

    duration: float = 0.0
    size: int = 0
    pictures: int = 0
    dropped_pictures: int = 0
    dropped_sound_ms: int = 0


@dataclass(slots=True)
class _Break:
    """The sound of a track ends, or begins anew."""

    key: Hashable


@dataclass(slots=True)
class _Sound:
    key: Hashable
    chunk: AudioChunk


@dataclass(slots=True)
class _Seen:
    key: Hashable
    item: VideoItem
    later: float


@dataclass(slots=True)
class _Unseen:
    """A track shows nothing any more."""

    key: Hashable
    at: float


class RecordingThread:
    """Takes sound and pictures from the event loop, and writes them.

    Args:
        path: Where to.
        options: How.
        audio: Whether there is sound.
        video: Whether there are pictures.
        on_failure: Called on the thread when nothing more can be written.
    """

    def __init__(
        self,
        path: Path,
        options: RecordingOptions,
        *,
        audio: bool,
        video: bool,
        on_failure: Callable[[RecordingError], None],
    ) -> None:
        self._numpy = require_numpy()
        self._options = options
        self._on_failure = on_failure
        self._file: RecordingFile | None = None
        self._path = path
        self._kinds = (audio, video)
        self._mixer = SoundMixer(options.channels, round((_HOLD + 2) * RATE)) if audio else None
        self._board = PictureBoard(options.width, options.height, RecordingError) if video else None
        self._times = PictureTimes(options.fps)
        self._tracks: dict[Hashable, AudioPlacer] = {}
        self._heard_until: dict[Hashable, int] = {}
        self._began_ns = 0
        self._ended: float | None = None

        # What the event loop puts in; appending and popping need no lock.
        self._waiting: deque[_Break | _Sound | _Seen | _Unseen] = deque()
        # Pictures whose time has not come, and what is no more to be seen from some time on.
        self._due: list[tuple[float, int, _Seen | _Unseen]] = []
        self._order = itertools.count()
        self._sound_waiting = 0
        self._pictures_waiting = 0
        self._lock = threading.Lock()
        self._dropped_pictures = 0
        self._dropped_sound = 0
        self._pictures = 0
        self._duration = 0.0
        self._over = threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="aiolivekit recording", daemon=True)

    @property
    def stats(self) -> RecorderStats:
        """What it has come to."""
        left_out = 0 if self._mixer is None else self._mixer.left_out * 1000 // RATE
        return RecorderStats(
            duration=self._duration,
            size=0 if self._file is None else self._file.size,
            pictures=self._pictures,
            dropped_pictures=self._dropped_pictures,
            dropped_sound_ms=self._dropped_sound * 10 + left_out,
        )

    @property
    def now(self) -> float:
        """The second of the recording."""
        return (time.monotonic_ns() - self._began_ns) / 1e9

    def open(self) -> None:
        """Begin the file, and the time of the recording. It may block.

        Raises:
            RecordingError: If the file cannot be begun.
        """
        audio, video = self._kinds
        self._file = RecordingFile(self._path, format_of(self._path), self._options, audio=audio, video=video)

    def start(self) -> None:
        """Begin to write; the recording's time begins now."""
        self._began_ns = time.monotonic_ns()
        self._thread.start()

    def close(self) -> None:
        """Write what is there, finish the file, and wait until that is done. It may block. Twice is once."""
        if self._ended is None:
            self._ended = self.now
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        elif self._file is not None:
            self._file.abandon()

    # On the event loop.

    def hear(self, key: Hashable, chunk: AudioChunk) -> None:
        """Take 10 ms of a track."""
        if self._failed or self._sound_waiting >= _MAX_SOUND:
            self._dropped_sound += 1
            return
        with self._lock:
            self._sound_waiting += 1
        self._waiting.append(_Sound(key, chunk))

    def break_off(self, key: Hashable) -> None:
        """Nothing more is heard of a track, or what is heard from now on comes from elsewhere."""
        self._waiting.append(_Break(key))

    def see(self, key: Hashable, item: VideoItem, later: float) -> None:
        """Take a picture of a track, to be shown so many seconds later than it says."""
        if self._failed or self._pictures_waiting >= _MAX_PICTURES:
            self._dropped_pictures += 1
            return
        with self._lock:
            self._pictures_waiting += 1
        self._waiting.append(_Seen(key, item, later))

    def hide(self, key: Hashable, later: float = 0.0) -> None:
        """Nothing more is seen of a track, behind those of its pictures that wait for their time."""
        self._waiting.append(_Unseen(key, self.now + later + _AHEAD))

    # On the thread.

    def _run(self) -> None:
        file = self._file
        assert file is not None
        try:
            self._write_picture(file, 0.0)  # black, until there is something to be seen
            while not self._over.wait(_ROUND):
                self._work(file)
            self._work(file)
            assert self._ended is not None
            self._finish(file, self._ended)
            file.close()
        except (MediaError, MemoryError, ValueError) as error:
            self._failed = True
            self._waiting.clear()
            file.abandon()
            problem = error if isinstance(error, RecordingError) else RecordingError(f"the recording failed: {error}")
            self._on_failure(problem)

    def _work(self, file: RecordingFile) -> None:
        waiting = self._waiting
        while waiting:
            each = waiting.popleft()
            if isinstance(each, _Sound):
                with self._lock:
                    self._sound_waiting -= 1
                self._mix(each)
            elif isinstance(each, _Seen):
                at = (each.item[1] * 1000 - self._began_ns) / 1e9 + each.later
                heapq.heappush(self._due, (at, next(self._order), each))
            elif isinstance(each, _Break):
                self._tracks.pop(each.key, None)
                self._heard_until.pop(each.key, None)
            else:
                heapq.heappush(self._due, (each.at, next(self._order), each))
        now = self.now if self._ended is None else self._ended
        self._duration = now
        while self._due and self._due[0][0] <= now:
            at, _, due = heapq.heappop(self._due)
            self._show(file, due, at)
        if self._mixer is not None:
            self._write_sound(file, self._mixer, now)
        while self._board is not None and (repeated := self._times.repeat(now)) is not None:
            self._write(file, self._board, repeated)

    def _mix(self, sound: _Sound) -> None:
        samples, bits, rate, channels, count, time_us = sound.chunk
        if self._mixer is None or bits != 16 or rate != RATE:
            self._dropped_sound += 1
            return
        placer = self._tracks.get(sound.key)
        if placer is None:
            placer = self._tracks[sound.key] = AudioPlacer(RATE)
        placed = placer.place((time_us * 1000 - self._began_ns) / 1e9, count)
        self._heard_until[sound.key] = placed.position + count - placed.skip
        block = self._numpy.frombuffer(samples, self._numpy.int16).reshape(-1, channels)[placed.skip :]
        if channels > self._options.channels:
            block = block.mean(axis=1, keepdims=True).astype(self._numpy.int16)
        self._mixer.add(placed.position, block)  # one channel is added to both

    def _write_sound(self, file: RecordingFile, mixer: SoundMixer, now: float) -> None:
        until = round((now - _LATELY) * RATE)
        until = min([until, *self._heard_until.values()])
        until = max(until, round((now - _HOLD) * RATE))
        if until > mixer.taken:
            file.write_audio(mixer.take(until))

    def _show(self, file: RecordingFile, due: _Seen | _Unseen, at: float) -> None:
        if isinstance(due, _Seen):
            with self._lock:
                self._pictures_waiting -= 1
        if self._board is None:
            return
        while (repeated := self._times.repeat_before(at)) is not None:
            self._write(file, self._board, repeated)
        if isinstance(due, _Seen):
            picture, _, degrees, _ = due.item
            self._board.show(due.key, picture, degrees)
        elif self._board.hide(due.key):
            at = max(at, self._times.soonest)  # nothing may follow that would show it
        else:
            return
        self._write_picture(file, at)

    def _write_picture(self, file: RecordingFile, at: float) -> None:
        if self._board is not None and self._times.take(at):
            self._write(file, self._board, at)

    def _write(self, file: RecordingFile, board: PictureBoard, at: float) -> None:
        file.write_picture(board.frame(), at)
        self._pictures += 1

    def _finish(self, file: RecordingFile, end: float) -> None:
        if self._mixer is not None:
            file.write_audio(self._mixer.take(round(end * RATE)))
        last = self._times.last
        if self._board is not None and (last is None or last < end):
            # So that what is to be seen lasts as long as what is to be heard.
            self._write(file, self._board, max(end, 0.001 if last is None else last + 0.001))
        self._duration = end
