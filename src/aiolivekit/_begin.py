"""Start a coroutine and take its first step at once.

As a task's own (`begin`): Python 3.12 has it built in (eager tasks), for 3.11 it is done here. Or without a task, which
is only made if there is more to do (`step`).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from collections.abc import Coroutine as CoroutineABC
from contextvars import Context
from typing import Any

__all__ = ["begin", "step"]


class _Begun(CoroutineABC[Any, Any, Any]):
    """A coroutine whose first step was taken before its task's; the task is told its outcome when it asks."""

    __slots__ = ("_coroutine", "_error", "_pending", "_yielded")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._pending = False
        self._yielded: Any = None
        self._error: BaseException | None = None

    def took(self, yielded: Any) -> None:
        """Take note of what the first step ended with, when somebody else took it."""
        self._pending, self._yielded = True, yielded

    def take_first_step(self) -> None:
        self._pending = True
        try:
            self._yielded = self._coroutine.send(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the task's own step
            self._error = error

    def _outcome(self) -> Any:
        self._pending = False
        error, self._error = self._error, None
        yielded, self._yielded = self._yielded, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # the traceback refers to this frame
        return yielded

    def send(self, value: Any) -> Any:
        return self._outcome() if self._pending else self._coroutine.send(value)

    def throw(self, *exc_info: Any) -> Any:
        if self._pending and self._error is not None:
            # It had ended before it was cancelled.
            return self._outcome()
        self._pending = False
        self._yielded = None
        return self._coroutine.throw(*exc_info)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        raise TypeError("only its task runs it")


def step(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any] | None:
    """Take a coroutine's first step outside of any task; return a task for the rest of it, or `None` if that was all.

    For code that seldom waits, and does not ask for the current task before it does. What it raises in its first step
    is raised here.
    """
    try:
        yielded = coroutine.send(None)
    except StopIteration:
        return None
    begun = _Begun(coroutine)
    begun.took(yielded)
    return loop.create_task(begun, name=name)


if sys.version_info >= (3, 12):

    def begin(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], name: str, context: Context
    ) -> asyncio.Task[Any]:
        """Return a task that has gone as far as its first wait, perhaps to its end. `loop` must be running."""
        return asyncio.Task(coroutine, loop=loop, name=name, context=context, eager_start=True)

else:
    from asyncio.tasks import _enter_task, _leave_task

    def begin(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], name: str, context: Context
    ) -> asyncio.Task[Any]:
        """Return a task that has gone as far as its first wait, perhaps to its end. `loop` must be running."""
        begun = _Begun(coroutine)
        task: asyncio.Task[Any] = loop.create_task(begun, name=name, context=context)
        # asyncio.timeout() and the like ask for the current task, in the first step too.
        outer = asyncio.current_task(loop)
        if outer is not None:
            _leave_task(loop, outer)
        _enter_task(loop, task)
        try:
            context.run(begun.take_first_step)
        finally:
            _leave_task(loop, task)
            if outer is not None:
                _enter_task(loop, outer)
        return task
