"""`python -m tests.soak`: the long runs, and the record of what came of them in `docs/results`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.usage import raise_descriptor_limit

_RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"

RUNS = {
    "starts": "1,000 starts and stops in one process",
    "forwards": "15,000 forwards a second",
    "hostile": "Hostile input",
    "loss": "5% loss each way",
    "five": "Five participants",
    "first_join": "From start to first join",
    "faults": "Random faults",
    "random_loss": "5% random loss on the link",
    "audio": "Ten minutes of sound",
}


def main() -> int:
    """Run what is asked for; the status is 1 when one of the runs is not well."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="run", help=f"some of {', '.join(RUNS)} (all)")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes, to see that all works")
    parser.add_argument("--record", action="store_true", help="write the outcome to docs/results/soak.json and .md")
    parser.add_argument("--note", default="", help="what a reader of the record should know of this run")
    arguments = parser.parse_args()
    # Before libwebrtc is loaded: test traffic stays on loopback, whatever becomes of the machine's other interfaces.
    os.environ["WRTC_ALLOW_LOOPBACK"] = "1"
    unknown = [name for name in arguments.names if name not in RUNS]
    if unknown:
        parser.error(f"no such run: {', '.join(unknown)}")
    raise_descriptor_limit()
    well = True
    for name in arguments.names or RUNS:
        print(f"{name}: {RUNS[name]}", file=sys.stderr)
        # Imported one by one: each needs other packages.
        module = importlib.import_module(f"tests.soak.{name}")
        outcome = asyncio.run(module.run(quick=arguments.quick))
        well = well and outcome["ok"]
        print(json.dumps({name: outcome}, indent=1))
        if arguments.record:
            _record(name, outcome, arguments.note)
    return 0 if well else 1


def _record(name: str, outcome: dict[str, Any], note: str) -> None:
    path = _RESULTS / "soak.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    about = machine.describe()
    results[name] = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": (about["commit"] or "unknown")[:7],
        "command": f"python -m tests.soak {name} --record",
        "note": note,
        "machine": f"{about['cpu']}, {about['cores']} cores, {about['system']}, {about['python']}",
        "load_average": about["load_average"],
        "outcome": outcome,
    }
    _RESULTS.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    (_RESULTS / "soak.md").write_text(_markdown(results))


def _markdown(results: dict[str, Any]) -> str:
    lines = ["# Long runs of the dev server", "", "`make soak`; the same figures are in `soak.json`.", ""]
    for name, title in RUNS.items():
        if name not in results:
            continue
        result = results[name]
        lines += [
            f"## {title}",
            "",
            f"`{result['command']}`, {result['date']}, commit {result['commit']}, on {result['machine']}. "
            f"{result.get('note', '')}".rstrip(),
            "",
            *_rows(result["outcome"]),
            "",
        ]
    return "\n".join(lines)


def _rows(outcome: dict[str, Any]) -> list[str]:
    nested = {key: value for key, value in outcome.items() if isinstance(value, dict)}
    plain = {key: value for key, value in outcome.items() if key not in nested}
    lines = ["|  |  |", "|---|---|"]
    lines += [f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in plain.items()]
    for key, values in nested.items():
        lines.append(f"| {key.replace('_', ' ')} | " + ", ".join(f"{k}: {_cell(v)}" for k, v in values.items()) + " |")
    return lines


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(each) for each in value) or "none"
    return f"{value:,}" if isinstance(value, int | float) else str(value).replace("_", " ").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main())
