"""What this process uses."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

__all__ = ["cpu_seconds", "descriptors", "raise_descriptor_limit", "resident_bytes", "threads"]


def cpu_seconds() -> float:
    """Return the CPU time of all threads, in user and system mode."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_bytes() -> int:
    """Return the resident memory now; where there is no /proc, the most there ever was."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def threads() -> int:
    """Return how many threads there are; 0 where there is no /proc."""
    return _entries("/proc/self/task")


def descriptors() -> int:
    """Return how many file descriptors are open; 0 where there is no such directory."""
    return _entries("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")


def raise_descriptor_limit() -> None:
    """Allow as many descriptors as we may: fifty rooms can need thousands."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _entries(directory: str) -> int:
    try:
        return sum(1 for _ in Path(directory).iterdir())
    except OSError:
        return 0
