"""An environment with the drop-in in it: a site directory of its own, that interpreters started here take in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from aiolivekit.compat.overlay import SWITCH


class Environment:
    """Starts interpreters that have a further site directory.

    Args:
        folder: An empty one for its files.
    """

    def __init__(self, folder: Path) -> None:
        self.site = folder / "site"
        self.site.mkdir()
        start = folder / "start"
        start.mkdir()
        # Runs at the start of every interpreter that has it on its path, of children too.
        (start / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({str(self.site)!r})\n")
        self._folder = folder
        self._start = str(start)

    def run(self, code: str, **variables: str) -> str:
        """Run a program and return what it prints."""
        program = self._folder / "program.py"
        program.write_text(code)
        environment = {name: value for name, value in os.environ.items() if name != SWITCH}
        done = subprocess.run(
            [sys.executable, str(program)],
            env={**environment, "PYTHONPATH": self._start, **variables},
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
