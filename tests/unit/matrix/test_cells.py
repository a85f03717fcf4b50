"""The covering set of the fault matrix, and its account of what was lost."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.matrix.cells import MOMENTS, Cell, all_cells, covering
from tests.matrix.report import markdown
from tests.matrix.scenarios import SCENARIOS, makes_sense
from tests.matrix.traffic import Stream


def pairs(cell: Cell) -> set[Any]:
    values = [(name, getattr(cell, name)) for name in ("scenario", "moment", "role", "server", "mode")]
    return set(itertools.combinations(values, 2))


def test_every_pair_that_there_is_meets_and_few_cells_do() -> None:
    every = list(all_cells(list(SCENARIOS), makes_sense))
    chosen = covering(every)
    assert set().union(*map(pairs, chosen)) == set().union(*map(pairs, every))
    assert len(chosen) < 1.15 * len(SCENARIOS) * len(MOMENTS)
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(every)
    assert covering(every) == chosen, "shards of different runs must be of one set"
    assert covering([]) == []


class Room:
    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def on(self, name: str, handler: Any) -> None:
        self.handlers[name] = handler


def stream(*, heard: list[int], sent: dict[int, float], undelivered: int = 0, absent: int = 0) -> Stream:
    made = Stream(Room(), Room(), "numbers", 10)
    made.heard, made.sent, made.undelivered, made.absent = heard, sent, undelivered, absent
    return made


SENT = {number: float(number) for number in range(10)}


def test_what_had_arrived_before_is_not_excused() -> None:
    made = stream(heard=[0, 1, 2, 3, 4, 5], sent=SENT)
    made.struck()
    made.heard = [0, 1, 2, 3, 5, 6, 7, 8, 9]
    with pytest.raises(AssertionError, match="without a word"):
        made.check(exact=False, receiver_back=9.0, sender_restarted=False)


@pytest.mark.parametrize(
    ("heard", "undelivered", "arguments", "words"),
    [
        ([0, 1, 1], 0, {}, "twice"),
        ([1, 0], 0, {}, "out of order"),
        ([0, 1, 3, 4, 5, 6, 7, 8, 9], 5, {"exact": True}, "missing"),
        ([0, 1, 3, 4, 5, 6, 7, 8, 9], 0, {}, "without a word"),
        ([0, 1, 3, 4, 5, 6, 7, 8, 9], 0, {"sender_restarted": True}, "more lost than told"),
        ([0, 1, 3, 4, 5, 6, 7, 8, 9], 0, {"receiver_back": 1.5}, "without a word"),
        ([0, 1, 3, 4, 5, 6, 7, 8, 9], 0, {"receiver_back": 2.5}, "more lost than told"),
    ],
)
def test_what_must_not_be_is_found(heard: list[int], undelivered: int, arguments: Any, words: str) -> None:
    defaults = {"exact": False, "receiver_back": None, "sender_restarted": False}
    with pytest.raises(AssertionError, match=words):
        stream(heard=heard, sent=SENT, undelivered=undelivered).check(**(defaults | arguments))


def test_what_may_be_missing_is_accounted_for() -> None:
    heard = [0, 1, 2, 6, 7, 8, 9]
    away = stream(heard=heard, sent=SENT, absent=3).check(exact=False, receiver_back=5.5, sender_restarted=False)
    told = stream(heard=heard, sent=SENT, undelivered=3).check(exact=False, receiver_back=None, sender_restarted=True)
    assert away["missing"] == told["missing"] == 3


def test_the_table_has_every_cell() -> None:
    cells = [
        {
            "cell": {"scenario": scenario, "moment": "m", "role": "r", "server": "s", "mode": "x"},
            "ok": ok,
            "error": "why",
            "commit": "abc",
            "outcome": {"ended": ended, "seconds": 1.0, "sessions": "" if ended else "kept", "data": {}},
        }
        for scenario, ok, ended in (("cut", True, ""), ("cut", False, ""), ("gone", True, "ROOM_DELETED"))
    ]
    record = {"command": "c", "date": "d", "commit": "abc", "machine": "m", "wanted": 4, "cells": cells}
    text = markdown(record)
    assert "| cut | 2 | 1 | 1 / 0 / 0 | 1.00 – 1.00 | 0 | 0 |" in text
    assert "| gone | 1 | 1 | 0 / 0 / 1 |" in text
    assert "- cut | m | r | s | x: why" in text
