"""`python -m transcripts`: exit status 1 when a difference is unexplained, an entry is stale or a scenario failed."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

# libwebrtc reads it at the first peer connection of the process; without it loopback has no candidates.
os.environ.setdefault("WRTC_ALLOW_LOOPBACK", "1")

from . import report
from .accepted import Accepted, read_accepted, stale_entries
from .runner import Result, play_all
from .scenarios import Scenario, load
from .servers import dev_server, real_server
from .stage import KITS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m transcripts", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="SCENARIO", help="play only this; repeatable")
    parser.add_argument("--kits", default="", help=f"some of {','.join(KITS)}")
    parser.add_argument("--at-once", type=int, default=3, help="how many scenarios are played at the same time (3)")
    parser.add_argument("--list", action="store_true", help="name the scenarios and do nothing")
    parser.add_argument("--dump", type=Path, help="directory for the normalised transcripts")
    parser.add_argument("--output", type=Path, help="directory for signalling.md and signalling.json")
    return parser.parse_args()


async def _run(plays: list[tuple[Scenario, str]], accepted: list[Accepted], at_once: int) -> list[Result]:
    async with real_server() as real, dev_server() as dev:
        return await play_all(
            real, dev, plays, accepted, at_once=at_once, progress=lambda r: print(report.line(r), flush=True)
        )


def main() -> int:
    """Play, compare, report; return the exit status."""
    arguments = _arguments()
    scenarios = load()
    if arguments.list:
        print("\n".join(f"{s.name} ({', '.join(s.kits)})" for s in scenarios.values()))
        return 0
    kits = arguments.kits.split(",") if arguments.kits else [*KITS]
    unknown = [name for name in arguments.only if name not in scenarios] + [k for k in kits if k not in KITS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; see --list", file=sys.stderr)
        return 2
    chosen = [s for s in scenarios.values() if not arguments.only or s.name in arguments.only]
    plays = [(s, kit) for s in chosen for kit in s.kits if kit in kits]
    complete = not arguments.only and not arguments.kits
    accepted = read_accepted()
    results = asyncio.run(_run(plays, accepted, arguments.at_once))
    stale = stale_entries(accepted) if complete else []
    if arguments.dump is not None:
        report.dump(results, arguments.dump)
    if arguments.output is not None:
        report.write(results, accepted, stale, arguments.output)
    print(report.details(results, stale))
    return 1 if stale or any(r.unexplained or r.failures for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
