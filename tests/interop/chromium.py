"""Headless Chromium, driven through one node process; usable from any event loop.

A thread reads what node writes, since the process serves all tests while each test has a loop of its own.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FOLDER = Path(__file__).parent / "browser"
START_DEADLINE = 120.0
"""Seconds until the browser, or a page of it, must be there; it takes seconds where nothing else is going on."""
CALL_DEADLINE = 40.0
STOP_DEADLINE = 10.0

Handler = Callable[[dict[str, Any]], None]


class BrowserUnavailableError(Exception):
    """Node, Chromium or the npm packages are not there."""


class PageError(Exception):
    """A command failed in a page."""


def find_parts() -> tuple[str, str]:
    """Return the paths of node and of Chromium; raises `BrowserUnavailableError`."""
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        raise BrowserUnavailableError("node is not installed (Debian: apt-get install nodejs npm)")
    names = (os.environ.get("AIOLIVEKIT_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    browser = next((path for name in names if name and (path := shutil.which(name))), None)
    if browser is None:
        raise BrowserUnavailableError("Chromium is not installed (Debian: apt-get install chromium)")
    for package in ("livekit-client", "playwright-core"):
        if not (FOLDER / "node_modules" / package / "package.json").is_file():
            raise BrowserUnavailableError(f"{package} is not installed (npm ci --prefix tests/interop/browser)")
    return node, browser


class Page:
    """A page with one participant in it."""

    def __init__(self, chromium: Chromium, number: int) -> None:
        self._chromium = chromium
        self.number = number

    async def call(self, command: str, /, within: float = CALL_DEADLINE, **args: Any) -> Any:
        """Run a command of `page.js`; raises `PageError` if it fails or does not end within so many seconds."""
        return await self._chromium.request("call", within, page=self.number, name=command, args=args)

    def listen(self, handler: Handler | None) -> None:
        """Hand the page's events to `handler`, on the running loop."""
        self._chromium.listen(self.number, handler)


class Chromium:
    """The browser; `with` starts and ends it. Pages are lent and taken back, since making one takes long."""

    def __init__(self) -> None:
        self._command = [*find_parts()]
        self._command.insert(1, str(FOLDER / "driver.mjs"))
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()
        self._ids = itertools.count(1)
        # What the reader thread and the tests share.
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]]] = {}
        self._handlers: dict[int, tuple[asyncio.AbstractEventLoop, Handler]] = {}
        self._free: collections.deque[Page] = collections.deque()
        self.version = ""

    def __enter__(self) -> Self:
        # Its words go where pytest's go: a browser that does not start says there why.
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", cwd=FOLDER
        )
        self._reader = threading.Thread(target=self._read, name="chromium", daemon=True)
        self._reader.start()
        if not self._ready.wait(START_DEADLINE) or not self.version:
            self._stop()
            raise BrowserUnavailableError("Chromium does not start")
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(STOP_DEADLINE)
        process.stdout.close()

    async def borrow(self) -> Page:
        """Return a page nobody else has."""
        if self._free:
            return self._free.popleft()
        return Page(self, await self.request("open", START_DEADLINE))

    async def give_back(self, page: Page) -> None:
        """Take a page back; one that cannot be reset is closed."""
        page.listen(None)
        try:
            await page.call("reset")
        except PageError:
            await self.request("close", page=page.number)
        else:
            self._free.append(page)

    async def request(self, method: str, within: float = CALL_DEADLINE, **rest: Any) -> Any:
        """Ask node; raises `PageError` if that fails or is not answered in time."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        number = next(self._ids)
        process = self._process
        if process is None or process.poll() is not None:
            raise PageError("the browser is not running")
        assert process.stdin is not None
        with self._lock:
            self._waiting[number] = (loop, future)
        try:
            process.stdin.write(json.dumps({"id": number, "method": method, **rest}) + "\n")
            process.stdin.flush()
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            raise PageError(f"the browser did not answer {rest.get('name', method)!r} within {within} s") from None
        except OSError as error:
            raise PageError(f"the browser is gone: {error}") from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def listen(self, number: int, handler: Handler | None) -> None:
        with self._lock:
            if handler is None:
                self._handlers.pop(number, None)
            else:
                self._handlers[number] = (asyncio.get_running_loop(), handler)

    # -- the thread --

    def _read(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        for line in process.stdout:
            message = json.loads(line)
            with self._lock:
                self._take(message)
        with self._lock:
            for loop, future in self._waiting.values():
                _settle(loop, future, None, "the browser ended")
        self._ready.set()

    def _take(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self.version = message["ready"]
            self._ready.set()
        elif "event" in message:
            listener = self._handlers.get(message["page"])
            if listener is not None:
                loop, handler = listener
                _call_soon(loop, handler, message["event"])
        else:
            waiting = self._waiting.get(message["id"])
            if waiting is not None:
                _settle(*waiting, message.get("result"), message.get("error"))


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: Any) -> None:
    # Unless the test is over and its loop closed.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *arguments)


def _settle(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], result: Any, error: str | None) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(PageError(error))

    _call_soon(loop, settle)
