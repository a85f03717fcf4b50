"""The command line on a terminal of its own (POSIX)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .cli_process import PATIENCE, environment

__all__ = ["Terminal", "on_terminal"]


class Terminal:
    """A terminal in which a command runs."""

    def __init__(self, process: asyncio.subprocess.Process, descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self._shown = bytearray()
        self._more = asyncio.Event()

    async def shows(self, *words: str) -> None:
        """Wait until all these have been shown."""

        try:
            async with asyncio.timeout(PATIENCE):
                while not all(word in self.text for word in words):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"the terminal does not show {words}; it shows {self.text}") from None

    @property
    def text(self) -> str:
        """Everything that was shown so far, control sequences included."""
        return self._shown.decode(errors="replace")

    @property
    def cursor_is_back(self) -> bool:
        """Whether the cursor was hidden, for a table, and is shown again."""
        return self._shown.rfind(b"\x1b[?25h") > self._shown.rfind(b"\x1b[?25l") >= 0

    def type(self, keys: bytes) -> None:
        """Press keys; `\\x03` is Ctrl-C."""
        os.write(self._descriptor, keys)

    async def status(self) -> int:
        """Wait for the end of the command; return its exit status."""
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    def read(self) -> None:
        """Take what is to be read."""
        try:
            self._shown += os.read(self._descriptor, 65536)
            self._more.set()
        except OSError:  # the other end is closed
            asyncio.get_running_loop().remove_reader(self._descriptor)


@asynccontextmanager
async def on_terminal(*arguments: str) -> AsyncIterator[Terminal]:
    """Start a command on a terminal; it is killed at the end if it still runs."""
    import pty

    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aiolivekit", *arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment({"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}),
        start_new_session=True,
        preexec_fn=_own_terminal,  # so that Ctrl-C becomes a signal
    )
    os.close(theirs)
    terminal = Terminal(process, ours)
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, terminal.read)
    try:
        yield terminal
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
