"""Charts with labelled axes, drawn with Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Axes", "Colour", "Figure", "heat_colours"]

Colour: TypeAlias = str
Point: TypeAlias = tuple[float, float]
Span: TypeAlias = tuple[float, float]

_SCALE = 2
"""Everything is drawn this much larger and scaled down at the end, which smooths all edges."""

INK, GREY, GRID = "#1f2933", "#52606d", "#e4e7eb"
_TITLE_SIZE, _LABEL_SIZE, _TICK_SIZE = 15, 13, 12
_TICK = 5


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow brings a font with it, so the pictures look the same everywhere.
    return ImageFont.load_default(size * _SCALE)


class Figure:
    """A picture to draw charts into.

    Args:
        width: In pixels.
        height: Likewise.
        title: What it shows.
        subtitle: More about it, in smaller letters.
    """

    def __init__(self, width: int, height: int, title: str, subtitle: str) -> None:
        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), "white")
        self._draw = ImageDraw.Draw(self._image)
        self.text((24, 16), title, 20, INK)
        self.text((24, 44), subtitle, _LABEL_SIZE, GREY)

    def text(self, at: Point, words: str, size: int, colour: Colour, anchor: str = "la") -> None:
        """Write a line; `anchor` is Pillow's."""
        self._draw.text(_scaled(at), words, fill=colour, font=_font(size), anchor=anchor)

    def upright_text(self, at: Point, words: str, size: int, colour: Colour) -> None:
        """Write a line from below to above, centred at a point."""
        box = self._draw.textbbox((0, 0), words, font=_font(size))
        stamp = Image.new("L", (math.ceil(box[2]) + 4, math.ceil(box[3]) + 4), 0)
        ImageDraw.Draw(stamp).text((2, 2), words, fill=255, font=_font(size))
        stamp = stamp.rotate(90, expand=True)
        x, y = _scaled(at)
        corner = (round(x - stamp.width / 2), round(y - stamp.height / 2))
        self._image.paste(Image.new("RGB", stamp.size, colour), corner, stamp)

    def line(self, points: Sequence[Point], colour: Colour, width: float = 1.5) -> None:
        """Draw a line through points."""
        if len(points) > 1:
            flat = [_scaled(point) for point in points]
            self._draw.line(flat, fill=colour, width=round(width * _SCALE), joint="curve")

    def dashes(self, start: Point, end: Point, colour: Colour, width: float = 1.0) -> None:
        """Draw a dashed line."""
        length = math.dist(start, end)
        for at in np.arange(0.0, length, 9.0):
            a, b = at / length, min(1.0, (at + 5.0) / length)
            self.line([_between(start, end, a), _between(start, end, b)], colour, width)

    def dot(self, at: Point, radius: float, colour: Colour) -> None:
        """Draw a filled circle."""
        x, y = _scaled(at)
        size = radius * _SCALE
        self._draw.ellipse((x - size, y - size, x + size, y + size), fill=colour)

    def frame(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Draw the outline of a rectangle."""
        self.line([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], colour, 1.0)

    def paste(self, pixels: npt.NDArray[np.uint8], left: float, top: float, right: float, bottom: float) -> None:
        """Put a picture (rows, columns, RGB) into a rectangle."""
        size = round((right - left) * _SCALE), round((bottom - top) * _SCALE)
        picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        self._image.paste(picture, (round(left * _SCALE), round(top * _SCALE)))

    def png(self) -> Image.Image:
        """Return the finished picture."""
        width, height = self._image.size
        return self._image.resize((width // _SCALE, height // _SCALE), Image.Resampling.LANCZOS)


@dataclass(frozen=True, slots=True)
class Axes:
    """A rectangle of a figure with a scale on two sides.

    Attributes:
        figure: Where it is drawn.
        box: Left, top, right and bottom, in the figure's pixels.
        x: The values at the left and the right side.
        y: The values at the bottom and the top.
    """

    figure: Figure
    box: tuple[float, float, float, float]
    x: Span
    y: Span

    def at(self, x: float, y: float) -> Point:
        """Return where a pair of values lies in the figure."""
        left, top, right, bottom = self.box
        return (
            left + (x - self.x[0]) / (self.x[1] - self.x[0]) * (right - left),
            bottom - (y - self.y[0]) / (self.y[1] - self.y[0]) * (bottom - top),
        )

    def label(self, title: str, x_label: str, y_label: str, *, grid: bool = True) -> None:
        """Draw the scales with their labels."""
        left, top, right, bottom = self.box
        figure = self.figure
        for value in _ticks(self.x):
            x, _ = self.at(value, self.y[0])
            if grid:
                figure.line([(x, top), (x, bottom)], GRID, 1.0)
            figure.line([(x, bottom), (x, bottom + _TICK)], GREY, 1.0)
            figure.text((x, bottom + _TICK + 3), _number(value), _TICK_SIZE, GREY, "ma")
        for value in _ticks(self.y):
            _, y = self.at(self.x[0], value)
            if grid:
                figure.line([(left, y), (right, y)], GRID, 1.0)
            figure.line([(left - _TICK, y), (left, y)], GREY, 1.0)
            figure.text((left - _TICK - 3, y), _number(value), _TICK_SIZE, GREY, "rm")
        figure.frame(left, top, right, bottom, GREY)
        figure.text((left, top - 8), title, _TITLE_SIZE, INK, "ls")
        figure.text(((left + right) / 2, bottom + 24), x_label, _LABEL_SIZE, INK, "ma")
        figure.upright_text((left - 52, (top + bottom) / 2), y_label, _LABEL_SIZE, INK)

    def line(self, xs: Sequence[float], ys: Sequence[float], colour: Colour, width: float = 1.5) -> None:
        """Draw a curve."""
        self.figure.line([self.at(x, y) for x, y in zip(xs, ys, strict=True)], colour, width)

    def dots(self, xs: Sequence[float], ys: Sequence[float], colour: Colour, radius: float = 2.5) -> None:
        """Draw points."""
        for x, y in zip(xs, ys, strict=True):
            self.figure.dot(self.at(x, y), radius, colour)

    def fill(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Fill the rectangle with a picture (rows, columns, RGB), its first row at the top."""
        self.figure.paste(pixels, *self.box)


def heat_colours(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Return a colour (RGB) for each value from 0 to 1: from nearly black over violet and orange to light yellow."""
    stops = np.linspace(0, 1, len(_HEAT))
    channels = [np.interp(values, stops, _HEAT[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


_HEAT = np.array(
    [(8, 8, 24), (45, 18, 80), (112, 30, 110), (183, 52, 92), (236, 104, 58), (252, 178, 74), (253, 245, 190)], float
)


def _ticks(span: Span) -> list[float]:
    """Return round values within a span, about six of them."""
    low, high = min(span), max(span)
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _number(value: float) -> str:
    # With a hyphen: Pillow's font has no minus sign.
    return f"{value:g}"


def _scaled(point: Point) -> Point:
    return point[0] * _SCALE, point[1] * _SCALE


def _between(start: Point, end: Point, part: float) -> Point:
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part
