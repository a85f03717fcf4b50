"""The embedded dev server on a thread of its own, for tests of any style.

A test that blocks its event loop does not stall the server, and a test without a loop can use it as well.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from .tokens import access_token

if TYPE_CHECKING:
    from ..server import DevServer, ServerOptions
    from .fault_control import FaultControl
    from .snapshots import RoomSnapshot

__all__ = ["EmbeddedServer"]

T = TypeVar("T")

_START_LIMIT = 10.0
_STOP_LIMIT = 15.0
_CALL_LIMIT = 10.0
"""Seconds a call into the server's loop may take; it never waits for a client."""


class EmbeddedServer:
    """A dev server that runs beside the test, as a context manager.

    Its methods may be called from any thread, and none of them needs an event loop. Needs the extra `server`.

    Args:
        options: Times and limits; `None` for the defaults.
        room: The room tokens are for unless told otherwise.
    """

    kind = "embedded"

    def __init__(self, options: ServerOptions | None = None, *, room: str = "test") -> None:
        self.room_name = room
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: DevServer | None = None
        self._faults: FaultControl | None = None
        self._urls = ("", "")
        self._keys = ("", "")

    # -- beginning and end --

    def start(self) -> None:
        """Start; `with` does it.

        Raises:
            RuntimeError: If it is running.
            ImportError: If the extra `server` is not installed.
        """
        if self._thread is not None:
            raise RuntimeError("the server is running")
        from ..server import DevServer  # only who starts a server pays for its imports
        from .fault_control import FaultControl

        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_run, args=(loop,), name="livekit dev server", daemon=True)
        self._loop, self._thread = loop, thread
        thread.start()
        try:
            server = self._server = DevServer(options=self._options)
            self._wait(server.start(), _START_LIMIT)
        except BaseException:
            self.stop()
            raise
        self._urls = (server.url, server.http_url)
        self._keys = (server.api_key, server.api_secret)
        self._faults = FaultControl(self.call, self.submit, server.faults)

    def stop(self) -> None:
        """Send everybody away and end the thread; may be called again."""
        loop, thread, server = self._loop, self._thread, self._server
        if loop is None or thread is None:
            return
        try:
            if server is not None:
                self._wait(server.stop(), _STOP_LIMIT)
        finally:
            self._loop = self._thread = self._server = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_STOP_LIMIT)

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
        return self._server is not None

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return self._urls[0]

    @property
    def http_url(self) -> str:
        """Where `livekit-api` connects to."""
        return self._urls[1]

    @property
    def api_key(self) -> str:
        """The API key, made up at the start."""
        return self._keys[0]

    @property
    def api_secret(self) -> str:
        """The API secret, made up at the start."""
        return self._keys[1]

    def token(self, identity: str, *, room: str | None = None, **claims: Any) -> str:
        """Return a token.

        Args:
            identity: The participant's identity.
            room: The room's name.
            claims: As `access_token` takes them.
        """
        return access_token(self.api_key, self.api_secret, identity, room=room or self.room_name, **claims)

    def admin_token(self, room: str = "") -> str:
        """Return a token for `RoomService`."""
        return self.token("admin", room=room, room_join=False, room_admin=True, room_create=True, room_list=True)

    # -- inside --

    @property
    def faults(self) -> FaultControl:
        """What may be made to go wrong, and what has."""
        if self._faults is None:
            raise RuntimeError("the server is not running")
        return self._faults

    @property
    def rooms(self) -> list[RoomSnapshot]:
        """The rooms as they are now."""
        from .snapshots import snapshot

        return self.call(lambda: [snapshot(room) for room in self._running().rooms])

    def room(self, name: str | None = None) -> RoomSnapshot:
        """Return a room as it is now.

        Raises:
            LookupError: If there is none of that name.
        """
        from .snapshots import snapshot

        return self.call(lambda: snapshot(self._running().room(name or self.room_name)))

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the server's loop and return what it returns; what it raises is raised here.

        For what has no method of its own; the function may use the server's objects, which must not be used outside.
        """

        async def run() -> T:
            return function()

        return self._wait(run(), _CALL_LIMIT)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Any:
        """Run a coroutine on the server's loop; returns a `concurrent.futures.Future`."""
        if self._loop is None:
            coroutine.close()
            raise RuntimeError("the server is not running")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _running(self) -> DevServer:
        if self._server is None:
            raise RuntimeError("the server is not running")
        return self._server

    def _wait(self, coroutine: Coroutine[Any, Any, T], limit: float) -> T:
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("called from the server's own thread")
        result: T = self.submit(coroutine).result(limit)
        return result


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
