"""Child processes that end with all they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

__all__ = ["kill_group"]


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process started with `start_new_session=True` and its children, and reap it."""
    # Once it has been reaped its id may be another's.
    if process.returncode is None:
        if sys.platform == "win32":
            process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    process.wait()
