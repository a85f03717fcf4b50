"""The recordings that the official SDK's tests read, synthesised: the repository has only pointers to them."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

__all__ = ["fill_in"]

_POINTER = b"version https://git-lfs"


def fill_in(folder: Path) -> None:
    """Put audio in the place of each pointer in a folder; files that are real stay."""
    for name, rate, seconds, level in (
        ("test_audio.wav", 44_100, 6.0, 0.2),
        ("test_echo_render.wav", 48_000, 6.0, 0.3),
        ("test_echo_capture.wav", 48_000, 6.0, 0.2),
        ("test_processed.wav", 48_000, 0.1, 0.0),
    ):
        path = folder / name
        if path.read_bytes().startswith(_POINTER):
            _write(path, _voice(rate, seconds) * level, rate)


def _voice(rate: int, seconds: float) -> np.ndarray:
    """Return something like speech: a buzz with formants, in syllables, over a little noise."""
    time = np.arange(int(rate * seconds)) / rate
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.4 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    buzz = sum(np.sin(n * phase) / n for n in range(1, 24))
    syllables = np.clip(np.sin(2 * np.pi * 3 * time), 0, 1) ** 0.5
    noise = np.random.default_rng(1).normal(0, 0.01, time.size)
    return np.asarray(buzz * syllables / 3 + noise)


def _write(path: Path, samples: np.ndarray, rate: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes())
