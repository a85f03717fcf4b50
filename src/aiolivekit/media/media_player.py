"""Files and URLs as sources of audio and video, in step (needs the `media` extra)."""

# ruff: noqa: SLF001 - the ways in for those who keep the time themselves

from __future__ import annotations

import asyncio
import logging
import math
import os
import weakref
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from ..errors import ClosedError, MediaError, MediaFileError
from ..peer import media_thread
from ..peer.media_thread import Wakeups
from .audio_source import AudioSource
from .file_pass import RATE, MediaInfo
from .file_reader import FileReader, Picture
from .video_source import VideoSource

__all__ = ["MediaPlayer"]

logger = logging.getLogger("aiolivekit.media")

_PERIOD = RATE // 100
_SAMPLE_SIZE = 2

_PICTURE_DELAY = RATE // 50
"""Samples by which pictures are shown later than their sound.

Sound travels in packets of 20 ms, so its first sample leaves 20 ms after it was written; a picture leaves at once.
"""

_REPEAT = 100
"""Periods after which a picture that stands still is sent again, for those who have joined meanwhile."""


class MediaPlayer:
    """Plays a file, or whatever else FFmpeg opens, in real time; made by `open`.

    Publish tracks of its two sources as of any others, then call `play`. Sound and pictures are driven by one clock, on
    the media thread, so they stay in step whatever the event loop is doing; where decoding falls behind, both stand
    still and go on together. Reading and decoding has a thread of its own.

    It is an asynchronous context manager, which closes it.

    Attributes:
        audio: The sound, or `None` if there is none.
        video: The pictures, or `None` if there are none.
        info: What there is in the file.
    """

    def __init__(self, reader: FileReader, info: MediaInfo) -> None:
        self.info = info
        self.audio: AudioSource | None = None
        self.video: VideoSource | None = None
        if info.channels:
            # Without a queue: the player keeps the time.
            self.audio = AudioSource(RATE, info.channels, queue_size_ms=0)
        if info.width:
            self.video = VideoSource(info.width, info.height)
        self._reader = reader
        self._playing = False
        self._closed = False
        self._broken = False
        self._stood_still = 0
        self._dropped = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._shown: Picture | None = None
        self._shown_for = 0
        self._stop = weakref.finalize(self, reader.stop)
        media_thread.attach(self)

    @classmethod
    async def open(
        cls,
        url: str | os.PathLike[str],
        *,
        audio: bool = True,
        video: bool = True,
        loop: bool = False,
        start: float = 0.0,
        format: str | None = None,  # noqa: A002 - PyAV's own word
        options: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> Self:
        """Open a file or URL; it does not play yet.

        Args:
            url: A path, or anything FFmpeg understands: `https://…`, `rtsp://…`, `rtmp://…`.
            audio: Whether its sound is wanted.
            video: Whether its pictures are wanted.
            loop: Whether to begin anew at the end, without a gap.
            start: The second at which to begin.
            format: FFmpeg's name of the format, if it is not to be found out.
            options: FFmpeg's options of it.
            timeout: Seconds that opening may take, and each read after it.

        Raises:
            MediaFileError: If it cannot be opened, has nothing in it that was asked for, or the `media` extra is
                missing.
            ValueError: If a number is out of range, or neither sound nor pictures are wanted.
        """
        if not 0 <= start < math.inf or not 0 < timeout < math.inf:
            raise ValueError(f"a file is played from a second that is not negative, with a timeout: {start}, {timeout}")
        if not (audio or video):
            raise ValueError("a player plays sound, or pictures, or both")
        reader = FileReader(
            os.fspath(url),
            format=format,
            options=options or {},
            audio=audio,
            video=video,
            repeat=loop,
            timeout=timeout,
            picture_delay=_PICTURE_DELAY,
        )
        info = await reader.open()
        player = cls(reader, info)
        if start:
            await player.seek(start)
        return player

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def duration(self) -> float | None:
        """Seconds of the file, or `None` if that is not known, as of live streams."""
        return self.info.duration

    @property
    def position(self) -> float:
        """Which second of the file is played."""
        with self._reader.lock:
            position, _ = self._reader.position(self._now)
        return position

    @property
    def loops(self) -> int:
        """How often it has begun anew."""
        with self._reader.lock:
            return self._reader.position(self._now)[1]

    @property
    def is_playing(self) -> bool:
        """Whether it plays, and neither is paused nor has come to an end."""
        return self._playing and not self._closed and not self.ended

    @property
    def ended(self) -> bool:
        """Whether all of it has been played, or could not be read on."""
        with self._reader.lock:
            playback = self._reader.playback
            return self._broken or (playback is not None and playback.ended)

    @property
    def stood_still_ms(self) -> int:
        """Milliseconds in which there was nothing to be played yet: reading or decoding was not fast enough."""
        return self._stood_still * 10

    @property
    def dropped_pictures(self) -> int:
        """Pictures that were not sent because the next one was due too, as after a stall of the machine."""
        return self._dropped

    @property
    def bad_packets(self) -> int:
        """Pieces of the file that could not be decoded and were left out."""
        return self._reader.bad_packets

    def play(self) -> None:
        """Play, or go on after `pause`.

        Raises:
            ClosedError: If the player is closed.
        """
        self._check_open()
        self._playing = True

    def pause(self) -> None:
        """Stand still: silence is sent, and the picture remains.

        Raises:
            ClosedError: If the player is closed.
        """
        self._check_open()
        self._playing = False

    async def seek(self, seconds: float) -> None:
        """Go on at another second of the file, exactly; also after its end. Does not wait until it is decoded.

        Raises:
            ClosedError: If the player is closed.
            MediaFileError: If the file is one in which there is no other place to go to.
            ValueError: If there is no such second.
        """
        self._check_open()
        if not 0 <= seconds < math.inf:
            raise ValueError(f"a file has no second {seconds}")
        with self._reader.lock:
            if not self._reader.seekable:
                raise MediaFileError("there is no going to another place in this file or stream")
            self._reader.seek(seconds)

    async def wait_ended(self) -> None:
        """Wait until all of it has been played; one that loops does not end.

        Raises:
            MediaFileError: If it could not be read on; what was decoded before has been played.
            ClosedError: If the player is closed, also meanwhile.
        """
        self._check_open()
        if not self.ended:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                if not self.ended:
                    await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        self._check_open()
        if self._reader.error is not None:
            raise self._reader.error

    async def aclose(self) -> None:
        """Stop, close the file and both sources. Twice is once."""
        if not self._closed:
            self._closed = True
            media_thread.detach(self)
            self._release()
        self._stop()
        await self._reader.aclose()
        if self.audio is not None:
            await self.audio.aclose()
        if self.video is not None:
            await self.video.aclose()

    @property
    def _now(self) -> int:
        playback = self._reader.playback
        return 0 if playback is None else playback.now

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the player is closed")

    def _release(self) -> None:
        wakeups = Wakeups()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            wakeups.add(waiter)
        wakeups.send()

    def _tick(self, periods: int, wakeups: Wakeups) -> None:
        """Play the next 10 ms, or several after a stall (for the audio clock)."""
        samples: bytes | None = None
        picture: Picture | None = None
        if self._playing:
            with self._reader.lock:
                playback = self._reader.playback
                assert playback is not None
                played = playback.advance(periods)
                samples, picture = played.audio, played.picture
                self._dropped += played.skipped
                self._stood_still += periods if played.stood_still else 0
                if playback.wants_more:
                    self._reader.lock.notify_all()
                if playback.ended and self._waiters:
                    waiters, self._waiters = self._waiters, []
                    for waiter in waiters:
                        wakeups.add(waiter)
        if self.audio is not None:
            self.audio._play(samples or bytes(periods * _PERIOD * self.info.channels * _SAMPLE_SIZE))
        self._show(picture, periods)

    def _show(self, picture: Picture | None, periods: int) -> None:
        self._shown_for += periods
        if picture is not None:
            self._shown = picture
        elif self._shown is None or self._shown_for < _REPEAT:
            return
        self._shown_for = 0
        if self.video is not None and self._shown is not None:
            try:
                self.video.capture_frame(self._shown.frame, rotation=self._shown.rotation)
            except MediaError:
                logger.debug("a picture of a file was not taken: its source is closed")

    def _fail(self, error: Exception, wakeups: Wakeups) -> None:
        """Release whoever waits: the clock no longer drives the player (for the audio clock)."""
        with self._reader.lock:
            self._reader.error = MediaFileError(f"the file could not be played: {error}")
            self._broken = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            wakeups.add(waiter)
