"""The embedded dev server on a thread of its own, for tests of any style.

A test that blocks its event loop does not stall the server, and a test without a loop can use it as well.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from ..core.access_token import access_token

if TYPE_CHECKING:
    from ..server import DevServer, ServerOptions
    from .fault_control import FaultControl
    from .snapshots import RoomSnapshot

__all__ = ["EmbeddedServer"]

T = TypeVar("T")

_START_LIMIT = 10.0
_STOP_LIMIT = 15.0
"""Seconds; the server gives its clients two to hang up, and ends what is left."""
_CALL_LIMIT = 10.0
"""Seconds a call into the server's loop may take; it never waits for a client."""

_NOT_RUNNING = "the server is not running"


@dataclass(frozen=True, slots=True)
class _Running:
    """A server that has started: what is fixed while it runs."""

    loop: asyncio.AbstractEventLoop
    end: asyncio.Event
    server: DevServer
    url: str
    http_url: str


class EmbeddedServer:
    """A dev server that runs beside the test, as a context manager.

    Its methods may be called from any thread, and none of them needs an event loop. It may be started again after
    it was stopped; it then is another server, with the same key. Needs the extra `testing` or `server`.

    Args:
        options: Times and limits; `None` for the defaults.
        room: The room tokens are for unless told otherwise.
    """

    kind: Literal["embedded"] = "embedded"

    def __init__(self, options: ServerOptions | None = None, *, room: str = "test") -> None:
        self.room_name = room
        self._options = options
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._running: _Running | None = None
        self._error: BaseException | None = None
        self._faults: FaultControl | None = None
        self._known: tuple[str, str, str, str] | None = None

    # -- beginning and end --

    def start(self) -> None:
        """Start; `with` does it.

        Raises:
            RuntimeError: If it is running.
            ImportError: If the extra is not installed.
        """
        if self._thread is not None:
            raise RuntimeError("the server is running")
        from ..server import DevServer  # only who starts a server pays for its imports
        from .fault_control import FaultControl

        key, secret = self._known[2:] if self._known is not None else (None, None)
        server = DevServer(api_key=key, api_secret=secret, options=self._options)
        started: Future[_Running] = Future()
        # A daemon: a server that does not end must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._run, args=(server, started), name="livekit dev server", daemon=True
        )
        self._error = None
        self._thread.start()
        try:
            running = started.result(_START_LIMIT)
        except BaseException:
            # Whoever gave up waiting leaves no server behind: it ends as soon as it has started.
            if not started.cancel() and started.exception() is None:
                self._running = started.result()
            self.stop()
            raise
        self._known = (running.url, running.http_url, server.api_key, server.api_secret)
        self._faults = FaultControl(self.call, self.submit, server.faults)
        self._running = running

    def stop(self) -> None:
        """Send everybody away and end the thread; may be called again.

        Raises:
            RuntimeError: If the server does not end in time.
        """
        with self._lock:
            # From here on nothing more is handed to the loop, so what was handed to it is ended by it.
            running, self._running = self._running, None
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if running is not None:
            running.loop.call_soon_threadsafe(running.end.set)
        thread.join(_STOP_LIMIT)
        if thread.is_alive():
            raise RuntimeError(f"the server did not end within {_STOP_LIMIT:g} s")
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, server: DevServer, started: Future[_Running]) -> None:
        async def serve() -> None:
            async with server:
                end = asyncio.Event()
                loop = asyncio.get_running_loop()
                if not started.set_running_or_notify_cancel():
                    return
                started.set_result(_Running(loop, end, server, server.url, server.http_url))
                await end.wait()

        try:
            # Not the loop of the test's choice: it may be one of another kind, or with a policy of its own.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(serve())
        except BaseException as error:  # noqa: BLE001 - raised by who waits
            if not started.done():
                started.set_exception(error)
            else:
                self._error = error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # -- what it is --

    @property
    def running(self) -> bool:
        """Whether it is running."""
        return self._running is not None

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return self._facts()[0]

    @property
    def http_url(self) -> str:
        """Where `livekit-api` connects to."""
        return self._facts()[1]

    @property
    def api_key(self) -> str:
        """The API key, made up at the start."""
        return self._facts()[2]

    @property
    def api_secret(self) -> str:
        """The API secret, made up at the start."""
        return self._facts()[3]

    def token(self, identity: str, *, room: str | None = None, **claims: Any) -> str:
        """Return an access token for this server.

        Args:
            identity: The participant's identity.
            room: The room the grants are for; the server's own when `None`.
            claims: The other arguments of `access_token`.
        """
        room = self.room_name if room is None else room
        return access_token(self.api_key, self.api_secret, identity, room=room, **claims)

    def admin_token(self, room: str = "") -> str:
        """Return a token for `RoomService`: for the named room, and to create, list and delete any."""
        return self.token("", room=room, room_join=False, room_admin=True, room_create=True, room_list=True)

    def _facts(self) -> tuple[str, str, str, str]:
        if self._known is None:
            raise RuntimeError("the server was not started")
        return self._known

    # -- inside --

    @property
    def faults(self) -> FaultControl:
        """What may be made to go wrong, and what has; the log can be read after the server was stopped, too."""
        if self._faults is None:
            raise RuntimeError("the server was not started")
        return self._faults

    @property
    def rooms(self) -> list[RoomSnapshot]:
        """The rooms as they are now."""
        from .snapshots import snapshot

        return self.call(lambda: [snapshot(room) for room in self.dev_server().rooms])

    def room(self, name: str | None = None) -> RoomSnapshot:
        """Return a room as it is now.

        Args:
            name: Its name; the server's own room when `None`.

        Raises:
            LookupError: If there is none of that name.
        """
        from .snapshots import snapshot

        return self.call(lambda: snapshot(self.dev_server().room(self.room_name if name is None else name)))

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the server's loop and return what it returns; what it raises is raised here.

        For what has no method of its own: the function may use `dev_server()` and all that is in it, which must not
        be used outside.

        Raises:
            RuntimeError: If the server is not running, or this is its own thread.
            TimeoutError: If the server does not come to it in time.
        """

        async def run() -> T:
            return function()

        # The thread would wait for itself.
        if threading.current_thread() is self._thread:
            raise RuntimeError("called from the server's own thread")
        future = self.submit(run())
        try:
            return future.result(_CALL_LIMIT)
        except TimeoutError as error:
            if future.done():  # the function's own
                raise
            raise TimeoutError(f"the server did not come to it within {_CALL_LIMIT:g} s") from error
        finally:
            future.cancel()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the server's loop; when the server ends before it, the future has a `RuntimeError`.

        Raises:
            RuntimeError: If the server is not running.
        """
        with self._lock:
            if self._running is not None:
                return asyncio.run_coroutine_threadsafe(self._until_the_end(coroutine), self._running.loop)
        coroutine.close()
        raise RuntimeError(_NOT_RUNNING)

    async def _until_the_end(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            return await coroutine
        except asyncio.CancelledError:
            # Not by who waits for it: to them it is no cancellation of their own.
            if self._running is None:
                raise RuntimeError("the server was stopped") from None
            raise

    def dev_server(self) -> DevServer:
        """Return the server itself, for functions that `call` runs.

        Raises:
            RuntimeError: If it is not running.
        """
        if self._running is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._running.server
