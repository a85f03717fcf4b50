"""The first step of a coroutine is taken at once, and is the task's own."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any

import pytest

from aiolivekit import _begin


def begin(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    return _begin.begin(loop, coroutine, name, contextvars.copy_context())


async def test_the_first_step_is_taken_at_once() -> None:
    steps: list[str] = []

    async def work() -> str:
        steps.append("first")
        await asyncio.sleep(0)
        steps.append("second")
        return "result"

    task = begin(asyncio.get_running_loop(), work(), "name")
    assert steps == ["first"]
    assert task.get_name() == "name"
    assert await task == "result"
    assert steps == ["first", "second"]


async def test_a_coroutine_that_ends_in_its_first_step() -> None:
    async def work() -> str:
        return "result"

    assert await begin(asyncio.get_running_loop(), work(), "") == "result"


async def test_a_coroutine_that_fails_in_its_first_step() -> None:
    async def work() -> None:
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        await begin(asyncio.get_running_loop(), work(), "")


async def test_the_first_step_knows_its_task() -> None:
    seen: list[asyncio.Task[None] | None] = []

    async def work() -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    outer = asyncio.current_task()
    task = begin(asyncio.get_running_loop(), work(), "")
    assert asyncio.current_task() is outer
    await task
    assert seen == [task, task]


def test_outside_of_any_task() -> None:
    """As from the network's callbacks."""
    seen: list[asyncio.Task[None] | None] = []
    tasks: list[asyncio.Task[None]] = []

    async def work() -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def callback() -> None:
            assert asyncio.current_task() is None
            tasks.append(begin(loop, work(), ""))
            assert asyncio.current_task() is None
            done.set()

        loop.call_soon(callback)
        await done.wait()
        await tasks[0]

    asyncio.run(main())
    assert seen == tasks


async def test_timeouts_and_task_groups_work_in_the_first_step() -> None:
    async def times_out() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "never"

    async def groups() -> list[int]:
        async def number(value: int) -> int:
            await asyncio.sleep(0)
            return value

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(number(value)) for value in range(3)]
        return [task.result() for task in tasks]

    loop = asyncio.get_running_loop()
    assert await begin(loop, times_out(), "") == "timed out"
    assert await begin(loop, groups(), "") == [0, 1, 2]


async def test_begun_within_the_first_step_of_another() -> None:
    order: list[str] = []

    async def inner() -> None:
        order.append("inner")
        await asyncio.sleep(0)
        order.append("inner goes on")

    async def outer() -> None:
        order.append("outer")
        me = asyncio.current_task()
        task = begin(asyncio.get_running_loop(), inner(), "")
        assert asyncio.current_task() is me
        order.append("outer again")
        await task

    await begin(asyncio.get_running_loop(), outer(), "")
    assert order == ["outer", "inner", "outer again", "inner goes on"]


@pytest.mark.parametrize("waits", [True, False])
async def test_cancelled_right_after_its_first_step(waits: bool) -> None:
    tidied: list[str] = []

    async def work() -> str:
        try:
            if waits:
                await asyncio.Event().wait()
            return "result"
        finally:
            tidied.append("tidied")

    task = begin(asyncio.get_running_loop(), work(), "")
    task.cancel()
    await asyncio.wait([task])
    assert tidied == ["tidied"]
    assert task.cancelled() or task.result() == "result"
    assert task.cancelled() or not waits


async def test_cancelled_later() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    task = begin(asyncio.get_running_loop(), work(), "")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_future_that_is_done_before_the_task_runs() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> str:
        return await future

    task = begin(asyncio.get_running_loop(), work(), "")
    future.set_result("result")
    assert await task == "result"


async def test_context_variables_are_those_of_the_caller_and_stay_its_own() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")
    variable.set("outer")
    seen: list[str] = []

    async def work() -> None:
        seen.append(variable.get())
        variable.set("inner")
        await asyncio.sleep(0)
        seen.append(variable.get())

    await begin(asyncio.get_running_loop(), work(), "")
    assert seen == ["outer", "inner"]
    assert variable.get() == "outer"
