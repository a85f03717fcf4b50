"""What stands for the official SDK's door to its Rust library (`livekit.rtc._ffi_client`).

Why it is here: programs and tests import it, to load the library early (livekit-agents does so before it forks), to
see that there is one (`FfiClient.instance`), or to watch its events. There is no library and there are no events: the
names exist, queues carry what is put into them, handles are numbers, and a request says what to use instead.
"""

# ruff: noqa: SLF001 - the classes of this module belong together

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

from ..errors import UnsupportedError

__all__ = ["INVALID_HANDLE", "FfiClient", "FfiHandle", "FfiQueue", "Queue", "get_ffi_lib"]

T = TypeVar("T")

INVALID_HANDLE = 0

_MODULES = ("..room.room", "..media.audio_source", "..media.audio_stream", "..media.apm")

_logger = logging.getLogger("aiolivekit.compat")


class FfiHandle:
    """A number; nothing native is behind it.

    Args:
        handle: The number.
    """

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self._disposed = False

    @property
    def disposed(self) -> bool:
        """Whether `dispose` was called."""
        return self._disposed

    def mark_consumed(self) -> None:
        """Say that it is disposed of."""
        self._disposed = True

    def dispose(self) -> None:
        """Say that it is disposed of."""
        self._disposed = True

    def __repr__(self) -> str:
        return f"FfiHandle({self.handle})"


class Queue(asyncio.Queue[T]):
    """A queue of which a certain item can be waited for."""

    async def wait_for(self, fnc: Callable[[T], bool]) -> T:
        """Return the first item for which a function is true; those before it are dropped."""
        while True:
            item = await self.get()
            if fnc(item):
                return item
            self.task_done()


class FfiQueue(Generic[T]):
    """Passes on what is put into it to queues on other event loops, each with a filter of its own."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._subscribers: list[tuple[Queue[T], asyncio.AbstractEventLoop, Callable[[T], bool] | None]] = []

    def put(self, item: T) -> None:
        """Pass on an item; a filter that fails lets it through."""
        with self._lock:
            for queue, loop, filter_fn in self._subscribers:
                if _wanted(filter_fn, item):
                    try:
                        loop.call_soon_threadsafe(queue.put_nowait, item)
                    except RuntimeError:
                        _logger.debug("an event loop was closed while its queue was subscribed")

    def subscribe(
        self, loop: asyncio.AbstractEventLoop | None = None, filter_fn: Callable[[T], bool] | None = None
    ) -> Queue[T]:
        """Return a queue that gets what is put from now on, on the loop that runs or another one."""
        with self._lock:
            queue = Queue[T]()
            self._subscribers.append((queue, loop or asyncio.get_event_loop(), filter_fn))
            return queue

    def unsubscribe(self, queue: Queue[T]) -> None:
        """Let a queue get nothing more."""
        with self._lock:
            self._subscribers = [entry for entry in self._subscribers if entry[0] is not queue]


def _wanted(filter_fn: Callable[[T], bool] | None, item: T) -> bool:
    if filter_fn is None:
        return True
    try:
        return bool(filter_fn(item))
    except Exception:  # noqa: BLE001 - better one item too many than one lost
        return True


class _Instance:
    """Makes the one client when it is first asked for."""

    def __get__(self, instance: object, owner: type[FfiClient]) -> FfiClient:
        with owner._instance_lock:
            if owner._instance is None:
                owner._instance = owner()
            return owner._instance


class FfiClient:
    """The one door to the library; behind it is nothing."""

    _instance: ClassVar[FfiClient | None] = None
    _instance_lock: ClassVar[threading.Lock] = threading.Lock()
    instance: ClassVar[_Instance] = _Instance()

    def __init__(self) -> None:
        self._queue: FfiQueue[Any] = FfiQueue()

    @property
    def queue(self) -> FfiQueue[Any]:
        """A queue into which nothing comes."""
        return self._queue

    def request(self, req: object) -> NoReturn:
        """Refuse a request.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(
            f"there is no Rust library to take a {type(req).__name__}; use the methods of Room, LocalParticipant and "
            "the tracks, which do what such requests did"
        )


def get_ffi_lib() -> None:
    """Load libwebrtc and what a process needs to connect, speak and hear; there is no library of its own to return.

    Nothing is started, so the process may fork afterwards, and its children have all of it.
    """
    for module in _MODULES:
        importlib.import_module(module, __package__)
    for extra in ("soxr", "pywebrtc_audio"):
        if importlib.util.find_spec(extra) is not None:
            importlib.import_module(extra)
