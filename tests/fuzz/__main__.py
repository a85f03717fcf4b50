"""`python -m tests.fuzz`: coverage-guided fuzzing with atheris, which is installed for it (it is in no lock).

What it finds worth keeping goes into the corpus, which the unit tests replay. A defect is printed with the bytes that
show it, and they are kept beside the corpus as `crash-…`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from .one import CORPUS
from .targets import TARGETS

_RESULT = Path(__file__).resolve().parents[2] / "docs" / "results" / "fuzz.md"


def main() -> int:
    """Fuzz each target for its share of the time; the status is 1 when a defect was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"some of {', '.join(TARGETS)} (all)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="in all (an hour)")
    parser.add_argument("--jobs", type=int, default=1, help="targets fuzzed at a time (1)")
    parser.add_argument("--record", action="store_true", help="write the outcome to docs/results/fuzz.md")
    arguments = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        parser.exit(2, "atheris is missing: pip install atheris (Linux, CPython 3.11 or newer)\n")
    names = arguments.targets or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        parser.error(f"no such target: {', '.join(unknown)}")
    share = max(1, int(arguments.seconds / len(names)))
    with ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        rows = list(pool.map(lambda name: _run(name, share), names))
    print(json.dumps(rows, indent=1))
    if arguments.record:
        _RESULT.write_text(_page(rows, arguments.seconds))
    return int(any(row["defects"] for row in rows))


def _run(name: str, seconds: int) -> dict[str, object]:
    """Fuzz one target in a process of its own: what it leaks, or hangs in, is not the next one's."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz.one", name, str(seconds)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, errors="replace")
    rounds = re.findall(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    coverage = re.findall(r"cov: (\d+)", done.stderr)
    peak = re.findall(r"stat::peak_rss_mb:\s*(\d+)", done.stderr)
    if done.returncode:
        print(done.stderr[-4000:], file=sys.stderr)
    return {
        "target": name,
        "seconds": round(time.monotonic() - began),
        "inputs": int(rounds[-1]) if rounds else 0,
        "branches": int(coverage[-1]) if coverage else 0,
        "peak_mb": int(peak[-1]) if peak else 0,
        "corpus": len(list((CORPUS / name).iterdir())),
        "defects": int(done.returncode != 0),
    }


def _page(rows: list[dict[str, object]], seconds: float) -> str:
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    lines = [
        "# Fuzzing",
        "",
        f'`make fuzz FUZZ_ARGS="--seconds {seconds:g} --record"`, {datetime.now(UTC):%Y-%m-%d}, commit '
        f"{git.stdout.strip()}, CPython {platform.python_version()}.",
        "",
        "| target | seconds | inputs | branches | peak memory (MB) | corpus | defects |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *("| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
