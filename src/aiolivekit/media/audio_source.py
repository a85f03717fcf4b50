"""Audio of ours, to be published."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from ..errors import MediaError
from ..peer import media_thread
from ..peer.audio import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, LocalAudio
from ..peer.media_thread import Wakeups
from .audio_frame import AudioFrame
from .pace import Pace
from .playout import PlayoutQueue
from .preconnect import SoundBuffer
from .resampling import Resampler
from .rest import Rest, Resting, RestWatch

__all__ = ["AudioSource"]

_SAMPLE_SIZE = 2
_MAX_CHANNELS = 2  # what Opus carries

_PLENTY = 4
"""Periods in the queue with which the next two are there in any case: two are then played at a time."""


class AudioSource:
    """Queues audio and plays it in real time (`livekit.rtc.AudioSource`).

    What is captured in real time is sent at once; what is captured faster waits in the queue, from which the media
    thread takes 10 ms every 10 ms, whatever the application's loop is doing. When nothing comes, silence is sent. A
    source may be published in several rooms, and used from any event loop.

    Args:
        sample_rate: Samples of a channel a second, 8,000 to 384,000. Rates that are no multiple of 100 are converted,
            which needs the `resample` extra.
        num_channels: 1 or 2.
        queue_size_ms: Milliseconds that may be queued before `capture_frame` waits. With 0 there is no queue: frames
            are sent as they come, and the program keeps the time.
        loop: Accepted for compatibility; each call uses the loop it runs on.

    Raises:
        ValueError: If a number is out of range.
        MediaError: If the rate must be converted and the extra is not installed.
    """

    def __init__(
        self,
        sample_rate: int,
        num_channels: int,
        queue_size_ms: int = 1000,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
            raise ValueError(
                f"an audio source has {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} samples a second, not {sample_rate}"
            )
        if not 1 <= num_channels <= _MAX_CHANNELS:
            raise ValueError(f"an audio source has 1 or {_MAX_CHANNELS} channels, not {num_channels}")
        if not 0 <= queue_size_ms < float("inf"):
            raise ValueError(f"a queue has a size of 0 ms or more, not {queue_size_ms}")
        self._sample_rate = sample_rate
        self._num_channels = num_channels
        self._played_rate = sample_rate
        self._resampler: Resampler | None = None
        if sample_rate % 100:  # libwebrtc would cut at 10 ms of another length, and so change the pitch
            self._played_rate = 48_000
            self._resampler = Resampler(sample_rate, self._played_rate, num_channels)

        self._chunk_samples = self._played_rate // 100
        chunk_size = self._chunk_samples * num_channels * _SAMPLE_SIZE
        self._silence = bytes(chunk_size)
        self._has_queue = queue_size_ms > 0
        self._queue: PlayoutQueue[asyncio.Future[None]] = PlayoutQueue(chunk_size, int(queue_size_ms * chunk_size / 10))
        # Guards the queue and the waiters, which the application's threads and the media thread share.
        self._lock = threading.Lock()
        self._playout_waiters: list[asyncio.Future[None]] = []
        self._pace = Pace()
        self._rest = Rest()
        self._roused = False  # what was captured in a sparse silence waits for the media thread
        self._output: LocalAudio | None = None
        self._preconnect: SoundBuffer | None = None
        self._driven = False
        self._closed: str | None = None  # why, once it is

    @property
    def sample_rate(self) -> int:
        """Samples of a channel a second."""
        return self._sample_rate

    @property
    def num_channels(self) -> int:
        """Interleaved channels."""
        return self._num_channels

    @property
    def queued_duration(self) -> float:
        """Seconds of audio that are captured and not yet played."""
        return (len(self._queue) + self._ahead) / (len(self._silence) * 100)

    @property
    def _ahead(self) -> int:
        """Bytes that were sent and are not due yet."""
        return max(self._pace.lead, 0) * len(self._silence)

    @property
    def _local(self) -> LocalAudio:
        """What senders are given, made when first asked for; from then on there is always sound, if only silence.

        Without packets the server would not announce the track to the others.

        Raises:
            MediaError: If the source is closed.
        """
        with self._lock:
            self._check_open()
            if self._output is None:
                self._output = LocalAudio()
                self._drive()
            return self._output

    def _check_open(self) -> None:
        if self._closed is not None:
            raise MediaError(self._closed)

    def _drive(self) -> None:
        if self._has_queue and not self._driven:
            self._driven = True
            media_thread.attach(self)

    async def capture_frame(self, frame: AudioFrame) -> None:
        """Queue a frame, and wait if more than `queue_size_ms` is queued, until it is so no longer.

        Captures that overlap are queued in the order of their calls. A capture that is cancelled while it waits takes
        back its frame (of one longer than the queue, what has not been played); one during which the queue is cleared
        ends as usual.

        Args:
            frame: The audio, copied, with the rate and the channels of the source.

        Raises:
            MediaError: If the source is closed, also meanwhile, or the frame has another rate or other channels.
            TypeError: If the frame is none.
        """
        if not isinstance(frame, AudioFrame):
            raise TypeError(f"an audio source takes AudioFrame, not {type(frame).__name__}")
        self._check_open()
        if frame.sample_rate != self._sample_rate or frame.num_channels != self._num_channels:
            raise MediaError(
                f"the source has {self._sample_rate} Hz and {self._num_channels} channels, "
                f"the frame {frame.sample_rate} Hz and {frame.num_channels}"
            )
        samples = frame.to_bytes()
        if self._resampler is not None:
            samples = self._resampler.push(samples)
        if not samples:
            return
        if not self._has_queue:
            self._play(samples)
            return

        with self._lock:
            self._check_open()
            self._push(samples)
            if self._queue.room(self._ahead) >= 0:
                return
            waiter = asyncio.get_running_loop().create_future()
            pending = self._queue.wait(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            with self._lock:
                self._queue.retract(pending)
            raise

    def _feed(self, frame: AudioFrame) -> bool:
        """Queue a frame from any thread, without waiting; return whether there was room (for devices).

        The frame has the rate and the channels of the source. A closed source takes everything and plays nothing.
        """
        samples = frame.to_bytes()
        with self._lock:
            if self._closed is not None:
                return True
            if self._resampler is not None:
                samples = self._resampler.push(samples)
            if self._has_queue and self._queue.room(self._ahead) <= 0:
                return False
            if self._has_queue and samples:
                self._push(samples)
        if not self._has_queue:
            self._play(samples)
        return True

    def start_preconnect_buffer(self) -> None:
        """Keep what is played from now on, at most its newest ten seconds, for an agent that does not listen yet.

        It is sent once a track of the source, published with `TrackPublishOptions.preconnect_buffer`, has a
        subscriber and an agent is there. Publishing so begins it too, so this is for what is captured before (not in
        `livekit.rtc`).

        Raises:
            MediaError: If the source is closed.
        """
        self._check_open()
        if self._preconnect is None:
            self._preconnect = SoundBuffer(self._played_rate, self._num_channels)

    def _take_preconnect_buffer(self) -> SoundBuffer | None:
        recording, self._preconnect = self._preconnect, None
        return recording

    def _push(self, samples: bytes) -> None:
        """Play what may be played at once, and queue the rest (under the lock)."""
        queue, pace = self._queue, self._pace
        if pace.silent and not self._roused:
            self._rest.begin()
            if self._rest.is_sparse:
                self._roused = True
                media_thread.hurry(self)
        if self._roused:
            # The media thread owes silence, which comes before what is captured now.
            queue.push(samples)
            return
        pace.captured()
        self._drive()
        if len(samples) == len(self._silence) and pace.may_lead and not len(queue) and self._play_early(samples):
            return
        queue.push(samples)
        while pace.may_lead and (chunk := queue.pop()) is not None and self._play_early(chunk):
            pass

    def _play_early(self, chunk: bytes) -> bool:
        try:
            self._play(chunk)
        except Exception:  # noqa: BLE001 - the clock will meet it too, and tells everybody who waits
            return False
        self._pace.played()
        return True

    async def wait_for_playout(self) -> None:
        """Wait until all that is queued has been played, cleared, or the source is closed."""
        with self._lock:
            if self._closed is not None:
                return
            if self._resampler is not None and (rest := self._resampler.flush()):
                if not self._has_queue:
                    self._play(rest)
                    return
                self._push(rest)
            if not len(self._queue) and self._pace.lead <= 0:
                return
            # Whoever waits adds nothing for now, so what is less than 10 ms need not wait for more.
            self._queue.pad()
            waiter = asyncio.get_running_loop().create_future()
            self._playout_waiters.append(waiter)
        try:
            await waiter
        finally:
            with self._lock:
                if waiter in self._playout_waiters:
                    self._playout_waiters.remove(waiter)

    def clear_queue(self) -> None:
        """Drop what is captured and not yet played; captures and `wait_for_playout` that wait for it end."""
        wakeups = Wakeups()
        with self._lock:
            if self._resampler is not None:
                self._resampler.clear()
            for waiter in self._queue.clear() + self._take_playout_waiters():
                wakeups.add(waiter)
        wakeups.send()

    async def aclose(self) -> None:
        """End the track and drop what is queued. Captures that wait fail with `MediaError`. Twice is once."""
        wakeups = Wakeups()
        self._shut("the audio source is closed", wakeups)
        wakeups.send()
        # Without the lock, as the end of the media thread is waited for, which may want it.
        media_thread.detach(self)
        if self._output is not None:
            self._output.close()

    def _tick(self, periods: int, wakeups: Wakeups) -> int:
        """Play the next 10 ms, or several after a stall or a rest (for the audio clock)."""
        queue = self._queue
        # Played under the lock, so that nothing captured meanwhile comes before it.
        with self._lock:
            if self._roused:
                self._rouse(periods)
                periods = 0
            elif self._pace.silent and not (len(queue) or queue.waits or self._playout_waiters):
                # What most sources do most of the time, and each turn finds the processor's caches cold.
                missing = self._pace.passed(periods, 0, self._rest.stride)
                if missing:
                    self._play(self._silence * missing)
                return self._rest.played(missing, time.monotonic())
            elif self._pace.lead > 0 and len(queue) >= (periods + _PLENTY) * len(self._silence):
                # What a source does that is spoken into faster than it plays.
                if (run := queue.pop(periods)) is not None:
                    self._play(run)
                if queue.waits:
                    for waiter in queue.released(self._ahead):
                        wakeups.add(waiter)
                return 2
            chunks = [chunk for _ in range(periods) if (chunk := queue.pop()) is not None]
            chunks += [queue.pop_rest() or self._silence for _ in range(self._pace.passed(periods, len(chunks)))]
            plenty = len(queue) >= _PLENTY * len(self._silence)
            if plenty and self._pace.lead <= 0 and (chunk := queue.pop()) is not None:
                # One period early, so that two at a time are never late: half the turns, and Opus takes 20 ms anyway.
                chunks.append(chunk)
                self._pace.played()
            for waiter in queue.released(self._ahead):
                wakeups.add(waiter)
            if self._playout_waiters and self._pace.lead <= 0 and not len(queue):
                for waiter in self._take_playout_waiters():
                    wakeups.add(waiter)
            if chunks:
                self._play(chunks[0] if len(chunks) == 1 else b"".join(chunks))
            return 2 if plenty or not (len(queue) or queue.waits or self._playout_waiters) else 1

    def _rouse(self, owed: int) -> None:
        """End a sparse silence: play what is owed of it, and what was captured since as if it came now."""
        self._roused = False
        self._rest.end()
        if owed:
            self._play(self._silence * owed)
        self._pace.captured()
        while self._pace.may_lead and (chunk := self._queue.pop()) is not None:
            self._play(chunk)
            self._pace.played()

    def _sent_by(self, watch: RestWatch) -> None:
        """It is sent by one more from now on, who can tell when packets leave in silence."""
        self._change_rest(lambda rest: rest.join(watch))

    def _not_sent_by(self, watch: RestWatch) -> None:
        """It is sent by one less."""
        self._change_rest(lambda rest: rest.leave(watch))

    def _sent_anew(self) -> None:
        """What sends it is another: its rhythm in silence is, too."""
        self._change_rest(lambda rest: rest.begin())

    def _overheard(self) -> None:
        """Somebody reads it here."""
        self._rest.overheard = True
        self._change_rest(lambda rest: rest.begin())

    def _change_rest(self, change: Callable[[Rest], None]) -> None:
        with self._lock:
            sparse = self._rest.is_sparse
            change(self._rest)
        if sparse:
            media_thread.hurry(self)

    def _resting(self) -> Resting | None:
        """Where it stands in a silence that has settled."""
        with self._lock:
            return self._rest.standing()

    def _rest_in_rhythm(self, silence: int, phase: int | None) -> None:
        """Play a silence only when something of it is sent (see `core.dtx_rhythm`)."""
        with self._lock:
            self._rest.follow(silence, phase)

    def _fail(self, error: Exception, wakeups: Wakeups) -> None:
        """Release whoever waits: the clock no longer drives the source (for the audio clock)."""
        self._shut(f"the audio could not be played: {error}", wakeups)

    def _play(self, samples: bytes) -> None:
        if (recording := self._preconnect) is not None:
            recording.write(samples)
        if self._output is not None:
            frames = len(samples) // (self._num_channels * _SAMPLE_SIZE)
            self._output.write(samples, self._played_rate, self._num_channels, frames)

    def _shut(self, why: str, wakeups: Wakeups) -> None:
        with self._lock:
            self._closed = self._closed or why
            self._rest.begin()
            for waiter in self._queue.clear():
                wakeups.add(waiter, MediaError(why))
            for waiter in self._take_playout_waiters():
                wakeups.add(waiter)

    def _take_playout_waiters(self) -> list[asyncio.Future[None]]:
        waiters, self._playout_waiters = self._playout_waiters, []
        return waiters
