"""Echo cancellation, noise suppression, gain control and high-pass filter.

`pywebrtc-audio` has a class that does all in one pass, but above 16 kHz its noise suppressor looks at what it
suppressed before (6 dB instead of 12), and its high-pass filter is an octave and a half too low (5 dB at 30 Hz). The
classes for each single step have the first right: they are used one after another, with a high-pass filter of our own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import MediaError
from .audio_frame import AudioFrame
from .echo_reference import EchoReference
from .high_pass import HighPass
from .resampling import Resampler, is_installed, remix, require_numpy
from .silence import SilenceWatch

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["AudioProcessingModule"]

_NO_LIBRARY = "audio processing needs the 'apm' extra: pip install 'aiolivekit[apm]'"

_MIN_RATE = 8_000
_PROCESSED_RATES = (16_000, 32_000, 48_000)
_MAX_RATE = 384_000
_MAX_CHANNELS = 8
_SAMPLE_SIZE = 2
_SCALE = 32_767
"""What `pywebrtc-audio` takes for full scale."""

_SUPPRESSION_LEVEL = 1
"""12 dB, what the official SDK has."""

_MAX_DELAY_MS = 500
"""What WebRTC's module takes; it cuts off what is above."""


class AudioProcessingModule:
    """WebRTC's audio processing (`livekit.rtc.AudioProcessingModule`).

    The package `pywebrtc-audio` does it (the `apm` extra): AEC3, noise suppression by 12 dB, and AGC2; the high-pass
    filter is ours, at 80 Hz. It works at 16, 32 and 48 kHz; what has another rate is converted to and fro, which needs
    `soxr` (the extra brings it along) and delays by about a millisecond. Methods may be called from any thread.

    Args:
        echo_cancellation: Whether to remove what `process_reverse_stream` was given.
        noise_suppression: Whether to suppress steady noise.
        high_pass_filter: Whether to remove what is lower than speech.
        auto_gain_control: Whether to bring speech to an even level.

    Raises:
        MediaError: If something is to be done and the `apm` extra is not installed.
    """

    def __init__(
        self,
        *,
        echo_cancellation: bool = False,
        noise_suppression: bool = False,
        high_pass_filter: bool = False,
        auto_gain_control: bool = False,
    ) -> None:
        self._features = {
            "echo_cancellation": bool(echo_cancellation),
            "noise_suppression": bool(noise_suppression),
            "high_pass_filter": bool(high_pass_filter),
            "auto_gain_control": bool(auto_gain_control),
        }
        self._enabled = any(self._features.values())
        if self._enabled:
            if not is_installed("pywebrtc_audio"):  # imported with the first sound
                raise MediaError(_NO_LIBRARY)
            require_numpy()
        # The canceller has to follow what is played also while nobody speaks.
        self._silence = SilenceWatch() if self._enabled and not echo_cancellation else None
        self._delay_ms = 0
        self._lock = threading.Lock()
        self._chain: _Chain | None = None
        self._reference: EchoReference[AudioFrame] = EchoReference()

    def process_stream(self, data: AudioFrame) -> None:
        """Process what the microphone recorded, in place (a frame made of constant bytes gets bytes of its own).

        Another rate, or other channels, than the last frame's begin anew: what was learnt is forgotten. Without echo
        cancellation, silence (two units of 16 bits at most) is left as it is once it has lasted for a second.

        Args:
            data: 10 ms, or a whole number of them, which are processed one after another.

        Raises:
            MediaError: If the frame has another length, or a rate or channels that cannot be processed.
            TypeError: If it is no frame.
        """
        _check(data)
        if not self._enabled:
            return
        samples, blocks = data.to_bytes(), data.samples_per_channel // (data.sample_rate // 100)
        with self._lock:
            if self._silence is not None and self._silence.settled(samples, blocks):
                return
            chain = self._chain
            if chain is None or chain.format != (data.sample_rate, data.num_channels):
                chain = _Chain(_require_library(), self._features, data, self._delay_ms)
                self._chain = chain
            played = [self._reference.recorded() for _ in range(blocks)] if self._features["echo_cancellation"] else []
            samples = chain.process(samples, blocks, played)
        data._overwrite(samples)  # noqa: SLF001 - frames are constant to everyone else

    def process_reverse_stream(self, data: AudioFrame) -> None:
        """Take what is about to be played, for its echo to be found. The frame is left as it is.

        Call it in step with `process_stream`; bursts of up to a second and pauses are made up for. The rate and the
        channels may differ (rates need `soxr`, which the `apm` extra brings along).

        Args:
            data: 10 ms, or a whole number of them.

        Raises:
            MediaError: As for `process_stream`.
            TypeError: If it is no frame.
        """
        _check(data)
        if not self._features["echo_cancellation"]:
            return
        length = data.sample_rate // 100
        with self._lock:
            for samples in _blocks(data):
                self._reference.played(AudioFrame(samples, data.sample_rate, data.num_channels, length))

    def set_stream_delay_ms(self, delay_ms: int) -> None:
        """Say how much later the echo of a played frame is recorded; the canceller also finds out by itself.

        Args:
            delay_ms: From the call of `process_reverse_stream` with a frame to the call of `process_stream` with its
                echo, in milliseconds; above 500 it counts as 500.

        Raises:
            ValueError: If it is negative or not finite.
        """
        if not 0 <= delay_ms < float("inf"):
            raise ValueError(f"no delay is negative: {delay_ms} ms")
        with self._lock:
            self._delay_ms = min(int(delay_ms), _MAX_DELAY_MS)
            if self._chain is not None:
                self._chain.set_delay(self._delay_ms)


