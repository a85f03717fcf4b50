"""How long the media of recorded tracks wait before they are played, measured, and what follows for their pictures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Protocol

from ..core.recording import DelayMeter, lip_sync, video_delay
from ..errors import LiveKitError
from ..stats import InboundRtpStreamStats, RtcStats
from .frame_stream import StreamTrack

__all__ = ["RecordedTrack", "RecordingDelays"]

logger = logging.getLogger("aiolivekit.media")

_INTERVAL = 0.5
_FIRST = 0.3


class RecordedTrack(StreamTrack, Protocol):
    """What a recording needs of a track."""

    async def get_stats(self) -> list[RtcStats]:
        """Return its stats."""


@dataclass(slots=True)
class _Measured:
    track: RecordedTrack
    kind: str
    owner: Hashable
    buffered: DelayMeter = field(default_factory=DelayMeter)
    decoding: DelayMeter = field(default_factory=DelayMeter)
    delay: float | None = None
    later: float = 0.0


class RecordingDelays:
    """Asks tracks for their stats, twice a second, while `run` runs.

    Pictures go with the sound of the same owner: both come through the same network, so how long each waits in its
    jitter buffer is what sets them apart.
    """

    def __init__(self) -> None:
        self._tracks: dict[Hashable, _Measured] = {}

    def add(self, key: Hashable, track: RecordedTrack, kind: str, owner: Hashable) -> None:
        """Measure a track from now on."""
        self._tracks[key] = _Measured(track, kind, owner)

    def remove(self, key: Hashable) -> None:
        """Measure a track no longer."""
        self._tracks.pop(key, None)

    def later(self, key: Hashable) -> float:
        """Return the seconds by which pictures of a track are to be written later than the time they bear."""
        found = self._tracks.get(key)
        return 0.0 if found is None else found.later

    async def run(self) -> None:
        """Measure until cancelled."""
        interval = _FIRST
        while True:
            await asyncio.sleep(interval)
            for each in list(self._tracks.values()):
                await self._measure(each)
            self._compare()
            # What has just begun is looked at sooner.
            interval = _FIRST if any(each.delay is None for each in self._tracks.values()) else _INTERVAL

    async def _measure(self, measured: _Measured) -> None:
        try:
            found = await measured.track.get_stats()
        except LiveKitError:
            logger.debug("the stats of a recorded track could not be had", exc_info=True)
            return
        inbound: InboundRtpStreamStats | None = next(
            (each.inbound_rtp.inbound for each in found if each.inbound_rtp is not None), None
        )
        if inbound is None:
            return
        measured.buffered.update(inbound.jitter_buffer_delay, inbound.jitter_buffer_emitted_count)
        if measured.kind == "audio":
            measured.delay = measured.buffered.value
        else:
            measured.decoding.update(inbound.total_decode_time, inbound.frames_decoded)
            measured.delay = video_delay(measured.buffered.value, measured.decoding.value)

    def _compare(self) -> None:
        sounds = {each.owner: each.delay for each in self._tracks.values() if each.kind == "audio"}
        for each in self._tracks.values():
            if each.kind == "video":
                each.later = lip_sync(sounds.get(each.owner), each.delay)
