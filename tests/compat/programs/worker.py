"""The voice agent of the examples, as the tests run it; in the environment of the programs, not in ours.

It says that it has time, whatever else the machine does (servers give no jobs to workers that are busy), has a process
or thread ready for the next job, and says on SIGUSR1 what it holds.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, os.environ["VOICE_AGENT"])

from agent import server
from livekit import rtc

__all__ = ["server"]


def no_load() -> float:
    return 0.0


server.load_fnc = no_load
# A job waits for no process then; where that takes long, it is not the job that is tested.
server.update_options(num_idle_processes=1)


def held() -> dict[str, Any]:
    """What this process has and may be left with by jobs that are over."""
    # What was let go of in cycles takes more than one round.
    for _ in range(3):
        gc.collect()
    kinds: Counter[str] = Counter()
    for each in gc.get_objects():
        kind = type(each)  # not isinstance, which asks proxies
        if issubclass(kind, rtc.Room):
            kinds["rooms"] += 1
        elif issubclass(kind, asyncio.Task) and not each.done():
            kinds["tasks"] += 1
        elif issubclass(kind, asyncio.AbstractEventLoop):
            kinds["loops"] += 1
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        **{kind: kinds[kind] for kind in ("rooms", "tasks", "loops")},
        # Of its own loop's executor a worker starts one when it likes.
        "threads": int(status["Threads"]) - sum(thread.name.startswith("asyncio_") for thread in threading.enumerate()),
        "python_threads": sorted(thread.name for thread in threading.enumerate()),
        "fds": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "kilobytes": int(status["VmRSS"].split()[0]),
    }


def tell(*_: object) -> None:
    print("HELD", json.dumps(held()), flush=True)


if hasattr(signal, "SIGUSR1") and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGUSR1, tell)
