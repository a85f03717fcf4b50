"""Audio and video captured in step."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque

from ..errors import ClosedError, MediaError
from .audio_frame import AudioFrame
from .audio_source import AudioSource
from .video_frame import VideoFrame
from .video_source import VideoSource

__all__ = ["AVSynchronizer"]

logger = logging.getLogger("aiolivekit.media")


class FrameClock:
    """Says when each picture is due, and how many a second there were: the decisions, without a clock.

    A picture that is late is due at once, and the next ones catch up; beyond the tolerance the schedule starts anew,
    so that a long stall is not followed by a burst.

    Args:
        fps: Pictures a second.
        tolerance: Seconds a picture may be late.
    """

    def __init__(self, fps: float, tolerance: float) -> None:
        self._interval = 1 / fps
        self._tolerance = tolerance
        self._due: float | None = None
        self._sent: deque[float] = deque(maxlen=max(2, int(fps)))

    def wait(self, now: float) -> float:
        """Return the seconds until the next picture is due."""
        if self._due is None or now - self._due > self._tolerance:
            self._due = now
        return max(self._due - now, 0.0)

    def sent(self, now: float) -> None:
        """The picture that was due was sent."""
        self._sent.append(now)
        self._due = (now if self._due is None else self._due) + self._interval

    def reset(self) -> None:
        """Start the schedule and the measurement anew."""
        self._due = None
        self._sent.clear()

    @property
    def actual_fps(self) -> float:
        """Pictures a second over the last second or so; 0 before there are two."""
        if len(self._sent) < 2 or self._sent[-1] <= self._sent[0]:
            return 0.0
        return (len(self._sent) - 1) / (self._sent[-1] - self._sent[0])


class AVSynchronizer:
    """Captures audio and video in step (`livekit.rtc.AVSynchronizer`).

    Push both kinds of frames in the order in which they belong together. Audio goes to its source, which plays it in
    real time; pictures go to theirs at `video_fps`. Each kind waits when its queue is full, so pushing runs at most a
    queue ahead of real time. It works on the event loop on which it was made.

    Args:
        audio_source: Takes the audio. The synchronizer does not close it.
        video_source: Takes the pictures, likewise.
        video_fps: Pictures a second.
        video_queue_size_ms: Milliseconds of pictures that may wait, at least one picture; with 0 any number may.
        _max_delay_tolerance_ms: How late a picture may be before the schedule starts anew.

    Raises:
        ValueError: If a number is out of range.
        RuntimeError: If no event loop runs.
    """

    def __init__(
        self,
        *,
        audio_source: AudioSource,
        video_source: VideoSource,
        video_fps: float,
        video_queue_size_ms: float = 100,
        _max_delay_tolerance_ms: float = 300,
    ) -> None:
        if not 0 < video_fps < math.inf:
            raise ValueError(f"pictures come at a positive rate, not {video_fps}")
        if not 0 <= video_queue_size_ms < math.inf or not _max_delay_tolerance_ms >= 0:
            raise ValueError(
                f"no queue size or tolerance is negative: {video_queue_size_ms} ms, {_max_delay_tolerance_ms} ms"
            )
        self._audio_source = audio_source
        self._video_source = video_source
        self._capacity = max(1, int(video_fps * video_queue_size_ms / 1000)) if video_queue_size_ms else None
        self._clock = FrameClock(video_fps, _max_delay_tolerance_ms / 1000)
        self._queue: deque[tuple[VideoFrame, float | None]] = deque()
        self._changed = asyncio.Condition()
        self._end: MediaError | ClosedError | None = None  # why nothing is taken any more
        self._last_video_time = 0.0
        self._last_audio_time = 0.0
        self._task = asyncio.create_task(self._capture_video(), name="aiolivekit synchronizer")

    async def push(self, frame: VideoFrame | AudioFrame, timestamp: float | None = None) -> None:
        """Take a frame; wait while the queue of its kind is full.

        Args:
            frame: A picture or audio.
            timestamp: Its time in seconds, of audio the time at which it ends, for `last_video_time` and
                `last_audio_time`.

        Raises:
            ClosedError: If the synchronizer is closed, also meanwhile.
            MediaError: If a source does not take the frame; of pictures, at the first push after that.
            ValueError: If the timestamp is not finite.
            TypeError: If the frame is none.
        """
        if timestamp is not None and not math.isfinite(timestamp):
            raise ValueError(f"a timestamp is finite, not {timestamp}")
        self._check_open()
        if isinstance(frame, AudioFrame):
            await self._audio_source.capture_frame(frame)
            if timestamp is not None:
                self._last_audio_time = timestamp
            return
        if not isinstance(frame, VideoFrame):
            raise TypeError(f"a synchronizer takes VideoFrame or AudioFrame, not {type(frame).__name__}")
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            self._check_open()
            self._queue.append((frame, timestamp))
            self._changed.notify_all()

    async def clear_queue(self) -> None:
        """Drop what waits of both kinds; pushes that wait go on."""
        self._audio_source.clear_queue()
        async with self._changed:
            self._queue.clear()
            self._changed.notify_all()

    async def wait_for_playout(self) -> None:
        """Wait until everything pushed has been played, dropped, or the synchronizer is closed."""
        await asyncio.gather(self._audio_source.wait_for_playout(), self._wait_for_video())

    def reset(self) -> None:
        """Start the schedule of the pictures anew, as after a pause."""
        self._clock.reset()

    async def aclose(self) -> None:
        """Drop the pictures that wait and end pushes that wait. The sources stay open. Twice is once."""
        await self._stop(ClosedError("the synchronizer is closed"))
        self._task.cancel()
        await asyncio.wait([self._task])

    @property
    def actual_fps(self) -> float:
        """Pictures a second, over the last second or so."""
        return self._clock.actual_fps

    @property
    def last_video_time(self) -> float:
        """The timestamp of the last picture that was sent."""
        return self._last_video_time

    @property
    def last_audio_time(self) -> float:
        """The timestamp of the audio that is being played."""
        return self._last_audio_time - self._audio_source.queued_duration

    def _has_room(self) -> bool:
        return self._end is not None or self._capacity is None or len(self._queue) < self._capacity

    def _check_open(self) -> None:
        if self._end is not None:
            raise self._end

    async def _wait_for_video(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._end is not None or not self._queue)

    async def _stop(self, why: MediaError | ClosedError) -> None:
        async with self._changed:
            self._end = self._end or why
            self._queue.clear()
            self._changed.notify_all()

    async def _capture_video(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._queue))
            await asyncio.sleep(self._clock.wait(loop.time()))
            async with self._changed:
                if not self._queue:  # cleared meanwhile
                    continue
                frame, timestamp = self._queue.popleft()
                self._changed.notify_all()
            try:
                self._video_source.capture_frame(frame)
            except Exception as error:
                logger.warning("a video source took no picture; its synchronizer ends", exc_info=True)
                failure = MediaError(f"the video source took no picture: {error}")
                failure.__cause__ = error
                await self._stop(failure)
                return
            self._clock.sent(loop.time())
            if timestamp is not None:
                self._last_video_time = timestamp
