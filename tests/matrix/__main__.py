"""`python -m tests.matrix`: plays cells in which every pair of values meets, and keeps the record.

It can be split (`--shard 1/2`) and stopped: what has been played is in the state file and is not played again. The
table is written when all shards that share a state directory are through, and each time before, as far as it goes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from aiolivekit.testing import EmbeddedServer, RealServer
from tests.shards import Shard, provenance, write_record

from .cells import Cell, all_cells, covering
from .play import Traffic, play
from .report import markdown
from .scenarios import SCENARIOS, makes_sense

_FULL = Traffic(count=10_000, pause=0.0)


def main() -> int:
    """Play what is asked for; the status is 1 when a cell is not as it has to be."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--messages", type=int, default=_FULL.count, help="numbered messages each way (%(default)s)")
    parser.add_argument("--tries", type=int, default=3, help="a cell is wrong if it goes wrong as often (%(default)s)")
    parser.add_argument("--all", action="store_true", help="every cell instead of the covering set")
    shard: Shard[Cell] = Shard(parser, "fault-matrix")
    arguments = shard.arguments
    os.environ["WRTC_ALLOW_LOOPBACK"] = "1"
    every = list(all_cells(list(SCENARIOS), makes_sense))
    chosen = every if arguments.all else covering(every)
    asyncio.run(_play_all(shard, chosen, Traffic(arguments.messages, _FULL.pause), arguments.tries))
    results = shard.results(chosen)
    if arguments.record:
        write_record("fault-matrix", {"wanted": len(chosen)}, results, markdown)
    wrong = [result for result in results if not result["ok"]]
    print(f"{len(results)} of {len(chosen)} cells played, {len(wrong)} wrong")
    for result in wrong:
        print(f"  {' | '.join(result['cell'].values())}: {result['error']}")
    return 1 if wrong else 0


async def _play_all(shard: Shard[Cell], chosen: list[Cell], traffic: Traffic, tries: int) -> None:
    cells = shard.to_play(chosen, lambda result: not result["ok"])
    with _servers() as servers:
        for number, cell in enumerate(cells, 1):
            result: dict[str, Any] = {}
            # All limits in a cell are times, and on a machine that does other work a cell may meet a standstill.
            for number_of_try in range(1, tries + 1):
                result = {**await _play_one(cell, servers, traffic), "tries": number_of_try}
                if result["ok"]:
                    break
                print(f"{number}/{len(cells)} {cell}: went wrong: {result['error']}", flush=True)
            shard.keep(cell, result)
            words = "ok" if result["ok"] else f"WRONG: {result['error']}"
            print(f"{number}/{len(cells)} {cell}: {words} ({result['took']:.0f} s)", flush=True)


async def _play_one(cell: Cell, servers: dict[str, Any], traffic: Traffic) -> dict[str, Any]:
    server = servers[cell.server]
    if SCENARIOS[cell.scenario].own_server:
        server = EmbeddedServer() if cell.server == "embedded" else RealServer()
        await asyncio.to_thread(server.start)
    began = time.monotonic()
    result: dict[str, Any] = {
        "cell": asdict(cell),
        "ok": True,
        **provenance(),
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


if __name__ == "__main__":
    sys.exit(main())
