"""Event handlers by name, as `livekit.rtc.EventEmitter` has them, and also as coroutine functions."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from inspect import CO_VARARGS
from time import monotonic
from types import FunctionType, MethodType
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, overload

from .handler_tasks import HandlerTasks

__all__ = ["EventEmitter"]

_logger = logging.getLogger("aiolivekit.room")

T_contra = TypeVar("T_contra", contravariant=True)
Callback = TypeVar("Callback", bound=Callable[..., Any])


class _Handler(NamedTuple):
    """A registered callback, with what its signature says about the arguments it takes."""

    callback: Callable[..., Any]
    limit: int | None
    required: int
    once: bool

    @classmethod
    def of(cls, callback: Callable[..., Any], *, once: bool) -> _Handler:
        function = callback.__func__ if type(callback) is MethodType else callback
        bound = function is not callback
        # An agent registers dozens of handlers when it starts, and `inspect.signature` is slow. Of a plain function it
        # says the same: all that decorators leave for it (`__wrapped__`, `__signature__`) is in `__dict__`.
        if type(function) is FunctionType and not function.__dict__ and function.__code__.co_argcount >= bound:
            takes = function.__code__.co_argcount - bound
            required = max(0, takes - len(function.__defaults__ or ()))
            return cls(callback, None if function.__code__.co_flags & CO_VARARGS else takes, required, once)
        try:
            parameters = inspect.signature(callback).parameters.values()
        except (ValueError, TypeError):
            return cls(callback, None, 0, once)  # some built-ins have no signature; they get all arguments
        positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
        required = sum(each.default is each.empty for each in positional)
        unlimited = any(each.kind is each.VAR_POSITIONAL for each in parameters)
        return cls(callback, None if unlimited else len(positional), required, once)


class EventEmitter(Generic[T_contra]):
    """Handlers of events by name.

    Handlers begin in the order of their registration, each with as many of the event's arguments as it takes. A
    coroutine function begins at its turn like any other and goes on as a task from its first wait; nobody waits for
    it. A handler that raises stops no other: the error is logged, and passed to `on_handler_error` where there is one
    (`Room.on_handler_error`). A handler added or removed while an event is told takes part from the next one on.

    Args:
        tasks: Runs the coroutine functions among the handlers; one's own by default.
    """

    _event_names: ClassVar[frozenset[str] | None] = None

    def __init__(self, *, tasks: HandlerTasks | None = None) -> None:
        self._event_handlers: dict[T_contra, tuple[_Handler, ...]] = {}
        self._handler_tasks = tasks if tasks is not None else HandlerTasks()

    def emit(self, event: T_contra, *args: Any) -> None:
        """Call the handlers of an event.

        Args:
            event: Its name.
            *args: What the handlers are called with.

        Raises:
            TypeError: If a handler needs more arguments than there are; the others have been called then.
        """
        handlers = self._event_handlers.get(event)
        if handlers is not None and (unfit := self._call_handlers(event, handlers, args)) is not None:
            raise unfit[1]

    def _tell_handlers(self, event: T_contra, *args: Any) -> None:
        """Call the handlers of an event of ours; never raises."""
        handlers = self._event_handlers.get(event)
        if handlers is not None and (unfit := self._call_handlers(event, handlers, args)) is not None:
            self._handler_tasks.failed(str(event), *unfit)

    def _call_handlers(
        self, event: T_contra, handlers: tuple[_Handler, ...], args: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], TypeError] | None:
        """Call handlers; return the first that needed more arguments than there are, and its error."""
        tasks = self._handler_tasks
        slow = tasks.slow
        unfit: tuple[Callable[..., Any], TypeError] | None = None
        began = monotonic()
        for handler in handlers:
            callback, limit, required, once = handler
            if once and not self._use_up_handler(event, handler):
                continue
            try:
                result = callback(*args) if limit is None else callback(*args[:limit])
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - reported
                if isinstance(error, TypeError) and len(args) < required and unfit is None:
                    unfit = (callback, error)
                else:
                    tasks.failed(str(event), callback, error)
            else:
                if result is not None and isinstance(result, Coroutine):
                    tasks.start(str(event), callback, result)
            ended = monotonic()
            if ended - began > slow:
                tasks.report_slow(str(event), callback, ended - began, blocking=True)
            began = ended
        return unfit

    def _use_up_handler(self, event: T_contra, handler: _Handler) -> bool:
        """Take a handler that is called only once out; return whether it was still in."""
        registered = self._event_handlers.get(event, ())
        left = tuple(each for each in registered if each is not handler)
        self._set_handlers(event, left)
        return len(left) < len(registered)

    def _check_event_name(self, event: T_contra) -> None:
        """Say so when a handler will never be called; an error would break programs written for newer versions."""
        if self._event_names is not None and event not in self._event_names:
            _logger.warning("%s has no event named %r", type(self).__name__, event)

    def _set_handlers(self, event: T_contra, handlers: tuple[_Handler, ...]) -> None:
        if handlers:
            self._event_handlers[event] = handlers
        else:
            self._event_handlers.pop(event, None)

    @overload
    def on(self, event: T_contra, callback: Callback) -> Callback: ...

    @overload
    def on(self, event: T_contra, callback: None = None) -> Callable[[Callback], Callback]: ...

    def on(self, event: T_contra, callback: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """Call `callback` whenever the event happens.

        Args:
            event: The event's name.
            callback: A function or a coroutine function; without it, the call is a decorator. Registered twice, it is
                called once, in its first place.

        Returns:
            The callback, or the decorator.
        """
        if callback is None:
            return lambda function: self.on(event, function)
        self._check_event_name(event)
        handlers = self._event_handlers.get(event, ())
        if not any(each.callback == callback and not each.once for each in handlers):
            self._event_handlers[event] = (*handlers, _Handler.of(callback, once=False))
        return callback

    @overload
    def once(self, event: T_contra, callback: Callback) -> Callback: ...

    @overload
    def once(self, event: T_contra, callback: None = None) -> Callable[[Callback], Callback]: ...

    def once(self, event: T_contra, callback: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """Call `callback` the next time the event happens, and not again.

        Args:
            event: The event's name.
            callback: As with `on`.

        Returns:
            The callback, or the decorator.
        """
        if callback is None:
            return lambda function: self.once(event, function)
        self._check_event_name(event)
        self._event_handlers[event] = (*self._event_handlers.get(event, ()), _Handler.of(callback, once=True))
        return callback

    def off(self, event: T_contra, callback: Callable[..., Any]) -> None:
        """Call `callback` no more; one that is not registered does no harm.

        Args:
            event: The event's name.
            callback: What was given to `on` or `once`.
        """
        self._set_handlers(
            event, tuple(each for each in self._event_handlers.get(event, ()) if each.callback != callback)
        )
