"""Long runs of many cells: split into shards, stopped and taken up again, and recorded together."""

from __future__ import annotations

import argparse
import fcntl
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from bench import machine

__all__ = ["Shard", "provenance", "write_record"]

_ROOT = Path(__file__).resolve().parents[1]
_RESULTS = _ROOT / "docs" / "results"

CellT = TypeVar("CellT")
Result = dict[str, Any]


class Shard(Generic[CellT]):
    """What one process plays, and what it and the others that share a directory have played.

    Args:
        parser: Gets the arguments that say which shard this is, and parses them.
        name: Of the run; its state is kept under that name unless told otherwise.
    """

    def __init__(self, parser: argparse.ArgumentParser, name: str) -> None:
        add = parser.add_argument
        add("--shard", default="1/1", metavar="I/N", help="play every Nth cell, from the Ith")
        add("--only", default="", metavar="TEXT", help="the cells whose names contain all of these words")
        add("--state", type=Path, default=_ROOT / "build" / name, help="where the state is kept")
        add("--fresh", action="store_true", help="forget what this shard has played before")
        add("--again", action="store_true", help="play again what went wrong before")
        add("--record", action="store_true", help=f"write docs/results/{name}.md and .json")
        self.arguments = parser.parse_args()
        index, _, count = self.arguments.shard.partition("/")
        if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            parser.error("--shard is I/N, from 1/N to N/N")
        self._index, self._count = int(index), int(count)
        self._directory: Path = self.arguments.state
        self._directory.mkdir(parents=True, exist_ok=True)
        self._file = self._directory / f"shard-{index}-of-{count}.json"
        if self.arguments.fresh:
            self._file.unlink(missing_ok=True)
        self._done = _read(self._file)

    def to_play(self, chosen: list[CellT], wrong: Callable[[Result], bool]) -> list[CellT]:
        """Return what this shard has still to play of the cells of all, by `str`.

        Args:
            chosen: The cells of all shards.
            wrong: Whether a result is one to be played again if that is asked for.
        """
        words = self.arguments.only.split()
        # Another shard, or other shards of an earlier run, may have played it.
        before = self._played()
        return [
            cell
            for cell in chosen[self._index - 1 :: self._count]
            if all(word in str(cell) for word in words)
            and (str(cell) not in before or (self.arguments.again and wrong(before[str(cell)])))
        ]

    def keep(self, cell: CellT, result: Result) -> None:
        """Remember the result of a cell, whatever becomes of this process."""
        self._done[str(cell)] = result
        self._file.with_suffix(".new").write_text(json.dumps(self._done, indent=1))
        self._file.with_suffix(".new").replace(self._file)

    def results(self, chosen: Iterable[CellT]) -> list[Result]:
        """Return the results there are of these cells, of all shards."""
        played = self._played()
        return [played[name] for name in map(str, chosen) if name in played]

    def _played(self) -> dict[str, Result]:
        results: dict[str, Result] = {}
        for path in sorted(self._directory.glob("shard-*.json")):
            results |= _read(path)
        return results


def _read(path: Path) -> dict[str, Result]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def provenance() -> dict[str, str]:
    """Return when and on which commit a cell is played."""
    about = machine.describe()
    return {"date": about["date"], "commit": _commit(about)}


def _commit(about: dict[str, Any]) -> str:
    return (about["commit"] or "unknown")[:7]


def write_record(
    name: str, facts: dict[str, Any], cells: list[Result], markdown: Callable[[dict[str, Any]], str]
) -> None:
    """Write `docs/results/<name>.json` and `.md`.

    Args:
        name: Of the run, and of its `make` target.
        facts: What is said of the run beside date, commit, command and machine.
        cells: The results.
        markdown: Makes the page.
    """
    about = machine.describe()
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(about),
        "command": f"make {name.removeprefix('fault-')}",
        "machine": f"{about['cpu']}, {about['cores']} cores, {about['system']}, {about['python']}",
        **facts,
        "cells": cells,
    }
    _RESULTS.mkdir(parents=True, exist_ok=True)
    # Another shard may be at it.
    with (_RESULTS / f"{name}.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(json.dumps(record, indent=1) + "\n")
        (_RESULTS / f"{name}.md").write_text(markdown(record))
