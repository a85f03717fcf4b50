"""What the video tracks of the Python SDKs show."""

from __future__ import annotations

import asyncio
from typing import Any

from . import media
from .client import Picture
from .events import DEADLINE

FRESH_FRAMES = 3


class View:
    """What a video track shows."""

    def __init__(self, track: Any) -> None:
        # Kept, so that its id is nobody else's.
        self.track = track
        self._last: Any = None
        self._count = 0
        self._changed = asyncio.Event()

    async def watch(self, rtc: Any) -> None:
        stream = rtc.VideoStream(self.track, format=rtc.VideoBufferType.I420)
        try:
            async for event in stream:
                self._last = event.frame
                self._count += 1
                self._changed.set()
        finally:
            await stream.aclose()

    async def next_picture(self) -> Picture:
        """The picture after some that are new."""
        wanted = self._count + FRESH_FRAMES
        try:
            async with asyncio.timeout(DEADLINE):
                while self._count < wanted:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{FRESH_FRAMES - wanted + self._count} pictures came") from None
        return media.read_picture(bytes(self._last.data), self._last.width, self._last.height)
