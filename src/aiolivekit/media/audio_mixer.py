"""Several streams of audio mixed into one."""

# ruff: noqa: SLF001 - a mixer and its inputs are one thing in two classes

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Self, TypeAlias

from ..errors import ClosedError
from .audio_frame import AudioFrame
from .audio_stream import AudioFrameEvent
from .resampling import Resampler, remix, require_numpy

__all__ = ["AudioMixer"]

logger = logging.getLogger("aiolivekit.media")

MixedStream: TypeAlias = AsyncIterator[AudioFrame] | AsyncIterator[AudioFrameEvent]
"""What is mixed. An `AudioStream` is one."""

_SAMPLE_SIZE = 2
_DEFAULT_CAPACITY = 100
_MAX_CHANNELS = 32

_ABANDON_AFTER = 10
"""Timeouts after which a silent stream no longer keeps a mixer alive whose input has ended."""


class _Input:
    """One stream: a task reads it until a block is there, and goes on when the block has been taken.

    Args:
        stream: What is read.
        mixer: Is told of each change.
    """

    def __init__(self, stream: MixedStream, mixer: AudioMixer) -> None:
        self.stream = stream
        self.buffer = bytearray()
        self.ended = False
        self.stalled = False
        """It gave less than a block in the whole timeout: until it has one, nobody waits for it."""
        self._mixer = mixer
        self._has_room = asyncio.Event()
        self._resampler: Resampler | None = None
        self._resampled_rate = 0
        self.task = asyncio.create_task(self._read(), name="aiolivekit mixer input")

    def take(self, size: int) -> bytes:
        """Take a block, shorter if the stream has no more."""
        block = bytes(self.buffer[:size])
        del self.buffer[:size]
        if len(self.buffer) < size:
            self._has_room.set()
        return block

    async def _read(self) -> None:
        try:
            while True:
                item: AudioFrame | AudioFrameEvent | None = await anext(self.stream, None)
                if item is None:
                    if self._resampler is not None:
                        self.buffer += self._resampler.flush()
                    break
                self.buffer += self._converted(item)
                has_block = len(self.buffer) >= self._mixer._block_size
                if has_block or self.stalled:
                    self._mixer._changed.set()
                if has_block:
                    self.stalled = False
                    self._has_room.clear()
                    await self._has_room.wait()
        except Exception:
            logger.warning("a stream that is mixed failed; the mix goes on without it", exc_info=True)
        finally:
            self.ended = True
            self._mixer._changed.set()

    def _converted(self, item: AudioFrame | AudioFrameEvent) -> bytes:
        frame = item.frame if isinstance(item, AudioFrameEvent) else item
        if not isinstance(frame, AudioFrame):
            raise TypeError(f"a mixer takes AudioFrame, not {type(frame).__name__}")
        wanted_rate, wanted_channels = self._mixer._sample_rate, self._mixer._num_channels
        samples = remix(frame.to_bytes(), frame.num_channels, wanted_channels)
        if frame.sample_rate == wanted_rate:
            return samples
        if self._resampler is None or self._resampled_rate != frame.sample_rate:
            self._resampler = Resampler(frame.sample_rate, wanted_rate, wanted_channels)
            self._resampled_rate = frame.sample_rate
        return self._resampler.push(samples)


