"""Recording a room, or some tracks of it (needs the `media` extra)."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .._tasks import TaskScope, finish_despite_cancel
from ..errors import ClosedError, RecordingError
from ..media.recording_delays import RecordedTrack, RecordingDelays
from ..media.recording_format import RecordingOptions, format_of
from ..media.recording_thread import RecorderStats
from .recording_files import FilePerTrack, OneFile, RecordedFile, RecordingFiles, TrackKey, total

if TYPE_CHECKING:
    from .participant import Participant
    from .room import Room
    from .track import LocalTrack, RemoteTrack
    from .track_publication import TrackPublication

__all__ = ["RoomRecorder", "TrackRecorder"]

logger = logging.getLogger("aiolivekit.room")


class RoomRecorder:
    """Records what is subscribed to in a room: into one file, or into a directory with a file for each track.

    In one file the sound of all is mixed, and their pictures lie beside one another; whoever mutes a camera makes room
    for the others. Tracks come and go, and connections are lost and come back, on one line of time: where there is no
    sound there is silence, and the last picture stays. Pictures are in step with the sound of the same participant.

    Encoding and writing have a thread of their own, behind bounded queues; what they drop is counted.

    It is an asynchronous context manager: it starts, and finishes the file also when it is cancelled or the room is
    lost.

    Args:
        room: A room; tracks that are subscribed to are recorded, now and later.
        path: A file, whose end says as what it is written (`.wav`, `.opus`, `.ogg`, `.mp4`, `.mov`, `.webm`,
            `.mkv`), or else a directory.
        options: How.
        identities: Whose tracks; by default everybody's.
        sources: Which of them, as `TrackSource`; by default all.
        audio: Whether sound is recorded.
        video: Whether pictures are; by default if the file can hold them.
        audio_end: In a directory, the end of the names of files of sound.
        video_end: In a directory, the end of the names of files of pictures.

    Raises:
        RecordingError: If the path ends in what is not known, can hold nothing that is to be recorded, or the `media`
            extra is missing.
    """

    def __init__(
        self,
        room: Room,
        path: str | os.PathLike[str],
        options: RecordingOptions | None = None,
        *,
        identities: Iterable[str] | None = None,
        sources: Iterable[int] | None = None,
        audio: bool = True,
        video: bool | None = None,
        audio_end: str = ".ogg",
        video_end: str = ".mkv",
    ) -> None:
        where, options = Path(path), options or RecordingOptions()
        is_directory = where.is_dir() or not where.suffix
        if not is_directory:
            holds_pictures = format_of(where).video_codec is not None
            if video and not holds_pictures:
                raise RecordingError(f"a file that ends in {where.suffix} holds no pictures")
            video = holds_pictures if video is None else video
        self._kinds = {"audio": audio, "video": video is not False}
        if not any(self._kinds.values()):
            raise RecordingError("neither sound nor pictures are to be recorded")
        self._room = room
        self._identities = None if identities is None else frozenset(identities)
        self._sources = None if sources is None else frozenset(int(each) for each in sources)
        self._delays = RecordingDelays()
        self._tasks = TaskScope(self._task_failed)
        self._tracks: dict[TrackKey, RecordedTrack] = {}
        self._started = False
        self._listening = False
        self._closing: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failure.add_done_callback(lambda failure: failure.cancelled() or failure.exception())
        self._files: RecordingFiles
        if is_directory:
            self._files = FilePerTrack(
                where, options, audio_end=audio_end, video_end=video_end, delays=self._delays, failed=self._fail
            )
        else:
            self._files = OneFile(
                where, options, audio=audio, video=bool(video), delays=self._delays, failed=self._fail
            )
        self._handlers: tuple[tuple[Any, Callable[..., None]], ...] = (
            ("track_subscribed", lambda track, publication, whose: self._came(track, publication, whose)),
            ("track_unsubscribed", lambda track, publication, whose: self._went(track, publication, whose)),
            ("track_muted", lambda whose, publication: self._muted(whose, publication)),
            ("track_unmuted", lambda whose, publication: self._muted(whose, publication)),
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.aclose()
        except RecordingError:
            if exc is None:
                raise
            logger.warning("a recording could not be finished", exc_info=True)

    @property
    def stats(self) -> RecorderStats:
        """What the recording has come to, all files together."""
        return total(self.files, self._files.duration)

    @property
    def files(self) -> list[RecordedFile]:
        """The files of the recording."""
        return self._files.files()

    @property
    def tracks(self) -> int:
        """How many tracks are being recorded."""
        return len(self._tracks)

    async def start(self) -> None:
        """Begin to record.

        Raises:
            RecordingError: If the file cannot be begun.
            ClosedError: If the recorder is closed.
            RuntimeError: If it was started before.
        """
        if self._closing is not None:
            raise ClosedError("the recorder is closed")
        if self._started:
            raise RuntimeError("the recorder was started already")
        self._started = True
        try:
            await self._files.begin()
        except BaseException:
            self._closing = asyncio.create_task(self._abandon(), name="aiolivekit recorder end")
            await finish_despite_cancel(_wait(self._closing))
            raise
        self._tasks.spawn("aiolivekit recording delays", self._delays.run())
        self._listening = True
        for event, handler in self._handlers:
            self._room.on(event, handler)
        for participant in self._room.remote_participants.values():
            for publication in participant.track_publications.values():
                if publication.track is not None:
                    self._came(publication.track, publication, participant)

    async def wait_closed(self) -> None:
        """Wait until the recorder is closed.

        Raises:
            RecordingError: As soon as something cannot be written.
        """
        await asyncio.shield(self._failure)

    async def aclose(self) -> None:
        """Finish the recording, even if this is cancelled. Twice is once.

        Raises:
            RecordingError: If it could not be written.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="aiolivekit recorder end")
        await finish_despite_cancel(_wait(self._closing))

    async def _close(self) -> None:
        for event, handler in self._handlers:
            if self._listening:
                self._room.off(event, handler)
        await self._tasks.aclose()
        try:
            if self._started:
                await self._files.finish()
        except RecordingError as error:
            self._fail(error)
            raise
        if not self._failure.done():
            self._failure.set_result(None)

    async def _abandon(self) -> None:
        await self._tasks.aclose()
        try:
            await self._files.finish()
        except RecordingError:
            logger.debug("what could not be begun could not be finished either", exc_info=True)

    def _wants(self, key: TrackKey) -> bool:
        return (
            self._kinds[key.kind]
            and (self._identities is None or key.identity in self._identities)
            and (self._sources is None or key.source in self._sources)
        )

    def _came(self, track: RecordedTrack, publication: TrackPublication, participant: Participant) -> None:
        key = TrackKey.of(participant, publication)
        if self._closing is None and self._wants(key):
            self._tracks[key] = track
            self._files.add(key, track, muted=publication.muted)

    def _went(self, track: RecordedTrack, publication: TrackPublication, participant: Participant) -> None:
        key = TrackKey.of(participant, publication)
        if self._tracks.get(key) is track:
            del self._tracks[key]
            if self._closing is None:
                self._files.remove(key)

    def _muted(self, participant: Participant, publication: TrackPublication) -> None:
        key = TrackKey.of(participant, publication)
        if key in self._tracks and self._closing is None:
            self._files.set_muted(key, publication.muted)

    def _fail(self, error: RecordingError) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    def _task_failed(self, name: str, error: BaseException) -> None:
        logger.error("%s failed", name, exc_info=error)
        self._fail(RecordingError(f"the recording failed: {error}"))


