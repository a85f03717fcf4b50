"""When audio is played: at once if it comes in real time, at the clock's pace if it comes faster."""

from __future__ import annotations

import random

from aiolivekit.media.pace import GAP_PERIODS, LEAD_PERIODS, Pace


def capture(pace: Pace) -> bool:
    """Capture a period; return whether it is played at once."""
    pace.captured()
    if not pace.may_lead:
        return False
    pace.played()
    return True


def test_before_anything_is_captured_there_is_silence() -> None:
    pace = Pace()
    assert [pace.passed(1, 0), pace.passed(2, 0), pace.passed(50, 0), pace.passed(1, 0)] == [1, 2, 2, 1]


def test_what_comes_in_real_time_is_played_at_once_however_it_jitters() -> None:
    rng = random.Random(1)
    for periods in (1, 2):
        pace = Pace()
        captured = 0
        # A capture every 10 ms, up to 8 ms early or late; the clock goes every 10 or 20 ms.
        steps = sorted([(10 * n + rng.uniform(-8, 8), "capture") for n in range(2000)])
        ticks = [(10 * periods * n + 3.0, "tick") for n in range(2000 // periods)]
        for _, what in sorted(steps + ticks):
            if what == "capture":
                assert capture(pace)
                captured += 1
            elif captured:
                assert pace.passed(periods, 0) == 0
            else:
                pace.passed(periods, 0)


def test_what_comes_faster_waits_for_the_clock() -> None:
    pace = Pace()
    pace.passed(1, 0)
    assert [capture(pace) for _ in range(LEAD_PERIODS + 2)] == [True] * LEAD_PERIODS + [False] * 2
    # From the queue a period is played for each that passes, so none may lead.
    for _ in range(5):
        assert pace.passed(1, 1) == 0
        assert not pace.may_lead
    # When the queue is empty, the lead is used up first, then a gap is allowed, then there is silence.
    silence = [pace.passed(1, 0) for _ in range(LEAD_PERIODS + GAP_PERIODS + 2)]
    assert silence == [0] * (LEAD_PERIODS + GAP_PERIODS) + [1, 1]


def test_after_silence_nothing_is_owed() -> None:
    pace = Pace()
    for _ in range(100):
        pace.passed(1, 0)
    assert sum(capture(pace) for _ in range(100)) == LEAD_PERIODS


def test_what_was_missed_in_a_stall_is_played_without_silence() -> None:
    pace = Pace()
    capture(pace)
    assert pace.passed(30, 29) == 0
    assert pace.lead == 0


def test_a_stall_without_anything_to_play_is_not_made_up_for() -> None:
    pace = Pace()
    capture(pace)
    assert pace.passed(90, 0) == 2
    assert pace.lead == 0
