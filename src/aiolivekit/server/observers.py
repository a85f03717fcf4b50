"""What a room looks at from time to time: who speaks, how connections fare, whose media is gone, whose token ages."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from aiolivekit.server.rtp.levels import quantize

if TYPE_CHECKING:
    from aiolivekit.server.participant import Participant
    from aiolivekit.server.room import Room

__all__ = ["Observers", "quality_of_loss"]

_QUALITY = models.ConnectionQuality


def quality_of_loss(loss: float) -> tuple[models.ConnectionQuality, float]:
    """Return the quality and the score that go with a share of lost packets."""
    if loss <= 0.04:
        return _QUALITY.EXCELLENT, 4.5
    if loss <= 0.12:
        return _QUALITY.GOOD, 3.7
    return _QUALITY.POOR, 2.0


class Observers:
    """The periodic work of one room; runs while somebody is in it."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._speaking: dict[str, models.SpeakerInfo] = {}
        self._qualities: dict[str, models.ConnectionQuality] = {}
        self._counts: dict[int, tuple[int, int]] = {}
        self._next_quality = 0.0
        self._next_check = 0.0

    def start(self) -> None:
        """Begin, if it is not running yet."""
        if self._timer is None:
            now = time.monotonic()
            self._next_quality = now + self._room.core.options.quality_interval
            self._next_check = now + 1.0
            self._schedule()

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._speaking.clear()
        self._qualities.clear()

    def _schedule(self) -> None:
        self._timer = self._loop.call_later(self._room.core.options.speaker_interval, self._look)

    def _look(self) -> None:
        self._schedule()
        now = time.monotonic()
        self._look_at_speakers(now)
        if now >= self._next_quality:
            self._next_quality = now + self._room.core.options.quality_interval
            self._look_at_quality()
        if now >= self._next_check:
            self._next_check = now + 1.0
            for participant in list(self._room.participants.values()):
                participant.check_media(now)
                if (
                    participant.connection is not None
                    and now - participant.token_sent_at > self._room.core.options.token_refresh_interval
                ):
                    participant.send_token()

    # speakers

    def speaker(self, participant: Participant) -> models.SpeakerInfo | None:
        """Return what was last said about a participant that speaks."""
        return self._speaking.get(participant.sid)

    def _look_at_speakers(self, now: float) -> None:
        speaking: dict[str, models.SpeakerInfo] = {}
        for participant in self._room.participants.values():
            loudest = 0.0
            for track in participant.publishing.tracks.values():
                if track.level is None or track.info.source != models.TrackSource.MICROPHONE or track.muted:
                    continue
                level, active = track.level.read(now)
                if active:
                    loudest = max(loudest, level)
            if loudest > 0:
                speaking[participant.sid] = models.SpeakerInfo(
                    sid=participant.sid, level=min(quantize(loudest), 1.0), active=True
                )
        changed = [s for sid, s in speaking.items() if self._speaking.get(sid) != s]
        changed.sort(key=lambda speaker: -speaker.level)
        changed += [models.SpeakerInfo(sid=sid) for sid in self._speaking if sid not in speaking]
        self._speaking = speaking
        if changed:
            self._room.send_speakers(changed)

    # connection quality

    def _loss(self, participant: Participant) -> float:
        losses = [down.fraction_lost for down in participant.subscriptions.active.values()]
        for track in participant.publishing.tracks.values():
            for receiver in track.receivers.values():
                packets, lost = self._counts.get(receiver.ssrc, (0, 0))
                self._counts[receiver.ssrc] = (receiver.packets, receiver.lost)
                total = receiver.packets - packets + receiver.lost - lost
                if total > 0:
                    losses.append(max(0, receiver.lost - lost) / total)
        if len(self._counts) > 1000:
            self._counts.clear()
        return max(losses, default=0.0)

    def _look_at_quality(self) -> None:
        infos: dict[str, rtc.ConnectionQualityInfo] = {}
        for participant in self._room.participants.values():
            if participant.connected:
                quality, score = quality_of_loss(self._loss(participant))
                infos[participant.sid] = rtc.ConnectionQualityInfo(
                    participant_sid=participant.sid, quality=quality, score=score
                )
        qualities = {sid: info.quality for sid, info in infos.items()}
        if any(self._qualities.get(sid) != quality for sid, quality in qualities.items()):
            for participant in list(self._room.participants.values()):
                if not participant.connected:
                    continue
                sids = [participant.sid, *sorted(participant.subscriptions.publishers)]
                update = rtc.ConnectionQualityUpdate(updates=[infos[sid] for sid in sids if sid in infos])
                participant.send(rtc.SignalResponse(connection_quality=update))
        self._qualities = qualities
