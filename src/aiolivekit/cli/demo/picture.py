"""The demo's moving picture: colour bars, a ball on its way, and the frame's number as a bar code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .result import Check

__all__ = [
    "COLOURS",
    "FRAMES",
    "FRAME_RATE",
    "HEIGHT",
    "WIDTH",
    "PictureReading",
    "Pixels",
    "ball_at",
    "check_pictures",
    "draw",
    "read_number",
    "read_picture",
]

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""Rows, columns, and RGBA."""

WIDTH, HEIGHT = 640, 360
FRAME_RATE = 25
FRAMES = 75
"""How many are counted, from the first that arrives."""

COLOURS: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("red", (176, 48, 48)),
    ("orange", (184, 112, 40)),
    ("green", (48, 136, 64)),
    ("teal", (40, 128, 136)),
    ("blue", (48, 72, 168)),
    ("violet", (120, 56, 152)),
)

_BALL_RADIUS = 22
_BITS = 12
_CODE_ROW = 24
_CODE_TOP = HEIGHT - 2 * _CODE_ROW
"""The bar code has two rows of fields, the second the negative of the first."""

_LOOP_FRAMES = 75
_WHITE = 190
_MIN_SHARE = 0.9
_MAX_COLOUR_ERROR = 24.0
_MAX_BALL_ERROR = 4.0


def ball_at(number: int) -> tuple[float, float]:
    """Return where the centre of the ball is in a frame: on a lying eight."""
    angle = 2 * math.pi * number / _LOOP_FRAMES
    return WIDTH / 2 + 250 * math.sin(angle), 190 + 70 * math.sin(2 * angle)


def _background() -> Pixels:
    pixels = np.full((HEIGHT, WIDTH, 4), 255, dtype=np.uint8)
    edges = np.linspace(0, WIDTH, len(COLOURS) + 1).round().astype(int)
    for (_, colour), left, right in zip(COLOURS, edges, edges[1:], strict=False):
        pixels[:, left:right, :3] = colour
    return pixels


_BACKGROUND = _background()
_ROWS, _COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]


def draw(number: int) -> Pixels:
    """Return the frame of a number."""
    pixels = _BACKGROUND.copy()
    x, y = ball_at(number)
    # Only the square around the ball is worked on; its edge is smooth.
    size = _BALL_RADIUS + 2
    top, left = int(y) - size, int(x) - size
    area = slice(top, top + 2 * size + 1), slice(left, left + 2 * size + 1)
    distance = np.hypot(_COLUMNS[area] - x, _ROWS[area] - y)
    cover = np.clip(_BALL_RADIUS + 0.5 - distance, 0, 1)[..., None]
    pixels[area][..., :3] = np.round(pixels[area][..., :3] * (1 - cover) + 255 * cover)
    bits = (number >> np.arange(_BITS)) & 1
    fields = np.repeat(bits, math.ceil(WIDTH / _BITS))[:WIDTH] * 255
    pixels[_CODE_TOP : _CODE_TOP + _CODE_ROW, :, :3] = fields[None, :, None]
    pixels[_CODE_TOP + _CODE_ROW :, :, :3] = 255 - fields[None, :, None]
    return pixels


@dataclass(frozen=True, slots=True)
class PictureReading:
    """What was seen in a received frame.

    Attributes:
        number: The frame's number, or `None` if the bar code cannot be read.
        width: Of the frame that arrived, in pixels.
        height: Likewise.
        ball: The centre of the ball, in the sent frame's pixels; `None` if there is none.
        colours: Red, green and blue of each bar.
    """

    number: int | None
    width: int
    height: int
    ball: tuple[float, float] | None
    colours: tuple[tuple[float, float, float], ...]

    @property
    def ball_error(self) -> float:
        """How far the ball is from where it should be, in pixels."""
        if self.number is None or self.ball is None:
            return math.inf
        return math.dist(self.ball, ball_at(self.number))

    @property
    def colour_error(self) -> float:
        """The largest difference of a colour from what it should be, of 255."""
        differences = [
            abs(got - wanted)
            for (_, colour), seen in zip(COLOURS, self.colours, strict=True)
            for got, wanted in zip(seen, colour, strict=True)
        ]
        return max(differences)


