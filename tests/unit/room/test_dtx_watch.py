"""Who looks for the rhythm of a silent track: what it tells the source, and that it always ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from aiolivekit.core.dtx_rhythm import CYCLE
from aiolivekit.media.rest import SETTLED_PERIODS, Resting, RestWatch
from aiolivekit.peer.media_thread import PERIOD
from aiolivekit.room import dtx_watch
from aiolivekit.room.dtx_watch import DtxWatch

DEADLINE = 20.0
FASTER = 10
"""Time of these tests goes so many times faster than that of a source."""


class Source:
    """A silent source that is played two periods at a time."""

    def __init__(self) -> None:
        self.watches: list[RestWatch] = []
        self.told: list[tuple[int, int | None]] = []
        self.news = asyncio.Event()
        self.silence = 1
        self.renewed = 0
        self._began = time.monotonic() - SETTLED_PERIODS * PERIOD / FASTER

    def _sent_by(self, watch: RestWatch) -> None:
        self.watches.append(watch)

    def _not_sent_by(self, watch: RestWatch) -> None:
        self.watches.remove(watch)

    def _sent_anew(self) -> None:
        self.renewed += 1

    @property
    def periods(self) -> int:
        return 2 * int((time.monotonic() - self._began) * FASTER / PERIOD / 2)

    def _resting(self) -> Resting | None:
        return (
            Resting(self.silence, self.periods, self._began + self.periods * PERIOD / FASTER) if self.silence else None
        )

    def _rest_in_rhythm(self, silence: int, phase: int | None) -> None:
        self.told.append((silence, phase))
        self.news.set()

    async def next(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while len(self.told) < count:
                self.news.clear()
                await self.news.wait()


class Sender:
    """Counts packets in the rhythm of DTX."""

    def __init__(self, source: Source, count: Callable[[int], int]) -> None:
        self._source = source
        self._count = count
        self.asked = 0
        self.waits = False
        self.late = 0.0

    async def packets_sent(self) -> tuple[float, int] | None:
        self.asked += 1
        if self.waits:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return time.time() - self.late, self._count(self._source.periods)


def in_rhythm(phase: int) -> Callable[[int], int]:
    return lambda periods: sum((period - phase) % CYCLE in (0, 2) for period in range(periods))


@pytest.fixture
async def source(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Source]:
    monkeypatch.setattr(dtx_watch, "PERIOD", PERIOD / FASTER)
    for name in ("_SENT_AFTER", "_COUNTED_ANEW", "_LATE"):
        monkeypatch.setattr(dtx_watch, name, getattr(dtx_watch, name) / FASTER)
    for name in ("_CHECK_EVERY", "_FIRST_PAUSE"):
        monkeypatch.setattr(dtx_watch, name, 0.05)
    source = Source()
    yield source
    assert source.watches == []
    # Nobody is left who looks.
    assert [task for task in asyncio.all_tasks() if "dtx" in task.get_name() and not task.cancelling()] == []


async def found(source: Source, since: int = 0) -> int:
    """Wait until the rhythm is told; return at which place. A busy machine may miss the moments to look."""
    while (1, 13) not in source.told[since:]:
        await source.next(len(source.told) + 1)
    return source.told.index((1, 13), since)


async def test_the_rhythm_is_found_and_given_up_when_it_holds_no_longer(source: Source) -> None:
    sender = Sender(source, in_rhythm(12))
    watch = DtxWatch(source, lambda: sender, dtx=True)  # type: ignore[arg-type,return-value]
    watch.silence_settled()
    place = await found(source)
    asked = sender.asked
    async with asyncio.timeout(DEADLINE):
        while sender.asked < asked + 4:  # it is tested
            await asyncio.sleep(0.01)
    sender._count = in_rhythm(20)
    await source.next(place + 2)
    assert source.told[place + 1] == (1, None)
    sender._count = in_rhythm(12)
    await found(source, place + 1)
    watch.close()
    watch.close()


async def test_an_error_ends_it_and_is_told(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    sender = Sender(source, in_rhythm(12))
    watch = DtxWatch(source, lambda: sender, dtx=True)  # type: ignore[arg-type,return-value]
    watch.silence_settled()
    place = await found(source)

    def fail(_: int) -> int:
        raise ValueError("no")

    sender._count = fail
    await source.next(place + 2)
    assert source.told[place + 1] == (1, None)
    assert caplog.text.count("could not be counted") == 1
    watch.close()


async def test_a_source_that_is_not_played_is_not_looked_at(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Sender(source, in_rhythm(12))
    monkeypatch.setattr(dtx_watch, "_NOT_PLAYED", 0.0)
    watch = DtxWatch(source, lambda: sender, dtx=True)  # type: ignore[arg-type,return-value]
    watch.silence_settled()
    await source.next(2)
    assert source.told[:2] == [(1, None)] * 2
    assert sender.asked == 0
    watch.close()


@pytest.mark.parametrize(
    ("count", "late"),
    [
        pytest.param(lambda periods: periods // 2, 0.0, id="no DTX"),
        pytest.param(lambda _: 5, 0.0, id="nothing is sent"),
        pytest.param(in_rhythm(4), 1.0, id="counted before"),
    ],
)
async def test_what_is_not_found_is_left_alone(source: Source, count: Callable[[int], int], late: float) -> None:
    sender = Sender(source, count)
    sender.late = late
    watch = DtxWatch(source, lambda: sender, dtx=True)  # type: ignore[arg-type,return-value]
    watch.silence_settled()
    await source.next(1)
    assert sender.asked <= 40
    await source.next(2)
    assert set(source.told) == {(1, None)}
    watch.close()


async def test_without_a_sender_nothing_is_known(source: Source) -> None:
    watch = DtxWatch(source, lambda: None, dtx=True)  # type: ignore[arg-type]
    watch.silence_settled()
    await source.next(1)
    assert source.told == [(1, None)]
    watch.close()


async def test_a_silence_that_ends_is_not_looked_at(source: Source) -> None:
    sender = Sender(source, in_rhythm(4))
    watch = DtxWatch(source, lambda: sender, dtx=True)  # type: ignore[arg-type,return-value]
    watch.silence_settled()
    async with asyncio.timeout(DEADLINE):
        while not sender.asked:
            await asyncio.sleep(0)
    source.silence = 2
    await source.next(1)
    assert source.told == [(1, None)]
    source.silence = 0
    watch.silence_settled()
    await asyncio.sleep(0)
    watch.close()


@pytest.mark.parametrize("end", ["close", "restart", "another silence"])
@pytest.mark.parametrize("moment", ["before it begins", "while it waits for a turn", "while it waits for the count"])
async def test_it_ends_wherever_it_is(source: Source, end: str, moment: str) -> None:
    sender = Sender(source, in_rhythm(4))
    sender.waits = moment == "while it waits for the count"
    watch = DtxWatch(source, lambda: sender, dtx=True)  # type: ignore[arg-type,return-value]
    watch.silence_settled()
    async with asyncio.timeout(DEADLINE):
        while moment != "before it begins" and not sender.asked:
            await asyncio.sleep(0)
    (*_, first) = [None, *(task for task in asyncio.all_tasks() if "dtx" in task.get_name())]
    if end == "close":
        watch.close()
    elif end == "restart":
        watch.restart()
        assert source.renewed == 1
    else:
        watch.silence_settled()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert first is None or first.cancelled()
    assert source.told == []
    watch.close()
    await asyncio.sleep(0)


def test_a_closed_loop_is_no_error() -> None:
    async def make() -> DtxWatch:
        return DtxWatch(Source(), lambda: None, dtx=True)  # type: ignore[arg-type]

    asyncio.run(make()).silence_settled()
