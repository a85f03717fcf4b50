"""When Opus sends in silence: found by counting packets, whatever the rhythm and wherever the looks fall."""

from __future__ import annotations

from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.dtx_rhythm import CONFIRMED, CYCLE, DtxRhythm, until_sent


def packets_by(phase: int, periods: int) -> int:
    """How many packets have left when so many periods were played: a pair of frames in each cycle."""
    return sum((period - phase) % CYCLE in (0, 2) for period in range(periods))


def find(phase: int, start: int, delays: tuple[int, ...] = (0,), step: int = 2) -> tuple[DtxRhythm, list[int]]:
    """Look until the rhythm is known; a look may come later than it should."""
    rhythm = DtxRhythm()
    looks = [start]
    rhythm.observe(start, packets_by(phase, start))
    for late in chain(delays, repeat(0)):
        if rhythm.phase is not None:
            break
        looks.append(looks[-1] + -(-(rhythm.next_look() + late - looks[-1]) // step) * step)
        rhythm.observe(looks[-1], packets_by(phase, looks[-1]))
        assert not rhythm.failed
    return rhythm, looks


@pytest.mark.parametrize("phase", range(CYCLE))
@pytest.mark.parametrize("start", [100, 101])
def test_every_rhythm_is_found_within_seconds(phase: int, start: int) -> None:
    rhythm, looks = find(phase, start)
    # An even number of periods lies between all looks, so a frame may be taken for the later half of the same turn.
    assert rhythm.phase in (phase, (phase + 1) % CYCLE)
    assert packets_by(phase, start + (rhythm.phase - start) % CYCLE + 1) - packets_by(phase, start) > 0
    assert len(looks) <= 12
    assert looks[-1] - looks[0] <= 8 * CYCLE


@given(
    st.integers(0, CYCLE - 1),
    st.integers(0, 1000),
    st.sampled_from([1, 2]),
    st.lists(st.integers(0, 100), max_size=20),
)
def test_looks_that_come_late_find_it_too(phase: int, start: int, step: int, delays: list[int]) -> None:
    rhythm, looks = find(phase, start, tuple(delays), step)
    assert rhythm.phase in (phase, (phase + 1) % CYCLE)
    assert len(looks) < 20 + len(delays)


@given(
    st.integers(0, CYCLE - 1),
    st.integers(100, 101),
    st.sets(st.integers(0, 14), max_size=1),
    st.sampled_from([2, 4, 6]),
)
def test_one_count_that_lags_leaves_no_wrong_rhythm(phase: int, start: int, lagging: set[int], lag: int) -> None:
    """A busy machine counts the packets of a turn or more too late."""
    rhythm = DtxRhythm()
    periods = start
    for look in range(30):
        rhythm.observe(periods, packets_by(phase, periods - lag if look in lagging else periods))
        if rhythm.phase is not None or rhythm.failed:
            break
        periods += -(-(max(rhythm.next_look() - periods, 6)) // 2) * 2
    assert rhythm.failed or rhythm.phase in (phase, (phase + 1) % CYCLE)


def test_a_rhythm_is_tested_between_the_two_packets() -> None:
    rhythm, looks = find(5, 0)
    assert rhythm.phase is not None
    assert sum(packets_by(5, look + 2) - packets_by(5, look - 2) == 2 for look in looks) >= CONFIRMED
    assert DtxRhythm().phase is None
    # Another rhythm that has as many packets is told later as well.
    for packets in ((1, 0), (0, 2)):
        again, looks = find(5, 0)
        sent = packets_by(5, looks[-1])
        for more in packets:
            sent += more
            again.observe(again.next_look(), sent)
        assert again.failed


@pytest.mark.parametrize(
    "packets",
    [
        pytest.param(lambda periods: periods // 2, id="no DTX: each frame is sent"),
        pytest.param(lambda _: 7, id="nothing is sent"),
        pytest.param(lambda periods: 3 * packets_by(4, periods), id="each frame more than once"),
        pytest.param(lambda periods: packets_by(4, periods) + periods // 60, id="others between"),
        pytest.param(lambda periods: -periods, id="a count that falls"),
    ],
)
def test_what_is_no_rhythm_of_dtx_is_told(packets) -> None:  # type: ignore[no-untyped-def]
    rhythm = DtxRhythm()
    periods = 0
    while not rhythm.failed:
        assert rhythm.phase is None
        assert periods < 10 * CYCLE
        rhythm.observe(periods, packets(periods))
        periods = rhythm.next_look()
    assert rhythm.phase is None
    assert rhythm.next_look() > 0


@given(st.integers(0, CYCLE - 1), st.integers(0, 10_000))
def test_the_turns_are_those_with_which_something_is_sent(phase: int, periods: int) -> None:
    ahead = until_sent(phase, periods)
    assert 1 <= ahead <= CYCLE - 2
    assert packets_by(phase, periods + ahead) == packets_by(phase, periods) + 1
    assert packets_by(phase, periods + ahead - 1) == packets_by(phase, periods)
