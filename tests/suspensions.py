"""Cancels a coroutine at its n-th await, exactly."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ["CancelAt"]

T = TypeVar("T")


class CancelAt(Generic[T]):
    """Awaits `coroutine` and cancels the task that does so when it is about to suspend for the n-th time.

    Args:
        coroutine: What is awaited.
        n: From 1.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], n: int) -> None:
        self._coroutine = coroutine
        self._n = n
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
            if self.suspensions == self._n:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                value = yield waited_for
                send = inner.send
            except BaseException as error:  # noqa: BLE001 - goes into the coroutine
                value = error
                send = inner.throw
