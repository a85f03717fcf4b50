from __future__ import annotations

import asyncio
import functools
import logging
from typing import Any

import pytest

from aiolivekit.room.emitter import EventEmitter
from aiolivekit.room.handler_tasks import HandlerTasks


@pytest.fixture
def emitter() -> EventEmitter[str]:
    return EventEmitter()


def test_handlers_are_called_in_the_order_of_registration(emitter: EventEmitter[str]) -> None:
    calls: list[str] = []
    emitter.on("event", lambda: calls.append("first"))

    @emitter.on("event")
    def second() -> None:
        calls.append("second")

    emitter.on("event", lambda: calls.append("third"))
    emitter.on("other", lambda: calls.append("other"))
    emitter.emit("event")
    assert calls == ["first", "second", "third"]


def test_an_event_without_handlers(emitter: EventEmitter[str]) -> None:
    emitter.emit("nothing", 1, 2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((1, 2, 3), (1, 2)), ((1, 2), (1, 2)), ((1,), (1, "default"))],
)
def test_a_handler_gets_as_many_arguments_as_it_takes(
    emitter: EventEmitter[str], arguments: tuple[int, ...], expected: tuple[Any, ...]
) -> None:
    calls: list[tuple[Any, ...]] = []

    def handler(first: int, second: Any = "default", *, keyword: int = 0) -> None:
        calls.append((first, second))

    emitter.on("event", handler)
    emitter.emit("event", *arguments)
    assert calls == [expected]


def test_every_kind_of_callable(emitter: EventEmitter[str]) -> None:
    calls: list[tuple[Any, ...]] = []

    class Listener:
        def method(self, one: int) -> None:
            calls.append(("method", one))

        def __call__(self, one: int, two: int) -> None:
            calls.append(("object", one, two))

    def takes_all(*everything: int) -> None:
        calls.append(("varargs", *everything))

    def partial(first: str, one: int) -> None:
        calls.append((first, one))

    listener = Listener()
    numbers: list[int] = []
    for callback in (
        listener.method,
        listener,
        takes_all,
        functools.partial(partial, "partial"),
        lambda: calls.append(()),
        numbers.append,
    ):
        emitter.on("event", callback)
    emitter.emit("event", 1, 2, 3)
    assert calls == [("method", 1), ("object", 1, 2), ("varargs", 1, 2, 3), ("partial", 1), ()]
    assert numbers == [1]