class _Chain:
    """The steps for one rate and number of channels.

    Args:
        library: `pywebrtc_audio`.
        features: Which steps.
        frame: What is to be processed looks like this.
        delay_ms: How late an echo is.
    """

    def __init__(self, library: ModuleType, features: dict[str, bool], frame: AudioFrame, delay_ms: int) -> None:
        self.format = (frame.sample_rate, frame.num_channels)
        self._np = require_numpy()
        self._rate = next((rate for rate in _PROCESSED_RATES if rate >= frame.sample_rate), _PROCESSED_RATES[-1])
        channels = frame.num_channels
        self._near = _Rate(self._rate, channels)
        self._far = _Rate(self._rate, channels)
        self._out = _Rate(frame.sample_rate, channels)
        self._high_pass = HighPass(self._rate, channels, self._rate // 100) if features["high_pass_filter"] else None
        self._echo_canceller: Any = None
        if features["echo_cancellation"]:
            self._echo_canceller = library.EchoCanceller(self._rate, channels, delay_ms)
        self._steps: list[Any] = []
        if features["noise_suppression"]:
            self._steps.append(library.NoiseSuppressor(self._rate, channels, _SUPPRESSION_LEVEL))
        if features["auto_gain_control"]:
            self._steps.append(library.GainController(self._rate, channels))

    def process(self, samples: bytes, blocks: int, played: Sequence[AudioFrame | None]) -> bytes:
        """Return what was recorded, processed.

        Args:
            samples: So many blocks of 10 ms. Rates are converted and numbers cast for all at once, each step takes one.
            blocks: How many.
            played: What goes with each, or none for silence.
        """
        np = self._np
        near = np.frombuffer(self._near.converted(samples, self.format[0], blocks), np.int16).astype(np.float32)
        near /= _SCALE
        size = len(near) // blocks
        processed = np.concatenate(
            [
                self._process_block(near[index * size : (index + 1) * size], played[index] if played else None)
                for index in range(blocks)
            ]
        )
        values = np.clip(np.rint(processed * _SCALE), -32_768, 32_767).astype(np.int16)
        return self._out.converted(values.tobytes(), self._rate, blocks)

    def _process_block(self, block: Any, played: AudioFrame | None) -> Any:
        if self._high_pass is not None:
            block = self._high_pass.process(block)
        if self._echo_canceller is not None:
            far = self._np.frombuffer(self._far.played(played), self._np.int16).astype(self._np.float32) / _SCALE
            block = self._echo_canceller.process(block, far)
        for step in self._steps:
            block = step.process(block)
        return block

    def set_delay(self, delay_ms: int) -> None:
        """Say how late an echo is."""
        if self._echo_canceller is not None:
            self._echo_canceller.stream_delay_ms = delay_ms


class _Rate:
    """Brings blocks of 10 ms to a rate, each to one of exactly 10 ms.

    Args:
        rate: The rate wanted.
        num_channels: Interleaved channels.
    """

    def __init__(self, rate: int, num_channels: int) -> None:
        self._rate = rate
        self._channels = num_channels
        self._size = rate // 100 * num_channels * _SAMPLE_SIZE
        self._resampler: Resampler | None = None
        self._source_rate = rate
        self._resampled = bytearray()

    def converted(self, samples: bytes, rate: int, blocks: int = 1) -> bytes:
        """Return so many blocks that were at `rate`."""
        size = self._size * blocks
        if rate != self._source_rate:
            self._source_rate = rate
            self._resampled.clear()
            # 10 ms are taken to be whole samples, though at 11,025 Hz, say, they are not.
            rates = rate // 100 * 100, self._rate // 100 * 100
            self._resampler = None if rate == self._rate else Resampler(*rates, self._channels)
        if self._resampler is None:
            return samples
        self._resampled += self._resampler.push(samples)
        if len(self._resampled) < size:
            # The filter holds a few samples back at first. Everything is later by as many from then on, and by one to
            # spare, as 10 ms need not be a whole number of samples.
            missing = size - len(self._resampled) + _SAMPLE_SIZE * self._channels
            self._resampled[:0] = bytes(missing)
        converted = bytes(self._resampled[:size])
        del self._resampled[:size]
        return converted

    def played(self, frame: AudioFrame | None) -> bytes:
        """Return what is played, at the rate and with the channels wanted; without a frame, silence."""
        if frame is None:
            silence = bytes(self._source_rate // 100 * self._channels * _SAMPLE_SIZE)
            return self.converted(silence, self._source_rate)
        return self.converted(remix(frame.to_bytes(), frame.num_channels, self._channels), frame.sample_rate)


def _check(data: AudioFrame) -> None:
    if not isinstance(data, AudioFrame):
        raise TypeError(f"audio processing takes AudioFrame, not {type(data).__name__}")
    if not _MIN_RATE <= data.sample_rate <= _MAX_RATE or not data.num_channels <= _MAX_CHANNELS:
        raise MediaError(
            f"audio is processed at {_MIN_RATE} to {_MAX_RATE} Hz with up to {_MAX_CHANNELS} channels, "
            f"not at {data.sample_rate} Hz with {data.num_channels}"
        )
    if not data.samples_per_channel or data.samples_per_channel % (data.sample_rate // 100):
        raise MediaError(
            f"audio is processed in blocks of 10 ms: multiples of {data.sample_rate // 100} samples at "
            f"{data.sample_rate} Hz, not {data.samples_per_channel}"
        )


def _blocks(data: AudioFrame) -> Iterator[bytes]:
    """Return the frame's samples, 10 ms at a time."""
    samples, size = data.to_bytes(), data.sample_rate // 100 * data.num_channels * _SAMPLE_SIZE
    return (samples[start : start + size] for start in range(0, len(samples), size))


def _require_library() -> ModuleType:
    try:
        import pywebrtc_audio  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise MediaError(_NO_LIBRARY) from None
    return pywebrtc_audio  # type: ignore[no-any-return,unused-ignore]
