from __future__ import annotations

import asyncio

import pytest

from aiolivekit.room.emitter import EventEmitter
from aiolivekit.room.handler_tasks import HandlerTasks


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.fixture
def emitter() -> EventEmitter[str]:
    return EventEmitter()


def ours() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("aiolivekit")]


async def test_finish_waits_for_handlers(emitter: EventEmitter[str]) -> None:
    ended: list[str] = []

    async def handler() -> None:
        await asyncio.sleep(0.01)
        ended.append("ended")

    emitter.on("event", handler)
    emitter.emit("event")
    assert ours() == ["aiolivekit handler of event"]
    await emitter._handler_tasks.finish(5)
    assert ended == ["ended"]
    assert ours() == []


async def test_finish_without_handlers_returns_at_once(emitter: EventEmitter[str]) -> None:
    await emitter._handler_tasks.finish(1e9)


async def test_handlers_that_do_not_end_are_cancelled(
    emitter: EventEmitter[str], caplog: pytest.LogCaptureFixture
) -> None:
    emitter.on("event", forever)
    emitter.emit("event")
    await emitter._handler_tasks.finish(0.01)
    assert ours() == []
    assert "forever" in caplog.text


async def test_handlers_of_disconnected_run_to_their_end(emitter: EventEmitter[str]) -> None:
    go_on = asyncio.Event()
    ended = asyncio.Event()

    async def tidy_up() -> None:
        await go_on.wait()
        ended.set()

    emitter.on("disconnected", tidy_up)
    emitter.on("event", forever)
    emitter.emit("event")
    emitter.emit("disconnected")
    await emitter._handler_tasks.finish(0.01)
    assert ours() == ["aiolivekit handler of disconnected"]
    go_on.set()
    async with asyncio.timeout(5):
        await ended.wait()


async def test_a_handler_may_finish_itself(emitter: EventEmitter[str]) -> None:
    done = asyncio.Event()

    async def handler() -> None:
        await emitter._handler_tasks.finish(1e9)
        done.set()

    emitter.on("event", handler)
    emitter.emit("event")
    async with asyncio.timeout(5):
        await done.wait()


async def test_a_handler_may_finish_itself_in_a_task_of_its_own(emitter: EventEmitter[str]) -> None:
    done = asyncio.Event()

    async def handler() -> None:
        await asyncio.wait_for(emitter._handler_tasks.finish(1e9), 5)
        done.set()

    emitter.on("event", handler)
    emitter.emit("event")
    async with asyncio.timeout(5):
        await done.wait()


async def test_two_handlers_may_finish_at_once(emitter: EventEmitter[str]) -> None:
    done: list[str] = []

    async def handler(name: str) -> None:
        await asyncio.sleep(0)
        await emitter._handler_tasks.finish(1e9)
        done.append(name)

    emitter.on("event", handler)
    emitter.emit("event", "one")
    emitter.emit("event", "two")
    await emitter._handler_tasks.finish(5)
    assert sorted(done) == ["one", "two"]


async def test_end_soon_cancels_later_by_itself(emitter: EventEmitter[str]) -> None:
    ended = asyncio.Event()

    async def handler() -> None:
        try:
            await forever()
        finally:
            ended.set()

    emitter.on("event", handler)
    emitter.emit("event")
    emitter._handler_tasks.end_soon(0.01)
    async with asyncio.timeout(5):
        await ended.wait()


async def test_timers_end_with_the_handlers(emitter: EventEmitter[str]) -> None:
    tasks = emitter._handler_tasks
    tasks.end_soon()
    assert tasks._end_timer is None
    go_on = asyncio.Event()
    emitter.on("event", go_on.wait)
    emitter.emit("event")
    tasks.end_soon(1e6)
    assert tasks._slow_timer is not None
    assert tasks._end_timer is not None
    go_on.set()
    await tasks.finish(5)
    assert tasks._slow_timer is None
    assert tasks._end_timer is None


async def test_a_slow_handler_is_reported_once(emitter: EventEmitter[str]) -> None:
    class Reporting(HandlerTasks):
        __slots__ = ("reports",)

        def __init__(self) -> None:
            super().__init__()
            self.reports: asyncio.Queue[str] = asyncio.Queue()

        def report_slow(self, event: str, *_args: object, **_kwargs: object) -> None:
            self.reports.put_nowait(event)

    tasks = Reporting()
    tasks.slow = 0.01
    slow: EventEmitter[str] = EventEmitter(tasks=tasks)
    slow.on("first", forever)
    slow.on("second", forever)
    slow.emit("first")
    slow.emit("second")
    async with asyncio.timeout(5):
        assert [await tasks.reports.get(), await tasks.reports.get()] == ["first", "second"]
    assert tasks._slow_timer is None
    slow.on("third", forever)
    slow.emit("third")
    async with asyncio.timeout(5):
        assert await tasks.reports.get() == "third"
    assert tasks.reports.empty()
    await tasks.finish(0)


async def test_the_report_names_event_and_handler(emitter: EventEmitter[str], caplog: pytest.LogCaptureFixture) -> None:
    emitter._handler_tasks.report_slow("event", forever, 12.34, blocking=False)
    assert "forever of event is still running after 12.3 s" in caplog.text
