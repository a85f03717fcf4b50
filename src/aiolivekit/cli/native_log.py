"""Keeps libwebrtc's chatter from the terminal.

libwebrtc writes its log to the process's standard error output and offers no way to direct it elsewhere. What it says
in a healthy call would tear up the tables of the command line.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterator

__all__ = ["without_native_log"]

_CHATTER = re.compile(rb"\(\w+\.cc:\d+\): ")
"""How lines of libwebrtc's log begin; its last words before an abort begin otherwise (`# Fatal error in: …`)."""

_STDERR = 2


@contextlib.contextmanager
def without_native_log() -> Iterator[None]:
    """Drop libwebrtc's log from the standard error output; everything else passes.

    Python's own `sys.stderr` goes past the filter. Does nothing where `sys.stderr` is not the process's.
    """
    if not _is_real(sys.stderr):
        yield
        return
    sys.stderr.flush()
    real = os.dup(_STDERR)
    python_stderr = sys.stderr
    reading, writing = os.pipe()
    os.dup2(writing, _STDERR)
    os.close(writing)
    sys.stderr = open(  # noqa: SIM115 - a descriptor, closed below
        real, "w", buffering=1, encoding=python_stderr.encoding, errors="backslashreplace", closefd=False
    )
    thread = threading.Thread(target=_pass_on, args=(reading, real), name="aiolivekit stderr", daemon=True)
    thread.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        # The pipe's last writer goes, so the thread finds its end.
        os.dup2(real, _STDERR)
        thread.join(timeout=2)
        sys.stderr = python_stderr
        os.close(real)


def _is_real(stream: object) -> bool:
    try:
        return stream is sys.__stderr__ and sys.stderr.fileno() == _STDERR
    except (OSError, ValueError):
        return False


def _pass_on(reading: int, real: int) -> None:
    with open(reading, "rb") as lines:
        for line in lines:
            if not _CHATTER.match(line):
                # The terminal may be gone; the writers must not be blocked by a full pipe.
                with contextlib.suppress(OSError):
                    os.write(real, line)
