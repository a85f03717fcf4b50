"""What a published video track shows before its first picture: black.

A server tells the others of a track, and lets them subscribe to it, when its first packet comes. Without this a program
could not wait for a subscriber before it sends its first picture, as many do.
"""

from __future__ import annotations

import asyncio
import time
import weakref

from ..enums import VideoBufferType
from ..peer.pixels import planes
from ..peer.video import LocalVideo, NativePicture, native_picture

__all__ = ["Placeholder"]

_INTERVAL = 0.1
"""Seconds between pictures at first, so that all layers begin at once."""
_QUICK = 30
_SLOW_INTERVAL = 1.0
"""Later, so that a track that waits for long costs next to nothing."""


class Placeholder:
    """Writes black pictures until it is over. It ends by itself when nobody holds it any more.

    Args:
        output: Where they are written.
        width: Pixels of a row.
        height: Rows.
    """

    def __init__(self, output: LocalVideo, width: int, height: int) -> None:
        self._output = output
        self._size = (width, height)
        self._picture: NativePicture | None = None
        self._written = 0
        self._over = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Write on the loop that runs, if it is not over; does nothing without a loop, or if it does so already."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if not self._over and self._loop is not loop:
            self._loop = loop
            self._written = 0
            loop.call_later(_INTERVAL, _due, weakref.ref(self), loop)

    def end(self) -> None:
        """Write no more; from any thread."""
        self._over = True

    def _write(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._over or self._loop is not loop:
            return
        if self._picture is None:
            self._picture = native_picture(VideoBufferType.I420, *self._size, memoryview(_black(*self._size)))
        self._output.write(self._picture, time.monotonic_ns() // 1000, 0)
        self._written += 1
        interval = _INTERVAL if self._written < _QUICK else _SLOW_INTERVAL
        loop.call_later(interval, _due, weakref.ref(self), loop)


def _due(reference: weakref.ref[Placeholder], loop: asyncio.AbstractEventLoop) -> None:
    placeholder = reference()
    if placeholder is not None:
        placeholder._write(loop)  # noqa: SLF001 - its timer


def _black(width: int, height: int) -> bytes:
    luma, *chroma = planes(VideoBufferType.I420, width, height)
    return b"\x10" * luma.size + b"\x80" * sum(plane.size for plane in chroma)
