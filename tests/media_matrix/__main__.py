"""`python -m tests.media_matrix`: plays the cells of `tests/interop/media_cells.py`, and keeps the record.

It can be split (`--shard 1/2`) and stopped: what has been played is in the state file and is not played again. A cell
that goes wrong is played once more, since machines are busy; that it was is in the record.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import importlib
import itertools
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# libwebrtc reads it at the first peer connection of the process; without it loopback has no candidates.
os.environ["WRTC_ALLOW_LOOPBACK"] = "1"

from bench import machine

from aiolivekit.testing import EmbeddedServer, RealServer
from aiolivekit.testing.plugin import LiveKitServer
from tests import official_audio
from tests.interop.checks import CHECKS
from tests.interop.chromium import Chromium
from tests.interop.conftest import Stage
from tests.interop.media_cells import FILM_CODECS, Cell, all_cells
from tests.interop.scene import Scene

from .codecs import able, prepare
from .report import markdown

_ROOT = Path(__file__).resolve().parents[2]
_RESULTS = _ROOT / "docs" / "results"
_LIMIT = 240.0
"""Seconds a cell may take in all."""
_OFF_LIMIT = 1.0
"""Seconds after the server's word in which layers nobody watches are off."""

_rooms = itertools.count(1)


def main() -> int:
    """Play what is asked for; the status is 1 when a cell is not as it has to be."""
    parser = argparse.ArgumentParser(prog="python -m tests.media_matrix", description=__doc__)
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="play every Nth cell, from the Ith")
    parser.add_argument("--only", default="", metavar="TEXT", help="the cells whose names contain all of these words")
    parser.add_argument("--state", type=Path, default=_ROOT / "build" / "media-matrix", help="where the state is kept")
    parser.add_argument("--fresh", action="store_true", help="forget what this shard has played before")
    parser.add_argument("--again", action="store_true", help="play again what went wrong before")
    parser.add_argument("--record", action="store_true", help="write docs/results/media-matrix.md and .json")
    arguments = parser.parse_args()
    index, _, count = arguments.shard.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        parser.error("--shard is I/N, from 1/N to N/N")
    prepare()
    codecs = tuple(codec for codec in FILM_CODECS if able(codec))
    chosen = list(all_cells(codecs))
    mine = [
        cell
        for cell in chosen[int(index) - 1 :: int(count)]
        if all(word in str(cell) for word in arguments.only.split())
    ]
    arguments.state.mkdir(parents=True, exist_ok=True)
    state = arguments.state / f"shard-{index}-of-{count}.json"
    if arguments.fresh:
        state.unlink(missing_ok=True)
    asyncio.run(_play_all(mine, state, again=arguments.again))
    played = _merged(arguments.state)
    results = {name: played[name] for name in map(str, chosen) if name in played}
    if arguments.record:
        _record(results, len(chosen), sorted(set(FILM_CODECS) - set(codecs)))
    wrong = [result for result in results.values() if result["outcome"] == "wrong"]
    print(f"{len(results)} of {len(chosen)} cells, {len(wrong)} wrong")
    for result in wrong:
        print(f"  {'-'.join(result['cell'].values())}: {result['error']}")
    return 1 if wrong else 0


async def _play_all(cells: list[Cell], state: Path, *, again: bool) -> None:
    done = _read(state)
    before_us = _merged(state.parent)
    with _parts() as parts:
        for number, cell in enumerate(cells, 1):
            before = before_us.get(str(cell))
            if before is not None and (before["outcome"] != "wrong" or not again):
                continue
            result = await _play(cell, parts)
            done[str(cell)] = result
            state.with_suffix(".new").write_text(json.dumps(done, indent=1))
            state.with_suffix(".new").replace(state)
            print(f"{number}/{len(cells)} {cell}: {result['outcome']} ({result['took']:.0f} s)", flush=True)


async def _play(cell: Cell, parts: _Parts) -> dict[str, Any]:
    about = machine.describe()
    result: dict[str, Any] = {
        "cell": asdict(cell),
        "date": about["date"],
        "commit": (about["commit"] or "unknown")[:7],
        "tries": 0,
    }
    began = time.monotonic()
    if cell.left_out is not None:
        return result | {"outcome": "left out", "error": cell.left_out, "took": 0.0}
    while result["tries"] < 2:
        result["tries"] += 1
        try:
            async with asyncio.timeout(_LIMIT):
                facts = await _play_once(cell, parts)
        except Exception as error:  # noqa: BLE001 - the record says what went wrong, and the next cell is played
            words = str(error) or traceback.extract_tb(error.__traceback__)[-1].line or ""
            result |= {"outcome": "wrong", "error": f"{type(error).__name__}: {words}"[:600]}
            traceback.print_exc()
        else:
            result |= {"outcome": "ok", "facts": facts, "error": ""}
            break
    return result | {"took": round(time.monotonic() - began, 1)}


async def _play_once(cell: Cell, parts: _Parts) -> dict[str, Any]:
    room = f"media-{os.getpid()}-{next(_rooms)}"
    with ExitStack() as servers:
        server = servers.enter_context(EmbeddedServer(room=room)) if cell.server == "embedded" else parts.real
        try:
            async with AsyncExitStack() as exits:
                stage = Stage(LiveKitServer(server, room), single=cell.mode == "single", request=parts, exits=exits)
                facts = await CHECKS[cell.behaviour](Scene(stage, cell), cell)
        finally:
            official_audio.take_back()
    late = [seconds for seconds in facts.get("off_seconds", ()) if seconds > _OFF_LIMIT]
    assert not late, f"layers nobody watches were sent for {late} s more"
    return facts


class _Parts:
    """What the cells share, by the names of pytest's fixtures."""

    def __init__(self, real: RealServer, chromium: Chromium) -> None:
        self.real = real
        self._parts = {"official": importlib.import_module("livekit.rtc"), "chromium": chromium}
        official_audio.keep()

    def getfixturevalue(self, name: str) -> Any:
        return self._parts[name]


@contextmanager
def _parts() -> Iterator[_Parts]:
    with RealServer() as real, Chromium() as chromium:
        yield _Parts(real, chromium)


def _read(state: Path) -> dict[str, Any]:
    return dict(json.loads(state.read_text())) if state.exists() else {}


def _merged(directory: Path) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for path in sorted(directory.glob("shard-*.json")):
        results |= _read(path)
    return dict(sorted(results.items()))


def _record(results: dict[str, Any], wanted: int, missing: list[str]) -> None:
    about = machine.describe()
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": (about["commit"] or "unknown")[:7],
        "command": "make media-matrix",
        "machine": f"{about['cpu']}, {about['cores']} cores, {about['system']}, {about['python']}",
        "versions": about["versions"],
        "wanted": wanted,
        "codecs_missing": missing,
        "cells": list(results.values()),
    }
    _RESULTS.mkdir(parents=True, exist_ok=True)
    # Another shard may be at it.
    with (_RESULTS / "media-matrix.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(json.dumps(record, indent=1) + "\n")
        (_RESULTS / "media-matrix.md").write_text(markdown(record))


if __name__ == "__main__":
    sys.exit(main())
