"""The audio clock: who is ticked, how often, and what becomes of a clock that was held up."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aiolivekit.peer import media_thread
from aiolivekit.peer.media_thread import PERIOD, MediaThread, Wakeups

DEADLINE = 10.0


class User:
    """Counts its ticks."""

    def __init__(self) -> None:
        self.periods: list[int] = []
        self.threads: set[int] = set()
        self.ticked = threading.Event()
        self.failed_with: Exception | None = None
        self.error: Exception | None = None
        self.futures: list[asyncio.Future[None]] = []
        self.stride: int | None = None

    def _tick(self, periods: int, wakeups: Wakeups) -> int | None:
        self.periods.append(periods)
        self.threads.add(threading.get_ident())
        self.ticked.set()
        if self.error is not None:
            raise self.error
        while self.futures:
            wakeups.add(self.futures.pop())
        return self.stride

    def _fail(self, error: Exception, wakeups: Wakeups) -> None:
        self.failed_with = error


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    left = media_thread.current()
    media_thread._stop_at_exit()
    assert left is None


class StubLoop:
    """A loop whose time stands still until it is told to go on."""

    def __init__(self, thread: MediaThread) -> None:
        self.thread = thread
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def go_on(self, late: float = 0.0) -> float:
        """Run what is due next, so much too late; return when it was due."""
        when = self.thread._next
        self.now = when + late
        self.thread._on_due()
        return when


@pytest.fixture
def clock() -> tuple[StubLoop, User, MediaThread]:
    thread, user = MediaThread(), User()
    loop = StubLoop(thread)
    thread._loop.close()
    thread._loop = loop  # type: ignore[assignment]
    thread.add(user)
    thread._start_clock()
    return loop, user, thread


def test_ticks_are_ten_milliseconds_apart_and_do_not_drift(clock: tuple[StubLoop, User, MediaThread]) -> None:
    loop, user, _ = clock
    due = [loop.go_on(late) for late in (0.0, 0.001, 0.009, 0.0, 0.0099, 0.002)]
    assert due == pytest.approx([1000 + PERIOD * index for index in range(1, 7)])
    assert user.periods == [1] * 7


def test_what_was_missed_is_made_up_for_exactly(clock: tuple[StubLoop, User, MediaThread]) -> None:
    loop, user, _ = clock
    loop.go_on(late=0.2051)
    assert user.periods == [1, 21]
    assert loop.go_on() == pytest.approx(1000 + 22 * PERIOD)
    assert user.periods == [1, 21, 1]


def test_a_machine_that_slept_does_not_replay_its_sleep(clock: tuple[StubLoop, User, MediaThread]) -> None:
    loop, user, _ = clock
    loop.go_on(late=3600)
    assert user.periods == [1, 100]
    assert loop.now < loop.go_on() <= loop.now + PERIOD
    assert user.periods == [1, 100, 1]


def test_who_wants_several_periods_at_a_time_gets_them(clock: tuple[StubLoop, User, MediaThread]) -> None:
    loop, user, _ = clock
    user.stride = 5
    due = [loop.go_on(late) for late in (0.0, 0.0, 0.009, 0.0, 0.021, 0.0)]
    assert user.periods == [1, 1, 5, 5, 5, 7, 5]
    # Deadlines are those of the last period of five, and none is shifted by one that came late.
    assert due == pytest.approx([1000 + PERIOD * index for index in (1, 6, 11, 16, 21, 28)])


def test_the_most_impatient_user_sets_the_pace(clock: tuple[StubLoop, User, MediaThread]) -> None:
    loop, user, thread = clock
    other = User()
    thread._users = (*thread._users, weakref.ref(other))
    user.stride, other.stride = 40, 2
    for _ in range(4):
        loop.go_on()
    assert user.periods == [1, 1, 2, 2, 2]
    assert other.periods == [1, 2, 2, 2]


@pytest.mark.parametrize(
    ("after", "periods"), [(-0.009, 0), (0.005, 0), (0.011, 2), (0.029, 2), (0.031, 4), (0.391, 40)]
)
def test_who_is_hurried_finds_what_two_at_a_time_would_have_played(
    clock: tuple[StubLoop, User, MediaThread], after: float, periods: int
) -> None:
    loop, user, thread = clock
    user.stride = 42
    loop.go_on()
    due = thread._due
    loop.now = due + after
    user.stride = 2
    thread.hurry(user)
    assert thread._is_woken
    thread._on_due()
    assert not thread._is_woken
    assert user.periods == [1, 1, periods]
    assert loop.go_on() == pytest.approx(due + (periods + 1) * PERIOD)
    assert user.periods[-1] == 2


def test_who_did_not_ask_is_not_asked_for_nothing(clock: tuple[StubLoop, User, MediaThread]) -> None:
    loop, user, thread = clock
    other = User()
    thread._users = (*thread._users, weakref.ref(other))
    following = thread._next
    loop.now += 0.002
    thread.hurry(user)
    thread._on_due()
    assert (user.periods, other.periods) == ([1, 0], [])
    assert loop.go_on() == following
    assert (user.periods, other.periods) == ([1, 0, 1], [1])


@pytest.mark.parametrize("looped", [False, True])
async def test_a_long_rest_ends_when_somebody_asks_or_comes(looped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_thread, "_MAX_CATCH_UP", 10 * DEADLINE / PERIOD)
    resting = User()
    resting.stride = int(5 * DEADLINE / PERIOD)
    thread = media_thread.attach(resting)
    if looped:
        future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), thread.loop)
        await asyncio.wrap_future(future)
    assert await asyncio.to_thread(resting.ticked.wait, DEADLINE)
    resting.ticked.clear()
    media_thread.hurry(resting)
    assert await asyncio.to_thread(resting.ticked.wait, DEADLINE)
    newcomer = User()
    assert media_thread.attach(newcomer) is thread
    assert await asyncio.to_thread(newcomer.ticked.wait, DEADLINE)
    media_thread.detach(resting)
    media_thread.detach(newcomer)
    assert not thread.is_alive
    media_thread.hurry(resting)


async def test_a_newcomer_that_leaves_at_once_ends_it_too() -> None:
    resting, newcomer = User(), User()
    resting.stride = 100
    thread = media_thread.attach(resting)
    assert await asyncio.to_thread(resting.ticked.wait, DEADLINE)
    media_thread.attach(newcomer)
    media_thread.attach(newcomer)
    media_thread.detach(resting)
    assert thread.is_alive
    media_thread.detach(newcomer)
    assert not thread.is_alive


async def test_all_users_share_one_thread_that_ends_with_the_last() -> None:
    users = [User() for _ in range(3)]
    threads = {media_thread.attach(user) for user in users for _ in range(2)}
    (thread,) = threads
    for user in users:
        assert await asyncio.to_thread(user.ticked.wait, DEADLINE)
    assert {ident for user in users for ident in user.threads} == {thread.ident}
    media_thread.detach(users[0])
    media_thread.detach(users[0])
    media_thread.detach(User())
    users[1].ticked.clear()
    assert await asyncio.to_thread(users[1].ticked.wait, DEADLINE)
    assert thread.is_alive
    media_thread.detach(users[1])
    media_thread.detach(users[2])
    assert not thread.is_alive
    assert thread.loop.is_closed()


async def test_a_user_that_is_gone_ends_it_too() -> None:
    user: User | None = User()
    assert user is not None
    thread = media_thread.attach(user)
    del user
    await asyncio.to_thread(thread.join, DEADLINE)
    assert not thread.is_alive


async def test_the_last_user_may_detach_itself_on_the_thread() -> None:
    user = User()
    thread = media_thread.attach(user)
    thread.loop.call_soon_threadsafe(media_thread.detach, user)
    await asyncio.to_thread(thread.join, DEADLINE)
    assert not thread.is_alive


async def test_a_user_that_fails_is_told_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    bad, good = User(), User()
    bad.error = ValueError("no")
    media_thread.attach(bad)
    media_thread.attach(good)
    for _ in range(3):
        good.ticked.clear()
        assert await asyncio.to_thread(good.ticked.wait, DEADLINE)
    assert bad.periods == [bad.periods[0]]
    assert bad.failed_with is bad.error
    assert caplog.text.count("failed on the audio clock") == 1
    media_thread.detach(good)


async def test_tasks_on_the_thread_are_cancelled_at_its_end() -> None:
    user = User()
    thread = media_thread.attach(user)
    outcome: list[str] = []
    begun = threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    future = asyncio.run_coroutine_threadsafe(work(), thread.loop)
    assert await asyncio.to_thread(begun.wait, DEADLINE)
    media_thread.detach(user)
    assert outcome == ["cancelled"]
    assert future.cancelled()


async def test_its_loop_runs_once_somebody_needs_it_and_the_clock_goes_on() -> None:
    user = User()
    thread = media_thread.attach(user)
    assert await asyncio.to_thread(user.ticked.wait, DEADLINE)
    assert not thread._loop.is_running()

    async def work() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    answers = [asyncio.run_coroutine_threadsafe(work(), thread.loop) for _ in range(2)]
    assert [await asyncio.wrap_future(each) for each in answers] == [thread.ident] * 2
    user.ticked.clear()
    assert await asyncio.to_thread(user.ticked.wait, DEADLINE)
    assert user.threads == {thread.ident}
    media_thread.detach(user)
    assert not thread.is_alive


async def test_computing_threads_give_way_sooner_while_it_lives() -> None:
    usual = sys.getswitchinterval()
    user = User()
    media_thread.attach(user)
    assert await asyncio.to_thread(user.ticked.wait, DEADLINE)
    assert sys.getswitchinterval() == pytest.approx(0.001)
    media_thread.detach(user)
    assert sys.getswitchinterval() == usual
    media_thread.attach(user)
    sys.setswitchinterval(0.003)
    user.ticked.clear()
    assert await asyncio.to_thread(user.ticked.wait, DEADLINE)
    sys.setswitchinterval(0.003)
    media_thread.detach(user)
    assert sys.getswitchinterval() == pytest.approx(0.003)
    sys.setswitchinterval(usual)


async def test_futures_are_resolved_on_their_own_loops() -> None:
    user = User()
    media_thread.attach(user)

    async def wait() -> None:
        user.futures.append(asyncio.get_running_loop().create_future())
        await asyncio.wait_for(user.futures[-1], DEADLINE)

    await asyncio.gather(wait(), wait(), asyncio.to_thread(asyncio.run, wait()))
    media_thread.detach(user)


async def test_a_loop_is_called_once_however_many_wait_on_it() -> None:
    loop = asyncio.get_running_loop()
    calls: list[Any] = []
    original = loop.call_soon_threadsafe

    def count(callback: Callable[..., Any], *arguments: Any) -> Any:
        calls.append(callback)
        return original(callback, *arguments)

    loop.call_soon_threadsafe = count  # type: ignore[method-assign,assignment]
    wakeups = Wakeups()
    futures = [loop.create_future() for _ in range(5)]
    for future in futures[:4]:
        wakeups.add(future)
    wakeups.add(futures[4], ValueError("no"))
    futures[0].cancel()
    closed = asyncio.new_event_loop()
    wakeups.add(closed.create_future())
    closed.close()
    wakeups.send()
    wakeups.send()
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, *[type(None)] * 3, ValueError]
    assert len(calls) == 1


PROGRAM = """
import sys
from aiolivekit.peer import media_thread
class User:
    def _tick(self, periods, wakeups): pass
user = User()
media_thread.attach(user)
print("end")
"""


def test_a_program_that_forgets_to_close_still_ends() -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "end\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_starts_its_own() -> None:
    program = PROGRAM.replace(
        'print("end")',
        """
import os
pid = os.fork()
if pid == 0:
    assert media_thread.current() is None
    assert sys.getswitchinterval() == 0.005
    media_thread.attach(user)
    media_thread.detach(user)
    assert sys.getswitchinterval() == 0.005
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""",
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "7\n", "")
