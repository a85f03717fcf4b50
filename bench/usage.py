"""What this process uses."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from pathlib import Path

__all__ = [
    "Lateness",
    "cpu_seconds",
    "descriptors",
    "process_cpu_seconds",
    "raise_descriptor_limit",
    "resident_bytes",
    "threads",
]


class Lateness:
    """Looks every 10 ms how late the event loop is; what was late by 50 ms or more was heard or seen by somebody."""

    INTERVAL = 0.01
    LATE = 0.05

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0.0

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(self.INTERVAL)
            late = time.perf_counter() - before - self.INTERVAL
            self.longest = max(self.longest, late)
            self.count += late >= self.LATE

    def figures(self) -> dict[str, float]:
        """Return how often it was late since the last time this was asked, and by how much at most."""
        found = {"late_50_ms": self.count, "latest_ms": round(self.longest * 1e3)}
        self.count, self.longest = 0, 0.0
        return found


def cpu_seconds() -> float:
    """Return the CPU time of all threads, in user and system mode."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def process_cpu_seconds(pid: int) -> float:
    """Return the CPU time of another process, in user and system mode; Linux alone tells."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
