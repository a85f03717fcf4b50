"""An X server without a screen."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from aiolivekit.testing.plugin import unavailable

__all__ = ["display"]


@contextmanager
def display(width: int = 320, height: int = 240, *, white: bool = True) -> Iterator[str]:
    """Run one whose screen is white or black, and yield its name; skips where there is no Xvfb."""
    if shutil.which("Xvfb") is None:
        unavailable("no Xvfb (Debian: xvfb)")
    reader, writer = os.pipe()
    server = subprocess.Popen(
        [
            "Xvfb",
            *("-displayfd", str(writer), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"),
            "-wr" if white else "-br",
        ],
        pass_fds=[writer],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as pipe:
            number = pipe.readline().strip()
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(20)
