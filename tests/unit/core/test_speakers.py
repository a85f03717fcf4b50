from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import models

from aiolivekit.core.speakers import ActiveSpeakers, SpeakerChange


def speaker(sid: str, level: float, active: bool = True) -> models.SpeakerInfo:
    return models.SpeakerInfo(sid=sid, level=level, active=active)


def test_a_delta_is_a_delta() -> None:
    speakers = ActiveSpeakers()
    speakers.apply([speaker("PA_a", 0.5)])
    assert speakers.apply([speaker("PA_b", 0.75)]) == [SpeakerChange("PA_b", True, 0.75)]
    assert speakers.loudest_first == ["PA_b", "PA_a"]
    speakers.apply([speaker("PA_b", 0.25)])
    assert speakers.loudest_first == ["PA_a", "PA_b"]


def test_falling_silent() -> None:
    speakers = ActiveSpeakers()
    speakers.apply([speaker("PA_a", 0.5), speaker("PA_b", 0.25)])
    assert speakers.apply([speaker("PA_a", 0.0, active=False)]) == [SpeakerChange("PA_a", False, 0.0)]
    assert speakers.loudest_first == ["PA_b"]


def test_nothing_new_is_no_change() -> None:
    speakers = ActiveSpeakers()
    speakers.apply([speaker("PA_a", 0.5)])
    assert speakers.apply([speaker("PA_a", 0.5)]) == []
    assert speakers.apply([speaker("PA_b", 0.5, active=False)]) == []
    assert speakers.apply([]) == []


def test_equally_loud_in_the_order_of_beginning() -> None:
    speakers = ActiveSpeakers()
    speakers.apply([speaker("PA_b", 0.5), speaker("PA_a", 0.5)])
    assert speakers.loudest_first == ["PA_b", "PA_a"]


def test_who_left_is_forgotten() -> None:
    speakers = ActiveSpeakers()
    speakers.apply([speaker("PA_a", 0.5)])
    assert speakers.discard("PA_a")
    assert not speakers.discard("PA_a")
    assert speakers.apply([speaker("PA_a", 0.0, active=False)]) == []
    speakers.apply([speaker("PA_b", 0.5)])
    speakers.clear()
    assert speakers.loudest_first == []


@given(st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 1, width=32), st.booleans()))))
def test_deltas_add_up_to_the_truth(deltas: list[list[tuple[str, float, bool]]]) -> None:
    speakers = ActiveSpeakers()
    truth: dict[str, float] = {}
    for delta in deltas:
        speakers.apply([speaker(sid, level, active) for sid, level, active in delta])
        for sid, level, active in delta:
            if active:
                truth[sid] = level
            else:
                truth.pop(sid, None)
    assert set(speakers.loudest_first) == set(truth)
    levels = [truth[sid] for sid in speakers.loudest_first]
    assert levels == sorted(levels, reverse=True)
