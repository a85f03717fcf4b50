"""Sample rates and channel counts of interleaved 16-bit audio.

Rates are converted by libsoxr (the package `soxr`, which brings numpy), imported when first needed, so that programs
that stay at 48 kHz do without both. Live streams use its variable-rate mode for a fixed rate, because it is the one
that gives 10 ms out for 10 ms in: the other works in blocks of 20 to 60 ms, which would add that much delay. But only
the other has a choice of qualities. `soxr` has the mode since 1.1; where something else holds it at 1.0, as pipecat
does, live streams take the recipe with the shortest blocks that still suppresses what the new rate cannot carry.
"""

from __future__ import annotations

import inspect
import sys
from array import array
from functools import cache, lru_cache
from importlib.util import find_spec
from types import ModuleType

from ..errors import MediaError

__all__ = ["Resampler", "check_resampler", "is_installed", "remix", "require_numpy", "require_resampler"]

_NO_RESAMPLER = "converting sample rates needs the 'resample' extra: pip install 'aiolivekit[resample]'"

_LIVE_QUALITY = "HQ"
_LIVE_QUALITY_IN_BLOCKS = "LQ"
"""16 bits, in blocks of 20 ms (40 to 8 kHz)."""


def require_resampler() -> ModuleType:
    """Import and return `soxr`.

    Raises:
        MediaError: If it is not installed.
    """
    try:
        import soxr  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise MediaError(_NO_RESAMPLER) from None
    return soxr  # type: ignore[no-any-return,unused-ignore]


def check_resampler() -> None:
    """See whether `soxr` is there, without the time and the memory of loading libsoxr; numpy is imported.

    Raises:
        MediaError: If one is not installed.
    """
    if not is_installed("soxr"):
        raise MediaError(_NO_RESAMPLER)
    require_numpy()


def is_installed(module: str) -> bool:
    """Whether a module is there to be imported, or is imported."""
    return sys.modules[module] is not None if module in sys.modules else find_spec(module) is not None


def require_numpy() -> ModuleType:
    """Import and return `numpy`.

    Raises:
        MediaError: If it is not installed.
    """
    try:
        import numpy as np
    except ImportError:
        raise MediaError("this needs numpy: pip install 'aiolivekit[resample]'") from None
    return np


@cache
def _has_variable_rate(soxr: ModuleType) -> bool:
    return "vr" in inspect.signature(soxr.ResampleStream.__init__).parameters


class Resampler:
    """Converts a stream of samples from one rate to another.

    Args:
        input_rate: Samples of a channel a second, as pushed.
        output_rate: Samples of a channel a second, as returned.
        num_channels: Interleaved channels.
        quality: One of libsoxr's recipes (`QQ`, `LQ`, `MQ`, `HQ`, `VHQ`), which hold back blocks of samples; by
            default a good one that holds back next to nothing.

    Raises:
        MediaError: If `soxr` is not installed.
    """

    def __init__(self, input_rate: int, output_rate: int, num_channels: int, quality: str | None = None) -> None:
        soxr = require_resampler()
        self._numpy = sys.modules["numpy"]
        self._num_channels = num_channels
        format_ = (input_rate, output_rate, num_channels, "int16")
        if quality is not None:
            self._stream = soxr.ResampleStream(*format_, quality)
        elif _has_variable_rate(soxr):
            self._stream = soxr.ResampleStream(*format_, _LIVE_QUALITY, vr=True)
        else:
            self._stream = soxr.ResampleStream(*format_, _LIVE_QUALITY_IN_BLOCKS)

    def push(self, samples: bytes) -> bytes:
        """Return what the samples pushed so far have made ready."""
        return self._resample(samples, last=False)

    def flush(self) -> bytes:
        """Return what is still inside, and begin anew."""
        rest = self._resample(b"", last=True)
        self._stream.clear()
        return rest

    def clear(self) -> None:
        """Forget what is inside."""
        self._stream.clear()

    def _resample(self, samples: bytes, *, last: bool) -> bytes:
        block = self._numpy.frombuffer(samples, self._numpy.int16)
        if self._num_channels > 1:
            block = block.reshape(-1, self._num_channels)
        return bytes(self._stream.resample_chunk(block, last=last).tobytes())


def remix(samples: bytes, num_channels: int, wanted_channels: int) -> bytes:
    """Return interleaved samples with another number of channels.

    To one, channels are averaged; from one, it is repeated.
    """
    if num_channels == wanted_channels:
        return samples
    if num_channels == 2:
        mono = _average_of_two(samples)
    elif num_channels == 1:
        mono = samples
    else:
        groups = zip(*[iter(array("h", samples))] * num_channels, strict=True)
        mono = array("h", (sum(group) // num_channels for group in groups)).tobytes()
    if wanted_channels == 1:
        return mono
    return _repeat(mono, wanted_channels)


def _repeat(mono: bytes, num_channels: int) -> bytes:
    samples = array("h", mono)
    repeated = samples * num_channels
    for channel in range(num_channels):
        repeated[channel::num_channels] = samples
    return repeated.tobytes()


def _average_of_two(stereo: bytes) -> bytes:
    """Return (left + right) >> 1 for each pair.

    All pairs are added at once, as the digits of one long integer: a quarter of the time of a loop, and numpy is not
    needed. Signed samples are shifted to 0..65535, so that no lane borrows from its neighbour; each pair is a lane of
    32 bits, wide enough for the sum of its two halves.
    """
    pairs = len(stereo) // 4
    shift_both, low_halves, shift_low = _lanes(pairs)
    lanes = int.from_bytes(stereo, "little") ^ shift_both
    average = (((lanes & low_halves) + ((lanes >> 16) & low_halves)) >> 1) & low_halves
    wide = (average ^ shift_low).to_bytes(pairs * 4, "little")
    return memoryview(wide).cast("h")[::2].tobytes()


@lru_cache(maxsize=8)
def _lanes(pairs: int) -> tuple[int, int, int]:
    shift_both = int.from_bytes(b"\x00\x80\x00\x80" * pairs, "little")
    low_halves = int.from_bytes(b"\xff\xff\x00\x00" * pairs, "little")
    shift_low = int.from_bytes(b"\x00\x80\x00\x00" * pairs, "little")
    return shift_both, low_halves, shift_low
