"""When in a recording each piece belongs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.grid import Area, fit, grid
from aiolivekit.core.recording import AudioPlacer, MeanMeter, PictureTimes, PlayDelay, lip_sync

RATE = 48_000
CHUNK = 480


def placed(placer: AudioPlacer, times: list[float]) -> list[int]:
    """The positions of chunks of 10 ms that come at these times; -1 for those of which nothing is left."""
    found = []
    for time in times:
        placement = placer.place(time, CHUNK)
        found.append(-1 if placement.skip == CHUNK else placement.position)
    return found


def test_chunks_follow_one_another_whatever_their_jitter() -> None:
    times = [1 + number / 100 + (number % 3) * 0.004 for number in range(200)]

    assert placed(AudioPlacer(RATE), times) == [RATE + number * CHUNK for number in range(200)]


def test_a_burst_after_a_stall_is_no_gap() -> None:
    """For 300 ms nothing comes, and then all of it at once."""
    times = [number / 100 for number in range(100)]
    times += [1.3] * 30
    times += [1.3 + number / 100 for number in range(200)]

    assert placed(AudioPlacer(RATE), times) == [number * CHUNK for number in range(330)]


def test_what_is_missing_becomes_silence() -> None:
    """Chunks of 300 ms never come: what follows is in its place, within half a second."""
    times = [number / 100 for number in range(100)] + [1.3 + number / 100 for number in range(200)]

    positions = placed(AudioPlacer(RATE), times)

    assert positions[:100] == [number * CHUNK for number in range(100)]
    late = [position - round(time * RATE) for position, time in zip(positions, times, strict=True)]
    assert late[100] == round(-0.3 * RATE)
    assert set(late[150:]) == {0}


def test_a_first_chunk_that_was_late_does_not_delay_the_others() -> None:
    placer = AudioPlacer(RATE)
    first = placer.place(0.2, CHUNK)
    # It came with the nine before it.
    rest = [placer.place(0.11 + number / 100, CHUNK) for number in range(40)]

    assert first.position == round(0.2 * RATE)
    left = [each for each in rest if each.skip < CHUNK]
    assert left[0].position == first.position + CHUNK
    assert left[-1].position == round((0.11 + 0.39) * RATE)


def test_another_connection_is_placed_anew() -> None:
    placer = AudioPlacer(RATE)
    placed(placer, [number / 100 for number in range(10)])
    placer.break_off()

    assert placed(placer, [2.0, 2.01]) == [2 * RATE, 2 * RATE + CHUNK]


@given(st.lists(st.floats(0, 60, allow_nan=False), min_size=1, max_size=300))
def test_placements_never_go_back(times: list[float]) -> None:
    placer, end = AudioPlacer(RATE), None
    for time in times:
        placement = placer.place(time, CHUNK)
        assert 0 <= placement.skip <= CHUNK
        assert end is None or placement.position >= end
        end = placement.position + CHUNK - placement.skip


@pytest.mark.parametrize(
    ("fps", "rate", "least", "most"),
    [(30, 30, 298, 300), (30, 60, 298, 302), (15, 30, 148, 152), (30, 7, 70, 70)],
)
def test_not_more_pictures_than_asked_for(fps: int, rate: int, least: int, most: int) -> None:
    """Ten seconds, with the jitter that received pictures have."""
    times = PictureTimes(fps)
    jitter = (0.0, 0.004, -0.003, 0.002)

    taken = [number / rate for number in range(10 * rate) if times.take(max(number / rate + jitter[number % 4], 0))]

    assert least <= len(taken) <= most


def test_what_stands_still_is_repeated() -> None:
    times = PictureTimes(30)
    assert times.take(1.0)
    assert times.repeat(2.9) is None
    assert [times.repeat(4.5), times.repeat(4.5), times.repeat(4.5)] == [2.0, 3.0, None]
    # A picture that was on its way is behind by now.
    assert not times.take(2.5)
    assert times.take(3.5)


def test_before_the_first_picture_there_is_nothing_to_be_seen_which_is_written_too() -> None:
    times = PictureTimes(30)
    assert times.repeat(1.5) == 0.0
    assert times.repeat(2.0) == 1.0


@given(st.lists(st.tuples(st.booleans(), st.floats(-5, 100, allow_nan=False)), max_size=200))
def test_times_grow(calls: list[tuple[bool, float]]) -> None:
    times, last = PictureTimes(30), None
    for take, time in calls:
        found = time if take and times.take(time) else None if take else times.repeat(time)
        if found is not None:
            assert found >= 0
            assert last is None or found > last
            last = found


def test_means_are_those_of_late() -> None:
    meter = MeanMeter()
    assert meter.update(48_000 * 0.05, 48_000) == pytest.approx(0.05)
    assert meter.update(48_000 * 0.05 + 24_000 * 0.2, 72_000) == pytest.approx(0.2)
    assert meter.update(48_000 * 0.05 + 24_000 * 0.2, 72_000) is None  # nothing new
    assert meter.update(480 * 0.03, 480) == pytest.approx(0.03)  # another connection begins anew


def test_what_is_played_has_waited_as_long_as_the_packet_that_came_fastest_says() -> None:
    delay = PlayDelay(48_000)
    assert delay.value is None
    delay.played(10.05, 4_294_967_000)
    assert delay.value is None
    delay.waited(0.0, 0.05)
    assert delay.value == pytest.approx(0.05)
    # The timestamp wraps around; a stall has stretched the buffer by 100 ms, and packets were late by 60 ms.
    delay.played(11.15, 4_294_967_000 + 48_000 - (1 << 32))
    assert delay.value == pytest.approx(0.15)
    delay.waited(1.0, 0.09)
    assert delay.value == pytest.approx(0.15)
    # One that came faster than all before shows that they were late, too.
    delay.waited(2.0, 0.17)
    assert delay.value == pytest.approx(0.17)
    # What is old is forgotten, since clocks run apart.
    delay.waited(70.0, 0.16)
    assert delay.value == pytest.approx(0.16)


def test_pictures_wait_for_their_sound() -> None:
    assert lip_sync(0.15, 0.035) == pytest.approx(0.115)
    assert lip_sync(0.02, 0.09) == pytest.approx(-0.07)
    assert lip_sync(None, 0.1) == 0.0
    assert lip_sync(0.1, None) == 0.0
    assert lip_sync(50.0, 0.1) == 1.0


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, []),
        (1, [Area(0, 0, 1280, 720)]),
        (2, [Area(0, 0, 640, 720), Area(640, 0, 640, 720)]),
        (3, [Area(0, 0, 640, 360), Area(640, 0, 640, 360), Area(320, 360, 640, 360)]),
        (
            4,
            [Area(0, 0, 640, 360), Area(640, 0, 640, 360), Area(0, 360, 640, 360), Area(640, 360, 640, 360)],
        ),
    ],
)
def test_a_grid(count: int, expected: list[Area]) -> None:
    assert grid(count, 1280, 720) == expected


@given(
    count=st.integers(1, 60),
    width=st.integers(16, 2000).map(lambda n: n * 2),
    height=st.integers(16, 2000).map(lambda n: n * 2),
    picture=st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
)
def test_pictures_lie_inside_and_beside_one_another(
    count: int, width: int, height: int, picture: tuple[int, int]
) -> None:
    areas = grid(count, width, height)
    assert len(areas) == count
    for area in areas:
        assert all(number % 2 == 0 for number in area)
        if area.width < 2 or area.height < 2:
            continue  # more pictures than there is room for
        assert 0 <= area.x <= area.x + area.width <= width
        assert 0 <= area.y <= area.y + area.height <= height
        inner = fit(*picture, area)
        assert all(number % 2 == 0 for number in inner)
        assert area.x <= inner.x <= inner.x + inner.width <= area.x + area.width
        assert area.y <= inner.y <= inner.y + inner.height <= area.y + area.height
    for first in areas:
        for second in areas:
            if first != second:
                assert (
                    first.x + first.width <= second.x
                    or second.x + second.width <= first.x
                    or first.y + first.height <= second.y
                    or second.y + second.height <= first.y
                )