class TrackRecorder(RoomRecorder):
    """Records certain tracks of a room into one file, over mutes and reconnects.

    It is a `RoomRecorder`, which see for what it does.

    Args:
        room: The room.
        path: A file, whose end says as what it is written.
        *tracks: Tracks that are subscribed to, or that we publish.
        options: How.

    Raises:
        RecordingError: If the path ends in what is not known, or can hold nothing of the tracks.
        ValueError: If there are no tracks, or one is not in the room.
    """

    def __init__(
        self,
        room: Room,
        path: str | os.PathLike[str],
        *tracks: LocalTrack | RemoteTrack,
        options: RecordingOptions | None = None,
    ) -> None:
        format_of(Path(path))
        if not tracks:
            raise ValueError("a track recorder records at least one track")
        self._chosen = {_find(room, each): each for each in tracks}
        kinds = {key.kind for key in self._chosen}
        super().__init__(room, path, options, audio="audio" in kinds, video="video" in kinds)

    async def start(self) -> None:
        """See `RoomRecorder.start`."""
        await super().start()
        ours = self._room.local_participant.identity
        for key, track in self._chosen.items():
            if key.identity == ours:
                self._tracks[key] = track
                self._files.add(key, track, muted=track.muted)

    def _wants(self, key: TrackKey) -> bool:
        return key in self._chosen


def _find(room: Room, track: LocalTrack | RemoteTrack) -> TrackKey:
    for participant in (room.local_participant, *room.remote_participants.values()):
        for publication in participant.track_publications.values():
            if publication.track is track:
                return TrackKey.of(participant, publication)
    raise ValueError("the track is not one that is subscribed to, or published, in the room")


async def _wait(task: asyncio.Task[None]) -> None:
    await asyncio.shield(task)
