"""Where pictures lie on a larger one."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Area", "fit", "grid"]

_ASPECT = 16 / 9


class Area(NamedTuple):
    """A rectangle; all numbers are even, as the colours of 4:2:0 need it."""

    x: int
    y: int
    width: int
    height: int


def grid(count: int, width: int, height: int) -> list[Area]:
    """Return places of the same size for `count` pictures, as large as pictures of 16:9 can be; a short row is centred.

    Args:
        count: How many.
        width: Of the whole, even.
        height: Likewise.
    """
    if count < 1:
        return []
    best = max(range(1, count + 1), key=lambda columns: (_size(count, columns, width, height), columns))
    rows = math.ceil(count / best)
    cell_width, cell_height = _even(width / best), _even(height / rows)
    areas = []
    for index in range(count):
        row, column = divmod(index, best)
        in_row = min(best, count - row * best)
        left = _even((width - in_row * cell_width) / 2)
        areas.append(Area(left + column * cell_width, row * cell_height, cell_width, cell_height))
    return areas


def fit(width: int, height: int, area: Area) -> Area:
    """Return the largest place within `area` for a picture of that size, in its middle, without distorting it."""
    scale = min(area.width / width, area.height / height)
    fitted_width = max(2, min(area.width, _nearest_even(width * scale)))
    fitted_height = max(2, min(area.height, _nearest_even(height * scale)))
    x = area.x + _even((area.width - fitted_width) / 2)
    y = area.y + _even((area.height - fitted_height) / 2)
    return Area(x, y, fitted_width, fitted_height)


def _size(count: int, columns: int, width: int, height: int) -> float:
    rows = math.ceil(count / columns)
    return min(width / columns, height / rows * _ASPECT)


def _even(value: float) -> int:
    return max(0, int(value) // 2 * 2)


def _nearest_even(value: float) -> int:
    return round(value / 2) * 2
