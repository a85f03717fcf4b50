"""Sample rates of frames, as users convert them."""

from __future__ import annotations

from enum import StrEnum, unique

from ..errors import MediaError
from .audio_frame import AudioFrame
from .resampling import Resampler

__all__ = ["AudioResampler", "AudioResamplerQuality"]

_SAMPLE_SIZE = 2

_MAX_RATE = 768_000
_MAX_CHANNELS = 32
"""Far beyond any real device; libsoxr's memory grows with the ratio of the rates and with the channels."""


@unique
class AudioResamplerQuality(StrEnum):
    """How steep and how clean the filter is: higher costs more time and holds back more."""

    QUICK = "quick"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    VERY_HIGH = "very_high"


_RECIPES = {
    AudioResamplerQuality.QUICK: "QQ",
    AudioResamplerQuality.LOW: "LQ",
    AudioResamplerQuality.MEDIUM: "MQ",
    AudioResamplerQuality.HIGH: "HQ",
    AudioResamplerQuality.VERY_HIGH: "VHQ",
}


class AudioResampler:
    """Converts a stream of audio from one rate to another (`livekit.rtc.AudioResampler`).

    libsoxr does it, in the package `soxr` (the `resample` extra; itself LGPL). It works in blocks, so a push may give
    nothing and the next one more; `flush` gives the rest. All in all as much comes out as went in, to the sample.

    Args:
        input_rate: Samples of a channel a second, as pushed.
        output_rate: Samples of a channel a second, as returned.
        num_channels: Interleaved channels.
        quality: An `AudioResamplerQuality`.

    Raises:
        ValueError: If a number is out of range or the quality unknown.
        MediaError: If `soxr` is not installed and the rates differ.
    """

    def __init__(
        self,
        input_rate: int,
        output_rate: int,
        *,
        num_channels: int = 1,
        quality: AudioResamplerQuality = AudioResamplerQuality.MEDIUM,
    ) -> None:
        for rate in (input_rate, output_rate):
            if not 0 < rate <= _MAX_RATE:
                raise ValueError(f"a sample rate is within 1 to {_MAX_RATE} Hz, not {rate}")
        if not 1 <= num_channels <= _MAX_CHANNELS:
            raise ValueError(f"1 to {_MAX_CHANNELS} channels are resampled, not {num_channels}")
        recipe = _RECIPES[AudioResamplerQuality(quality)]
        self._input_rate = input_rate
        self._output_rate = output_rate
        self._num_channels = num_channels
        self._resampler: Resampler | None = None
        if input_rate != output_rate:
            self._resampler = Resampler(input_rate, output_rate, num_channels, recipe)

    def push(self, data: bytes | bytearray | memoryview | AudioFrame) -> list[AudioFrame]:
        """Return what has become ready: no frame, or one.

        Args:
            data: A frame, or interleaved 16-bit samples as bytes.

        Raises:
            MediaError: If a frame has another rate or other channels than the resampler.
            ValueError: If bytes end within a sample.
            TypeError: If it is neither.
        """
        samples = self._samples_of(data)
        if not samples:
            return []
        return self._frames(samples if self._resampler is None else self._resampler.push(samples))

    def flush(self) -> list[AudioFrame]:
        """Return what is still inside: no frame, or one. What is pushed afterwards begins anew."""
        return self._frames(b"" if self._resampler is None else self._resampler.flush())

    def _samples_of(self, data: bytes | bytearray | memoryview | AudioFrame) -> bytes:
        if isinstance(data, AudioFrame):
            if (data.sample_rate, data.num_channels) != (self._input_rate, self._num_channels):
                raise MediaError(
                    f"the resampler takes {self._input_rate} Hz and {self._num_channels} channels, "
                    f"the frame has {data.sample_rate} Hz and {data.num_channels}"
                )
            return data.to_bytes()
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"a resampler takes an AudioFrame or bytes, not {type(data).__name__}")
        samples = bytes(data)
        if len(samples) % (_SAMPLE_SIZE * self._num_channels):
            raise ValueError(f"{len(samples)} bytes end within a sample of {self._num_channels} channels")
        return samples

    def _frames(self, samples: bytes) -> list[AudioFrame]:
        if not samples:
            return []
        length = len(samples) // (_SAMPLE_SIZE * self._num_channels)
        return [AudioFrame(bytearray(samples), self._output_rate, self._num_channels, length)]
