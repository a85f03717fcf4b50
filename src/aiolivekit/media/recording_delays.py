"""How long the media of recorded tracks wait before they are played, measured, and what follows for their pictures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from typing import Protocol

from ..core.recording import MeanMeter, PlayDelay, lip_sync
from ..errors import LiveKitError
from ..stats import InboundRtpStreamStats, RtcStats
from .frame_stream import StreamTrack

__all__ = ["RecordedTrack", "RecordingDelays"]

logger = logging.getLogger("aiolivekit.media")

_INTERVAL = 0.1
_MEASURE = 5
"""Intervals from one look at the stats to the next; they cost more than the rest."""

_RATES = {"audio": 48_000, "video": 90_000}


class RecordedTrack(StreamTrack, Protocol):
    """What a recording needs of a track."""

    async def get_stats(self) -> list[RtcStats]:
        """Return its stats."""

    def _latest(self) -> tuple[float, int] | None:
        """Return when, on the monotonic clock, which RTP timestamp was played last, if it comes through a network."""


class _Measured:
    """A track, and what is known of its delays."""

    def __init__(self, track: RecordedTrack, kind: str, owner: Hashable) -> None:
        self.track = track
        self.kind = kind
        self.owner = owner
        self.delay = PlayDelay(_RATES[kind])
        self.later = 0.0
        self.bears: tuple[float, int] | None = None
        """The time that a picture bore, and its RTP timestamp."""
        self._buffered, self._decoded = MeanMeter(), MeanMeter()
        self._ahead: list[float] = []

    def look(self) -> None:
        """See what is played now."""
        latest = self.track._latest()  # noqa: SLF001 - the way in for recordings
        if latest is None:
            return
        time, timestamp = latest
        if self.kind == "audio":
            self.delay.played(time, timestamp)
        elif self.bears is not None:
            self.delay.played(*self.bears)
            # How far ahead of the time it bears that picture was handed over.
            apart = (timestamp - self.bears[1] + (1 << 31)) % (1 << 32) - (1 << 31)
            self._ahead.append(self.bears[0] + apart / _RATES["video"] - time)

    def measure(self, stats: InboundRtpStreamStats, now: float) -> None:
        """Take what is told of the jitter buffer."""
        waited = self._buffered.update(stats.jitter_buffer_delay, stats.jitter_buffer_emitted_count)
        decoded = self._decoded.update(stats.total_decode_time, stats.frames_decoded)
        ahead, self._ahead = self._ahead, []
        if waited is None:
            return
        if self.kind == "audio":
            self.delay.waited(now, waited)
        elif ahead:
            self.delay.waited(now, waited + (decoded or 0.0) + sum(ahead) / len(ahead))


class RecordingDelays:
    """Watches how long the media of tracks wait, while `run` runs.

    Pictures go with the sound of the same owner: both come through the same network, so how long each waits in its
    jitter buffer is what sets them apart.
    """

    def __init__(self) -> None:
        self._tracks: dict[Hashable, _Measured] = {}

    def add(self, key: Hashable, track: RecordedTrack, kind: str, owner: Hashable) -> None:
        """Watch a track from now on."""
        self._tracks[key] = _Measured(track, kind, owner)

    def remove(self, key: Hashable) -> None:
        """Watch a track no longer."""
        self._tracks.pop(key, None)

    def later(self, key: Hashable) -> float:
        """Return the seconds by which pictures of a track are to be written later than the time they bear."""
        found = self._tracks.get(key)
        return 0.0 if found is None else found.later

    def seen(self, key: Hashable, time_us: int, timestamp: int) -> None:
        """Note what a picture bears.

        Args:
            key: Which track.
            time_us: Its time, in microseconds of the monotonic clock.
            timestamp: Its RTP timestamp, or 0.
        """
        found = self._tracks.get(key)
        if found is not None and timestamp:
            found.bears = (time_us / 1e6, timestamp)

    async def run(self) -> None:
        """Measure until cancelled."""
        rounds = 0
        while True:
            await asyncio.sleep(_INTERVAL)
            rounds += 1
            tracks = list(self._tracks.values())
            for each in tracks:
                each.look()
            if rounds % _MEASURE == 0 or any(each.delay.value is None for each in tracks):
                for each in tracks:
                    await self._measure(each)
            self._compare()

    async def _measure(self, measured: _Measured) -> None:
        try:
            found = await measured.track.get_stats()
        except LiveKitError:
            logger.debug("the stats of a recorded track could not be had", exc_info=True)
            return
        for each in found:
            if each.HasField("inbound_rtp"):
                measured.measure(each.inbound_rtp.inbound, asyncio.get_running_loop().time())

    def _compare(self) -> None:
        sounds = {each.owner: each.delay.value for each in self._tracks.values() if each.kind == "audio"}
        for each in self._tracks.values():
            if each.kind == "video":
                each.later = lip_sync(sounds.get(each.owner), each.delay.value)
