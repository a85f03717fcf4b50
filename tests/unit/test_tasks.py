from __future__ import annotations

import asyncio

import pytest

from aiolivekit._tasks import SerialRunner, TaskScope, finish_despite_cancel


async def test_a_scope_reports_failures_and_ends_its_tasks() -> None:
    failures: list[tuple[str, str]] = []
    scope = TaskScope(lambda name, error: failures.append((name, str(error))))
    ended = asyncio.Event()

    async def fail() -> None:
        raise RuntimeError("broken")

    async def last() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    scope.spawn("fails", fail())
    lasting = scope.spawn("lasts", last())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert failures == [("fails", "broken")]
    await scope.aclose()
    assert ended.is_set()
    assert lasting is not None
    assert lasting.cancelled()
    # After the end nothing is started, and no coroutine is left unawaited.
    assert scope.spawn("late", last()) is None


async def test_a_task_may_close_its_own_scope() -> None:
    scope = TaskScope(lambda *_: None)
    done = asyncio.Event()

    async def close_all() -> None:
        await scope.aclose()
        done.set()

    scope.spawn("closer", close_all())
    async with asyncio.timeout(5):
        await done.wait()


async def test_serial_runs_in_order_and_past_failures() -> None:
    failures: list[str] = []
    scope = TaskScope(lambda *_: None)
    serial = SerialRunner(scope, "serial", lambda _name, error: failures.append(str(error)))
    order: list[int] = []
    done = asyncio.Event()

    def work(number: int):  # type: ignore[no-untyped-def]
        async def run() -> None:
            await asyncio.sleep(0)
            if number == 1:
                raise ValueError("one")
            order.append(number)
            if number == 4:
                done.set()

        return run

    for number in range(3):
        serial.submit(work(number))
    while order != [0, 2]:
        await asyncio.sleep(0)
    serial.submit(work(3))
    serial.submit(work(4))
    async with asyncio.timeout(5):
        await done.wait()
    assert order == [0, 2, 3, 4]
    assert failures == ["one"]
    await scope.aclose()


async def test_what_is_only_started_holds_up_nothing() -> None:
    failures: list[str] = []
    scope = TaskScope(lambda *_: None)
    serial = SerialRunner(scope, "serial", lambda _name, error: failures.append(str(error)))
    order: list[str] = []
    go_on, over = asyncio.Event(), asyncio.Event()

    async def note(word: str) -> None:
        order.append(word)

    async def long() -> None:
        order.append("begun")
        await go_on.wait()
        over.set()
        raise RuntimeError("broken")

    async with asyncio.timeout(5):
        serial.submit(lambda: note("before"))
        serial.start(long)
        serial.submit(lambda: note("after"))
        while len(order) < 3:
            await asyncio.sleep(0)
        assert order[0] == "before"
        assert not over.is_set()
        go_on.set()
        await over.wait()
        await asyncio.sleep(0)
    assert failures == ["broken"]
    await scope.aclose()


async def test_clean_up_finishes_though_the_caller_is_cancelled() -> None:
    steps: list[str] = []
    release = asyncio.Event()

    async def clean_up() -> None:
        steps.append("begun")
        await release.wait()
        steps.append("done")

    task = asyncio.create_task(finish_despite_cancel(clean_up()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["begun", "done"]


async def test_clean_up_that_fails_says_so() -> None:
    async def clean_up() -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await finish_despite_cancel(clean_up())
