"""`make interop`: the whole suite of the three clients, and what takes long (`heavy.py`).

What is not said otherwise goes to pytest, e.g. `--livekit-server=real --peer-mode=single`.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench import machine

_HERE = Path(__file__).resolve().parent
_RESULTS = _HERE.parents[1] / "docs" / "results" / "interop.md"


class Record:
    """Takes down what becomes of each test, and what it measures."""

    def __init__(self) -> None:
        self.outcomes: dict[str, list[str]] = {}
        self.figures: list[tuple[str, str, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test says."""
        if report.when == "call" or (report.when == "setup" and report.skipped):
            name, _, case = report.nodeid.rpartition("::")[2].partition("[")
            self.outcomes.setdefault(name, []).append(report.outcome)
            self.figures += [(case.rstrip("]"), str(what), str(value)) for what, value in report.user_properties]

    def markdown(self, command: str) -> str:
        """Return it as a page."""
        about = machine.describe()
        versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
        lines = [
            "# The three clients",
            "",
            "Ours, the official Python SDK and livekit-client in headless Chromium, both ways.",
            "",
            f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, commit {about['commit']}, on {about['cpu']}, {about['cores']} "
            f"cores; {versions}.",
            "",
            "| test | passed | failed | skipped |",
            "|---|---:|---:|---:|",
        ]
        for name, outcomes in self.outcomes.items():
            counts = (str(outcomes.count(outcome)) for outcome in ("passed", "failed", "skipped"))
            lines.append(f"| `{name}` | {' | '.join(counts)} |")
        lines += ["", "| sender, receiver, server | what | |", "|---|---|---:|"]
        lines += [f"| {case} | {what} | {value} |" for case, what, value in self.figures]
        return "\n".join(lines) + "\n"


def main() -> int:
    """Run it; return pytest's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    parser.add_argument("--record", action="store_true", help=f"write {_RESULTS.name}")
    parser.add_argument("--heavy", action="store_true", help="only what takes long")
    arguments, rest = parser.parse_known_args()
    record = Record()
    files = [str(_HERE / "heavy.py")] if arguments.heavy else [str(_HERE), str(_HERE / "heavy.py")]
    status = pytest.main([*files, "-p", "no:cacheprovider", *rest], plugins=[record])
    if arguments.record:
        options = " ".join([*(["--heavy"] if arguments.heavy else []), *rest])
        _RESULTS.write_text(record.markdown(f"python -m tests.interop --record {options}".rstrip()))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
