"""What a demo has found out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Check", "DemoResult"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked.

    Attributes:
        topic: What it belongs to: `text`, `tone`, `picture` or `room`.
        name: What was checked.
        passed: Whether it is as it should be.
        measured: What was found.
        wanted: What is asked for.
    """

    topic: str
    name: str
    passed: bool
    measured: str
    wanted: str


@dataclass(slots=True)
class DemoResult:
    """Everything a demo has to show.

    Attributes:
        server: What the participants met on.
        single_peer_connection: The negotiated mode.
        checks: What was checked, in order.
        numbers: What was measured without a limit, by name with its unit.
        conversation: Who wrote what, as it arrived.
        files: The pictures and sounds that were written.
        seconds: How long it took once the server was up.
    """

    server: str
    single_peer_connection: bool = True
    checks: list[Check] = field(default_factory=list)
    numbers: dict[str, str] = field(default_factory=dict)
    conversation: list[tuple[str, str]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "passed": self.passed,
            "server": self.server,
            "mode": self.mode,
            "seconds": round(self.seconds, 3),
            "checks": [
                {
                    "topic": check.topic,
                    "name": check.name,
                    "passed": check.passed,
                    "measured": check.measured,
                    "wanted": check.wanted,
                }
                for check in self.checks
            ],
            "numbers": self.numbers,
            "files": [str(path) for path in self.files],
        }

    @property
    def mode(self) -> str:
        """The negotiated mode in words."""
        return "one peer connection" if self.single_peer_connection else "two peer connections"
