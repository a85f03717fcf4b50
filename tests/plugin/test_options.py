"""The plugin in projects of other people: each test here runs a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "testing_an_app"


def run(directory: Path, *options: str, **environment: str) -> str:
    """Run pytest there; return what it prints."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "CI")}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *options],
        cwd=directory,
        env=env | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return result.stdout + result.stderr


def project(directory: Path, test: str, mode: str = "strict") -> Path:
    (directory / "pyproject.toml").write_text(f'[tool.pytest.ini_options]\nasyncio_mode = "{mode}"\n')
    (directory / "test_it.py").write_text(test)
    return directory


PLAIN = """
import asyncio

def test_it(livekit_server, room_pair):
    async def go():
        async with room_pair("ann", "ben") as (ann, ben):
            assert list(ann.remote_participants) == ["ben"]
    asyncio.run(go())
"""
FAILING = """
import asyncio

def test_it(livekit_room, livekit_faults):
    async def go():
        async with livekit_room("ann"):
            livekit_faults.close_signal("ann")
    asyncio.run(go())
    assert livekit_faults.log == []
"""
OVERRIDE = """
import pytest

@pytest.fixture(scope="session")
def livekit_rtc():
    from livekit import rtc
    return rtc
"""


def test_a_strangers_app_on_the_official_sdk(official: object) -> None:
    printed = run(EXAMPLE, "--livekit-server=embedded")
    assert "1 passed" in printed, printed


def test_without_an_asyncio_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PLAIN)
    printed = run(tmp_path, "-p", "no:asyncio", "--livekit-server=embedded")
    assert "1 passed" in printed, printed


def test_with_the_official_sdk_as_the_client_in_strict_mode(official: object, tmp_path: Path) -> None:
    printed = run(project(tmp_path, OVERRIDE + PLAIN), "--livekit-server=embedded")
    assert "1 passed" in printed, printed


@pytest.mark.parametrize(("options", "ids"), [(["--livekit-server=both"], 2), (["--livekit-server=embedded"], 1)])
def test_the_server_can_be_chosen(tmp_path: Path, options: list[str], ids: int) -> None:
    printed = run(project(tmp_path, "def test_it(livekit_server): pass\n"), "--collect-only", "-q", *options)
    assert printed.count("test_it[") == ids, printed


def test_without_a_choice_the_real_server_is_taken_where_it_is_and_never_built(tmp_path: Path) -> None:
    test = project(tmp_path, "def test_it(livekit_server): pass\n")
    without = {"AIOLIVEKIT_LIVEKIT_SERVER": "", "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "/nowhere"}
    printed = run(test, "--collect-only", "-q", **without)
    assert "test_it[embedded]" in printed, printed
    assert "real" not in printed, printed
    printed = run(test, "--livekit-server=real", **without)
    assert "1 skipped" in printed, printed
    assert "neither on the PATH nor in the cache" in printed, printed
    printed = run(test, "--livekit-server=real", CI="true", **without)
    assert "1 error" in printed, printed


def test_faults_run_on_the_embedded_server_alone_and_are_shown_with_a_failure(tmp_path: Path) -> None:
    printed = run(project(tmp_path, FAILING), "--livekit-server=both")
    assert "1 failed" in printed, printed
    assert "test_it[real]" not in printed, printed
    assert "faults of the LiveKit server" in printed, printed
    assert "close_signal ann" in printed, printed


def test_a_project_that_uses_none_of_it_pays_nothing(tmp_path: Path) -> None:
    test = "import sys\ndef test_it():\n    assert not {'webrtc', 'aiohttp', 'livekit'} & set(sys.modules)\n"
    printed = run(project(tmp_path, test))
    assert "1 passed" in printed, printed
