"""Tasks with an owner: none is forgotten, none fails unseen, none outlives its scope."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

__all__ = ["Bell", "SerialRunner", "TaskScope", "finish_despite_cancel"]

FailureHandler = Callable[[str, BaseException], None]


class TaskScope:
    """The tasks of one owner.

    Unlike `asyncio.TaskGroup` it is opened and closed by calls, so that an object can own it, and a failed task is
    reported to the owner, who knows what it means, instead of cancelling its siblings.

    Args:
        on_failure: Called with a task's name and its exception; must not raise.
    """

    def __init__(self, on_failure: FailureHandler) -> None:
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def spawn(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any] | None:
        """Start a task of this scope; after `aclose` the coroutine is closed unstarted and `None` is returned."""
        if self._closed:
            coroutine.close()
            return None
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self.keep(task)
        return task

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Take a task that was started elsewhere into this scope; after `aclose` it is cancelled."""
        self._tasks.add(task)
        task.add_done_callback(self._done)
        if self._closed:
            task.cancel()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exception := task.exception()) is not None:
            self._on_failure(task.get_name(), exception)

    async def aclose(self) -> None:
        """Cancel what still runs and wait for its end. A task of the scope may call it; it does not wait for itself."""
        self._closed = True
        current = asyncio.current_task()
        while others := [task for task in self._tasks if task is not current]:
            for task in others:
                task.cancel()
            await asyncio.wait(others)


class Bell:
    """An `asyncio.Event` that is small while nobody waits; each room has some, and mostly nobody does."""

    __slots__ = ("_set", "_waiters")

    def __init__(self) -> None:
        self._set = False
        self._waiters: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        """Whether who waits need not."""
        return self._set

    def set(self) -> None:
        """Let everybody go on who waits, now or later."""
        self._set = True
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        """Let those who come now wait."""
        self._set = False

    async def wait(self) -> None:
        """Wait until it is set, or go on at once if it is."""
        if self._set:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiters = self._waiters or []
        waiters.append(waiter)
        try:
            await waiter
        finally:
            # It is still the same list, for we are in it.
            waiters.remove(waiter)
            if not waiters:
                self._waiters = None


class SerialRunner:
    """Runs coroutines one after another, in the order in which they were given.

    Args:
        scope: Owns the task that runs them.
        name: Names that task.
        on_failure: Told of a coroutine that raised; the next one runs all the same.
    """

    def __init__(self, scope: TaskScope, name: str, on_failure: FailureHandler) -> None:
        self._scope = scope
        self._name = name
        self._on_failure = on_failure
        self._queue: list[Callable[[], Awaitable[None]]] = []
        self._running = False

    def submit(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` when everything given before has ended."""
        self._queue.append(work)
        if not self._running:
            self._running = self._scope.spawn(self._name, self._run()) is not None

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin `work` when everything given before has ended; what is given later does not wait for its end."""

        async def begin() -> None:
            self._scope.spawn(self._name, self._do(work))

        self.submit(begin)

    async def _run(self) -> None:
        try:
            while self._queue:
                await self._do(self._queue.pop(0))
        finally:
            self._running = False

    async def _do(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - handed to the owner
            self._on_failure(self._name, error)


async def finish_despite_cancel(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run clean-up to its end even when the caller is cancelled meanwhile; the cancellation is raised afterwards.

    The clean-up must have time limits of its own.
    """
    task = asyncio.ensure_future(coroutine)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
