"""Switches encodings of our tracks off while nobody watches them."""

# ruff: noqa: SLF001 - a publication's sender is what is switched

from __future__ import annotations

import asyncio
import logging

from livekit.protocol import rtc

from ..core.dynacast import active_encodings
from ..errors import MediaError
from ..peer.tracks import LocalSender
from .track_publication import LocalTrackPublication

__all__ = ["Dynacast"]

_logger = logging.getLogger("aiolivekit.room")


class Dynacast:
    """Carries out what the server says of who watches what; the last word on a track counts."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def update(self, publication: LocalTrackPublication, update: rtc.SubscribedQualityUpdate) -> None:
        """Take the server's word on one of our tracks."""
        sender = publication._sender
        if sender is None:
            return
        codec = publication._options.video_codec
        wanted = active_encodings(update, "vp8" if codec is None else codec.name, sender.encodings, sender.active)
        self.apply(sender, wanted)

    def apply(self, sender: LocalSender, wanted: tuple[bool, ...]) -> None:
        """Send these encodings of a sender."""
        if wanted == sender.active:
            return
        task = asyncio.get_running_loop().create_task(_apply(sender, wanted), name="aiolivekit-dynacast")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Switch nothing any more."""
        for task in self._tasks:
            task.cancel()


async def _apply(sender: LocalSender, wanted: tuple[bool, ...]) -> None:
    try:
        await sender.activate(wanted)
    except MediaError as error:
        _logger.warning("the layers of a track could not be switched: %s", error)
