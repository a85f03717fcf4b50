"""The command line as a process, with its output line by line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

PATIENCE = 60.0
"""Seconds a command may take: its interpreter has to start, which alone takes many on a busy machine."""

_OURS = ("LIVEKIT_URL", "LIVEKIT_TOKEN", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what it knows of servers, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if name not in _OURS}
    # Commands find out by themselves that a server is on loopback.
    kept.pop("WRTC_ALLOW_LOOPBACK", None)
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error", **(more or {})}


class Process:
    """A running command."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    async def line(self, match: Callable[[str], bool]) -> str:
        """Return the next line that matches."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                while raw := await self._process.stdout.readline():
                    line = raw.decode().rstrip("\n")
                    self.lines.append(line)
                    if match(line):
                        return line
        except TimeoutError:
            pass
        raise AssertionError(f"the line did not come; there were {self.lines}")

    async def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """Return the next JSON line of an event with these fields."""

        def match(line: str) -> bool:
            value = json.loads(line)
            return value["event"] == name and all(value.get(key) == wanted for key, wanted in fields.items())

        return json.loads(await self.line(match))  # type: ignore[no-any-return]

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self, timeout: float = PATIENCE) -> tuple[int, list[str], str]:
        """Wait for the end; return the status, the lines not read yet, and the error output."""
        async with asyncio.timeout(timeout):
            out, err = await self._process.communicate()
        rest = out.decode().splitlines()
        self.lines += rest
        assert self._process.returncode is not None
        return self._process.returncode, rest, (err or b"").decode()


@asynccontextmanager
async def started(
    *arguments: str, more: Mapping[str, str] | None = None, merged: bool = False
) -> AsyncIterator[Process]:
    """Start a command, with its error output among the lines if `merged`; it is killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aiolivekit", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT if merged else asyncio.subprocess.PIPE,
        env=environment(more),
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def run(
    *arguments: str, more: Mapping[str, str] | None = None, stdin: bytes = b"", timeout: float = PATIENCE
) -> tuple[int, str, str]:
    """Run a command to its end; return the status and both outputs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aiolivekit", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(more),
    )
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
