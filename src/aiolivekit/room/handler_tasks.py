"""The running coroutine handlers of a room: owned, watched, and ended with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from time import monotonic
from typing import Any

from .._begin import begin
from ..core.flight import SILENT, FlightRecorder

__all__ = ["HANDLER_GRACE", "ErrorHook", "HandlerTasks"]

_logger = logging.getLogger("aiolivekit.room")

HANDLER_GRACE = 2.0
"""Seconds that coroutine handlers have to end by themselves once the room is disconnected."""

_LAST_EVENT = "disconnected"
"""Its handlers save and tidy up: they run to their end."""

SLOW_HANDLER = 10.0
"""Seconds after which a handler that still runs is reported, unless the options say otherwise."""

ErrorHook = Callable[[str, Callable[..., Any], BaseException], None]


@dataclass(slots=True, eq=False)
class _Running:
    event: str
    callback: Callable[..., Any]
    began: float
    reported: bool = False


_handler: ContextVar[_Running | None] = ContextVar("aiolivekit_handler", default=None)
"""The handler on whose behalf code runs, in tasks that it starts as well."""


class HandlerTasks:
    """Starts coroutine handlers, keeps them, and reports those that fail or take long.

    Attributes:
        slow: Seconds after which a handler that still runs is reported in the log, once.
        on_error: Called with the event's name, the handler and what it raised, after that was logged.
        flight: Where it is written down that a handler failed.
    """

    __slots__ = ("_end_timer", "_ending", "_running", "_slow_timer", "flight", "on_error", "slow")

    def __init__(self) -> None:
        self.slow = SLOW_HANDLER
        self.on_error: ErrorHook | None = None
        self.flight: FlightRecorder = SILENT.recorder
        self._running: dict[asyncio.Task[Any], _Running] = {}
        self._ending: set[_Running] = set()
        self._slow_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None

    def start(self, event: str, callback: Callable[..., Any], coroutine: Coroutine[Any, Any, Any]) -> None:
        """Begin a handler's coroutine; its first step is taken before this returns."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            coroutine.close()
            self.failed(event, callback, error)
            return
        running = _Running(event, callback, monotonic())
        context = copy_context()
        context.run(_handler.set, running)
        task = begin(loop, coroutine, f"aiolivekit handler of {event}", context)
        self._running[task] = running
        if task.done():
            self._done(task)
            return
        task.add_done_callback(self._done)
        if self._slow_timer is None:
            self._slow_timer = loop.call_later(self.slow, self._look_for_slow)

    def _done(self, task: asyncio.Task[Any]) -> None:
        running = self._running.pop(task)
        if not self._running:
            self._cancel_timers()
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(running.event, running.callback, error)

    def failed(self, event: str, callback: Callable[..., Any], error: BaseException) -> None:
        """Log what a handler raised, and pass it to the hook."""
        _logger.error("the handler %s of %s failed", _name(callback), event, exc_info=error)
        # Not what it said, which is the application's.
        self.flight.note("room", "handler failed", event=event, handler=_name(callback), error=type(error).__name__)
        if self.on_error is not None:
            try:
                self.on_error(event, callback, error)
            except Exception:
                _logger.exception("on_handler_error itself failed")

    def report_slow(self, event: str, callback: Callable[..., Any], seconds: float, *, blocking: bool) -> None:
        """Log that a handler takes, or has taken, long."""
        what = "blocked the event loop for" if blocking else "is still running after"
        _logger.warning("the handler %s of %s %s %.1f s", _name(callback), event, what, seconds)

    def _look_for_slow(self) -> None:
        self._slow_timer = None
        now = monotonic()
        unreported = [running for running in self._running.values() if not running.reported]
        for running in unreported:
            if now - running.began >= self.slow:
                running.reported = True
                self.report_slow(running.event, running.callback, now - running.began, blocking=False)
        nexts = [running.began for running in unreported if not running.reported]
        if nexts:
            delay = max(0.0, min(nexts) + self.slow - now)
            self._slow_timer = asyncio.get_running_loop().call_later(delay, self._look_for_slow)

    def _cancel_timers(self) -> None:
        for timer in (self._slow_timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        self._slow_timer = self._end_timer = None

    def end_soon(self, grace: float = HANDLER_GRACE) -> None:
        """Cancel the handlers that have not ended `grace` seconds from now.

        Args:
            grace: Seconds.
        """
        if self._running and self._end_timer is None:
            self._end_timer = asyncio.get_running_loop().call_later(grace, self._cancel_rest)

    async def finish(self, grace: float = HANDLER_GRACE) -> None:
        """Wait for the handlers to end, and cancel those that have not after `grace` seconds.

        A handler that waits here itself, through `Room.disconnect`, does not wait for others that do.

        Args:
            grace: Seconds.
        """
        handler = _handler.get()
        if handler not in self._running.values():
            handler = None
        excused = self._ending if handler is not None else frozenset[_Running]()
        if handler is not None:
            self._ending.add(handler)
        try:
            await self._wait(grace, lambda running: running not in excused)
            if self._cancel_rest():
                await self._wait(grace, lambda running: running not in excused and running.event != _LAST_EVENT)
        finally:
            if handler is not None:
                self._ending.discard(handler)

    async def _wait(self, limit: float, counts: Callable[[_Running], bool]) -> None:
        deadline = monotonic() + limit
        while waiting := [task for task, running in self._running.items() if counts(running) and not task.done()]:
            left = deadline - monotonic()
            if left <= 0:
                return
            await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    def _cancel_rest(self) -> list[asyncio.Task[Any]]:
        self._end_timer = None
        rest: list[asyncio.Task[Any]] = []
        for task, running in self._running.items():
            if running in self._ending or running.event == _LAST_EVENT:
                continue
            _logger.warning(
                "the handler %s of %s did not end with the room and was cancelled",
                _name(running.callback),
                running.event,
            )
            task.cancel()
            rest.append(task)
        return rest


def _name(callback: Callable[..., Any]) -> str:
    return getattr(callback, "__qualname__", None) or type(callback).__qualname__
