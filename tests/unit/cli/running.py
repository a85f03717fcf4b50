"""Running the command line in the process of the tests."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from aiolivekit.cli import main

VARIABLES = ("LIVEKIT_URL", "LIVEKIT_TOKEN", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


class Cli:
    """Calls `main` as the console script does, without what the environment knows of servers."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)

    def __call__(self, *arguments: str) -> Done:
        self._capsys.readouterr()
        status = main(arguments)
        out, err = self._capsys.readouterr()
        return Done(status, out, err)
