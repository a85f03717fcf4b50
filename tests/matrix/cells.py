"""The cells of the matrix, and a small set of them in which every pair of values meets."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["MOMENTS", "Cell", "all_cells", "covering"]

MOMENTS = (
    "before publish",
    "while publishing",
    "during negotiation",
    "during a resume",
    "during a restart",
    "twice in a row",
    "both sides at once",
)
ROLES = ("publisher", "subscriber", "both")
SERVERS = ("real", "embedded")
MODES = ("single", "dual")


@dataclass(frozen=True, order=True)
class Cell:
    """One run.

    Args:
        scenario: What happens (`scenarios.SCENARIOS`).
        moment: When.
        role: What the participant to whom it happens does with tracks; the other one does the rest.
        server: On which server.
        mode: With how many peer connections.
    """

    scenario: str
    moment: str
    role: str
    server: str
    mode: str

    def __str__(self) -> str:
        return " | ".join(getattr(self, each.name) for each in fields(self))


def all_cells(scenarios: list[str], makes_sense: Callable[[Cell], bool]) -> Iterator[Cell]:
    """Yield every cell that makes sense, in a fixed order."""
    for values in itertools.product(scenarios, MOMENTS, ROLES, SERVERS, MODES):
        cell = Cell(*values)
        if makes_sense(cell):
            yield cell


def _pairs(cell: Cell) -> set[tuple[Any, Any]]:
    values = [(each.name, getattr(cell, each.name)) for each in fields(cell)]
    return set(itertools.combinations(values, 2))


def _shares(cell: Cell) -> tuple[Any, ...]:
    return (cell.role, cell.server, cell.mode), cell.role, cell.server, cell.mode


def covering(cells: list[Cell]) -> list[Cell]:
    """Return cells in which every pair of values that any of the given ones has is found; the same ones each time.

    Greedy: the next is one of those with the most pairs that are still missing; among them the one whose triples of
    role, server and mode, and values, were chosen least so far, so that all get their share.
    """
    missing = set().union(*map(_pairs, cells)) if cells else set()
    left, chosen = list(cells), []
    pairs = {cell: _pairs(cell) for cell in cells}
    used: Counter[Any] = Counter()
    while missing:
        best = max(left, key=lambda cell: (len(pairs[cell] & missing), -sum(used[each] for each in _shares(cell))))
        used.update(_shares(best))
        chosen.append(best)
        left.remove(best)
        missing -= pairs[best]
    return sorted(chosen)
