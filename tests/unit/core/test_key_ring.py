"""Which keys are tried, and what follows from success and failure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest

from aiolivekit.core.key_ring import PREVIOUS_KEPT, KeyRing


@dataclass(eq=False)
class Step:
    """A key at one step; those that follow may not be known yet."""

    name: str
    following: Step | None = None


def chain(length: int, name: str = "k") -> list[Step]:
    steps = [Step(f"{name}{index}") for index in range(length)]
    for before, after in pairwise(steps):
        before.following = after
    return steps


def ring(step: Step, *, tolerance: int = -1, window: int = 3) -> KeyRing[Step]:
    made: KeyRing[Step] = KeyRing(4, tolerance, window)
    made.put(1, step)
    return made


def test_an_index_without_a_key_has_none() -> None:
    keys = ring(Step("k"))
    assert [keys.get(index) for index in (-1, 0, 2, 4, 255)] == [None] * 5
    assert keys.others(0, 0.0) == ([], True)
    keys.failed(0, Step("k"))
    assert not keys.succeeded(0, Step("k"), Step("k"), 0.0)
    assert not keys.is_wrong(0)
    assert not keys.is_wrong(99)


def test_what_may_follow_is_tried_as_far_as_the_window_goes() -> None:
    steps = chain(6)
    keys = ring(steps[0])
    assert keys.others(1, 0.0) == (steps[1:4], True)
    assert keys.succeeded(1, steps[0], steps[2], 10.0)
    assert keys.get(1) is steps[2]
    # The one before is tried first: it is what was on its way.
    assert keys.others(1, 10.0) == ([steps[0], *steps[3:6]], True)
    assert keys.others(1, 10.0 + PREVIOUS_KEPT) == (steps[3:6], True)


def test_steps_that_are_not_derived_yet_are_said_to_be_missing() -> None:
    steps = chain(2)
    keys = ring(steps[0])
    assert keys.others(1, 0.0) == ([steps[1]], False)
    assert KeyRing[Step].others(ring(steps[0], window=0), 1, 0.0) == ([], True)


def test_the_key_before_stays_as_long_as_it_is_used() -> None:
    steps = chain(2)
    keys = ring(steps[0], window=0)
    assert keys.advance(1, steps[0], steps[1], 0.0)
    for moment in range(1, 40, 8):
        others, _ = keys.others(1, float(moment))
        assert others == [steps[0]]
        assert not keys.succeeded(1, steps[1], steps[0], float(moment))
        assert keys.get(1) is steps[1]
    assert keys.others(1, 40.0 + PREVIOUS_KEPT) == ([], True)


def test_a_key_that_is_set_meanwhile_stays() -> None:
    steps, other = chain(3), Step("other")
    keys = ring(steps[0])
    assert keys.put(1, other) == [steps[0]]
    assert not keys.succeeded(1, steps[0], steps[1], 0.0)
    assert not keys.advance(1, steps[0], steps[1], 0.0)
    keys.failed(1, steps[0])
    assert keys.get(1) is other
    assert not keys.is_wrong(1)


@pytest.mark.parametrize("tolerance", [0, 3])
def test_a_key_that_fails_too_often_counts_as_wrong_until_it_is_set_anew(tolerance: int) -> None:
    step = Step("k")
    keys = ring(step, tolerance=tolerance)
    for _ in range(tolerance):
        keys.failed(1, step)
    assert not keys.is_wrong(1)
    keys.succeeded(1, step, step, 0.0)
    for _ in range(tolerance + 1):
        assert not keys.is_wrong(1)
        keys.failed(1, step)
    assert keys.is_wrong(1)
    keys.put(1, Step("right"))
    assert not keys.is_wrong(1)


def test_without_a_limit_a_key_may_fail_for_ever() -> None:
    step = Step("k")
    keys = ring(step)
    for _ in range(1000):
        keys.failed(1, step)
    assert not keys.is_wrong(1)


def test_a_copy_goes_its_own_way() -> None:
    steps = chain(3)
    keys = ring(steps[0])
    other = keys.copy()
    assert other.advance(1, steps[0], steps[1], 0.0)
    assert (keys.get(1), other.get(1)) == (steps[0], steps[1])
    assert other.clear() == [steps[1], steps[0]]
    assert other.get(1) is None
    assert keys.get(1) is steps[0]
    assert repr(keys) == "KeyRing(1 of 4)"
