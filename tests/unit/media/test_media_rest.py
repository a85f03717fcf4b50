"""Turns of silence that are spared: when, for whom, and what is played all the same."""

from __future__ import annotations

import asyncio
import random

import pytest

from aiolivekit.core.dtx_rhythm import CYCLE
from aiolivekit.media import AudioFrame, AudioSource
from aiolivekit.media.rest import SETTLED_PERIODS, UNWATCHED, Rest
from aiolivekit.peer import media_thread
from aiolivekit.peer.media_thread import PERIOD, MediaThread


class Watch:
    """Notes that a silence has settled."""

    def __init__(self, *, dtx: bool = True) -> None:
        self.dtx = dtx
        self.settled = 0

    def silence_settled(self) -> None:
        self.settled += 1


def play(rest: Rest, periods: int) -> list[int]:
    """Play so many periods of silence at least; return the strides."""
    strides = []
    until = rest.periods + periods
    while rest.periods < until:
        strides.append(rest.played(rest.stride, 0.0))
    return strides


def settle(rest: Rest, watch: Watch) -> int:
    rest.join(watch)
    play(rest, SETTLED_PERIODS)
    standing = rest.standing()
    assert standing is not None
    return standing.silence


def test_a_silence_that_has_settled_is_told_once() -> None:
    rest, watch = Rest(), Watch()
    rest.join(watch)
    assert set(play(rest, SETTLED_PERIODS - 2)) == {2}
    assert (watch.settled, rest.standing()) == (0, None)
    play(rest, 500)
    assert watch.settled == 1
    rest.begin()
    assert rest.standing() is None
    play(rest, SETTLED_PERIODS)
    assert watch.settled == 2


def test_in_rhythm_a_turn_comes_with_each_packet() -> None:
    rest, watch = Rest(), Watch()
    rest.follow(settle(rest, watch), 7)
    play(rest, CYCLE)
    strides = play(rest, 10 * CYCLE)
    assert set(strides) == {2, CYCLE - 2}
    assert rest.periods % CYCLE in (8, 10)
    assert rest.is_sparse or rest.stride == 2
    rest.follow(settle(rest, watch), None)
    assert set(play(rest, CYCLE)) == {2}


@pytest.mark.parametrize("why", ["without DTX", "sent twice", "read here", "unwatched"])
def test_no_turn_is_spared(why: str) -> None:
    rest, watch = Rest(), Watch(dtx=why != "without DTX")
    rest.overheard = why == "read here"
    if why == "sent twice":
        rest.join(Watch())
    if why == "unwatched":
        rest.join(UNWATCHED)
    else:
        rest.join(watch)
    play(rest, 500)
    assert watch.settled == 0
    assert rest.stride == 2


def test_what_was_found_of_another_silence_counts_for_nothing() -> None:
    rest, watch = Rest(), Watch()
    silence = settle(rest, watch)
    rest.begin()
    play(rest, SETTLED_PERIODS)
    rest.follow(silence, 7)
    assert set(play(rest, 100)) == {2}


def test_who_sends_it_may_change() -> None:
    rest, watch = Rest(), Watch()
    rest.join(UNWATCHED)
    rest.join(UNWATCHED)
    settle(rest, watch)
    assert watch.settled == 0
    rest.leave(UNWATCHED)
    rest.leave(UNWATCHED)
    rest.leave(UNWATCHED)
    play(rest, SETTLED_PERIODS)
    assert watch.settled == 1
    standing = rest.standing()
    assert standing is not None
    rest.follow(standing.silence, 7)
    while not rest.is_sparse:
        play(rest, 1)
    rest.join(UNWATCHED)
    rest.played(rest.stride, 0.0)
    assert rest.stride == 2


class Clock:
    """Time of the test, which is that of the media thread as well."""

    def __init__(self) -> None:
        self.now = 100.0

    def time(self) -> float:
        return self.now

    def close(self) -> None:
        pass


