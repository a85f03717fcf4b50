"""The pictures and sounds that are sent, made so that the receiver can tell which is which."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .drivers.base import SAMPLE_RATE, VIDEO_HEIGHT, VIDEO_WIDTH

__all__ = ["FRAME_MS", "Camera", "OnsetDetector", "audio_frame", "is_onset", "read_barcode"]

FRAME_MS = 10
_FRAMES_A_BURST = 50
_FRAMES_OF_TONE = 10
_LOUD, _QUIET = 3000, 1000
_TONE_HZ = 1000
_QUARTER = SAMPLE_RATE // _TONE_HZ // 4
"""Samples of a quarter of the tone's period: of two so far apart one is loud."""

_BITS = 16
_BAR_HEIGHT = 40


def _tone() -> list[bytes]:
    samples = np.arange(_FRAMES_OF_TONE * SAMPLE_RATE * FRAME_MS // 1000)
    # 1 kHz, starting at a peak, so that the first frame is loud from its first sample.
    wave = (12_000 * np.cos(2 * math.pi * _TONE_HZ * samples / SAMPLE_RATE)).astype(np.int16)
    return [part.tobytes() for part in np.split(wave, _FRAMES_OF_TONE)]


_TONE = _tone()
_SILENCE = bytes(len(_TONE[0]))


def audio_frame(index: int) -> bytes:
    """Return the 10 ms of that index: each half second begins with 100 ms of tone, the rest is silence."""
    phase = index % _FRAMES_A_BURST
    return _TONE[phase] if phase < _FRAMES_OF_TONE else _SILENCE


def is_onset(index: int) -> bool:
    """Return whether a tone begins with the frame of that index."""
    return index % _FRAMES_A_BURST == 0


class OnsetDetector:
    """Says with which received frame a tone begins."""

    def __init__(self) -> None:
        self._quiet_frames = 0

    def push(self, samples: bytes | bytearray | memoryview) -> bool:
        """Return whether a tone begins in this frame, after at least 50 ms of silence."""
        # Without numpy, which costs more here than many an SDK: its code is out of the caches every 10 ms.
        some = memoryview(samples).cast("B").cast("h")[::_QUARTER]
        peak = max(max(some), -min(some))
        if peak < _QUIET:
            self._quiet_frames += 1
            return False
        onset = peak > _LOUD and self._quiet_frames >= 50 // FRAME_MS
        if peak > _LOUD:
            self._quiet_frames = 0
        return onset


class Camera:
    """Makes frames of a still, textured picture with a square going around in it, numbered by a row of bars."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        ramp = np.add.outer(np.linspace(40, 120, VIDEO_HEIGHT), np.linspace(0, 80, VIDEO_WIDTH))
        coarse = rng.integers(-20, 20, (VIDEO_HEIGHT // 8, VIDEO_WIDTH // 8)).repeat(8, 0).repeat(8, 1)
        luma = (ramp + coarse).astype(np.uint8).tobytes()
        chroma = bytes([110]) * (VIDEO_WIDTH * VIDEO_HEIGHT // 4) + bytes([140]) * (VIDEO_WIDTH * VIDEO_HEIGHT // 4)
        self._still = luma + chroma
        self._square = rng.integers(60, 200, (256 // 8, 256 // 8), np.uint8).repeat(8, 0).repeat(8, 1)

    def frame(self, index: int) -> bytearray:
        """Return the frame of that index (I420)."""
        buffer = bytearray(self._still)
        luma = np.frombuffer(buffer, np.uint8, VIDEO_WIDTH * VIDEO_HEIGHT).reshape(VIDEO_HEIGHT, VIDEO_WIDTH)
        angle = 2 * math.pi * index / 90
        x = int(VIDEO_WIDTH / 2 - 128 + 300 * math.cos(angle))
        y = int(VIDEO_HEIGHT / 2 - 108 + 200 * math.sin(angle))
        luma[y : y + 256, x : x + 256] = self._square
        width = VIDEO_WIDTH // _BITS
        for bit in range(_BITS):
            luma[:_BAR_HEIGHT, bit * width : (bit + 1) * width] = 235 if index >> bit & 1 else 16
        return buffer


_COLUMNS = (np.arange(_BITS) + 0.5) / _BITS
_WEIGHTS = 1 << np.arange(_BITS)


def read_barcode(width: int, height: int, i420: bytes | bytearray | memoryview) -> int:
    """Return the index of a received frame, which may have been scaled."""
    row = int(_BAR_HEIGHT / 2 * height / VIDEO_HEIGHT)
    line: npt.NDArray[np.uint8] = np.frombuffer(i420, np.uint8, width, row * width)
    bits = line[(_COLUMNS * width).astype(int)] > 125
    return int((bits * _WEIGHTS).sum())
