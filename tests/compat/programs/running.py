"""A program in a process of its own: what it says is waited for, and it is gone when the test is over."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

DEADLINE = 90.0
"""Seconds for a program to say what is waited for: it has to import a framework, on a busy machine."""

STOP_DEADLINE = 20.0
SHOWN = 6000
OPT_OUT = "AIOLIVEKIT_DROPIN"
"""The environment variable that turns the overlay off when it is 0."""

Sdk = Literal["ours", "official"]
SDKS: tuple[Sdk, ...] = ("ours", "official")


class Program:
    """Runs from `async with` to its end.

    Args:
        python: The interpreter.
        arguments: Its arguments.
        sdk: Whose `livekit.rtc` the program imports.
        environment: What to add to its environment.
        folder: Where it runs.
    """

    def __init__(
        self, python: Path, *arguments: str, sdk: Sdk, environment: Mapping[str, str], folder: Path | None = None
    ) -> None:
        self._command = [str(python), "-u", *arguments]
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("LIVEKIT", "PYTEST", "COV"))},
            # The server is on loopback, which libwebrtc leaves out unless it is told.
            "WRTC_ALLOW_LOOPBACK": "1",
            OPT_OUT: "1" if sdk == "ours" else "0",
            **environment,
        }
        for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):  # without bytecode each start takes many seconds more
            self._environment.pop(name, None)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.lines: list[str] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=self._folder,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**20,
            # Its children are in its group, and end with it.
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process, reader = self._process, self._reader
        assert process is not None
        assert reader is not None
        try:
            await self.stop()
        finally:
            self._signal(signal.SIGKILL)
            await process.wait()
            await reader

    @property
    def pid(self) -> int:
        """The process, and its group."""
        assert self._process is not None
        return self._process.pid

    async def ended(self) -> int:
        """Wait for it to end by itself, and return its status.

        Raises:
            AssertionError: If it does not end in time; with what it said last.
        """
        assert self._process is not None
        try:
            async with asyncio.timeout(DEADLINE):
                return await self._process.wait()
        except TimeoutError:
            raise AssertionError(f"the program did not end:\n{self.words}") from None

    async def stop(self) -> int:
        """Interrupt it as Ctrl-C does, and return its status; it is killed if it does not end in time."""
        process = self._process
        assert process is not None
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_DEADLINE):
                    await process.wait()
            except TimeoutError:
                self._signal(signal.SIGKILL)
        return await process.wait()

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        assert self._process is not None
        self._process.send_signal(number)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))
            self._changed.set()
        self._changed.set()

    async def line(self, condition: str | Callable[[str], bool], *, count: int = 1, since: int = 0) -> str:
        """Return the `count`th line with those words in it, said already or to come.

        Raises:
            AssertionError: If the program ends or time is up before; with what it said last.
        """
        fits = condition if callable(condition) else lambda line: condition in line
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    found = [line for line in self.lines[since:] if fits(line)]
                    if len(found) >= count:
                        return found[count - 1]
                    if self._reader is None or self._reader.done():
                        break
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        raise AssertionError(f"the program never said {condition!r}:\n{self.words}")

    @property
    def words(self) -> str:
        """What it said last, for reports of failures."""
        return "\n".join(self.lines)[-SHOWN:]