def test_the_signature_is_read_once(emitter: EventEmitter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    emitter.on("event", lambda: None)
    monkeypatch.setattr("inspect.signature", lambda _callback: pytest.fail("read again"))
    emitter.emit("event", 1)


def test_once(emitter: EventEmitter[str]) -> None:
    calls: list[int] = []
    emitter.once("event", calls.append)

    @emitter.once("event")
    def again(number: int) -> None:
        calls.append(-number)

    emitter.emit("event", 1)
    emitter.emit("event", 2)
    assert calls == [1, -1]


def test_once_is_once_when_the_handler_emits_the_event(emitter: EventEmitter[str]) -> None:
    calls: list[str] = []

    def handler() -> None:
        calls.append("called")
        emitter.emit("event")

    emitter.once("event", handler)
    emitter.once("event", lambda: calls.append("other"))
    emitter.emit("event")
    assert calls == ["called", "other"]


def test_off(emitter: EventEmitter[str]) -> None:
    calls: list[str] = []

    class Listener:
        def method(self) -> None:
            calls.append("method")

    listener = Listener()
    emitter.on("event", listener.method)
    emitter.once("event", listener.method)
    emitter.on("event", lambda: calls.append("kept"))
    emitter.off("event", listener.method)
    emitter.off("event", listener.method)
    emitter.off("other", listener.method)
    emitter.emit("event")
    assert calls == ["kept"]


def test_registered_twice_is_called_once_in_its_first_place(emitter: EventEmitter[str]) -> None:
    calls: list[str] = []

    def first() -> None:
        calls.append("first")

    emitter.on("event", first)
    emitter.on("event", lambda: calls.append("second"))
    emitter.on("event", first)
    emitter.emit("event")
    assert calls == ["first", "second"]


def test_handlers_added_and_removed_by_a_handler_count_from_the_next_event_on(emitter: EventEmitter[str]) -> None:
    calls: list[str] = []

    def removed() -> None:
        calls.append("removed")

    def added() -> None:
        calls.append("added")

    def changes() -> None:
        calls.append("changes")
        emitter.off("event", removed)
        emitter.on("event", added)

    emitter.on("event", changes)
    emitter.on("event", removed)
    emitter.emit("event")
    assert calls == ["changes", "removed"]
    calls.clear()
    emitter.emit("event")
    assert calls == ["changes", "added"]


def test_a_subclass_may_have_attributes_of_its_own() -> None:
    class Agent(EventEmitter[str]):
        def __init__(self) -> None:
            super().__init__()
            self._tasks = self._handlers = self._events = self._listeners = self._running = None

    agent = Agent()
    calls: list[str] = []
    agent.on("event", lambda: calls.append("called"))
    agent.emit("event")
    assert calls == ["called"]


# -- handlers that fail ---------------------------------------------------------------------------------


def test_a_handler_that_raises_stops_no_other_and_is_seen(
    emitter: EventEmitter[str], caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []
    errors: list[tuple[str, Any, BaseException]] = []
    emitter._handler_tasks.on_error = lambda *error: errors.append(error)

    def fails() -> None:
        raise TypeError("within")

    emitter.on("event", fails)
    emitter.on("event", lambda: calls.append("other"))
    emitter.emit("event")
    assert calls == ["other"]
    [(event, callback, error)] = errors
    assert (event, callback, str(error)) == ("event", fails, "within")
    [record] = caplog.records
    assert "fails" in record.getMessage()
    assert "event" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_an_error_hook_that_fails_stops_nothing(emitter: EventEmitter[str], caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    def hook(*_error: object) -> None:
        raise RuntimeError("the hook")

    def fails() -> None:
        raise ValueError("within")

    emitter._handler_tasks.on_error = hook
    emitter.on("event", fails)
    emitter.on("event", lambda: calls.append("other"))
    emitter.emit("event")
    assert calls == ["other"]
    assert len(caplog.records) == 2


def test_a_cancelled_error_of_a_handler_is_an_error_of_the_handler(emitter: EventEmitter[str]) -> None:
    errors: list[BaseException] = []
    emitter._handler_tasks.on_error = lambda _event, _callback, error: errors.append(error)

    def fails() -> None:
        raise asyncio.CancelledError

    emitter.on("event", fails)
    emitter.emit("event")
    assert [type(error) for error in errors] == [asyncio.CancelledError]


def test_keyboard_interrupt_is_not_swallowed(emitter: EventEmitter[str]) -> None:
    def interrupts() -> None:
        raise KeyboardInterrupt

    emitter.on("event", interrupts)
    with pytest.raises(KeyboardInterrupt):
        emitter.emit("event")


def test_emit_with_too_few_arguments_raises_after_the_others_were_called(emitter: EventEmitter[str]) -> None:
    calls: list[int] = []

    def needs_two(_one: int, _two: int) -> None:
        raise AssertionError("unreachable")

    emitter.on("event", needs_two)
    emitter.on("event", calls.append)
    with pytest.raises(TypeError, match="needs_two"):
        emitter.emit("event", 1)
    assert calls == [1]


def test_an_event_of_ours_never_raises(emitter: EventEmitter[str], caplog: pytest.LogCaptureFixture) -> None:
    emitter.on("event", lambda one, two: None)  # type: ignore[misc]
    emitter._tell_handlers("event", 1)
    assert "lambda" in caplog.text


def test_a_handler_that_blocks_is_reported(emitter: EventEmitter[str], caplog: pytest.LogCaptureFixture) -> None:
    emitter._handler_tasks.slow = -1.0

    def slow() -> None:
        pass

    emitter.on("event", slow)
    emitter.emit("event")
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "blocked" in record.getMessage()
    assert "slow" in record.getMessage()


def test_an_unknown_event_is_told_to_the_programmer(caplog: pytest.LogCaptureFixture) -> None:
    class Known(EventEmitter[str]):
        _event_names = frozenset({"known"})

    emitter = Known()
    emitter.on("known", lambda: None)
    assert not caplog.records
    emitter.on("unknown", lambda: None)
    emitter.once("unknown", lambda: None)
    assert len(caplog.records) == 2
    assert "'unknown'" in caplog.text


# -- coroutine handlers ---------------------------------------------------------------------------------


async def test_coroutine_handlers_begin_in_the_order_of_registration(emitter: EventEmitter[str]) -> None:
    calls: list[str] = []
    ended = asyncio.Event()

    async def first(number: int) -> None:
        calls.append(f"first {number}")
        await asyncio.sleep(0)
        calls.append(f"first goes on {number}")

    def second() -> None:
        calls.append("second")

    async def third() -> None:
        calls.append("third")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ended.set()

    for handler in (first, second, third):
        emitter.on("event", handler)
    emitter.emit("event", 1, 2)
    assert calls == ["first 1", "second", "third"]
    async with asyncio.timeout(5):
        await ended.wait()
    assert calls == ["first 1", "second", "third", "first goes on 1"]


async def test_a_function_that_returns_a_coroutine(emitter: EventEmitter[str]) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        ended.set()

    emitter.on("event", lambda: work())
    emitter.on("event", functools.partial(work))
    emitter.emit("event")
    async with asyncio.timeout(5):
        await ended.wait()


async def test_the_emitter_waits_for_no_handler(emitter: EventEmitter[str]) -> None:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    answers: list[str] = []

    async def asks() -> None:
        answers.append(await answer)

    emitter.on("question", asks)
    emitter.on("answer", answer.set_result)
    emitter.emit("question")
    emitter.emit("answer", "42")
    await emitter._handler_tasks.finish(5)
    assert answers == ["42"]


async def test_a_coroutine_handler_that_fails_is_seen(
    emitter: EventEmitter[str], caplog: pytest.LogCaptureFixture
) -> None:
    failed: asyncio.Future[tuple[str, Any, BaseException]] = asyncio.get_running_loop().create_future()
    emitter._handler_tasks.on_error = lambda *error: failed.set_result(error)

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("later")

    emitter.on("event", fails)
    emitter.emit("event")
    async with asyncio.timeout(5):
        event, callback, error = await failed
    assert (event, callback, str(error)) == ("event", fails, "later")
    assert "fails" in caplog.text


async def test_a_coroutine_handler_that_fails_at_once_is_seen(emitter: EventEmitter[str]) -> None:
    failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    emitter._handler_tasks.on_error = lambda _event, _callback, error: failed.set_result(error)

    async def fails() -> None:
        raise ValueError("at once")

    emitter.on("event", fails)
    emitter.emit("event")
    async with asyncio.timeout(5):
        assert str(await failed) == "at once"


def test_a_coroutine_handler_without_a_loop(emitter: EventEmitter[str], caplog: pytest.LogCaptureFixture) -> None:
    async def handler() -> None:
        raise AssertionError("unreachable")

    emitter.on("event", handler)
    emitter.emit("event")
    assert "no running event loop" in str(caplog.records[0].exc_info)


async def test_emitters_can_share_their_tasks() -> None:
    tasks = HandlerTasks()
    one: EventEmitter[str] = EventEmitter(tasks=tasks)
    two: EventEmitter[str] = EventEmitter(tasks=tasks)
    ended: list[str] = []

    async def handler(name: str) -> None:
        await asyncio.sleep(0)
        ended.append(name)

    for emitter, name in ((one, "one"), (two, "two")):
        emitter.on("event", handler)
        emitter.emit("event", name)
    await tasks.finish(5)
    assert ended == ["one", "two"]
