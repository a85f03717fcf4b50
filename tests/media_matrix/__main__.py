"""`python -m tests.media_matrix`: plays the cells of `tests/interop/media_cells.py`, and keeps the record.

It can be split (`--shard 1/2`) and stopped: what has been played is in the state file and is not played again. A cell
that goes wrong is played once more, since machines are busy; that it was is in the record.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import itertools
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import asdict
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
from tests.shards import Shard, provenance, write_record

from .codecs import able, prepare
from .report import markdown

_LIMIT = 240.0
"""Seconds a cell may take in all."""
_OFF_LIMIT = 1.0
"""Seconds after the server's word in which layers nobody watches are off."""

_rooms = itertools.count(1)


def main() -> int:
    """Play what is asked for; the status is 1 when a cell is not as it has to be."""
    parser = argparse.ArgumentParser(prog="python -m tests.media_matrix", description=__doc__)
    shard: Shard[Cell] = Shard(parser, "media-matrix")
    prepare()
    codecs = tuple(codec for codec in FILM_CODECS if able(codec))
    chosen = list(all_cells(codecs))
    asyncio.run(_play_all(shard, chosen))
    results = shard.results(chosen)
    if shard.arguments.record:
        facts = {
            "versions": machine.describe()["versions"],
            "wanted": len(chosen),
            "codecs_missing": sorted(set(FILM_CODECS) - set(codecs)),
        }
        write_record("media-matrix", facts, results, markdown)
    wrong = [result for result in results if result["outcome"] == "wrong"]
    print(f"{len(results)} of {len(chosen)} cells, {len(wrong)} wrong")
    for result in wrong:
        print(f"  {'-'.join(result['cell'].values())}: {result['error']}")
    return 1 if wrong else 0


async def _play_all(shard: Shard[Cell], chosen: list[Cell]) -> None:
    cells = shard.to_play(chosen, lambda result: result["outcome"] == "wrong")
    with _parts() as parts:
        for number, cell in enumerate(cells, 1):
            result = await _play(cell, parts)
            shard.keep(cell, result)
            print(f"{number}/{len(cells)} {cell}: {result['outcome']} ({result['took']:.0f} s)", flush=True)


async def _play(cell: Cell, parts: _Parts) -> dict[str, Any]:
    result: dict[str, Any] = {"cell": asdict(cell), **provenance(), "tries": 0}
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


if __name__ == "__main__":
    sys.exit(main())
