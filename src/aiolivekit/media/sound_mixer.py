"""Sound of several tracks, each with its place in time, added up."""

from __future__ import annotations

from typing import Any

from .resampling import require_numpy

__all__ = ["SoundMixer"]


class SoundMixer:
    """What is there is added up, what is not is silence.

    Args:
        channels: Of what is given and taken.
        ahead: Samples a channel that may be there before they are taken.

    Raises:
        MediaError: If numpy is not installed.
    """

    def __init__(self, channels: int, ahead: int) -> None:
        self._numpy = require_numpy()
        self._channels = channels
        self._ahead = ahead
        self._sum = self._numpy.zeros((ahead, channels), self._numpy.int32)
        self._first = 0  # the sample at which `_sum` begins
        self.left_out = 0
        """Samples a channel that came too late, or were too far ahead."""

    @property
    def taken(self) -> int:
        """Samples a channel taken so far."""
        return self._first

    def add(self, position: int, samples: Any) -> None:
        """Add sound.

        Args:
            position: The sample at which it begins.
            samples: A numpy array of `int16`, of the shape (samples, channels).
        """
        begin = position - self._first
        if begin < 0:
            late = min(-begin, len(samples))
            self.left_out += late
            samples, begin = samples[late:], 0
        room = max(self._ahead - begin, 0)
        if len(samples) > room:
            self.left_out += len(samples) - room
            samples = samples[:room]
        if len(samples):
            self._sum[begin : begin + len(samples)] += samples

    def take(self, until: int) -> Any:
        """Return what is there up to a sample, as `int16`; nothing can be added to it afterwards."""
        numpy = self._numpy
        parts = []
        while self._first < until:
            count = min(until - self._first, self._ahead)
            parts.append(numpy.clip(self._sum[:count], -32768, 32767).astype(numpy.int16))
            self._sum[: -count or None] = self._sum[count:]
            self._sum[self._ahead - count :] = 0
            self._first += count
        if not parts:
            return numpy.zeros((0, self._channels), numpy.int16)
        return parts[0] if len(parts) == 1 else numpy.concatenate(parts)
