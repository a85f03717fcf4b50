"""Running a command's coroutine so that an interrupt leaves the room."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any

__all__ = ["INTERRUPTED", "run"]

INTERRUPTED = 130
"""The exit status of a command that was interrupted before it was done."""


def run(command: Coroutine[Any, Any, int]) -> int:
    """Run a command's coroutine and return its exit status.

    Ctrl-C, SIGTERM and SIGHUP cancel it, so it can leave the room. A command that takes this for its regular end
    catches the cancellation and returns; otherwise the status is `INTERRUPTED`. A second Ctrl-C does not wait.
    """
    try:
        return asyncio.run(_cancelled_by_signals(command))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED


async def _cancelled_by_signals(command: Coroutine[Any, Any, int]) -> int:
    # SIGINT is asyncio.run's.
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # `nohup` has had SIGHUP ignored; that stays.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            # Windows' event loops have no signal handlers; there the process simply ends.
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, task.cancel)
    return await command
