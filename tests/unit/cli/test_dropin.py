"""`aiolivekit dropin`, on a site directory of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiolivekit.compat.overlay import FILE_NAME, SWITCH

from .running import Cli


def test_install_status_remove(cli: Cli, tmp_path: Path) -> None:
    site = ("--site", str(tmp_path))
    assert "not installed\n" in cli("dropin", "status", *site).out
    done = cli("dropin", "install", *site)
    assert (done.status, done.out) == (0, f"installed: {tmp_path / FILE_NAME}\n")
    assert f"installed: {tmp_path / FILE_NAME}\n" in cli("dropin", "status", *site).out
    assert cli("dropin", "remove", *site).out == "removed\n"
    assert list(tmp_path.iterdir()) == []
    done = cli("dropin", "remove", *site)
    assert (done.status, done.out) == (0, "it was not installed\n")


def test_status_as_json(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")
    told = json.loads(cli("dropin", "status", "--site", str(tmp_path), "--json").out)
    assert told["file"] == str(tmp_path / FILE_NAME)
    assert (told["installed"], told["stale"], told["switched_off"], told["in_use"]) == (False, False, True, False)
    assert "switched off for this process" in cli("dropin", "status", "--site", str(tmp_path)).out


def test_what_goes_wrong_is_said(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("somebody's\n")
    for command in ("install", "remove"):
        done = cli("dropin", command, "--site", str(tmp_path))
        assert done.status == 1
        assert "left alone" in done.err
    assert "leads to another place" in cli("dropin", "status", "--site", str(tmp_path)).out
    done = cli("dropin", "install", "--site", str(tmp_path / "missing"))
    assert done.status == 2
    assert "does not exist" in done.err
