"""When to ping and when to give up, in no time at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.keepalive import Due, Keepalive


def run(keepalive: Keepalive, until: float) -> list[tuple[float, Due]]:
    """Wake it at its deadlines."""
    events = []
    while (deadline := keepalive.deadline) is not None and deadline <= until:
        due = keepalive.wake(deadline)
        if due is not Due.NOTHING:
            events.append((deadline, due))
        if due is Due.GIVE_UP:
            break
    return events


def test_pings_each_interval_and_gives_up_after_the_timeout() -> None:
    assert run(Keepalive(5, 15, now=100.0), 200) == [
        (105.0, Due.PING),
        (110.0, Due.PING),
        (115.0, Due.GIVE_UP),
    ]


def test_any_message_is_life() -> None:
    keepalive = Keepalive(5, 15, now=0.0)
    assert [when for when, _ in run(keepalive, 14)] == [5.0, 10.0]
    keepalive.heard(14.0)
    assert run(keepalive, 28) == [(15.0, Due.PING), (20.0, Due.PING), (25.0, Due.PING)]
    assert run(keepalive, 40) == [(29.0, Due.GIVE_UP)]


@pytest.mark.parametrize(
    ("interval", "timeout", "pings_every", "gives_up_after"),
    [
        (5, 15, 5, 15),
        (0, 15, 5, 15),  # no interval: a third of the timeout
        (-3, 15, 5, 15),
        (5, 0, 5, None),  # no timeout: pinged, never given up
        (5, -1, 5, None),
        (0, 0, None, None),
        (-1, -1, None, None),
        (15, 5, 2.5, 5),  # pinged too rarely to show life in time
        (5, 5, 2.5, 5),
        (2**31 - 1, 2**31 - 1, 30, 300),
        (3600, 0, 30, None),
    ],
)
def test_absurd_numbers(
    interval: float, timeout: float, pings_every: float | None, gives_up_after: float | None
) -> None:
    events = run(Keepalive(interval, timeout, now=0.0), 301)
    pings = [when for when, due in events if due is Due.PING]
    assert (pings[0] if pings else None) == pings_every
    assert next((when for when, due in events if due is Due.GIVE_UP), None) == gives_up_after


def test_a_loop_that_slept_asks_before_it_gives_up() -> None:
    keepalive = Keepalive(5, 15, now=0.0)
    # Woken a minute late: the silence was ours.
    assert keepalive.wake(60.0) is Due.PING
    assert keepalive.deadline == 65.0
    assert keepalive.wake(65.0) is Due.GIVE_UP
    # With an answer meanwhile, all is well.
    keepalive = Keepalive(5, 15, now=0.0)
    assert keepalive.wake(60.0) is Due.PING
    keepalive.heard(60.1)
    assert run(keepalive, 70) == [(65.0, Due.PING), (70.0, Due.PING)]


def test_round_trip_time() -> None:
    keepalive = Keepalive(5, 15, now=0.0)
    assert keepalive.rtt is None
    stamp, rtt = keepalive.ping(5.0, 1_700_000_000.5)
    assert (stamp, rtt) == (1_700_000_000_500, 0)
    assert keepalive.pong(stamp, 5.025)
    assert keepalive.rtt == pytest.approx(0.025)
    assert not keepalive.pong(stamp, 9.0)  # once
    assert not keepalive.pong(12345, 9.0)  # not ours
    assert not keepalive.pong(-(2**63), 9.0)
    assert keepalive.rtt == pytest.approx(0.025)
    assert keepalive.ping(10.0, 1_700_000_005.5)[1] == 25


def test_timestamps_differ_though_the_clock_is_set_back() -> None:
    keepalive = Keepalive(5, 15, now=0.0)
    stamps = [keepalive.ping(float(n), wall)[0] for n, wall in enumerate([10.0, 10.0, 3.0, 11.0])]
    assert stamps == [10_000, 10_001, 10_002, 11_000]


def test_unanswered_pings_are_forgotten() -> None:
    keepalive = Keepalive(5, 0, now=0.0)
    stamps = [keepalive.ping(float(n), float(n))[0] for n in range(100)]
    assert not keepalive.pong(stamps[0], 100.0)
    assert keepalive.pong(stamps[-1], 100.0)


@given(
    interval=st.integers(-(2**31), 2**31 - 1),
    timeout=st.integers(-(2**31), 2**31 - 1),
    steps=st.lists(st.tuples(st.floats(0, 400), st.booleans()), max_size=30),
)
def test_a_silent_server_is_given_up_and_a_speaking_one_is_not(
    interval: int, timeout: int, steps: list[tuple[float, bool]]
) -> None:
    keepalive = Keepalive(interval, timeout, now=0.0)
    now = 0.0
    for pause, speaks in steps:
        now += pause
        if speaks:
            keepalive.heard(now)
        due = keepalive.wake(now)
        if speaks or timeout <= 0:
            assert due is not Due.GIVE_UP
        if due is Due.GIVE_UP:
            return
        assert keepalive.deadline is None or keepalive.deadline > now
    if timeout > 0:
        assert run(keepalive, now + 1000)[-1][1] is Due.GIVE_UP


def test_doubt_asks_at_once_and_gives_up_soon() -> None:
    keepalive = Keepalive(5, 15, now=0.0)
    keepalive.doubt(6.0)
    assert run(keepalive, 30) == [(6.0, Due.PING), (9.0, Due.GIVE_UP)]
    assert keepalive.doubted


def test_doubt_ends_with_any_message() -> None:
    keepalive = Keepalive(5, 15, now=0.0)
    keepalive.doubt(6.0)
    assert run(keepalive, 8) == [(6.0, Due.PING)]
    keepalive.heard(8.0)
    assert not keepalive.doubted
    assert run(keepalive, 30) == [(11.0, Due.PING), (16.0, Due.PING), (21.0, Due.PING), (23.0, Due.GIVE_UP)]


def test_doubt_upon_doubt_changes_nothing() -> None:
    keepalive = Keepalive(5, 15, now=0.0)
    keepalive.doubt(6.0)
    assert keepalive.wake(6.0) is Due.PING
    keepalive.doubt(8.0)
    assert keepalive.wake(8.0) is Due.NOTHING
    assert keepalive.wake(9.0) is Due.GIVE_UP


def test_doubt_allows_a_slow_link_its_round_trips() -> None:
    keepalive = Keepalive(5, 15, now=0.0)
    stamp, _ = keepalive.ping(0.0, 0.0)
    keepalive.heard(2.0)
    keepalive.pong(stamp, 2.0)
    keepalive.doubt(2.0)
    assert run(keepalive, 30) == [(2.0, Due.PING), (7.0, Due.PING), (10.0, Due.GIVE_UP)]


def test_doubt_never_gives_up_later_than_the_timeout() -> None:
    keepalive = Keepalive(5, 15, now=0.0)
    keepalive.doubt(14.0)
    assert run(keepalive, 30) == [(14.0, Due.PING), (15.0, Due.GIVE_UP)]


@pytest.mark.parametrize(("interval", "timeout"), [(5, 0), (0, 0)])
def test_doubt_is_nothing_where_silence_means_nothing(interval: float, timeout: float) -> None:
    keepalive = Keepalive(interval, timeout, now=0.0)
    keepalive.doubt(1.0)
    assert all(due is Due.PING for _, due in run(keepalive, 100))
    assert not keepalive.doubted


def test_doubt_of_a_program_that_was_suspended_asks_again() -> None:
    keepalive = Keepalive(5, 15, now=0.0)
    keepalive.doubt(6.0)
    assert keepalive.wake(60.0) is Due.PING
    assert run(keepalive, 100) == [(63.0, Due.GIVE_UP)]
