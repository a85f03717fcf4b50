"""Finds out when the packets of a silent track leave, so that its source is played only then."""

# ruff: noqa: SLF001 - a track is published with its source

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..core.dtx_rhythm import DtxRhythm
from ..peer.media_thread import PERIOD

if TYPE_CHECKING:
    from ..media.audio_source import AudioSource
    from ..media.rest import Resting
    from ..peer.tracks import LocalSender

__all__ = ["DtxWatch"]

_SENT_AFTER = 0.005
"""Seconds after a turn of the audio clock by which its packets have been counted."""

_VALID_FOR = 60.0
"""Seconds after which the rhythm is looked for anew: a codec that was set up again may have another."""

_MOST_LOOKS = 40
"""Looks after which it is given up: seven are enough, but a busy loop misses the right moments."""

_PAUSE = 60.0
"""Seconds until it is looked for again when it was not found."""

_CLOCK_ERROR = 0.002
"""Seconds by which libwebrtc's clock may differ from ours."""


class DtxWatch:
    """Watches one publication of an audio source (a `RestWatch`).

    Args:
        source: What is sent.
        sender: Returns what sends it now.
        dtx: Whether Opus may leave out silence.
    """

    def __init__(self, source: AudioSource, sender: Callable[[], LocalSender | None], *, dtx: bool) -> None:
        self.dtx = dtx
        self._source = source
        self._sender = sender
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        source._sent_by(self)

    def restart(self) -> None:
        """It is sent by another sender, whose rhythm is another."""
        self._stop()
        self._source._sent_anew()

    def close(self) -> None:
        """It is sent no more. Twice is once."""
        if not self._closed:
            self._closed = True
            self._stop()
            self._source._not_sent_by(self)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def silence_settled(self) -> None:
        """The source is silent, and has been for a while (on the media thread)."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._stop()
        if not self._closed:
            self._task = self._loop.create_task(self._watch(), name="aiolivekit dtx watch")

    async def _watch(self) -> None:
        while (resting := self._source._resting()) is not None:
            phase = await self._find(resting.silence)
            self._source._rest_in_rhythm(resting.silence, phase)
            await asyncio.sleep(_PAUSE if phase is None else _VALID_FOR)
            self._source._rest_in_rhythm(resting.silence, None)

    async def _find(self, silence: int) -> int | None:
        """Return the rhythm's phase; `None` if it was not found."""
        rhythm = DtxRhythm()
        look_at = looks = 0
        while rhythm.phase is None:
            resting = self._source._resting()
            if resting is None or resting.silence != silence or rhythm.failed or looks == _MOST_LOOKS:
                return None
            wait = resting.played_at + _SENT_AFTER + (look_at - resting.periods) * PERIOD - time.monotonic()
            if resting.periods < look_at or wait > 0:
                await asyncio.sleep(max(wait, _SENT_AFTER))
                continue
            looks += 1
            if (packets := await self._count(resting)) is not None:
                rhythm.observe(resting.periods, packets)
                look_at = rhythm.next_look()
            else:
                look_at = resting.periods + 1
        return rhythm.phase

    async def _count(self, resting: Resting) -> int | None:
        """Return how many packets have been sent, if nothing was played meanwhile."""
        sender = self._sender()
        if sender is None:
            return None
        asked_at = time.time()
        counted = await sender.packets_sent()
        if counted is None or counted[0] < asked_at - _CLOCK_ERROR or self._source._resting() != resting:
            return None
        return counted[1]
