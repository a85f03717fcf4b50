"""Finds what a piece of code left behind: tasks, file descriptors, threads, and failures nobody saw.

    async with no_leaks():
        ...

What ends by itself a moment later (a transport whose socket is closed in the next turn of the loop) is no leak: at
the end the state is compared until it is as before, or `timeout` seconds have passed. Nor is what a process has once:
libwebrtc's threads and ours for media come and go with the first and the last peer connection.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

__all__ = ["Resources", "no_leaks", "no_leaks_sync"]

_FDS = Path("/proc/self/fd")
_THREADS = Path("/proc/self/task")
_POLL = 0.005

_ONCE_A_PROCESS: dict[str, Counter[str]] = {
    # thread -> the kinds of descriptors it comes with
    "wrtc-network": Counter({"anon_inode:[eventpoll]": 1, "anon_inode:[eventfd]": 2, "pipe": 2}),
    "wrtc-signaling": Counter(),
    "wrtc-dispatcher": Counter(),
    "rtc-low-prio": Counter(),
    "aiolivekit-media": Counter({"anon_inode:[eventpoll]": 1, "socket": 2}),
}
_NUMBERS = re.compile(r"[:#-]?\[?\d+\]?$")


@dataclass(frozen=True)
class Resources:
    """What this process holds at a moment."""

    fds: dict[int, str]
    """Descriptor to what it points to (`socket:[123]`); empty where there is no /proc."""
    threads: dict[int, str]
    """Native id to name; threads of other languages are among them where there is /proc."""
    tasks: dict[asyncio.Task[Any], str] = field(default_factory=dict)

    @classmethod
    def now(cls) -> Resources:
        return cls(_fds(), _threads(), _tasks())

    def leaked_since(self, before: Resources) -> list[str]:
        """What there is more of than before, in words."""
        found = [f"task {name}" for task, name in self.tasks.items() if task not in before.tasks]
        found += _more_than("fd", self.fds, before.fds, self._fds_once_a_process(before))
        once = Counter(dict.fromkeys(_ONCE_A_PROCESS, 1))
        if "livekit.rtc" in sys.modules:
            once["rtc-low-prio"] += 1  # the official SDK's libwebrtc has one of this name, too
        found += _more_than("thread", self.threads, before.threads, once)
        return found

    def _fds_once_a_process(self, before: Resources) -> Counter[str]:
        names = set(self.threads.values()) - set(before.threads.values())
        # And one with which libwebrtc wakes this event loop, for as long as the loop lives.
        once_a_loop = Counter({"anon_inode:[eventfd]": 1})
        return sum((fds for thread, fds in _ONCE_A_PROCESS.items() if thread in names), once_a_loop)


def _more_than(what: str, now: dict[int, str], before: dict[int, str], allowed: Counter[str]) -> list[str]:
    """Compare by kind: a socket that took the place of another one is no leak, two in place of one are.

    `allowed` threads may be there though they were not before, but not twice; `allowed` descriptors likewise, on top.
    """
    counts, earlier = (Counter(_kind(name) for name in there.values()) for there in (now, before))
    found = []
    for kind, count in counts.items():
        limit = max(earlier[kind], allowed[kind]) if what == "thread" else earlier[kind] + allowed[kind]
        if count > limit:
            new = [f"{n} {name}" for n, name in now.items() if _kind(name) == kind and before.get(n) != name]
            found.append(f"{what}s: {count - limit} more {kind} ({', '.join(new)})")
    return found


def _kind(name: str) -> str:
    return _NUMBERS.sub("", name)


def _fds() -> dict[int, str]:
    found: dict[int, str] = {}
    if _FDS.is_dir():
        for name in os.listdir(_FDS):  # noqa: PTH208 - iterdir holds a descriptor of its own open meanwhile
            try:
                found[int(name)] = os.readlink(_FDS / name)  # noqa: PTH115 - the same without a Path for each
            except FileNotFoundError:
                continue  # the one that the listing itself needed
    return found


def _threads() -> dict[int, str]:
    # Those of the loop's default executor live as long as the loop: whoever looks up a name gets one.
    own = {thread.native_id: thread.name for thread in threading.enumerate() if thread.native_id is not None}
    executor = {tid for tid, name in own.items() if name.startswith("asyncio_")}
    if not _THREADS.is_dir():
        return {tid: name for tid, name in own.items() if tid not in executor}
    found: dict[int, str] = {}
    for path in _THREADS.iterdir():
        tid = int(path.name)
        if tid in executor:
            continue
        try:
            found[tid] = own.get(tid) or (path / "comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _tasks() -> dict[asyncio.Task[Any], str]:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return {}
    return {task: f"{task.get_name()} {task.get_coro()!r}" for task in asyncio.all_tasks(loop)}


@asynccontextmanager
async def no_leaks(timeout: float = 3.0) -> AsyncIterator[None]:
    """Fail with an `AssertionError` that names what the body left behind.

    The loop's exception handler is watched as well: an exception that no one retrieved counts as left behind.
    """
    loop = asyncio.get_running_loop()
    unseen: list[str] = []
    handler = loop.get_exception_handler()
    gc.collect()
    loop.set_exception_handler(lambda _loop, context: unseen.append(_words(context)))
    before = Resources.now()
    try:
        yield
        deadline = monotonic() + timeout
        while (left := Resources.now().leaked_since(before)) and monotonic() < deadline:
            await asyncio.sleep(_POLL)
        gc.collect()  # what was dropped without being closed complains now
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(handler)
    assert not left, f"left behind: {left}"
    assert not unseen, f"failed unseen: {unseen}"


def _words(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"


@contextmanager
def no_leaks_sync(timeout: float = 3.0, *, settle: Callable[[], object] = gc.collect) -> Iterator[None]:
    """Do the same for a body without a running loop, e.g. around `asyncio.run`; `settle` is run before each look."""
    settle()
    before = Resources.now()
    yield
    deadline = monotonic() + timeout
    while True:
        settle()
        left = Resources.now().leaked_since(before)
        if not left or monotonic() >= deadline:
            break
        sleep(_POLL)
    assert not left, f"left behind: {left}"
