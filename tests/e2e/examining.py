"""An examination by `doctor` in the process of the test, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiolivekit.cli.doctor.address import Address
from aiolivekit.cli.doctor.examination import Credentials, examine
from aiolivekit.cli.doctor.findings import Check
from aiolivekit.server import DevServer
from aiolivekit.testing import access_token

from .sdk import DEADLINE

NAMES = ["DNS", "TCP", "TLS", "HTTP", "token", "clock", "WebSocket"]
NAMES += ["join", "data round trip", "ICE/UDP", "ICE/TCP", "codecs"]
SHORT = 5.0
"""Seconds a check may take that is meant to wait in vain."""


@dataclass
class Place:
    url: str
    api_key: str
    api_secret: str
    kind: str

    @property
    def key(self) -> Credentials:
        return Credentials(api_key=self.api_key, api_secret=self.api_secret)

    def token(self, identity: str = "ann", **claims: Any) -> Credentials:
        made = access_token(self.api_key, self.api_secret, identity, room="lab", **claims)
        return Credentials(made)


def place_of(server: DevServer) -> Place:
    return Place(server.url, server.api_key, server.api_secret, "embedded")


class Findings(dict[str, Check]):
    """The checks of one examination, by name."""

    def statuses(self, status: str) -> list[str]:
        return [name for name, check in self.items() if check.verdict.status == status]

    def needs(self, name: str) -> bool:
        """Whether everything that was skipped was skipped for the sake of this check."""
        return all(self[each].verdict.words == f"needs {name}" for each in self.statuses("skipped"))


async def look(url: str, credentials: Credentials, timeout: float = DEADLINE) -> Findings:
    told: list[Check] = []
    checks = await examine(Address.of(url), credentials, timeout, told.append)
    # Whatever happens, each check is listed, once and in its order.
    assert [check.name for check in checks] == NAMES
    assert told == checks
    return Findings({check.name: check for check in checks})
