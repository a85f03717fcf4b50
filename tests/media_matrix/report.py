"""The table of the media matrix, for people."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

__all__ = ["markdown"]

_SIGNS = {"ok": "✓", "wrong": "**wrong**", "left out": "–"}


def markdown(record: dict[str, Any]) -> str:
    """Return the record as Markdown."""
    cells = record["cells"]
    commits = sorted({each["commit"] for each in cells})
    count = {outcome: sum(each["outcome"] == outcome for each in cells) for outcome in _SIGNS}
    twice = [each for each in cells if each["tries"] > 1 and each["outcome"] == "ok"]
    lines = [
        "# Media matrix",
        "",
        f"`{record['command']}`, {record['date']}, commit {', '.join(commits)}, on {record['machine']}; "
        f"{_versions(record['versions'])}, livekit-client in headless Chromium.",
        "",
        f"{len(cells)} of {record['wanted']} cells: {count['ok']} as they have to be ({len(twice)} of them at the "
        f"second try), {count['wrong']} wrong, {count['left out']} left out, since the other client does not do it. "
        "What each behaviour checks is in `tests/interop/video_checks.py`, `audio_checks.py` and `common_checks.py`: "
        "pictures by the number and the film's mark in bars on each of them, by colour and size; sounds by frequency, "
        "purity, loudness and gaps. The same cells with their figures are in `media-matrix.json`.",
        "",
    ]
    if record["codecs_missing"]:
        lines += [f"Not there on this machine: {', '.join(record['codecs_missing'])}.", ""]
    lines += ["A row is publisher → subscriber; `real 1` is the real server with one peer connection.", ""]
    places = [(server, mode) for server in ("real", "embedded") for mode in ("single", "dual")]
    head = [f"{server} {1 if mode == 'single' else 2}" for server, mode in places]
    lines += [
        f"| behaviour | codec | clients | {' | '.join(head)} |",
        f"|---|---|---|{':-:|' * len(head)}",
    ]
    rows: defaultdict[tuple[str, str], dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    alike = {each["cell"]["behaviour"] for each in cells} - {"plain", "layers", "sound", "stereo", "dtx", "red"}
    for each in cells:
        cell = each["cell"]
        turns = cell["behaviour"] in alike
        key = (cell["behaviour"], "in turn" if turns else cell["codec"])
        clients = f"{cell['publisher']} → {cell['subscriber']}"
        sign = _SIGNS[each["outcome"]] + (f" {cell['codec']}" if turns and each["outcome"] != "left out" else "")
        rows[(*key, clients)][(cell["server"], cell["mode"])].append(sign)  # type: ignore[index]
    for key, found in rows.items():
        lines.append(f"| {' | '.join(key)} | {' | '.join(', '.join(found[place]) for place in places)} |")
    lines += _remarks("Went wrong", [each for each in cells if each["outcome"] == "wrong"])
    lines += _remarks("Left out", [each for each in cells if each["outcome"] == "left out"])
    lines += _dynacast(cells)
    return "\n".join(lines) + "\n"


def _versions(versions: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def _remarks(title: str, cells: list[dict[str, Any]]) -> list[str]:
    if not cells:
        return []
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for each in cells:
        reasons[each["error"]].append("-".join(each["cell"].values()))
    return ["", f"## {title}", "", *(f"- {reason}: {', '.join(names)}" for reason, names in reasons.items())]


def _dynacast(cells: list[dict[str, Any]]) -> list[str]:
    seconds = [second for each in cells for second in each.get("facts", {}).get("off_seconds", ())]
    if not seconds:
        return []
    return [
        "",
        "## Dynacast",
        "",
        f"{len(seconds)} times layers of ours were switched off because nobody of three watched them any more: "
        f"{min(seconds):.2f} to {max(seconds):.2f} s after the server's word. The server itself waits five seconds "
        "before it says so (its `dynacast_pause_delay`).",
    ]
