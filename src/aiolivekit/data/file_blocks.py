"""Reads a file block by block, in a thread: a slow disk must not stop the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any, Self, TypeVar

__all__ = ["FileBlocks"]

_BLOCK = 256 * 1024

T = TypeVar("T")


class FileBlocks:
    """A file as it is when it is opened; what is added later is left out.

    Args:
        path: Of the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._file: FileIO | None = None
        self._busy: asyncio.Future[Any] | None = None
        self.size = 0
        self.left = 0
        """Bytes not read yet."""

    async def __aenter__(self) -> Self:
        try:
            await self._in_thread(self._open)
        except BaseException:
            self._close()
            raise
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        self._close()

    def _open(self) -> None:
        self._file = self._path.open("rb", buffering=0)
        self.size = self.left = os.fstat(self._file.fileno()).st_size

    async def read(self) -> bytes:
        """Return the next block; empty at the end, and before it if the file became shorter (`left`)."""
        file, left = self._file, self.left
        assert file is not None
        if not left:
            return b""
        block = await self._in_thread(lambda: file.read(min(_BLOCK, left)))
        self.left -= len(block)
        return block

    async def _in_thread(self, function: Callable[[], T]) -> T:
        working = asyncio.ensure_future(asyncio.to_thread(function))
        self._busy = working
        # Threads cannot be cancelled: the file is closed when this one is done with it.
        return await asyncio.shield(working)

    def _close(self) -> None:
        if self._busy is not None and not self._busy.done():
            self._busy.add_done_callback(self._finish)
        elif self._file is not None:
            self._file.close()

    def _finish(self, busy: asyncio.Future[Any]) -> None:
        if not busy.cancelled():
            # The caller is gone.
            busy.exception()
        if self._file is not None:
            self._file.close()
