"""Reading and decoding a file or URL, on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.playback import Playback
from ..enums import VideoRotation
from ..errors import MediaError, MediaFileError
from .av_frames import Scaler, picture_of, rotation_of
from .av_library import failure, require_av
from .file_pass import RATE, FilePass, MediaInfo
from .video_frame import VideoFrame

if TYPE_CHECKING:
    import av

__all__ = ["FileReader", "Picture"]

logger = logging.getLogger("aiolivekit.media")

_TIME_BASE = 1_000_000  # FFmpeg's, for whole files
_TOLERANCE = RATE // 50
"""Samples by which the times of sound may be off without a gap being seen in it: containers round them."""

_PATIENCE = 1.0
"""Seconds for which a file that is not wanted any more is waited for while it is being opened."""

_BAD_PACKETS = 200
"""Packets in a row that cannot be decoded before the file is given up."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, and how it is to be turned."""

    frame: VideoFrame
    rotation: VideoRotation


@dataclass(frozen=True, slots=True)
class _Anchor:
    """From the time `start` on, in samples of the player's time, the file is played from `origin` on, in seconds."""

    start: int
    origin: float


class FileReader:
    """A file that is open, and the thread that decodes it into a `Playback`.

    `lock` guards `playback` and everything that is said of the state here.

    Args:
        url: A path or a URL.
        format: FFmpeg's name of the format, if it is not to be found out.
        options: FFmpeg's options of it.
        audio: Whether sound is wanted.
        video: Whether pictures are wanted.
        repeat: Whether to begin anew at the end.
        timeout: Seconds that opening, and each read after it, may take.
        picture_delay: Samples by which pictures are shown later than the sound they belong to.
    """

    def __init__(
        self,
        url: str,
        *,
        format: str | None,  # noqa: A002 - PyAV's own word
        options: Mapping[str, str],
        audio: bool,
        video: bool,
        repeat: bool,
        timeout: float,
        picture_delay: int,
    ) -> None:
        self._av = require_av(MediaFileError)
        self._url = url
        self._format = format
        self._options = dict(options)
        self._wanted = (audio, video)
        self._timeout = timeout
        self._picture_delay = picture_delay
        self._container: av.container.InputContainer | None = None
        self._streams: list[Any] = []
        self._resampler: av.AudioResampler | None = None
        self._scaler = Scaler()
        self._info: MediaInfo | None = None
        self._origin = 0.0  # the time at which the file begins, by its own count
        self._bad_in_a_row = 0

        self.lock = threading.Condition()
        self.playback: Playback[Picture] | None = None
        self.repeat = repeat
        self.error: MediaError | None = None
        self.bad_packets = 0
        self.seekable = True
        self._anchors = [_Anchor(0, 0.0)]
        self._loops = 0
        self._seek_to: float | None = None
        self._generation = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    async def open(self) -> MediaInfo:
        """Open the file and begin to decode it.

        Raises:
            MediaFileError: If it cannot be opened, or there is nothing in it to be played.
        """
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[MediaInfo] = loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(loop, opened), name="aiolivekit file", daemon=True)
        self._thread.start()
        try:
            return await opened
        except BaseException:
            await self.aclose(_PATIENCE)
            raise

    def position(self, now: int) -> tuple[float, int]:
        """Return which second of the file is played at a time, and how often it has begun anew (under the lock)."""
        while len(self._anchors) > 1 and self._anchors[1].start <= now:
            del self._anchors[0]
            self._loops += 1
        current = self._anchors[0]
        return current.origin + (now - current.start) / RATE, self._loops

    def seek(self, seconds: float) -> None:
        """Go on with another place of the file (under the lock)."""
        assert self.playback is not None
        self._generation += 1
        self._seek_to = seconds
        self.error = None
        self.playback.restart()
        self._anchors = [_Anchor(self.playback.now, seconds)]
        self.lock.notify_all()

    def stop(self) -> None:
        """Have the thread end; from any thread."""
        with self.lock:
            self._closed = True
            self.lock.notify_all()

    async def aclose(self, patience: float | None = None) -> None:
        """Close the file. Twice is once.

        Args:
            patience: Seconds to wait for the thread at most; a read may hold it up until its timeout.
        """
        self.stop()
        thread = self._thread
        if thread is not None:
            await asyncio.to_thread(thread.join, patience)

    # On the thread.

    def _run(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[MediaInfo]) -> None:
        try:
            try:
                info = self._open()
            except MediaFileError as error:
                _settle(loop, opened, error)
                return
            _settle(loop, opened, info)
            self._decode(info)
        finally:
            if self._container is not None:
                self._container.close()

    def _open(self) -> MediaInfo:
        try:
            container = self._av.open(
                self._url, format=self._format, options=self._options, timeout=(self._timeout, self._timeout)
            )
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise failure("the file or URL could not be opened", error, MediaFileError) from error
        self._container = container
        audio = container.streams.audio[0] if self._wanted[0] and container.streams.audio else None
        video = container.streams.video[0] if self._wanted[1] and container.streams.video else None
        self._streams = [each for each in (audio, video) if each is not None]
        if not self._streams:
            raise MediaFileError("there is nothing in the file that was asked for")
        for stream in self._streams:
            with contextlib.suppress(self._av.FFmpegError, RuntimeError):
                stream.thread_type = "AUTO"
        if video is not None and not (video.codec_context.width and video.codec_context.height):
            raise MediaFileError("the file has pictures of no size")
        if container.start_time is not None:
            self._origin = container.start_time / _TIME_BASE
        channels = 0 if audio is None else min(max(audio.codec_context.channels, 1), 2)
        info = MediaInfo(
            duration=None if container.duration is None else container.duration / _TIME_BASE,
            channels=channels,
            width=0 if video is None else video.codec_context.width,
            height=0 if video is None else video.codec_context.height,
            fps=0.0 if video is None or not video.average_rate else float(video.average_rate),
            audio_codec="" if audio is None else audio.codec_context.name,
            video_codec="" if video is None else video.codec_context.name,
        )
        with self.lock:
            self._info = info
            self.playback = Playback(
                channels=channels, has_video=video is not None, rate=RATE, picture_delay=self._picture_delay
            )
        return info

    def _decode(self, info: MediaInfo) -> None:
        """Play the file from its beginning, and from wherever is asked for, until it is closed."""
        target, start, moved = 0.0, 0, False
        while True:
            with self.lock:
                if self._closed or self.playback is None:
                    return
                generation = self._generation
                if self._seek_to is not None:
                    target, start, moved = self._seek_to, self.playback.now, True
                    self._seek_to = None
            one = FilePass(start, target, info)
            if self._play_from(one, generation, rewind=moved):
                target, start, moved = 0.0, one.end, True
            else:
                with self.lock:
                    self.lock.wait_for(lambda: self._closed or self._seek_to is not None)

    def _play_from(self, one: FilePass, generation: int, *, rewind: bool) -> bool:
        """Decode a part of the file; return whether it is to begin anew after it."""
        try:
            if rewind:
                self._rewind(one.target)
            complete = self._play(one, generation)
            if complete and one.end <= one.start:
                raise MediaFileError("nothing in the file could be decoded")
        except (self._av.FFmpegError, OSError, ValueError, MediaFileError) as error:
            self._give_up(one, error, generation)
            return False
        if not complete:
            return False
        if self._begins_anew(one, generation):
            return True
        self._finish(one, generation)
        return False

    def _play(self, one: FilePass, generation: int) -> bool:
        """Decode until the end of the file; return whether it was reached."""
        for kind, frame in self._frames(generation):
            if kind == "audio":
                for block in self._resampled(frame):
                    self._push_audio(one, block, generation)
            else:
                self._push_picture(one, frame, generation)
        if self._stale(generation):
            return False
        if one.held is not None:
            self._show(one, one.held[0], one.held[1], generation)
        return True

    def _frames(self, generation: int) -> Iterator[tuple[str, Any]]:
        assert self._container is not None
        self._resampler = None
        self._bad_in_a_row = 0
        for packet in self._container.demux(self._streams):
            try:
                frames = packet.decode()
            except self._av.error.InvalidDataError as error:
                self._count_bad(error)
                continue
            if frames:
                self._bad_in_a_row = 0
            for frame in frames:
                if not self._wait_for_room(generation):
                    return
                yield packet.stream.type, frame

    def _count_bad(self, error: Exception) -> None:
        self.bad_packets += 1
        self._bad_in_a_row += 1
        if self._bad_in_a_row >= _BAD_PACKETS:
            raise failure("the file could not be decoded", error, MediaFileError) from error

    def _resampled(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        assert self._info is not None
        for _ in range(2):
            if self._resampler is None:
                layout = "stereo" if self._info.channels == 2 else "mono"
                self._resampler = self._av.AudioResampler(format="s16", layout=layout, rate=RATE)
            try:
                return self._resampler.resample(frame)
            except ValueError:  # the file changes its format on the way
                self._resampler = None
        return []

    def _push_audio(self, one: FilePass, block: av.AudioFrame, generation: int) -> None:
        if not block.samples:
            return
        expected = one.audio_end
        if block.pts is not None and block.time_base is not None:
            index = one.index(float(block.pts * block.time_base) - self._origin)
            if expected is None or abs(index - expected) > _TOLERANCE:
                expected = index
        elif expected is None:
            expected = one.start
        samples = bytes(memoryview(block.planes[0])[: block.samples * one.info.channels * 2])
        one.audio_end = expected + block.samples
        one.end = max(one.end, one.audio_end)
        with self.lock:
            if generation == self._generation and self.playback is not None:
                early = one.start - expected
                if early < block.samples:
                    skip = max(early, 0)
                    self.playback.push_audio(expected + skip, samples[skip * one.info.channels * 2 :])

    def _push_picture(self, one: FilePass, frame: av.VideoFrame, generation: int) -> None:
        time = frame.time
        index = one.picture_end if time is None else one.index(time - self._origin)
        length = RATE / one.info.fps if one.info.fps > 0 else RATE / 25
        if frame.duration and frame.time_base:
            length = float(frame.duration * frame.time_base) * RATE
        one.picture_end = index + round(length)
        one.end = max(one.end, one.picture_end)
        if index < one.start:
            # After a seek: the last one before the place is what is to be seen there.
            one.held = (one.start, frame)
            return
        if one.held is not None:
            if index > one.start:
                self._show(one, one.held[0], one.held[1], generation)
            one.held = None
        self._show(one, index, frame, generation)

    def _show(self, one: FilePass, index: int, frame: av.VideoFrame, generation: int) -> None:
        picture = Picture(picture_of(self._scaler.convert(frame)), rotation_of(frame))
        one.end = max(one.end, index + 1)
        with self.lock:
            if generation == self._generation and self.playback is not None:
                self.playback.push_picture(index, picture)

    def _wait_for_room(self, generation: int) -> bool:
        """Wait until more is wanted; return whether it is still this part of the file that is wanted."""
        with self.lock:
            self.lock.wait_for(
                lambda: self._closed or self._generation != generation or self.playback is None or self._has_room
            )
            return not self._closed and self._generation == generation

    @property
    def _has_room(self) -> bool:
        return self.playback is not None and self.playback.wants_more

    def _stale(self, generation: int) -> bool:
        with self.lock:
            return self._closed or self._generation != generation

    def _begins_anew(self, one: FilePass, generation: int) -> bool:
        with self.lock:
            if not self.repeat or self._closed or self._generation != generation or self.error is not None:
                return False
            self._anchors.append(_Anchor(one.end, 0.0))
            return True

    def _finish(self, one: FilePass, generation: int) -> None:
        with self.lock:
            if generation == self._generation and self.playback is not None:
                self.playback.finish(one.end)

    def _give_up(self, one: FilePass, error: Exception, generation: int) -> None:
        problem = failure("the file could not be read on", error, MediaFileError)
        if isinstance(error, MediaFileError):
            problem = error
        with self.lock:
            if not self._closed and generation == self._generation:
                self.error = self.error or problem
                if self.playback is not None:
                    self.playback.finish(one.end)
        logger.debug("a file is not played to its end: %s", problem)

    def _rewind(self, target: float) -> None:
        assert self._container is not None
        try:
            self._container.seek(round((target + self._origin) * _TIME_BASE), backward=True)
        except (self._av.FFmpegError, OSError):
            if target > 0:
                with self.lock:
                    self.seekable = False
                raise
            # What cannot be sought in can still be opened anew.
            self._container.close()
            self._open_anew()

    def _open_anew(self) -> None:
        playback = self.playback
        try:
            self._open()
        finally:
            with self.lock:
                self.playback = playback


def _settle(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], outcome: object) -> None:
    def settle() -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle)
