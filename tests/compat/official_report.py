"""How the official SDK's tests ended with either package, for people."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata

from tests.compat.official_excluded import reason_for

__all__ = ["OFFICIAL", "OURS", "Outcome", "Run", "markdown"]

OURS, OFFICIAL = "ours", "official"

_RESULTS = ("passed", "failed", "skipped")


@dataclass
class Outcome:
    """How a test ended.

    Args:
        name: `file::test[case]`.
        result: `passed`, `failed` or `skipped`.
        seconds: How long it took.
        detail: What it failed with, or why it was skipped.
        tries: How often it was run. What fails is run again by itself, with either package: the tests count frames
            and wait for seconds, which a busy machine does not always grant.
    """

    name: str
    result: str
    seconds: float
    detail: str = ""
    tries: int = 1

    @property
    def shown(self) -> str:
        """The result for people."""
        return self.result if self.tries == 1 else f"{self.result} (try {self.tries})"


@dataclass
class Run:
    """All outcomes with one package."""

    package: str
    seconds: float
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def count(self, result: str) -> int:
        """Return how many tests ended so."""
        return sum(outcome.result == result for outcome in self.outcomes.values())


def markdown(runs: Mapping[str, Run], version: str, commit: str) -> str:
    """Return the outcomes as a document.

    Args:
        runs: Those with either package.
        version: Of the tests.
        commit: What was tested.
    """
    names = sorted({name for run in runs.values() for name in run.outcomes})
    excluded = [name for name in names if reason_for(name) is not None]
    failed = [name for name in names if name not in excluded and any(_failed(run, name) for run in runs.values())]
    columns = " | ".join(runs)
    lines = [
        "# The official SDK's own tests",
        "",
        f"`make official-tests CHECKOUT=…`, {time.strftime('%Y-%m-%d', time.gmtime())}, commit {commit}: the tests of",
        f"`livekit/python-sdks` at {version}, with livekit {metadata.version('livekit')} and, through the",
        "drop-in, with ours, against one real server. The recordings that tests of resampling and processing read are",
        "synthesised, as a checkout has only pointers to them; for H.264 ours has an OpenH264 built from source. What",
        "fails is run again by itself, with either package, up to twice.",
        "",
        f"| | {columns} |",
        "|---|" + "---:|" * len(runs),
        *(
            _row(result, [str(run.count(result)) for run in runs.values()])
            for result in ("passed", "failed", "skipped")
        ),
        _row("seconds", [f"{run.seconds:.0f}" for run in runs.values()]),
        "",
        f"Of the tests, {len(excluded)} are about the insides of the FFI; they are not run with ours (see below).",
        "",
        "## What fails",
        "",
        *([f"- `{name}`" for name in failed] or ["Nothing."]),
        "",
        "## Every test",
        "",
        f"| test | {columns} |",
        "|---|" + "---|" * len(runs),
        *(_row(f"`{name}`", [_cell(run, name) for run in runs.values()]) for name in names),
        "",
        "## Not run with ours",
        "",
    ]
    by_reason: dict[str, list[str]] = {}
    for name in excluded:
        by_reason.setdefault(str(reason_for(name)), []).append(f"`{name}`")
    lines += [f"- It {reason}: {', '.join(members)}." for reason, members in by_reason.items()]
    return "\n".join(lines) + "\n"


def _row(first: str, cells: list[str]) -> str:
    return f"| {first} | {' | '.join(cells)} |"


def _failed(run: Run, name: str) -> bool:
    return name in run.outcomes and run.outcomes[name].result == "failed"


def _cell(run: Run, name: str) -> str:
    if run.package == OURS and reason_for(name) is not None:
        return "not run"
    outcome = run.outcomes.get(name)
    if outcome is None:
        return "–"
    return f"**{outcome.shown}**" if outcome.result == "failed" else outcome.shown
