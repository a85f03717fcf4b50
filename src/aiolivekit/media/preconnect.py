"""What was said before anybody could hear it: the newest seconds of an audio source, kept until somebody listens."""

from __future__ import annotations

from collections import deque
from threading import Lock

__all__ = ["MAX_SECONDS", "SoundBuffer"]

MAX_SECONDS = 10.0
"""What is kept; LiveKit's other clients record as long."""

_SAMPLE_SIZE = 2


class SoundBuffer:
    """Keeps the newest samples that were played; written and taken by different threads.

    Args:
        sample_rate: Samples of a channel a second.
        num_channels: Interleaved channels.
        seconds: How much is kept; when there is more, the oldest goes.
    """

    def __init__(self, sample_rate: int, num_channels: int, seconds: float = MAX_SECONDS) -> None:
        self.sample_rate = sample_rate
        self.num_channels = num_channels
        self._limit = int(seconds * sample_rate) * num_channels * _SAMPLE_SIZE
        self._lock = Lock()
        self._pieces: deque[bytes] = deque()
        self._size = 0

    def write(self, samples: bytes) -> None:
        """Keep what is played, 16-bit samples."""
        with self._lock:
            self._pieces.append(samples)
            self._size += len(samples)
            while self._size - len(self._pieces[0]) >= self._limit:
                self._size -= len(self._pieces.popleft())

    def take(self) -> bytes:
        """Return what is kept, and keep it no longer."""
        with self._lock:
            samples = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
        return samples[-self._limit :] if len(samples) > self._limit else samples
