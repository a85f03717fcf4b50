from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.room.emitter import EventEmitter, _Handler
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
    emitter.on("event", functools.partial(lambda: None))
    monkeypatch.setattr("inspect.signature", lambda _callback: pytest.fail("read again"))
    emitter.emit("event", 1)


class Shapes:
    """Methods of every kind, and an object that can be called."""

    def __call__(self, one: int, two: int = 2) -> None: ...

    def nothing(self) -> None: ...

    def some(self, one: int, two: int = 2, *, three: int) -> None: ...

    def all_default(self: Any = None, one: int = 1) -> None: ...

    def rest(self, one: int, *others: int) -> None: ...

    def only_rest(*everything: int) -> None: ...  # type: ignore[misc]

    def positional_only(self, one: int, /, two: int) -> None: ...

    def none_at_all() -> None: ...  # type: ignore[misc]

    def only_keywords(*, one: int = 1) -> None: ...  # type: ignore[misc]

    async def coroutine(self, one: int) -> None: ...

    @classmethod
    def of_class(cls, one: int) -> None: ...

    @staticmethod
    def static(one: int, two: int = 2) -> None: ...

    part = functools.partialmethod(some, 1, three=3)


def function(one: int, two: int = 2) -> None: ...


def decorated(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def wrapper(*args: Any, **kwargs: Any) -> Any: ...

    return wrapper


def with_attributes(callback: Callable[..., Any], **attributes: Any) -> Callable[..., Any]:
    copy = FunctionType(callback.__code__, {}, "copy", callback.__defaults__)
    copy.__dict__.update(attributes)
    return copy


class WithSignature:
    __signature__ = inspect.signature(lambda one, two, three=3: None)

    def __call__(self, *args: int) -> None: ...


def said_by_inspect(callback: Callable[..., Any]) -> tuple[int | None, int]:
    """What a signature says: how many positional arguments there may be, and how many there have to be."""
    try:
        parameters = list(inspect.signature(callback).parameters.values())
    except (ValueError, TypeError):
        return None, 0
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    unlimited = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    return None if unlimited else len(positional), sum(each.default is each.empty for each in positional)


shapes = Shapes()
CALLABLES: list[Callable[..., Any]] = [
    *(getattr(owner, name) for owner in (Shapes, shapes) for name in vars(Shapes) if not name.startswith("__")),
    shapes,
    Shapes,
    function,
    lambda: None,
    lambda *, one, two=2: None,
    lambda *args, **kwargs: None,
    lambda one, /, two=2, *args, three, **kwargs: None,
    decorated(function),
    decorated(shapes.some),
    MethodType(decorated(function), shapes),
    functools.partial(function, 1),
    functools.partial(shapes.some, three=3),
    MethodType(functools.partial(function), 1),
    MethodType(shapes, 1),
    MethodType(shapes.some, 1),
    MethodType(print, 1),
    shapes.__call__,
    with_attributes(function, anything=1),
    with_attributes(function, __signature__=inspect.signature(lambda: None)),
    with_attributes(function, __signature__="none"),
    with_attributes(function, __wrapped__=shapes.some),
    with_attributes(function, __text_signature__="(one, two, three)"),
    WithSignature(),
    WithSignature().__call__,
    Mock(),
    Mock(spec=function),
    Mock(spec=shapes.some),
    create_autospec(function),
    [].append,
    list.append,
    print,
    int,
    dict,
]


@pytest.mark.parametrize("callback", CALLABLES)
def test_what_a_handler_takes_is_what_its_signature_says(callback: Callable[..., Any]) -> None:
    handler = _Handler.of(callback, once=False)
    assert (handler.limit, handler.required) == said_by_inspect(callback)


@given(st.lists(st.integers(0, 3), min_size=5, max_size=5), st.booleans(), st.booleans(), st.booleans())
def test_what_any_function_takes_is_what_its_signature_says(
    counts: list[int], rest: bool, keywords: bool, coroutine: bool
) -> None:
    only, either, defaults, named, named_defaults = counts
    positional = [f"p{number}" for number in range(only + either)]
    for number in range(1, min(defaults, len(positional)) + 1):
        positional[-number] += "=None"
    parameters = [*positional[:only], *["/"][:only], *positional[only:]]
    names = [f"k{number}" + ("=None" if number < named_defaults else "") for number in range(named)]
    if rest or names:
        parameters.append("*rest" if rest else "*")
    parameters += [*names, *["**keywords"][:keywords]]
    scope: dict[str, Any] = {}
    exec(f"{'async ' * coroutine}def any_function({', '.join(parameters)}): ...", scope)
    for callback in (scope["any_function"], MethodType(scope["any_function"], 1)):
        handler = _Handler.of(callback, once=False)
        assert (handler.limit, handler.required) == said_by_inspect(callback)


def test_plain_functions_are_not_inspected(emitter: EventEmitter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inspect.signature", lambda _callback: pytest.fail("inspected"))
    for callback in (function, lambda: None, shapes.some, shapes.coroutine, shapes.of_class, shapes.static):
        emitter.on("event", callback)


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
