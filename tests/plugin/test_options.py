"""Which server tests run on: `--livekit-server`, and what is found on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from .strangers import project, run

PLAIN = "def test_it(livekit_server): pass\n"


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine without a real server."""
    return {"AIOLIVEKIT_CACHE": str(tmp_path / "cache"), "PATH": str(tmp_path / "nothing")}


@pytest.mark.parametrize(
    ("chosen", "ids"), [("both", ["embedded", "real"]), ("embedded", ["embedded"]), ("real", ["real"])]
)
def test_the_server_can_be_chosen(tmp_path: Path, chosen: str, ids: list[str]) -> None:
    printed = run(project(tmp_path, PLAIN), "--collect-only", "-q", f"--livekit-server={chosen}")
    assert [line for line in printed.splitlines() if "::" in line] == [f"test_it.py::test_it[{each}]" for each in ids]


def test_a_real_server_is_taken_where_it_is_to_be_had(
    tmp_path: Path, server_binary: Path, bare: dict[str, str]
) -> None:
    test = project(tmp_path, "def test_it(livekit_server): print(livekit_server.kind, 'it is')\n")
    printed = run(test, "-s", **bare | {"AIOLIVEKIT_LIVEKIT_SERVER": str(server_binary)})
    assert "embedded it is" in printed, printed
    assert "real it is" in printed, printed
    assert "2 passed" in printed, printed


def test_a_real_server_is_never_built(tmp_path: Path, bare: dict[str, str]) -> None:
    test = project(tmp_path, PLAIN)
    called = tmp_path / "called"
    go = tmp_path / "nothing" / "go"
    go.parent.mkdir()
    go.write_text(f"#!/bin/sh\necho > {called}\nexit 1\n")
    go.chmod(0o755)
    printed = run(test, **bare)
    assert "1 passed" in printed, printed
    printed = run(test, "--livekit-server=real", **bare)
    assert "1 skipped" in printed, printed
    assert "neither on the PATH nor in the cache" in printed, printed
    printed = run(test, "--livekit-server=both", CI="true", **bare)
    assert "1 passed, 1 error" in printed, printed
    assert "because CI is set" in printed, printed
    assert not called.exists()


def test_a_binary_that_is_named_and_wrong_is_seen(tmp_path: Path, bare: dict[str, str]) -> None:
    named = bare | {"AIOLIVEKIT_LIVEKIT_SERVER": str(tmp_path / "gone")}
    printed = run(project(tmp_path, PLAIN), **named)
    assert "1 passed, 1 skipped" in printed, printed
    assert "AIOLIVEKIT_LIVEKIT_SERVER names no LiveKit server" in printed, printed


def test_faults_on_the_real_server_alone_are_skipped(tmp_path: Path, server_binary: Path) -> None:
    test = project(tmp_path, "def test_it(livekit_faults): pass\n")
    named = {"AIOLIVEKIT_LIVEKIT_SERVER": str(server_binary)}
    printed = run(test, "--livekit-server=real", CI="true", **named)
    assert "1 skipped" in printed, printed
    assert "the real LiveKit server cannot be asked for faults" in printed, printed
