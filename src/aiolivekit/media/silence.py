"""Tells silence that nothing need be done for."""

from __future__ import annotations

from .resampling import require_numpy

__all__ = ["SilenceWatch"]

_PEAK = 2
"""What Opus leaves of digital silence, in units of 16 bits: 84 dB below full scale."""

_SETTLED_BLOCKS = 100
"""Blocks of 10 ms after which a filter has nothing of the last sound left."""


class SilenceWatch:
    """Watches a stream of 16-bit samples; before its first sound it counts as settled.

    Raises:
        MediaError: If numpy is not installed.
    """

    __slots__ = ("_blocks", "_np")

    def __init__(self) -> None:
        self._np = require_numpy()
        self._blocks = _SETTLED_BLOCKS

    def settled(self, samples: bytes, blocks: int) -> bool:
        """Take the next samples; return whether they are silent, and the second before them was.

        Args:
            samples: Of whatever rate and channels.
            blocks: How many times 10 ms they are.
        """
        values = self._np.frombuffer(samples, self._np.int16)
        if values.max() > _PEAK or values.min() < -_PEAK:
            self._blocks = 0
            return False
        settled = self._blocks >= _SETTLED_BLOCKS
        self._blocks += blocks
        return settled
