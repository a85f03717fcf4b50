"""Sounds of one or two tones, and what is left of them: frequency, loudness, gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import media

_GAP = 0.3
"""A hundredth of a second that has less than this part of the usual loudness is a gap."""

_NEIGHBOURS = 12.0
"""Hz around a frequency that are taken for it."""


@dataclass(frozen=True)
class Sound:
    """A tone of half the full scale on each channel.

    Args:
        left: Its frequency in Hz, or that of the one channel there is.
        right: That of the second channel, if there is one.
    """

    left: float
    right: float | None = None

    @property
    def channels(self) -> int:
        return 1 if self.right is None else 2

    @property
    def frequencies(self) -> tuple[float, ...]:
        return (self.left,) if self.right is None else (self.left, self.right)

    def samples(self, start: int, count: int = media.FRAME) -> bytes:
        """`count` interleaved samples from the `start`th on."""
        angles = np.arange(start, start + count) * (2 * np.pi / media.RATE)
        both = [np.sin(angles * frequency) * 16384 for frequency in self.frequencies]
        return np.stack(both, axis=1).astype(np.int16).tobytes()


@dataclass(frozen=True)
class Heard:
    """What one channel sounded like.

    Args:
        frequency: The strongest, in Hz.
        loudness: Root mean square, full scale is 1.
        purity: How much of the energy is at that frequency.
        gaps: The part of the time in which it was much softer than usual.
    """

    frequency: float
    loudness: float
    purity: float
    gaps: float

    def is_tone(self, frequency: float) -> bool:
        """Whether it is that tone, in its loudness, pure and without gaps."""
        near = abs(self.frequency - frequency) <= 4
        return near and 0.28 <= self.loudness <= 0.42 and self.purity >= 0.9 and self.gaps <= 0.02


def analyse(samples: np.ndarray) -> list[Heard]:
    """Look at each channel; the samples are rows of channels."""
    return [_analyse(samples[:, channel].astype(np.float64) / 32768) for channel in range(samples.shape[1])]


def _analyse(samples: np.ndarray) -> Heard:
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / media.RATE)
    peak = float(frequencies[int(np.argmax(power))])
    purity = float(power[np.abs(frequencies - peak) <= _NEIGHBOURS].sum() / max(float(power.sum()), 1e-12))
    whole = samples[: len(samples) // media.FRAME * media.FRAME].reshape(-1, media.FRAME)
    loudness = np.sqrt((whole**2).mean(axis=1))
    usual = float(np.median(loudness))
    gaps = float((loudness < usual * _GAP).mean()) if usual > 0 else 1.0
    return Heard(peak, float(np.sqrt((samples**2).mean())), purity, gaps)
