"""What recordings learn of the delays of their tracks from the stats."""

from __future__ import annotations

from typing import Any

import pytest

from aiolivekit.enums import TrackKind
from aiolivekit.media.recording_delays import RecordingDelays
from aiolivekit.stats import (
    Codec,
    InboundRtp,
    InboundRtpStreamStats,
    RtcStats,
    Transport,
)


class Track:
    kind = TrackKind.KIND_AUDIO
    _media_track = None

    def __init__(self) -> None:
        self._streams: set[Any] = set()
        self.waited, self.emitted = 0.0, 0

    def _latest(self) -> tuple[float, int] | None:
        return None

    async def get_stats(self) -> list[RtcStats]:
        inbound = InboundRtpStreamStats(jitter_buffer_delay=self.waited, jitter_buffer_emitted_count=self.emitted)
        # Records of other kinds stand before and behind it, as with libwebrtc.
        return [
            RtcStats(codec=Codec()),
            RtcStats(inbound_rtp=InboundRtp(inbound=inbound)),
            RtcStats(transport=Transport()),
        ]


async def test_the_wait_is_that_of_what_was_played_since_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    track, delays = Track(), RecordingDelays()
    delays.add("sound", track, "audio", "alice")
    measured = delays._tracks["sound"]
    waits: list[float] = []
    monkeypatch.setattr(type(measured.delay), "waited", lambda self, now, wait: waits.append(wait))
    for wait in (0.020, 0.020, 0.080, 0.050):
        track.waited += 48_000 * wait
        track.emitted += 48_000
        await delays._measure(measured)
    assert waits == pytest.approx([0.020, 0.020, 0.080, 0.050])
