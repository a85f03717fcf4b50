"""What came out, for people and for machines."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .accepted import Accepted
from .compare import Difference
from .names import Names
from .normalise import meaning
from .runner import Result

__all__ = ["details", "dump", "line", "write"]

_SHOWN = 200


def line(result: Result) -> str:
    """Return one result in a line."""
    return f"{result.scenario:32} {result.kit:16} {result.compared:5} messages  {result.verdict}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _difference(found: Difference) -> str:
    where = f"  [{found.step}] {found.identity}: {found.path}"
    return f"{where}\n    real: {_short(found.real)}\n    dev:  {_short(found.dev)}"


def details(results: Sequence[Result], stale: Sequence[str]) -> str:
    """Return what is unexplained, what failed and what is stale, and a summary."""
    lines: list[str] = []
    for result in results:
        if result.unexplained or result.failures:
            lines.append(f"{result.scenario} with {result.kit}")
            lines += [f"  {failure}" for failure in result.failures]
            lines += [_difference(found) for found in result.unexplained]
    lines += [f"accepted, but no longer found: {entry}" for entry in stale]
    compared = sum(result.compared for result in results)
    accepted = sum(len(result.accepted) for result in results)
    unexplained = sum(len(result.unexplained) for result in results)
    failed = sum(bool(result.failures) for result in results)
    lines.append(
        f"{len(results)} plays, {compared} messages compared, {accepted} accepted differences, "
        f"{unexplained} unexplained, {failed} failed, {len(stale)} stale entries"
    )
    return "\n".join(lines)


def dump(results: Sequence[Result], directory: Path) -> None:
    """Write each normalised transcript into a file, for reading side by side."""
    directory.mkdir(parents=True, exist_ok=True)
    for result in results:
        for name, (room, recording) in result.recordings.items():
            names = Names(recording.entries, room)
            lines = [
                f"[{e.step}] {e.identity}/{e.connection} {e.origin} {e.kind} "
                + json.dumps(meaning(e.body, e.kind, names, e.origin), sort_keys=True, ensure_ascii=False)
                for e in recording.entries
            ]
            stem = f"{result.scenario}-{result.kit}".replace(" ", "-")
            (directory / f"{stem}-{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    done = subprocess.run([git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or "unknown"


def write(results: Sequence[Result], accepted: Sequence[Accepted], stale: Sequence[str], directory: Path) -> None:
    """Write `signalling.json` and `signalling.md`; the first holds every difference, the second the table."""
    directory.mkdir(parents=True, exist_ok=True)
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "command": "make transcripts",
        "python": platform.python_version(),
        "system": platform.system(),
    }
    (directory / "signalling.json").write_text(
        json.dumps({"about": about, "stale": list(stale), "plays": [_play(r) for r in results]}, indent=1) + "\n",
        encoding="utf-8",
    )
    (directory / "signalling.md").write_text(_markdown(results, accepted, stale, about), encoding="utf-8")


def _play(result: Result) -> dict[str, Any]:
    def plain(found: Difference) -> dict[str, str]:
        return {
            "step": found.step,
            "identity": found.identity,
            "path": found.path,
            "real": _short(found.real),
            "dev": _short(found.dev),
        }

    return {
        "scenario": result.scenario,
        "clients": result.kit,
        "messages": result.compared,
        "verdict": result.verdict,
        "failures": result.failures,
        "unexplained": [plain(found) for found in result.unexplained],
        "accepted": dict(Counter(entry.reason for _, entry in result.accepted)),
    }


def _markdown(
    results: Sequence[Result], accepted: Sequence[Accepted], stale: Sequence[str], about: dict[str, str]
) -> str:
    kits = list(dict.fromkeys(result.kit for result in results))
    lines = [
        "# Signalling of the two servers, compared",
        "",
        f"{about['date']}, commit {about['commit']} and what was changed since, `{about['command']}`, "
        f"Python {about['python']}, {about['system']}.",
        "Each scenario is played on the real server and on the dev server through a recording proxy; the recordings",
        "are normalised (`transcripts/normalise.py`, `transcripts/streams.py`) and compared message by message, field",
        "by field. A cell says how many messages were compared and how many differences are accepted.",
        "",
        "| scenario | " + " | ".join(kits) + " |",
        "|---|" + "---|" * len(kits),
    ]
    for scenario in dict.fromkeys(result.scenario for result in results):
        cells = {r.kit: f"{r.compared}: {r.verdict}" for r in results if r.scenario == scenario}
        lines.append(f"| {scenario} | " + " | ".join(cells.get(kit, "") for kit in kits) + " |")
    lines += ["", details(results, stale).splitlines()[-1] + ".", "", "## Every difference left, and why", ""]
    lines += ["| where | how often | reason |", "|---|---|---|"]
    for entry in accepted:
        found = sum(known is entry for result in results for _, known in result.accepted)
        paths = "<br>".join(f"`{path}`" for path in entry.path)
        only = [", ".join(names) for names in (entry.scenarios, entry.kits, entry.steps) if names != ("*",)]
        where = paths + (f"<br>({'; '.join(only)})" if only else "")
        lines.append(f"| {where} | {found} | {entry.reason} |")
    return "\n".join(lines) + "\n"
