from __future__ import annotations

from collections.abc import Callable

import pytest

from aiolivekit.core.track_settings import TrackSettings
from aiolivekit.enums import VideoQuality

LOW, _, HIGH = VideoQuality


def test_settings_are_changed_one_by_one_and_stay_whole() -> None:
    settings = TrackSettings().with_dimensions(640, 360).with_fps(14.6).with_enabled(False)
    assert settings == TrackSettings(False, HIGH, 640, 360, 15)
    # A quality says which layer, as dimensions do: the later word counts.
    assert settings.with_quality(0) == TrackSettings(False, LOW, 0, 0, 15)
    assert settings.with_quality(LOW).with_dimensions(2, 3).with_enabled(True) == TrackSettings(True, LOW, 2, 3, 15)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s: s.with_quality(7),
        lambda s: s.with_dimensions(0, 100),
        lambda s: s.with_dimensions(100, -1),
        lambda s: s.with_fps(0),
        lambda s: s.with_fps(float("nan")),
        lambda s: s.with_fps(float("inf")),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Callable[[TrackSettings], TrackSettings]) -> None:
    with pytest.raises(ValueError):
        wrong(TrackSettings())
