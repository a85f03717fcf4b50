"""Films whose every picture says which film it is of and which picture it is, and reading that back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .client import FPS, Colour
from .media import _yuv

COLUMNS = 16
ROW = 10
"""A row of bars is that part of the height; there are two at the top."""

_DARK, _LIGHT, _BETWEEN = 16, 235, 125
_CHECK = 0x5A
_COLOUR_ROWS = (0.3, 0.8)
"""The part of the height whose colour is looked at."""


@dataclass(frozen=True)
class Film:
    """What a camera sees.

    Args:
        tag: Tells it from other films, 0 to 255.
        colour: What most of it is.
        size: Width and height.
        fps: Pictures a second.
    """

    tag: int
    colour: Colour
    size: tuple[int, int] = (320, 180)
    fps: int = FPS


@dataclass(frozen=True)
class Frame:
    """A picture that was seen.

    Args:
        number: Which of its film, from 1; `None` if the bars could not be read.
        tag: Of which film.
        size: Its width and height.
        yuv: The mean of each plane below the bars.
    """

    number: int | None
    tag: int
    size: tuple[int, int]
    yuv: tuple[float, float, float]

    def is_of(self, film: Film, tolerance: float = 45) -> bool:
        """Whether it is of that film, in its colour as far as cameras' colour spaces and encoders keep it."""
        y, u, v = self.yuv[0] - 16, self.yuv[1] - 128, self.yuv[2] - 128
        rgb = (1.164 * y + 1.596 * v, 1.164 * y - 0.392 * u - 0.813 * v, 1.164 * y + 2.017 * u)
        near = all(
            abs(min(max(seen, 0), 255) - meant) <= tolerance for seen, meant in zip(rgb, film.colour, strict=True)
        )
        return self.number is not None and self.tag == film.tag and near


def bars(tag: int, number: int) -> tuple[int, int]:
    """The two rows of bars, as bits: the number; the tag, and what both can be checked by."""
    number &= 0xFFFF
    return number, tag | (((number & 0xFF) + (number >> 8) + tag) & 0xFF ^ _CHECK) << 8


def from_bars(first: int, second: int) -> tuple[int | None, int]:
    """Number and tag; there is no number when they do not go together."""
    tag = second & 0xFF
    return (first if bars(tag, first) == (first, second) else None), tag


class Projector:
    """Makes the pictures of a film (I420); a white bar moves along the bottom, so that the encoder has work."""

    def __init__(self, film: Film) -> None:
        y, u, v = _yuv(film.colour)
        width, height = self._size = film.size
        self._film = film
        half = ((height + 1) // 2) * ((width + 1) // 2)
        self._still = bytes([y]) * (width * height) + bytes([u]) * half + bytes([v]) * half

    def picture(self, number: int) -> bytearray:
        width, height = self._size
        pixels = bytearray(self._still)
        luma = np.frombuffer(pixels, np.uint8, width * height).reshape(height, width)
        for row, bits in enumerate(bars(self._film.tag, number)):
            top, bottom = height * row // ROW, height * (row + 1) // ROW
            for column in range(COLUMNS):
                left, right = width * column // COLUMNS, width * (column + 1) // COLUMNS
                luma[top:bottom, left:right] = _LIGHT if bits >> column & 1 else _DARK
        left = (number * 8) % width
        luma[height * 7 // 8 :, left : left + width // 8] = _LIGHT
        return pixels


def read_frame(data: bytes | memoryview, width: int, height: int) -> Frame:
    """Read a picture (I420)."""
    if width < 4 * COLUMNS:
        # The official SDK shows a tiny black picture where nothing has come yet.
        return Frame(None, 0, (width, height), (0.0, 0.0, 0.0))
    pixels = np.frombuffer(data, np.uint8)
    luma = pixels[: width * height].reshape(height, width)
    wide, high = (width + 1) // 2, (height + 1) // 2
    start, half = width * height, wide * high
    top, bottom = (int(part * height) for part in _COLOUR_ROWS)
    chroma_rows = slice(top // 2 * wide, bottom // 2 * wide, 4)
    yuv = (
        float(luma[top:bottom:4, ::4].mean()),
        float(pixels[start : start + half][chroma_rows].mean()),
        float(pixels[start + half : start + 2 * half][chroma_rows].mean()),
    )
    rows = [0, 0]
    columns = ((np.arange(COLUMNS) + 0.5) * width / COLUMNS).astype(int)
    for row in range(2):
        middle = int((row + 0.5) * height / ROW)
        patch = luma[max(0, middle - 1) : middle + 2]
        light = (patch[:, columns - 1] / 3 + patch[:, columns] / 3 + patch[:, columns + 1] / 3).mean(axis=0) > _BETWEEN
        rows[row] = int((light * (1 << np.arange(COLUMNS))).sum())
    number, tag = from_bars(*rows)
    return Frame(number, tag, (width, height), yuv)
