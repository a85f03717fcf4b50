from __future__ import annotations

from random import Random

import pytest

from aiolivekit.core.room_jitter import RoomJitter
from aiolivekit.options import BackoffPolicy


def delays(jitter: RoomJitter) -> list[float]:
    found = [BackoffPolicy().delay(attempt, 0.0, jitter) for attempt in range(1, 8)]
    return [delay for delay in found if delay is not None]


def people(room: str, count: int, *, draw: int = 2) -> list[RoomJitter]:
    found = [RoomJitter(Random(seed)) for seed in range(draw)]
    for jitter in found:
        jitter.regard(room, count)
    return found


def test_those_of_a_small_room_come_back_together() -> None:
    a, b = map(delays, people("RM_x", 2))
    assert a == pytest.approx(b, abs=0.02 * 7)
    assert a != b


def test_of_a_large_room_each_comes_by_itself() -> None:
    firsts = [jitter.uniform(0.0, 1.0) for jitter in people("RM_x", 1000, draw=100)]
    assert max(firsts) - min(firsts) > 0.8


def test_rooms_come_at_different_times() -> None:
    firsts = []
    for number in range(100):
        (jitter,) = people(f"RM_{number}", 2, draw=1)
        firsts.append(jitter.uniform(0.0, 1.0))
    assert max(firsts) - min(firsts) > 0.8


def test_a_room_that_is_regarded_again_begins_again() -> None:
    (jitter,) = people("RM_x", 1, draw=1)
    first = delays(jitter)
    jitter.regard("RM_x", 1)
    assert delays(jitter) == first


def test_it_is_a_random_of_full_worth_before_any_room() -> None:
    jitter = RoomJitter()
    assert all(0.0 <= jitter.random() < 1.0 for _ in range(100))
    assert jitter.randrange(10) in range(10)