def read_picture(pixels: Pixels) -> PictureReading:
    """Read a received frame (RGBA), which may be smaller than the sent one."""
    height, width = pixels.shape[:2]
    scale_x, scale_y = width / WIDTH, height / HEIGHT
    rgb = pixels[..., :3]
    return PictureReading(
        number=read_number(pixels),
        width=width,
        height=height,
        ball=_find_ball(rgb, scale_x, scale_y),
        colours=_read_colours(rgb, scale_x, scale_y),
    )


def read_number(pixels: Pixels) -> int | None:
    """Return the number of a received frame (RGBA), or `None` if its bar code cannot be read."""
    height, width = pixels.shape[:2]
    scale_x, scale_y = width / WIDTH, height / HEIGHT
    pitch = math.ceil(WIDTH / _BITS)
    centres = ((np.arange(_BITS) * pitch + np.minimum((np.arange(_BITS) + 1) * pitch, WIDTH)) / 2 * scale_x).astype(int)
    rows = [int((_CODE_TOP + (row + 0.5) * _CODE_ROW) * scale_y) for row in (0, 1)]
    upper, lower = (pixels[row - 2 : row + 3, :, 1][:, centres].mean(axis=0) > 127 for row in rows)
    if (upper == lower).any():
        return None
    return int((upper << np.arange(_BITS)).sum())


def _find_ball(rgb: Pixels, scale_x: float, scale_y: float) -> tuple[float, float] | None:
    # The bars all have a dark component; only the ball is white above the bar code.
    above = rgb[: int((_CODE_TOP - 4) * scale_y)]
    white = (above[..., 0] > _WHITE) & (above[..., 1] > _WHITE) & (above[..., 2] > _WHITE)
    count = int(white.sum())
    if count < 0.3 * math.pi * _BALL_RADIUS**2 * scale_x * scale_y:
        return None
    rows, columns = np.nonzero(white)
    # Coordinates are those of pixel centres in both sizes.
    x, y = (float(columns.mean()) + 0.5) / scale_x - 0.5, (float(rows.mean()) + 0.5) / scale_y - 0.5
    return x, y


def _read_colours(rgb: Pixels, scale_x: float, scale_y: float) -> tuple[tuple[float, float, float], ...]:
    # The ball does not come up here.
    top, bottom = int(10 * scale_y), int(80 * scale_y)
    pitch = WIDTH / len(COLOURS)
    found = []
    for index in range(len(COLOURS)):
        left, right = int((index + 0.2) * pitch * scale_x), int((index + 0.8) * pitch * scale_x)
        red, green, blue = rgb[top:bottom, left:right].reshape(-1, 3).mean(axis=0)
        found.append((float(red), float(green), float(blue)))
    return tuple(found)


def check_pictures(readings: Sequence[PictureReading]) -> list[Check]:
    """Compare what was seen with what was sent; `readings` are those of the counted frames, as they came."""
    numbers = [reading.number for reading in readings if reading.number is not None]
    share = len(set(numbers)) / FRAMES
    ball = _worst([reading.ball_error for reading in readings])
    colour = _worst([reading.colour_error for reading in readings])
    in_order = all(earlier < later for earlier, later in pairwise(numbers))
    return [
        Check(
            "picture", "frames received", share >= _MIN_SHARE, f"{share:.0%} of {FRAMES}", f"at least {_MIN_SHARE:.0%}"
        ),
        Check(
            "picture",
            "in order",
            bool(numbers) and in_order and len(numbers) == len(readings),
            f"{len(numbers)} numbers read, {'ascending' if in_order else 'not ascending'}",
            "each frame readable, ascending",
        ),
        Check(
            "picture",
            "the ball moves as drawn",
            ball <= _MAX_BALL_ERROR,
            f"at most {ball:.1f} pixels off",
            f"at most {_MAX_BALL_ERROR:.0f} pixels",
        ),
        Check(
            "picture",
            "colours",
            colour <= _MAX_COLOUR_ERROR,
            f"at most {colour:.0f} of 255 off",
            f"at most {_MAX_COLOUR_ERROR:.0f} of 255",
        ),
    ]


def _worst(errors: Sequence[float]) -> float:
    """Return the error all but a few frames keep below: the first ones may still be coarse."""
    return float(np.quantile(errors, 0.95, method="higher")) if errors else math.inf
