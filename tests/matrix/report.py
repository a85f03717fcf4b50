"""The table of the matrix, for people."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

__all__ = ["markdown"]


def markdown(record: dict[str, Any]) -> str:
    """Return the record as Markdown."""
    cells = record["cells"]
    wrong = [each for each in cells if not each["ok"]]
    commits = sorted({each["commit"] for each in cells})
    lines = [
        "# Fault matrix",
        "",
        f"`{record['command']}`, {record['date']}, commit {', '.join(commits) or record['commit']}, on "
        f"{record['machine']}. {len(cells)} of the {record['wanted']} cells of a set in which every pair of values of "
        f"scenario, moment, role, server and mode meets; {len(wrong)} went wrong. What each cell checks is in "
        "`tests/matrix/play.py`; the same figures are in `fault-matrix.json`.",
        "",
        "Each row is a scenario over all its cells. *Back* is the time from the fault until both participants were "
        "connected and saw each other, shortest to longest; it includes what the scenario itself takes. *Missing* "
        "counts plain reliable messages sent to, or by, who had to join again: each was told to its sender, or sent "
        "while its receiver was out of the room.",
        "",
        "| scenario | cells | ok | sessions kept / new / ended | back, s | messages | missing |",
        "|---|--:|--:|---|---|--:|--:|",
    ]
    if again := [each for each in cells if each["ok"] and each.get("tries", 1) > 1]:
        lines[4] += (
            f" {len(again)} went right when they were played again, the machine being busy with other work: a cell is "
            "wrong if it goes wrong each time."
        )
    by_scenario: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in cells:
        by_scenario[each["cell"]["scenario"]].append(each)
    lines += [_row(scenario, found) for scenario, found in by_scenario.items()]
    if wrong:
        lines += ["", "## What went wrong", ""]
        lines += [f"- {' | '.join(each['cell'].values())}: {each['error']}" for each in wrong]
    lines += [
        "",
        "## The cells",
        "",
        "| scenario | moment | role | server | mode | ended as |",
        "|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(each['cell'].values())} | {_end(each)} |" for each in cells]
    return "\n".join(lines) + "\n"


def _row(scenario: str, cells: list[dict[str, Any]]) -> str:
    outcomes = [each["outcome"] for each in cells if each["ok"]]
    back = [each["seconds"] for each in outcomes if not each["ended"]]
    accounts = [account for each in outcomes for account in each["data"].values()]
    kinds = [sum(1 for each in outcomes if each["sessions"] == kind) for kind in ("kept", "new")]
    ended = sum(1 for each in outcomes if each["ended"])
    times = f"{min(back):.2f} – {max(back):.2f}" if back else ""
    sent, missing = (sum(account[name] for account in accounts) for name in ("sent", "missing"))
    return (
        f"| {scenario} | {len(cells)} | {len(outcomes)} | {kinds[0]} / {kinds[1]} / {ended} | {times} | {sent:,} "
        f"| {missing:,} |"
    )


def _end(result: dict[str, Any]) -> str:
    if not result["ok"]:
        return "**wrong**"
    outcome = result["outcome"]
    if outcome["ended"]:
        return str(outcome["ended"])
    return f"session {outcome['sessions']}, {outcome['seconds']:.2f} s"
