"""A program written against the official SDK's types passes the type checkers against ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aiolivekit.compat.overlay import OVERLAY

TYPED = Path(__file__).parent / "typed"
PROGRAM = TYPED / "program.py"
PYRIGHT = TYPED / "node_modules" / "pyright" / "index.js"


def check(*command: object, path: Path | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "PYTHONPATH": "" if path is None else str(path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("whose", ["ours", "official"])
def test_mypy(tmp_path: Path, whose: str) -> None:
    """Found as in an environment with the drop-in in it; the program is right for the official package too."""
    pytest.importorskip("livekit.rtc", reason="the official package is not installed (group `peers`)")
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = true\n")
    program = tmp_path / "program.py"
    program.write_text(f"{PROGRAM.read_text()}\nreveal_type(rtc.Room())\n")
    arguments = ("--config-file", config, "--cache-dir", tmp_path / "cache", "--no-error-summary", program)
    path = OVERLAY if whose == "ours" else None
    told = check(sys.executable, "-m", "mypy", *arguments, path=path)
    assert ('"aiolivekit.room.room.Room"' if whose == "ours" else '"livekit.rtc.room.Room"') in told


def test_pyright(tmp_path: Path) -> None:
    """It takes one folder for a whole namespace, so the program imports our package by its own name."""
    if shutil.which("node") is None or not PYRIGHT.exists():
        pytest.skip("pyright is not installed (make pyright)")
    text, both = PROGRAM.read_text(), "from livekit import api, rtc\n"
    assert both in text
    text = text.replace(both, "from livekit import api\nfrom aiolivekit import rtc\n")
    program = tmp_path / "program.py"
    program.write_text(text.replace("\nfrom livekit.rtc.", "\nfrom aiolivekit.rtc."))
    told = check("node", PYRIGHT, "--pythonpath", sys.executable, program)
    assert "0 errors, 0 warnings" in told
