"""Who is speaking, from the server's deltas (`livekit.SpeakersChanged`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from livekit.protocol import models

__all__ = ["ActiveSpeakers", "SpeakerChange"]


@dataclass(frozen=True, slots=True)
class SpeakerChange:
    """A speaker's new state; `level` is 0 to 1, and 0 for somebody who fell silent."""

    sid: str
    active: bool
    level: float


class ActiveSpeakers:
    """The participants that speak, by sid.

    The server names only those whose state changed; who is not named goes on as before.
    """

    def __init__(self) -> None:
        self._levels: dict[str, float] = {}

    @property
    def loudest_first(self) -> list[str]:
        """The sids of those who speak, the loudest first; of two equally loud, the one who began earlier."""
        return sorted(self._levels, key=self._levels.__getitem__, reverse=True)

    def apply(self, delta: Iterable[models.SpeakerInfo]) -> list[SpeakerChange]:
        """Take the server's word; return what it changed."""
        changes: list[SpeakerChange] = []
        for speaker in delta:
            before = self._levels.get(speaker.sid)
            if speaker.active:
                if before == speaker.level:
                    continue
                self._levels[speaker.sid] = speaker.level
                changes.append(SpeakerChange(speaker.sid, True, speaker.level))
            elif before is not None:
                del self._levels[speaker.sid]
                changes.append(SpeakerChange(speaker.sid, False, 0.0))
        return changes

    def discard(self, sid: str) -> bool:
        """Forget somebody who left; return whether they were speaking."""
        return self._levels.pop(sid, None) is not None

    def clear(self) -> None:
        """Forget everybody."""
        self._levels.clear()
