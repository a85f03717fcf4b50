"""How loud a speaker is, and whether that is speech: LiveKit's rule with LiveKit's defaults (`pkg/sfu/audio`)."""

from __future__ import annotations

import math

__all__ = ["AudioLevel", "quantize"]

ACTIVE_LEVEL = 35
"""-dBov from which on a packet counts as sound."""

UPDATE_INTERVAL = 0.4
"""Seconds of sound that make one observation."""

MIN_ACTIVE = 0.4 * UPDATE_INTERVAL
SMOOTHING = 2 / 3
STALE = 2 * UPDATE_INTERVAL


def _linear(level: float) -> float:
    return math.pow(10.0, -level / 20)


ACTIVE_THRESHOLD = _linear(ACTIVE_LEVEL)


def quantize(level: float) -> float:
    """Round a level up to eighths, so that small changes are none."""
    return math.ceil(level * 8) / 8


class AudioLevel:
    """The level of one stream.

    Args:
        clock_rate: Of its RTP timestamps, in Hz.
    """

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._smoothed = 0.0
        self._loudest = 127
        self._active = 0.0
        self._observed = 0.0
        self._last_arrival = 0.0
        self._timestamp: int | None = None

    def observe(self, level: int, timestamp: int, arrival: float) -> None:
        """Take a packet: its level in -dBov (0 is loudest), RTP timestamp and arrival in seconds."""
        if self._timestamp is None:
            self._timestamp = timestamp
        elapsed = timestamp - self._timestamp & 0xFFFFFFFF
        if elapsed >= 1 << 31:
            return
        self._timestamp = timestamp
        duration = elapsed / self._clock_rate
        self._last_arrival = arrival
        self._observed += duration
        if level <= ACTIVE_LEVEL:
            self._active += duration
            self._loudest = min(self._loudest, level)
        if self._observed < UPDATE_INTERVAL:
            return
        smoothed = 0.0
        if self._active >= MIN_ACTIVE:
            adjusted = self._loudest - 20 * math.log10(self._active / UPDATE_INTERVAL)
            smoothed = self._smoothed + (_linear(adjusted) - self._smoothed) * SMOOTHING
        self._reset(smoothed)

    def read(self, now: float) -> tuple[float, bool]:
        """Return the level from 0 to 1 and whether it is speech."""
        if now - self._last_arrival >= STALE:
            self._reset(0.0)
        return self._smoothed, self._smoothed >= ACTIVE_THRESHOLD

    def _reset(self, smoothed: float) -> None:
        self._smoothed = smoothed
        self._loudest = 127
        self._active = self._observed = 0.0
