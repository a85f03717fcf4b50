"""`SilenceWatch`: when there is nothing to do."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("soxr", reason="the resample extra")

from aiolivekit.media.silence import SilenceWatch


def block(peak: int) -> bytes:
    return np.array([0, peak, 0], np.int16).tobytes()


@pytest.mark.parametrize("peak", [0, 2, -2])
def test_silence_is_settled_before_the_first_sound_and_a_second_after_the_last(peak: int) -> None:
    watch = SilenceWatch()
    assert watch.settled(block(peak), 1)
    assert not watch.settled(block(100), 1)
    assert [watch.settled(block(peak), 1) for _ in range(102)] == [False] * 100 + [True] * 2


@pytest.mark.parametrize("peak", [3, -3, 32_767, -32_768])
def test_sound_begins_the_second_anew(peak: int) -> None:
    watch = SilenceWatch()
    watch.settled(block(100), 1)
    assert not watch.settled(block(0), 99)
    assert not watch.settled(block(peak), 1)
    assert not watch.settled(block(0), 99)
    assert not watch.settled(block(0), 5)
    assert watch.settled(block(0), 5)
