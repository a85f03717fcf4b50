"""Finds out when the packets of a silent track leave, so that its source is played only then."""

# ruff: noqa: SLF001 - a track is published with its source

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..core.dtx_rhythm import CONFIRMED, DtxRhythm
from ..peer.media_thread import PERIOD

if TYPE_CHECKING:
    from ..media.audio_source import AudioSource
    from ..media.rest import Resting
    from ..peer.tracks import LocalSender

__all__ = ["DtxWatch"]

_logger = logging.getLogger("aiolivekit.room")

_SENT_AFTER = 0.009
"""Seconds after a turn of the audio clock by which its packets have been counted; the next comes after 20 ms."""

_COUNTED_ANEW = 0.055
"""Seconds from one look to the next: libwebrtc keeps its counts for 50 ms."""

_MOST_LOOKS = 40
"""Looks after which it is given up: a dozen is enough, but a busy loop misses the right moments."""

_CHECK_EVERY = 10.0
"""Seconds after which a rhythm is tested again: a codec that is set up anew may have another."""

_FIRST_PAUSE, _LONGEST_PAUSE = 3.0, 60.0
"""Seconds until it is looked for again when it was not found, or held no longer; doubled each time."""

_LATE = 0.002
"""Seconds after which a turn that is late is looked for again."""

_NOT_PLAYED = 1.0
"""Seconds after which a source is not played any more."""

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
        self._next_count = 0.0
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
        try:
            await self._follow()
        except Exception:
            _logger.exception("the silence of a track is played in full: its packets could not be counted")
            if (resting := self._source._resting()) is not None:
                self._source._rest_in_rhythm(resting.silence, None)

    async def _follow(self) -> None:
        pause = _FIRST_PAUSE
        while (resting := self._source._resting()) is not None:
            silence, rhythm = resting.silence, DtxRhythm()
            if await self._confirm(rhythm, silence, CONFIRMED):
                self._source._rest_in_rhythm(silence, rhythm.phase)
                pause = _FIRST_PAUSE
                held = True
                while held:
                    await asyncio.sleep(_CHECK_EVERY)
                    held = await self._confirm(rhythm, silence, rhythm.confirmed + 1)
            self._source._rest_in_rhythm(silence, None)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _confirm(self, rhythm: DtxRhythm, silence: int, times: int) -> bool:
        """Look until the rhythm has been confirmed so often; return whether it was."""
        look_at = rhythm.next_look()
        for _ in range(_MOST_LOOKS):
            resting = await self._await_turn(silence, look_at)
            if resting is None:
                return False
            packets = await self._count(resting)
            self._next_count = time.monotonic() + _COUNTED_ANEW
            if packets is None:
                look_at = resting.periods + 1
                continue
            rhythm.observe(resting.periods, packets)
            if rhythm.failed or rhythm.confirmed >= times:
                break
            look_at = rhythm.next_look()
        return not rhythm.failed and rhythm.confirmed >= times

    async def _await_turn(self, silence: int, look_at: int) -> Resting | None:
        """Wait until so many periods were played, and their packets counted; `None` if the silence has ended."""
        while True:
            resting, now = self._source._resting(), time.monotonic()
            if resting is None or resting.silence != silence or now - resting.played_at > _NOT_PLAYED:
                return None
            missing = max(look_at - resting.periods, 0)
            counted_at = max(resting.played_at + missing * PERIOD + _SENT_AFTER, self._next_count)
            if not missing and now >= counted_at:
                return resting
            await asyncio.sleep(max(counted_at - now, _LATE))

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