class Played:
    """What was played, and when."""

    def __init__(self, clock: Clock) -> None:
        self.samples = bytearray()
        self.lengths: list[int] = []
        self._clock = clock
        self.at: list[tuple[float, int]] = []

    def write(self, samples: bytes, rate: int, channels: int, length: int) -> None:
        assert samples
        self.samples += samples
        self.lengths.append(length)
        self.at.append((self._clock.now, len(self.samples) // 960))


@pytest.fixture
def thread(monkeypatch: pytest.MonkeyPatch) -> tuple[Clock, MediaThread]:
    """A media thread that the test drives."""
    clock, thread = Clock(), MediaThread()
    thread._loop.close()
    thread._loop = clock  # type: ignore[assignment]
    monkeypatch.setattr(media_thread, "attach", thread.add)
    monkeypatch.setattr(media_thread, "detach", thread.remove)
    monkeypatch.setattr(media_thread, "hurry", thread.hurry)
    monkeypatch.setattr(media_thread, "_current", None)
    return clock, thread


def run(thread: MediaThread, clock: Clock, until: float) -> None:
    """Let time pass, as the thread would."""
    while True:
        if thread._is_woken:
            thread._on_due()
        elif thread._next <= until:
            clock.now = max(clock.now, thread._next)
            thread._on_due()
        else:
            clock.now = until
            return


async def converse(thread: tuple[Clock, MediaThread], offset: int | None, seed: int) -> Played:
    """Be silent and speak in turns, a period every 10 ms; return what was played."""
    clock, driven = thread
    source = AudioSource(48_000, 1)
    played = Played(clock)
    source._local.write = played.write
    watch = Watch()
    source._sent_by(watch)
    driven._start_clock()
    rng = random.Random(seed)
    number = 0
    for _ in range(4):
        run(driven, clock, clock.now + 1.2)
        standing = source._resting()
        assert standing is not None
        phase = None if offset is None else (standing.periods + offset) % CYCLE
        source._rest_in_rhythm(standing.silence, phase)
        run(driven, clock, clock.now + rng.uniform(1, 3))
        assert offset is None or (source._rest.periods - standing.periods - offset) % CYCLE in (1, 3)
        speaks = clock.now
        for step in range(rng.randint(1, 60)):
            number += 1
            run(driven, clock, speaks + step * PERIOD)
            await source.capture_frame(AudioFrame(number.to_bytes(2, "little") * 480, 48_000, 1, 480))
            run(driven, clock, clock.now)
    run(driven, clock, clock.now + 0.2)
    await source.aclose()
    assert watch.settled == 4
    return played


@pytest.mark.parametrize("seed", range(5))
async def test_what_is_played_is_the_same_and_never_later(
    thread: tuple[Clock, MediaThread], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream is the same to the sample, and sound leaves when it would; only silence comes in lumps."""
    usual = await converse(thread, None, seed)
    for offset in (1, 17, 39):  # looks find it at the end of a turn
        clock, again = Clock(), MediaThread()
        again._loop.close()
        again._loop = clock  # type: ignore[assignment]
        monkeypatch.setattr(media_thread, "attach", again.add)
        monkeypatch.setattr(media_thread, "hurry", again.hurry)
        sparse = await converse((clock, again), offset, seed)
        assert sparse.samples == usual.samples
        assert len(sparse.lengths) < len(usual.lengths) - 100
        sound = [at for at in usual.at if usual.samples[960 * at[1] - 2 : 960 * at[1]] != b"\0\0"]
        assert sound == [at for at in sparse.at if sparse.samples[960 * at[1] - 2 : 960 * at[1]] != b"\0\0"]


async def test_a_local_listener_hears_silence_in_time() -> None:
    source = AudioSource(48_000, 1)
    watch = Watch()
    source._sent_by(watch)
    source._overheard()
    with source._lock:
        play(source._rest, 500)
    assert watch.settled == 0
    await source.aclose()


async def test_a_closed_source_rests_no_more() -> None:
    source = AudioSource(48_000, 1)
    with source._lock:
        play(source._rest, SETTLED_PERIODS)
    assert source._resting() is not None
    await source.aclose()
    assert source._resting() is None


async def test_sound_that_comes_into_a_long_rest_is_played_at_once() -> None:
    """With the thread as it is."""
    source = AudioSource(48_000, 1)
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()
    order: list[bytes] = []

    def write(samples: bytes, rate: int, channels: int, length: int) -> None:
        order.append(samples)
        if samples.strip(b"\0"):
            loop.call_soon_threadsafe(heard.set)

    source._local.write = write
    watch = Watch()
    source._sent_by(watch)
    for _ in range(2):
        async with asyncio.timeout(10):
            while (standing := source._resting()) is None:
                await asyncio.sleep(0.02)
            source._rest_in_rhythm(standing.silence, (standing.periods + 20) % CYCLE)
            while not source._rest.is_sparse:
                await asyncio.sleep(0.002)
            order.clear()
            heard.clear()
            await source.capture_frame(AudioFrame(b"\1\0" * 480, 48_000, 1, 480))
            await heard.wait()
            await source.wait_for_playout()
        assert order[-1].strip(b"\0")
        assert not b"".join(order[:-1]).strip(b"\0")
    await source.aclose()
    assert media_thread.current() is None
