"""One line that says how far a command has come, again and again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .masking import secrets
from .output import print_line, printable

if TYPE_CHECKING:
    from rich.live import Live

__all__ = ["Progress", "clock", "size_words"]

_ON_TERMINAL = 0.5
_ELSEWHERE = 10.0


def clock(seconds: float) -> str:
    """Return seconds as `1:02:03` or `2:03`."""
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size_words(size: float) -> str:
    """Return bytes as a person says them."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


class Progress:
    """Shows a line while it is entered: on a terminal twice a second in one place, elsewhere every ten seconds.

    Args:
        line: Returns what it says now.
    """

    def __init__(self, line: Callable[[], str]) -> None:
        self._line = line
        self._live: Live | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        interval = _ELSEWHERE
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(highlight=False, markup=False, emoji=False)
            self._live = Live(self._text(), console=console, auto_refresh=False, transient=True)
            self._live.start()
            interval = _ON_TERMINAL
        self._task = asyncio.create_task(self._show(interval), name="aiolivekit progress")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._live is not None:
            self._live.stop()

    async def _show(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            if self._live is None:
                print_line(printable(self._line()))
            else:
                self._live.update(self._text(), refresh=True)

    def _text(self) -> Any:
        from rich.text import Text

        return Text(secrets.mask(printable(self._line())), no_wrap=True, overflow="ellipsis")
