"""Small helpers for frames."""

from __future__ import annotations

import math
from array import array
from collections.abc import AsyncIterator, Sequence

from .audio_frame import AudioFrame

__all__ = ["combine_audio_frames", "sine_wave_generator"]

_FULL_SCALE = 32_767


def combine_audio_frames(buffer: AudioFrame | Sequence[AudioFrame]) -> AudioFrame:
    """Return one frame with the audio of several, in their order; a single frame is returned as it is.

    Args:
        buffer: A frame or a sequence of frames, all with the same rate and channels.

    Raises:
        ValueError: If there is no frame, or they differ in rate or channels.
    """
    if isinstance(buffer, AudioFrame):
        return buffer
    if not buffer:
        raise ValueError("buffer is empty")
    first = buffer[0]
    for frame in buffer:
        if frame.sample_rate != first.sample_rate:
            raise ValueError(f"Sample rate mismatch: expected {first.sample_rate}, got {frame.sample_rate}")
        if frame.num_channels != first.num_channels:
            raise ValueError(f"Channel count mismatch: expected {first.num_channels}, got {frame.num_channels}")
    samples = bytearray().join(frame.to_bytes() for frame in buffer)
    length = sum(frame.samples_per_channel for frame in buffer)
    return AudioFrame(samples, first.sample_rate, first.num_channels, length)


async def sine_wave_generator(
    freq: float,
    duration: float,
    sample_rate: int = 48000,
    amplitude: float = 0.3,
) -> AsyncIterator[AudioFrame]:
    """Generate a tone in mono frames of 100 ms; the last one is shorter if the duration demands it.

    Nothing is paced: frames come as fast as they are taken.

    Args:
        freq: Hertz.
        duration: Seconds.
        sample_rate: Samples a second.
        amplitude: Of full scale, 0 to 1.

    Yields:
        The frames.

    Raises:
        ValueError: If a number is out of range or not finite.
    """
    if not 0 < sample_rate < math.inf:
        raise ValueError(f"a sample rate is positive, not {sample_rate}")
    if not 0 <= freq < math.inf or not 0 <= duration < math.inf:
        raise ValueError(f"frequency and duration are finite and not negative; got {freq} Hz and {duration} s")
    if not 0 <= amplitude <= 1:
        raise ValueError(f"an amplitude is within 0 to 1, not {amplitude}")
    scale = amplitude * _FULL_SCALE
    step = 2 * math.pi * freq / sample_rate
    block = max(sample_rate // 10, 1)
    total = round(duration * sample_rate)
    for start in range(0, total, block):
        length = min(block, total - start)
        samples = array("h", (round(scale * math.sin(step * index)) for index in range(start, start + length)))
        yield AudioFrame(samples.tobytes(), sample_rate, 1, length)