class AudioMixer:
    """Mixes streams of audio, each an asynchronous iterator of `AudioFrame`, into one (`livekit.rtc.AudioMixer`).

    Iterate over the mixer for its frames; an `AudioStream` can be mixed as it is. A block is mixed as soon as every
    stream has given its part; of one that has not after `stream_timeout_ms`, what it gave is mixed and the rest is
    silence, and it is not waited for again until it has given a whole block. Samples
    are added and limited to 16 bits. Frames at other rates or with other channels are converted (rates need the
    `resample` extra). A stream that ends or raises is taken out; what it raised is logged. When nobody takes the
    frames, `capacity` of them are kept and the streams are left waiting.

    The mixer works on the event loop on which it was made, and needs numpy (the `resample` extra).

    Args:
        sample_rate: Samples of a channel a second.
        num_channels: Interleaved channels.
        blocksize: Samples of a channel in a frame; 0 stands for 100 ms.
        stream_timeout_ms: How long a block waits for a stream.
        capacity: Mixed frames that are kept; 0 stands for 100.

    Raises:
        ValueError: If a number is out of range.
        MediaError: If numpy is not installed.
        RuntimeError: If no event loop runs.
    """

    def __init__(
        self,
        sample_rate: int,
        num_channels: int,
        *,
        blocksize: int = 0,
        stream_timeout_ms: int = 100,
        capacity: int = 100,
    ) -> None:
        if not sample_rate > 0 or not 1 <= num_channels <= _MAX_CHANNELS:
            raise ValueError(f"nothing is mixed at {sample_rate} Hz with {num_channels} channels")
        if blocksize < 0 or capacity < 0 or not 0 < stream_timeout_ms < float("inf"):
            raise ValueError(
                "block size and capacity are not negative and the timeout is positive; "
                f"got {blocksize}, {capacity}, {stream_timeout_ms} ms"
            )
        self._numpy = require_numpy()
        self._sample_rate = sample_rate
        self._num_channels = num_channels
        self._block_samples = blocksize or max(sample_rate // 10, 1)
        self._block_size = self._block_samples * num_channels * _SAMPLE_SIZE
        self._timeout = stream_timeout_ms / 1000
        self._capacity = capacity or _DEFAULT_CAPACITY
        self._inputs: dict[MixedStream, _Input] = {}
        self._mixed: deque[AudioFrame] = deque()
        self._changed = asyncio.Event()  # an input has a block or has ended, or there are other inputs
        self._taken = asyncio.Event()
        self._readable = asyncio.Event()
        self._ending = False
        self._ended = False
        self._task = asyncio.create_task(self._mix(), name="aiolivekit mixer")

    def add_stream(self, stream: MixedStream) -> None:
        """Mix a stream from now on; one that is mixed already stays as it is.

        Raises:
            ClosedError: If `end_input` or `aclose` has been called.
            TypeError: If it is no asynchronous iterator.
        """
        if self._ending:
            raise ClosedError("the mixer takes no more streams")
        if not hasattr(stream, "__anext__"):
            raise TypeError(f"a mixer takes an asynchronous iterator, not {type(stream).__name__}")
        if stream not in self._inputs:
            self._inputs[stream] = _Input(stream, self)
            self._changed.set()

    def remove_stream(self, stream: MixedStream) -> None:
        """Mix a stream no longer; what was read of it is dropped, and a read under way is cancelled."""
        if (found := self._inputs.pop(stream, None)) is not None:
            found.task.cancel()
            self._changed.set()

    def end_input(self) -> None:
        """Take no more streams, and end the iterator when those that are there have ended.

        One that gives nothing for ten timeouts on end is then given up.
        """
        self._ending = True
        self._changed.set()

    async def aclose(self) -> None:
        """Stop at once, dropping what has not been taken; the iterator ends. Twice is once.

        Reads under way are cancelled and waited for, so streams have cleaned up when this returns.
        """
        self._ending = True
        self._mixed.clear()
        tasks: list[asyncio.Task[Any]] = [self._task, *(each.task for each in self._inputs.values())]
        self._inputs.clear()
        for task in tasks:
            task.cancel()
        self._end()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioFrame:
        while not self._mixed:
            if self._ended:
                raise StopAsyncIteration
            self._readable.clear()
            await self._readable.wait()
        frame = self._mixed.popleft()
        self._taken.set()
        return frame

    def _end(self) -> None:
        self._ended = True
        self._readable.set()

    async def _mix(self) -> None:
        try:
            while not (self._ending and not self._inputs):
                await self._wait_for_block()
                parts = [each.take(self._block_size) for each in self._inputs.values() if each.buffer]
                self._remove_ended()
                if not parts:
                    continue
                while len(self._mixed) >= self._capacity:
                    self._taken.clear()
                    await self._taken.wait()
                self._mixed.append(self._sum(parts))
                self._readable.set()
        finally:
            self._end()

    async def _wait_for_block(self) -> None:
        """Wait until all have a block or have ended, save those that are late beyond the timeout."""
        loop = asyncio.get_running_loop()
        late_at: float | None = None
        abandon_at: float | None = None
        while self._inputs or not self._ending:
            self._changed.clear()
            waiting = [each for each in self._inputs.values() if not self._ready(each)]
            late = [each for each in waiting if not each.stalled]
            if not late and len(waiting) < len(self._inputs):
                return
            some = any(each.buffer for each in waiting)
            if late or some:
                late_at = late_at or loop.time() + self._timeout
                until: float | None = late_at
            else:  # all are silent, or there is none
                if self._ending:
                    abandon_at = abandon_at or loop.time() + self._timeout * _ABANDON_AFTER
                late_at, until = None, abandon_at
            try:
                async with asyncio.timeout_at(until):
                    await self._changed.wait()
                continue
            except TimeoutError:
                pass
            for each in late:
                each.stalled = True
            if any(each.buffer for each in self._inputs.values()):
                logger.debug("%d of %d mixed streams are late", len(waiting), len(self._inputs))
                return
            if not late:
                logger.warning("%d mixed streams gave nothing for long and are given up", len(waiting))
                for each in waiting:
                    self.remove_stream(each.stream)
            late_at = None

    def _ready(self, each: _Input) -> bool:
        return each.ended or len(each.buffer) >= self._block_size

    def _remove_ended(self) -> None:
        for each in [each for each in self._inputs.values() if each.ended and not each.buffer]:
            del self._inputs[each.stream]

    def _sum(self, parts: list[bytes]) -> AudioFrame:
        np = self._numpy
        samples = self._block_samples * self._num_channels
        if len(parts) == 1:
            mixed = bytearray(parts[0].ljust(self._block_size, b"\0"))
        else:
            total = np.zeros(samples, np.int32)
            for part in parts:
                block = np.frombuffer(part, np.int16)
                total[: len(block)] += block
            mixed = bytearray(np.clip(total, -32_768, 32_767).astype(np.int16).tobytes())
        return AudioFrame(mixed, self._sample_rate, self._num_channels, self._block_samples)
