"""Projects of other people: each runs in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

__all__ = ["project", "run"]

_OURS = ("CI", "PYTEST_ADDOPTS", "AIOLIVEKIT_LIVEKIT_SERVER", "WRTC_ALLOW_LOOPBACK")


def project(directory: Path, test: str, *, mode: str = "strict", conftest: str = "") -> Path:
    """Write a project of one test file, which keeps to itself whatever pytest finds further up."""
    (directory / "pyproject.toml").write_text(
        f'[tool.pytest.ini_options]\nasyncio_mode = "{mode}"\nfilterwarnings = ["error"]\n'
    )
    (directory / "test_it.py").write_text(textwrap.dedent(test))
    (directory / "conftest.py").write_text(textwrap.dedent(conftest))
    return directory


def run(directory: Path, *options: str, **environment: str) -> str:
    """Run pytest there; return what it prints, the exit status in the last line."""
    env = {name: value for name, value in os.environ.items() if name not in _OURS}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *options],
        cwd=directory,
        env=env | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return f"{result.stdout}\n{result.stderr}\nexit status {result.returncode}"
