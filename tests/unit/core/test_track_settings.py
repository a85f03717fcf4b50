from __future__ import annotations

from collections.abc import Callable

import pytest

from aiolivekit.core.track_settings import Demand, TrackSettings, TrackWishes, demand_of
from aiolivekit.enums import VideoQuality

LOW, _, HIGH = VideoQuality


def test_settings_are_changed_one_by_one_and_stay_whole() -> None:
    wishes = TrackWishes().with_dimensions(640, 360).with_fps(14.6).with_enabled(False)
    assert wishes.settings() == TrackSettings(False, HIGH, 640, 360, 15)
    # A quality says which layer, as dimensions do: the later word counts.
    assert wishes.with_quality(0).settings() == TrackSettings(False, LOW, 0, 0, 15)
    later = wishes.with_quality(LOW).with_dimensions(2, 3).with_enabled(True)
    assert later.settings() == TrackSettings(True, HIGH, 2, 3, 15)
    assert TrackWishes().settings() == TrackSettings()


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
def test_what_makes_no_sense_is_refused(wrong: Callable[[TrackWishes], TrackWishes]) -> None:
    with pytest.raises(ValueError):
        wrong(TrackWishes())


def test_what_streams_demand() -> None:
    assert demand_of([]) == Demand(wanted=False)
    assert demand_of([(320, 180)]) == Demand(True, (320, 180))
    # The largest of each side: a tall and a wide one are both covered.
    assert demand_of([(320, 180), (180, 320)]) == Demand(True, (320, 320))
    assert demand_of([(320, 180), None]) == Demand(True, None)


def test_what_was_said_counts_more_than_what_streams_demand() -> None:
    small = Demand(True, (320, 180))
    assert TrackWishes().settings(small) == TrackSettings(True, HIGH, 320, 180, 0)
    assert TrackWishes().with_fps(10).settings(small) == TrackSettings(True, HIGH, 320, 180, 10)
    assert TrackWishes().with_quality(LOW).settings(small) == TrackSettings(True, LOW, 0, 0, 0)
    assert TrackWishes().with_dimensions(640, 360).settings(small) == TrackSettings(True, HIGH, 640, 360, 0)
    assert not TrackWishes().settings(Demand(wanted=False)).enabled
    assert TrackWishes().with_enabled(True).settings(Demand(wanted=False)).enabled
    assert not TrackWishes().with_enabled(False).settings(small).enabled
