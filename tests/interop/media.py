"""Tones and pictures in samples and pixels: making them, and reading them back."""

from __future__ import annotations

import numpy as np

from .client import Colour, Picture, Tone

RATE = 48_000
FRAME = RATE // 100
"""Samples in a frame of 10 ms."""

LOUDNESS_OF_SILENCE = 0.01


def tone(frequency: float, start: int, count: int = FRAME) -> bytes:
    """`count` samples at half the full scale; a call with the next `start` goes on where this one ends."""
    angles = np.arange(start, start + count) * (2 * np.pi * frequency / RATE)
    return bytes((np.sin(angles) * 16384).astype(np.int16))


def loudness(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) / 32768


def read_tone(samples: np.ndarray) -> Tone:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    frequency = float(np.fft.rfftfreq(len(samples), 1 / RATE)[int(np.argmax(spectrum))])
    return Tone(frequency, loudness(samples))


def _yuv(colour: Colour) -> tuple[int, int, int]:
    """BT.601, limited range: what encoders of cameras take small pictures for."""
    red, green, blue = colour
    y = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
    return round(y), round(u), round(v)


class Camera:
    """I420 pictures of one colour with a white bar that moves along the bottom."""

    def __init__(self, colour: Colour, width: int, height: int) -> None:
        y, u, v = _yuv(colour)
        self._luma = np.full((height, width), y, np.uint8)
        half = ((height + 1) // 2) * ((width + 1) // 2)
        self._chroma = bytes([u]) * half + bytes([v]) * half
        self._width, self._height = width, height

    def picture(self, position: int) -> bytes:
        luma = self._luma.copy()
        left = (position * 8) % self._width
        luma[self._height * 7 // 8 :, left : left + self._width // 8] = 235
        return luma.tobytes() + self._chroma


def read_picture(data: bytes, width: int, height: int) -> Picture:
    """The mean colour of an I420 picture above its bar."""
    pixels = np.frombuffer(data, np.uint8)
    chroma_width, chroma_height = (width + 1) // 2, (height + 1) // 2
    size, half = width * height, chroma_width * chroma_height
    y = pixels[: size * 3 // 4].mean() - 16
    u = pixels[size : size + half * 3 // 4].mean() - 128
    v = pixels[size + half : size + half + half * 3 // 4].mean() - 128
    rgb = (1.164 * y + 1.596 * v, 1.164 * y - 0.392 * u - 0.813 * v, 1.164 * y + 2.017 * u)
    red, green, blue = (float(np.clip(value, 0, 255)) for value in rgb)
    return Picture(width, height, (red, green, blue))
