"""Audio of a track, as an asynchronous iterator."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ..enums import TrackKind
from ..errors import UnsupportedError
from ..peer.audio import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, AudioChunk, AudioReader
from .audio_frame import AudioFrame
from .frame_processor import StreamPlace
from .frame_stream import FrameStream, StreamParticipant, StreamTrack, source_of
from .resampling import Resampler, check_resampler, remix
from .silence import SilenceWatch

__all__ = ["AudioFrameEvent", "AudioStream"]

logger = logging.getLogger("aiolivekit.media")

_DECODED_RATE = 48_000
_CHUNK_MS = 10
_SAMPLE_SIZE = 2
_MAX_CHANNELS = 2

_DEFAULT_QUEUE_MS = 30_000
"""What a stream without `capacity` keeps. The official SDK keeps everything, until the memory is full."""


@dataclass(slots=True)
class AudioFrameEvent:
    """A frame of audio was received."""

    frame: AudioFrame


@runtime_checkable
class _Processor(Protocol):
    """What noise cancellation in Python offers."""

    enabled: bool

    def _process(self, frame: AudioFrame) -> AudioFrame: ...

    def _close(self) -> None: ...


class AudioStream(FrameStream[AudioChunk, AudioFrameEvent]):
    """The decoded audio of a track, 16 bit, at the rate and with the channels asked for (`livekit.rtc.AudioStream`).

    Iterate over it for `AudioFrameEvent`; a last frame that would be shorter than `frame_size_ms` is left out. Close it
    with `aclose`.

    Args:
        track: The track.
        loop: The loop on which the stream is read; by default the running one.
        capacity: Frames kept while nobody takes them; then the oldest is dropped. 0 stands for 30 seconds.
        sample_rate: Samples of a channel a second. Others than 48,000 need the `resample` extra.
        num_channels: 1 or 2; stereo is averaged into one, mono repeated into two.
        frame_size_ms: The exact length of a frame; by default 10 ms.
        noise_cancellation: A frame processor, applied to each frame; native plugins cannot be loaded.
        auto_close_noise_cancellation: Whether `aclose` closes that processor.
        **kwargs: `participant` and `track_source` instead of a track (see `from_participant`).

    Raises:
        ValueError: If a number is out of range.
        MediaError: If the track carries no audio or the extra is missing.
        UnsupportedError: If the noise cancellation is a native plugin (a `MediaError` too).
    """

    _kind = TrackKind.KIND_AUDIO
    _comes_together = True

    def __init__(
        self,
        track: StreamTrack | None,
        loop: asyncio.AbstractEventLoop | None = None,
        capacity: int = 0,
        sample_rate: int = _DECODED_RATE,
        num_channels: int = 1,
        frame_size_ms: int | None = None,
        noise_cancellation: Any = None,
        auto_close_noise_cancellation: bool = True,
        **kwargs: Any,
    ) -> None:
        if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
            raise ValueError(f"audio is read at {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz, not at {sample_rate}")
        if not 1 <= num_channels <= _MAX_CHANNELS:
            raise ValueError(f"audio is read with 1 or {_MAX_CHANNELS} channels, not with {num_channels}")
        if capacity < 0 or (frame_size_ms is not None and frame_size_ms < 0):
            raise ValueError(f"no capacity or frame size is negative: {capacity}, {frame_size_ms}")
        if noise_cancellation is not None and not isinstance(noise_cancellation, _Processor):
            raise UnsupportedError(
                "native noise cancellation is a plugin for the official SDK's Rust library and cannot be loaded; "
                "give a FrameProcessor instead, such as one that uses AudioProcessingModule"
            )
        if sample_rate != _DECODED_RATE:
            check_resampler()  # now rather than at the first frame
        self._sample_rate = sample_rate
        self._num_channels = num_channels
        self._processor: _Processor | None = noise_cancellation
        self._place: StreamPlace | None = None  # what the processor was told
        self._closes_processor = auto_close_noise_cancellation

        # Frames are cut from what the chunks give, unless a chunk already is a frame.
        self._cut = frame_size_ms is not None and frame_size_ms not in (0, _CHUNK_MS)
        frame_ms = frame_size_ms or _CHUNK_MS
        self._frame_samples = sample_rate * frame_ms // 1000
        self._frame_bytes = self._frame_samples * num_channels * _SAMPLE_SIZE
        self._uncut = bytearray()
        self._unsampled = bytearray()  # what the resampler has yet to be given
        self._silence: SilenceWatch | None = None  # set if samples have to be converted
        self._resampler: Resampler | None = None  # made for the first sound
        self._rested = False  # silence was made of silence without one
        self._input: tuple[int, int] | None = None  # rate and channels of the last chunk

        queue_ms = capacity * frame_ms if capacity else max(_DEFAULT_QUEUE_MS, frame_ms)
        super().__init__(track, *source_of(kwargs), loop, -(-queue_ms // _CHUNK_MS))

    @classmethod
    def from_track(
        cls,
        *,
        track: StreamTrack,
        loop: asyncio.AbstractEventLoop | None = None,
        capacity: int = 0,
        sample_rate: int = _DECODED_RATE,
        num_channels: int = 1,
        frame_size_ms: int | None = None,
        noise_cancellation: Any = None,
        auto_close_noise_cancellation: bool = False,
    ) -> AudioStream:
        """Return a stream of a track; the arguments are those of the class."""
        return cls(
            track,
            loop,
            capacity,
            sample_rate,
            num_channels,
            frame_size_ms,
            noise_cancellation,
            auto_close_noise_cancellation,
        )

    @classmethod
    def from_participant(
        cls,
        *,
        participant: StreamParticipant,
        track_source: int,
        loop: asyncio.AbstractEventLoop | None = None,
        capacity: int = 0,
        sample_rate: int = _DECODED_RATE,
        num_channels: int = 1,
        frame_size_ms: int | None = None,
        noise_cancellation: Any = None,
        auto_close_noise_cancellation: bool = True,
    ) -> AudioStream:
        """Return a stream of a participant's track of a source, also of one that comes later or anew.

        Args:
            participant: Whose audio.
            track_source: Which, a `TrackSource`.
            loop: See the class, as for the others.
            capacity: See there.
            sample_rate: See there.
            num_channels: See there.
            frame_size_ms: See there.
            noise_cancellation: See there.
            auto_close_noise_cancellation: See there.
        """
        return cls(
            None,
            loop,
            capacity,
            sample_rate,
            num_channels,
            frame_size_ms,
            noise_cancellation,
            auto_close_noise_cancellation,
            participant=participant,
            track_source=track_source,
        )

    async def aclose(self) -> None:
        """Stop reading. What is queued can still be iterated over; then the iterator ends. Twice is once."""
        await super().aclose()
        if self._processor is not None and self._closes_processor:
            processor, self._processor = self._processor, None
            processor._close()  # noqa: SLF001 - the hook of frame processors

    def _follow(self, track: StreamTrack) -> None:
        super()._follow(track)
        self._tell_place()

    def _forget_track(self) -> None:
        super()._forget_track()
        self._tell_place()

    def _place_changed(self) -> None:
        if self._processor is not None:
            self._run_on_loop(self._tell_place)

    def _tell_place(self) -> None:
        place: StreamPlace | None = getattr(self._track, "_place", None)
        processor = self._processor
        if processor is None or place == self._place:
            return
        told, self._place = self._place, place
        try:
            if place is None:
                _call(processor, "_on_stream_info_cleared")
                _call(processor, "_on_credentials_cleared")
                return
            if told is None or place.stream_info != told.stream_info:
                _call(processor, "_on_stream_info_updated", **place.stream_info)
            _call(processor, "_on_credentials_updated", token=place.token, url=place.url)
        except Exception:
            logger.warning("a frame processor did not take where its frames come from", exc_info=True)

    def _open(self, media_track: Any) -> AudioReader:
        return AudioReader(media_track, self)

    def _is_enough(self) -> bool:
        return not self._cut or self._samples_there() >= self._frame_samples

    def _pause(self) -> float:
        if not self._cut:
            return 0.0
        missing = self._frame_samples - self._samples_there() % self._frame_samples
        chunks = -(-missing * 1000 // (self._sample_rate * _CHUNK_MS))
        # Until shortly before the last one is due, if that spares the loop more than one turn.
        return (_CHUNK_MS * (chunks - 1) + _CHUNK_MS / 2) / 1000 if chunks > 2 else 0.0

    def _samples_there(self) -> int:
        """Samples of a channel, at the rate asked for, of which frames can be made."""
        samples = len(self._uncut) // (self._num_channels * _SAMPLE_SIZE)
        samples += len(self._items) * self._sample_rate * _CHUNK_MS // 1000
        if self._unsampled and self._input is not None:
            rate, channels = self._input
            unsampled = len(self._unsampled) // (min(channels, self._num_channels) * _SAMPLE_SIZE)
            samples += unsampled * self._sample_rate // rate
        return samples

    def _convert(self, chunk: AudioChunk) -> AudioFrameEvent | None:
        samples, bits, rate, channels, _, _ = chunk
        if bits != 8 * _SAMPLE_SIZE:
            self._dropped += 1
            return None
        if (rate, channels) != self._input:
            self._set_input(rate, channels)
        if channels > self._num_channels:
            samples = remix(samples, channels, self._num_channels)
        if self._silence is not None:
            samples = self._resample(samples, self._silence, rate, min(channels, self._num_channels))
        if channels < self._num_channels:
            samples = remix(samples, channels, self._num_channels)
        if not self._cut and self._silence is None:
            return self._event(bytearray(samples))

        uncut, size = self._uncut, self._frame_bytes
        uncut += samples
        count = len(uncut) // size
        for index in range(count):
            self._events.append(self._event(uncut[index * size : (index + 1) * size]))
        del uncut[: count * size]
        return self._events.popleft() if self._events else None

    def _resample(self, samples: bytes, silence: SilenceWatch, rate: int, channels: int) -> bytes:
        """Resample what is there as soon as the next frame may be made of it: one call a frame, none a chunk."""
        self._unsampled += samples
        missing = self._frame_samples - len(self._uncut) // (self._num_channels * _SAMPLE_SIZE)
        if len(self._unsampled) // (channels * _SAMPLE_SIZE) * self._sample_rate < missing * rate:
            return b""
        samples = bytes(self._unsampled)
        self._unsampled.clear()
        length = len(samples) // (channels * _SAMPLE_SIZE)
        whole = not length * self._sample_rate % rate
        if silence.settled(samples, length * 1000 // (rate * _CHUNK_MS)) and whole:
            # What most tracks are most of the time; a resampler that has settled makes nothing else of it.
            self._rested = True
            return bytes(length * self._sample_rate // rate * channels * _SAMPLE_SIZE)
        if self._resampler is None:
            self._resampler = Resampler(rate, self._sample_rate, channels)
            if self._rested:
                # What it holds back of the beginning would be missing in the first frame that sounds.
                self._resampler.push(bytes(rate // 10 * channels * _SAMPLE_SIZE))
        return self._resampler.push(samples)

    def _set_input(self, rate: int, channels: int) -> None:
        self._input = (rate, channels)
        self._unsampled.clear()
        self._resampler = None
        self._rested = False
        self._silence = SilenceWatch() if rate != self._sample_rate else None

    def _event(self, samples: bytearray) -> AudioFrameEvent:
        length = len(samples) // (self._num_channels * _SAMPLE_SIZE)
        frame = AudioFrame(samples, self._sample_rate, self._num_channels, length)
        if self._processor is not None and self._processor.enabled:
            try:
                frame = self._processor._process(frame)  # noqa: SLF001 - the hook of frame processors
            except Exception:
                logger.warning("a frame processor failed; its frame is passed on as it was", exc_info=True)
        return AudioFrameEvent(frame)


def _call(processor: _Processor, hook: str, **arguments: str) -> None:
    """Call a hook that not every processor has."""
    if (method := getattr(processor, hook, None)) is not None:
        method(**arguments)
