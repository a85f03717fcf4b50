"""`python -m bench`."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

from aiolivekit.testing import RealServer

from . import machine, report
from .drivers import CONTENDERS
from .runner import run
from .settings import MEASURES, Settings

_RESULTS = Path(__file__).resolve().parent / "results"
_MODULES = {"ours": "aiolivekit", "official": "livekit.rtc", "bare": "webrtc"}


def _names(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(known)}")
        return tuple(name for name in known if name in names)

    return parse


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare aiolivekit with its peers.")
    parser.add_argument("--only", type=_names(MEASURES), default=MEASURES, help=f"some of {','.join(MEASURES)}")
    parser.add_argument(
        "--contenders",
        type=_names(tuple(CONTENDERS)),
        default=tuple(CONTENDERS),
        help=f"some of {','.join(CONTENDERS)}",
    )
    parser.add_argument("--rounds", type=int, help="turns of each contender (5)")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all works")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a ratio is outside its limit")
    parser.add_argument("--output", type=Path, default=_RESULTS, help="directory of latest.json and latest.md")
    return parser.parse_args()


def main() -> int:
    """Measure, write the results and show the table; return the exit status."""
    arguments = _arguments()
    missing = [name for name in arguments.contenders if importlib.util.find_spec(_MODULES[name]) is None]
    if missing:
        print(f"not installed: {', '.join(f'{name} ({CONTENDERS[name]})' for name in missing)}", file=sys.stderr)
        return 2
    settings = Settings.quick() if arguments.quick else Settings()
    if arguments.rounds is not None:
        settings = dataclasses.replace(settings, rounds=max(1, arguments.rounds))
    about = {**machine.describe(), "settings": dataclasses.asdict(settings)}
    with RealServer(departure_timeout=1, empty_timeout=5) as server:
        samples, failures = asyncio.run(
            run(arguments.only, arguments.contenders, settings, server, lambda line: print(line, file=sys.stderr))
        )
    middle = report.medians(samples)
    failing = report.check(middle, arguments.only)
    table = report.plain(middle, arguments.contenders)
    results = {
        "about": about,
        "medians": middle,
        "outside_limits": failing,
        "failures": failures,
        "samples": samples,
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "latest.json").write_text(json.dumps(results, indent=1) + "\n")
    (arguments.output / "latest.md").write_text(report.markdown(middle, arguments.contenders, about))
    print(table)
    for failure in failures:
        print(f"failed: {failure.splitlines()[0]}", file=sys.stderr)
    if arguments.check:
        for line in failing:
            print(f"outside its limit: {line}", file=sys.stderr)
    return 1 if failures or (arguments.check and failing) else 0


if __name__ == "__main__":
    sys.exit(main())
