"""When audio is looked for."""

from __future__ import annotations

import time
from typing import Any

import pytest

from aiolivekit.peer.audio_pump import AudioPump

MS = 1000


class Loop:
    """A loop whose timers are run by hand."""

    def __init__(self) -> None:
        self.delay: float | None = None
        self.callback: Any = None

    def call_later(self, delay: float, callback: Any) -> Loop:
        self.delay, self.callback = delay, callback
        return self

    def cancel(self) -> None:
        self.delay = self.callback = None

    def run(self) -> None:
        callback, self.callback = self.callback, None
        callback()


class Reader:
    """Says what it is told to."""

    def __init__(self, stamp: int | None, pause: float = 0.0) -> None:
        self.flowing = False
        self.stamp = stamp
        self._pause = pause
        self.told_again = 0

    def take(self) -> int | None:
        return self.stamp

    def pause(self) -> float:
        return self._pause

    def tell_again(self) -> None:
        self.told_again += 1


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> int:
    """The time in microseconds, which stands still."""
    now = 5_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: now * 1000)
    return now


@pytest.mark.parametrize(
    ("stamps_and_pauses", "expected"),
    [
        ([(-2 * MS, 0.0)], 8.4),  # 10 ms after the chunk of 2 ms ago, and the margin
        ([(-12 * MS, 0.0)], 8.4),  # a look that came late keeps step
        ([(-3 * MS, 0.0), (-2 * MS, 0.0)], 8.4),  # the newest tells
        ([(-2 * MS, 0.045)], 48.4),  # frames of 50 ms: four chunks are of no use by themselves
        ([(-2 * MS, 0.045), (-2 * MS, 0.0)], 8.4),  # but for another reader they are
        ([(-2 * MS, 60.0)], 108.4),  # the end must be seen
    ],
)
def test_the_next_look(now: int, stamps_and_pauses: list[tuple[int, float]], expected: float) -> None:
    loop = Loop()
    pump = AudioPump(loop)  # type: ignore[arg-type]
    readers = [Reader(now + stamp, pause) for stamp, pause in stamps_and_pauses]
    for reader in readers:
        pump.add(reader)
    loop.run()
    assert loop.delay == pytest.approx(expected / 1000)
    assert all(reader.flowing for reader in readers)


def test_one_that_has_not_begun_is_not_kept_waiting_by_one_that_pauses(now: int) -> None:
    loop = Loop()
    pump = AudioPump(loop)  # type: ignore[arg-type]
    pausing, silent = Reader(now, 0.09), Reader(0)
    pump.add(pausing)
    loop.run()
    assert loop.delay == pytest.approx(0.1004)
    pump.add(silent)
    assert loop.delay == 0
    loop.run()
    assert loop.delay == pytest.approx(0.0104)


def test_when_nothing_comes_wrtc_tells(now: int) -> None:
    loop = Loop()
    pump = AudioPump(loop)  # type: ignore[arg-type]
    reader = Reader(0)
    pump.add(reader)
    looks = 0
    while loop.callback is not None:
        loop.run()
        looks += 1
    assert reader.told_again == 1
    assert looks > 1


def test_one_that_has_ended_is_forgotten(now: int) -> None:
    loop = Loop()
    pump = AudioPump(loop)  # type: ignore[arg-type]
    reader = Reader(None)
    pump.add(reader)
    loop.run()
    assert loop.callback is None
    assert reader.told_again == 0
