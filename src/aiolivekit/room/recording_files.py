"""The files of a recording: one for all tracks, or one for each."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .._tasks import TaskScope
from ..enums import TrackKind, TrackSource
from ..errors import RecordingError
from ..media.recording import Recording
from ..media.recording_delays import RecordedTrack, RecordingDelays
from ..media.recording_format import RecordingOptions, format_of
from ..media.recording_thread import RecorderStats

if TYPE_CHECKING:
    from .participant import Participant
    from .track_publication import TrackPublication

__all__ = ["FilePerTrack", "OneFile", "RecordedFile", "RecordingFiles", "TrackKey", "total"]

logger = logging.getLogger("aiolivekit.room")

_GONE = 10.0
"""Seconds after which the file of a track that is gone is finished: until then it may come back."""

MANIFEST = "recording.json"
_SCREENS = (TrackSource.SOURCE_SCREENSHARE, TrackSource.SOURCE_SCREENSHARE_AUDIO)
_UNSAFE = re.compile(r"[^\w.-]+")
_NAME_LENGTH = 60

Failed = Callable[[RecordingError], None]


class TrackKey(NamedTuple):
    """What makes a track the same track over reconnects, which give it another sid, and another object here."""

    identity: str
    kind: str
    source: int
    name: str

    @property
    def owner(self) -> tuple[str, bool]:
        """With whose sound pictures go: those of a screen with the screen's."""
        return self.identity, self.source in _SCREENS

    @classmethod
    def of(cls, participant: Participant, publication: TrackPublication) -> TrackKey:
        """Return the key of a publication."""
        kind = "audio" if publication.kind == TrackKind.KIND_AUDIO else "video"
        return cls(participant.identity, kind, int(publication.source), publication.name)


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file of a recording.

    Attributes:
        path: Where it is.
        began: The second of the recording at which it begins.
        identity: Whose track is in it; empty if several may be.
        source: Where that track comes from.
        stats: What it has come to.
    """

    path: Path
    began: float
    identity: str
    source: TrackSource
    stats: RecorderStats


class RecordingFiles(Protocol):
    """Where a recorder writes to."""

    async def begin(self) -> None:
        """Begin; raises `RecordingError` if that cannot be."""

    async def finish(self) -> None:
        """Finish all files; raises `RecordingError` if one could not be written."""

    def add(self, key: TrackKey, track: RecordedTrack, *, muted: bool) -> None:
        """Record a track."""

    def remove(self, key: TrackKey) -> None:
        """Record it no longer."""

    def set_muted(self, key: TrackKey, muted: bool) -> None:
        """Show nothing of it while it is muted."""

    def files(self) -> list[RecordedFile]:
        """Return what there is."""

    @property
    def duration(self) -> float:
        """Seconds of the recording."""


class OneFile:
    """All tracks in one file.

    Args:
        path: Where.
        options: How.
        audio: Whether there is sound.
        video: Whether there are pictures.
        delays: How late pictures are.
        failed: Told that it cannot be written on.
    """

    def __init__(
        self,
        path: Path,
        options: RecordingOptions,
        *,
        audio: bool,
        video: bool,
        delays: RecordingDelays,
        failed: Failed,
    ) -> None:
        self._path = path
        self._recording = Recording(path, options, audio=audio, video=video, delays=delays, failed=failed)

    async def begin(self) -> None:
        """See `RecordingFiles`, as for the others."""
        await self._recording.start()

    async def finish(self) -> None:
        """See there."""
        await self._recording.aclose()

    def add(self, key: TrackKey, track: RecordedTrack, *, muted: bool) -> None:
        """See there."""
        self._recording.add(key, track, key.kind, key.owner, muted=muted)

    def remove(self, key: TrackKey) -> None:
        """See there."""
        self._recording.remove(key)

    def set_muted(self, key: TrackKey, muted: bool) -> None:
        """See there."""
        self._recording.set_muted(key, muted)

    def files(self) -> list[RecordedFile]:
        """See there."""
        return [RecordedFile(self._path, 0.0, "", TrackSource.SOURCE_UNKNOWN, self._recording.stats)]

    @property
    def duration(self) -> float:
        """See there."""
        return self._recording.stats.duration


@dataclass(slots=True)
class _Part:
    recording: Recording
    path: Path
    key: TrackKey
    began: float
    gone: asyncio.TimerHandle | None = None


class FilePerTrack:
    """Each track in a file of its own, and one that says which is which.

    Args:
        directory: Where; it is made if there is none.
        options: How.
        audio_end: The end of the names of files of sound, such as `.ogg`.
        video_end: Of files of pictures.
        delays: How late pictures are.
        failed: Told that a file cannot be written on.
    """

    def __init__(
        self,
        directory: Path,
        options: RecordingOptions,
        *,
        audio_end: str,
        video_end: str,
        delays: RecordingDelays,
        failed: Failed,
    ) -> None:
        format_of(Path(f"x{audio_end}"))
        if format_of(Path(f"x{video_end}")).video_codec is None:
            raise RecordingError(f"files that end in {video_end} hold no pictures")
        self._directory = directory
        self._options = options
        self._ends = {"audio": audio_end, "video": video_end}
        self._delays = delays
        self._failed = failed
        self._parts: dict[TrackKey, _Part] = {}
        self._done: list[_Part] = []
        self._names: set[str] = set()
        self._tasks = TaskScope(self._task_failed)
        self._began: float | None = None
        self._ended: float | None = None
        self._began_at = datetime.now(UTC)

    async def begin(self) -> None:
        """See `RecordingFiles`, as for the others."""
        try:
            await asyncio.to_thread(self._make_directory)
        except OSError as error:
            raise RecordingError(f"the directory of the recording could not be made: {error.strerror}") from error
        self._began = time.monotonic()
        self._began_at = datetime.now(UTC)

    async def finish(self) -> None:
        """See there."""
        if self._began is None:
            return
        self._ended = time.monotonic()
        for part in list(self._parts.values()):
            self._take_out(part)
        await self._tasks.aclose()
        problem: RecordingError | None = None
        for part in self._done:
            try:
                await part.recording.aclose()
            except RecordingError as error:
                problem = problem or error
        try:
            await asyncio.to_thread(self._write_manifest)
        except OSError as error:
            problem = problem or RecordingError(f"{MANIFEST} could not be written: {error.strerror}")
        if problem is not None:
            raise problem

    def add(self, key: TrackKey, track: RecordedTrack, *, muted: bool) -> None:
        """See there."""
        part = self._parts.get(key)
        if part is None:
            path = self._directory / self._name(key)
            kinds = {"audio": key.kind == "audio", "video": key.kind == "video"}
            recording = Recording(path, self._options, **kinds, delays=self._delays, failed=self._failed)
            part = self._parts[key] = _Part(recording, path, key, self.duration)
            self._tasks.spawn("aiolivekit recording file", self._start(part))
        if part.gone is not None:
            part.gone.cancel()
            part.gone = None
        part.recording.add(key, track, key.kind, key.owner, muted=muted)

    def remove(self, key: TrackKey) -> None:
        """See there."""
        part = self._parts.get(key)
        if part is not None:
            part.recording.remove(key)
            part.gone = asyncio.get_running_loop().call_later(_GONE, self._end, part)

    def set_muted(self, key: TrackKey, muted: bool) -> None:
        """See there."""
        if (part := self._parts.get(key)) is not None:
            part.recording.set_muted(key, muted)

    def files(self) -> list[RecordedFile]:
        """See there."""
        return [
            RecordedFile(each.path, each.began, each.key.identity, TrackSource(each.key.source), each.recording.stats)
            for each in (*self._done, *self._parts.values())
        ]

    @property
    def duration(self) -> float:
        """See there."""
        if self._began is None:
            return 0.0
        return (self._ended or time.monotonic()) - self._began

    async def _start(self, part: _Part) -> None:
        try:
            await part.recording.start()
        except RecordingError as error:
            self._failed(error)

    def _end(self, part: _Part) -> None:
        self._take_out(part)
        self._tasks.spawn("aiolivekit recording end", self._close(part))

    def _take_out(self, part: _Part) -> None:
        if part.gone is not None:
            part.gone.cancel()
        if self._parts.pop(part.key, None) is part:
            self._done.append(part)

    async def _close(self, part: _Part) -> None:
        try:
            await part.recording.aclose()
        except RecordingError as error:
            self._failed(error)

    def _name(self, key: TrackKey) -> str:
        source = TrackSource(key.source).name.removeprefix("SOURCE_").lower()
        who = _UNSAFE.sub("_", key.identity).strip("._")[:_NAME_LENGTH] or "somebody"
        stem = f"{who}-{source if source != 'unknown' else key.kind}"
        name, number = f"{stem}{self._ends[key.kind]}", 1
        while name in self._names:
            number += 1
            name = f"{stem}-{number}{self._ends[key.kind]}"
        self._names.add(name)
        return name

    def _make_directory(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        if not self._options.overwrite and (self._directory / MANIFEST).exists():
            raise RecordingError("there is a recording in that directory already")

    def _write_manifest(self) -> None:
        about: dict[str, Any] = {
            "began": self._began_at.isoformat(timespec="milliseconds"),
            "files": [
                {
                    "file": each.path.name,
                    "began": round(each.began, 3),
                    "identity": each.identity,
                    "source": each.source.name.removeprefix("SOURCE_").lower(),
                    **{name: round(value, 3) for name, value in asdict(each.stats).items()},
                }
                for each in self.files()
            ],
        }
        text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
        (self._directory / MANIFEST).write_text(text, encoding="utf-8")

    def _task_failed(self, name: str, error: BaseException) -> None:
        logger.error("%s failed", name, exc_info=error)
        self._failed(RecordingError(f"the recording failed: {error}"))


def total(files: list[RecordedFile], duration: float) -> RecorderStats:
    """Return what files have come to together."""
    stats = [each.stats for each in files]
    return RecorderStats(
        duration=duration,
        size=sum(each.size for each in stats),
        pictures=sum(each.pictures for each in stats),
        dropped_pictures=sum(each.dropped_pictures for each in stats),
        dropped_sound_ms=sum(each.dropped_sound_ms for each in stats),
    )
