"""Cancels a coroutine at its n-th await, exactly, or has something else happen there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ["ActAt", "CancelAt"]

T = TypeVar("T")


class ActAt(Generic[T]):
    """Awaits `coroutine` and calls a function when it is about to suspend for the n-th time.

    Args:
        coroutine: What is awaited.
        n: From 1.
        act: What is called; what it raises is raised there instead of the suspension.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], n: int, act: Callable[[], object]) -> None:
        self._coroutine = coroutine
        self._n = n
        self._act = act
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, T]:
        inner = self._coroutine.__await__()
        send: Any = inner.send
        value: Any = None
        while True:
            try:
                waited_for = send(value)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            self.suspensions += 1
            try:
                if self.suspensions == self._n:
                    self._act_instead_of(waited_for)
                value = yield waited_for
                send = inner.send
            except BaseException as error:  # noqa: BLE001 - goes into the coroutine
                value = error
                send = inner.throw

    def _act_instead_of(self, waited_for: Any) -> None:
        try:
            self._act()
        except BaseException:
            # Nobody waits for it any more, so nobody would see what becomes of it.
            if isinstance(waited_for, asyncio.Future):
                waited_for.cancel()
            raise


class CancelAt(ActAt[T]):
    """Awaits `coroutine` and cancels the task that does so when it is about to suspend for the n-th time."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], n: int) -> None:
        super().__init__(coroutine, n, _cancel)


def _cancel() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
