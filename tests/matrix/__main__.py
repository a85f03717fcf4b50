"""`python -m tests.matrix`: plays cells in which every pair of values meets, and keeps the record.

It can be split (`--shard 1/2`) and stopped: what has been played is in the state file and is not played again. The
table is written when all shards that share a state directory are through, and each time before, as far as it goes.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine

from aiolivekit.testing import EmbeddedServer, RealServer

from .cells import Cell, all_cells, covering
from .play import Traffic, play
from .report import markdown
from .scenarios import SCENARIOS, makes_sense

_ROOT = Path(__file__).resolve().parents[2]
_RESULTS = _ROOT / "docs" / "results"
_FULL = Traffic(count=10_000, pause=0.0)


def main() -> int:
    """Play what is asked for; the status is 1 when a cell is not as it has to be."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="play every Nth cell, from the Ith")
    parser.add_argument("--messages", type=int, default=_FULL.count, help="numbered messages each way (%(default)s)")
    parser.add_argument("--tries", type=int, default=3, help="a cell is wrong if it goes wrong as often (%(default)s)")
    parser.add_argument("--all", action="store_true", help="every cell instead of the covering set")
    parser.add_argument("--only", default="", metavar="TEXT", help="the cells whose names contain all of these words")
    parser.add_argument("--state", type=Path, default=_ROOT / "build" / "fault-matrix", help="where the state is kept")
    parser.add_argument("--fresh", action="store_true", help="forget what this shard has played before")
    parser.add_argument("--again", action="store_true", help="play again what went wrong before")
    parser.add_argument("--record", action="store_true", help="write docs/results/fault-matrix.md and .json")
    arguments = parser.parse_args()
    index, _, count = arguments.shard.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        parser.error("--shard is I/N, from 1/N to N/N")
    os.environ["WRTC_ALLOW_LOOPBACK"] = "1"
    every = list(all_cells(list(SCENARIOS), makes_sense))
    chosen = every if arguments.all else covering(every)
    words = arguments.only.split()
    mine = [cell for cell in chosen[int(index) - 1 :: int(count)] if all(word in str(cell) for word in words)]
    arguments.state.mkdir(parents=True, exist_ok=True)
    state = arguments.state / f"shard-{index}-of-{count}.json"
    if arguments.fresh:
        state.unlink(missing_ok=True)
    traffic = Traffic(arguments.messages, _FULL.pause)
    asyncio.run(_play_all(mine, state, traffic, again=arguments.again, tries=arguments.tries))
    played = _merged(arguments.state)
    results = {name: played[name] for name in map(str, chosen) if name in played}
    if arguments.record:
        _record(results, len(chosen))
    wrong = [result for result in results.values() if not result["ok"]]
    print(f"{len(results)} of {len(chosen)} cells played, {len(wrong)} wrong")
    for result in wrong:
        print(f"  {' | '.join(result['cell'].values())}: {result['error']}")
    return 1 if wrong else 0


async def _play_all(cells: list[Cell], state: Path, traffic: Traffic, *, again: bool, tries: int) -> None:
    done = _read(state)
    # Another shard, or other shards of an earlier run, may have played it.
    before_us = _merged(state.parent)
    with _servers() as servers:
        for number, cell in enumerate(cells, 1):
            result: dict[str, Any] = {}
            before = before_us.get(str(cell))
            if before is not None and (before["ok"] or not again):
                continue
            # All limits in a cell are times, and on a machine that does other work a cell may meet a standstill.
            for number_of_try in range(1, tries + 1):
                result = {**await _play_one(cell, servers, traffic), "tries": number_of_try}
                if result["ok"]:
                    break
                print(f"{number}/{len(cells)} {cell}: went wrong: {result['error']}", flush=True)
            done[str(cell)] = result
            state.with_suffix(".new").write_text(json.dumps(done, indent=1))
            state.with_suffix(".new").replace(state)
            words = "ok" if result["ok"] else f"WRONG: {result['error']}"
            print(f"{number}/{len(cells)} {cell}: {words} ({result['took']:.0f} s)", flush=True)


async def _play_one(cell: Cell, servers: dict[str, Any], traffic: Traffic) -> dict[str, Any]:
    server = servers[cell.server]
    if SCENARIOS[cell.scenario].own_server:
        server = EmbeddedServer() if cell.server == "embedded" else RealServer()
        await asyncio.to_thread(server.start)
    about = machine.describe()
    began = time.monotonic()
    result: dict[str, Any] = {
        "cell": asdict(cell),
        "ok": True,
        "date": about["date"],
        "commit": (about["commit"] or "unknown")[:7],
        "messages": traffic.count,
    }
    try:
        result["outcome"] = asdict(await play(cell, server, traffic))
    except Exception as error:  # noqa: BLE001 - the record says what went wrong, and the next cell is played
        result |= {"ok": False, "error": f"{type(error).__name__}: {error}"[:500]}
        traceback.print_exc()
    finally:
        if server is not servers[cell.server]:
            await asyncio.to_thread(server.stop)
    return result | {"took": round(time.monotonic() - began, 1)}


@contextmanager
def _servers() -> Iterator[dict[str, Any]]:
    with RealServer() as real, EmbeddedServer() as embedded:
        yield {"real": real, "embedded": embedded}


def _read(state: Path) -> dict[str, Any]:
    return dict(json.loads(state.read_text())) if state.exists() else {}


def _merged(directory: Path) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for path in sorted(directory.glob("shard-*.json")):
        results |= _read(path)
    return dict(sorted(results.items()))


def _record(results: dict[str, Any], wanted: int) -> None:
    about = machine.describe()
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": (about["commit"] or "unknown")[:7],
        "command": "make matrix",
        "machine": f"{about['cpu']}, {about['cores']} cores, {about['system']}, {about['python']}",
        "wanted": wanted,
        "cells": list(results.values()),
    }
    _RESULTS.mkdir(parents=True, exist_ok=True)
    # Another shard may be at it.
    with (_RESULTS / "fault-matrix.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(json.dumps(record, indent=1) + "\n")
        (_RESULTS / "fault-matrix.md").write_text(markdown(record))


if __name__ == "__main__":
    sys.exit(main())
