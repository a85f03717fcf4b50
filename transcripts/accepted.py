"""The list of accepted differences, and how the found ones are matched with it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from .compare import Difference

__all__ = ["ACCEPTED_FILE", "Accepted", "AcceptedFileError", "read_accepted", "stale_entries"]

ACCEPTED_FILE = Path(__file__).with_name("accepted.toml")


class AcceptedFileError(ValueError):
    """The file of accepted differences is wrong."""


@dataclass
class Accepted:
    """A difference that stays, and why.

    Args:
        path: Patterns of `Difference.path` (shell style; `*` also crosses dots).
        reason: Why it stays.
        scenarios: Patterns of the scenarios it is expected in.
        kits: Patterns of the clients it is expected with.
        steps: Patterns of the steps.
        sometimes: Whether it comes of a race, so that a run without it means nothing.
        seen: In how many plays it was found.
    """

    path: tuple[str, ...]
    reason: str
    scenarios: tuple[str, ...] = ("*",)
    kits: tuple[str, ...] = ("*",)
    steps: tuple[str, ...] = ("*",)
    sometimes: bool = False
    seen: int = field(default=0, compare=False)

    def covers(self, scenario: str, kit: str, difference: Difference) -> bool:
        """Whether a difference is this one."""
        return (
            _any(self.path, difference.path)
            and _any(self.scenarios, scenario)
            and _any(self.kits, kit)
            and _any(self.steps, difference.step)
        )


def _any(patterns: Iterable[str], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _strings(entry: dict[str, object], name: str) -> tuple[str, ...]:
    value = entry.get(name, ["*"])
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(v, str) and v for v in values):
        raise AcceptedFileError(f"{name} of {entry.get('path')!r} is no text and no list of texts")
    return tuple(values)


def read_accepted(path: Path = ACCEPTED_FILE) -> list[Accepted]:
    """Return the accepted differences; raises `AcceptedFileError` for one without a path or a reason."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("difference", [])
    except tomllib.TOMLDecodeError as error:
        raise AcceptedFileError(str(error)) from error
    accepted = []
    for entry in entries:
        unknown = set(entry) - {"path", "reason", "scenarios", "kits", "steps", "sometimes"}
        reason = entry.get("reason")
        if unknown or "path" not in entry or not isinstance(reason, str) or not reason.strip():
            raise AcceptedFileError(f"needs a path and a reason, and knows no {sorted(unknown)}: {entry}")
        accepted.append(
            Accepted(
                _strings(entry, "path"),
                " ".join(reason.split()),
                _strings(entry, "scenarios"),
                _strings(entry, "kits"),
                _strings(entry, "steps"),
                entry.get("sometimes", False) is True,
            )
        )
    return accepted


def stale_entries(accepted: Iterable[Accepted]) -> list[str]:
    """Return the entries that a complete run did not need, each in a line."""
    return [f"{' '.join(entry.path)}: {entry.reason}" for entry in accepted if not (entry.seen or entry.sometimes)]
