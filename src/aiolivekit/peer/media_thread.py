"""The one media thread of the process, with an asyncio loop of its own, and the 10 ms audio clock that runs on it.

libwebrtc neither paces nor holds back what is written to a track, so we own the clock. It does not live on the
application's loop, because a handler that blocks that loop for half a second must not tear a hole into the sound. One
tick serves every source, and everything a tick has to tell the application costs one call into each of its loops. The
thread's own loop runs once somebody needs it (encrypted media do): its turn costs as much again as the rest of a tick.

The thread starts with its first user and ends with its last. It holds its users weakly: a source that was dropped
without being closed does not keep the thread alive.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import sys
import threading
import weakref
from collections import deque
from typing import Protocol

__all__ = ["NEVER", "PERIOD", "MediaThread", "Ticker", "Wakeups", "attach", "current", "detach", "hurry"]

logger = logging.getLogger("aiolivekit.peer")

PERIOD = 0.010
"""Seconds between two ticks: the length of libwebrtc's audio frames."""

_MAX_CATCH_UP = 100
"""Periods made up for after a stall. What a machine that was suspended missed is gone, not late."""

NEVER = _MAX_CATCH_UP
"""What a user's `_tick` returns that has nothing to play: for all it cares the next turn may be a second away."""

_EARLY = 0.001
"""The part of a period by which a timer may go off too early."""

_SWITCH_INTERVAL = 0.001
"""Seconds after which a thread that computes in Python lets another one run, while the media thread lives.

Python's own 5 ms are per turn, and several threads take turns: beside a program that computed in Python most ticks of
8 sources came in bursts; with 1 ms, one in twenty did. It costs nothing while no two threads compute at once.
"""

_JOIN_TIMEOUT = 1.0


class _Switching:
    """Python's switch interval, shortened while any media thread runs (one may start before the last has ended)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._usual = self._ours = 0.0

    def shorten(self) -> None:
        with self._lock:
            self._threads += 1
            if self._threads == 1:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual, _SWITCH_INTERVAL))
                self._ours = sys.getswitchinterval()  # which is kept in whole microseconds

    def restore(self) -> None:
        with self._lock:
            self._threads -= 1
            # Another value is one that the program has set meanwhile.
            if self._threads == 0 and sys.getswitchinterval() == self._ours:
                sys.setswitchinterval(self._usual)

    def forget_threads(self) -> None:
        """Restore, in a forked child, which has none."""
        if self._threads:
            self._lock = threading.Lock()
            self._threads = 1
            self.restore()


_switching = _Switching()


class Wakeups:
    """Futures to be resolved, each on its own loop, with one call into each loop."""

    __slots__ = ("_by_loop",)

    def __init__(self) -> None:
        self._by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], Exception | None]]] = {}

    def add(self, future: asyncio.Future[None], error: Exception | None = None) -> None:
        """Note that `future` is to be resolved, with an exception if one is given."""
        self._by_loop.setdefault(future.get_loop(), []).append((future, error))

    def send(self) -> None:
        """Have every noted future resolved by its loop; from any thread."""
        if not self._by_loop:
            return
        for loop, outcomes in self._by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, outcomes)
            except RuntimeError:  # the loop is closed: nobody waits any more
                logger.debug("a loop was closed while %d captures waited on it", len(outcomes))
        self._by_loop = {}


def _resolve(outcomes: list[tuple[asyncio.Future[None], Exception | None]]) -> None:
    for future, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


class Ticker(Protocol):
    """What the audio clock drives."""

    def _tick(self, periods: int, wakeups: Wakeups) -> int | None:
        """Play `periods` times 10 ms; on the media thread.

        Args:
            periods: As many as it said or less, unless the clock has fallen behind; 0 only after `hurry`.
            wakeups: Takes the futures to be resolved.

        Returns:
            After how many periods it wants to be asked again; `None` is 1.
        """

    def _fail(self, error: Exception, wakeups: Wakeups) -> None:
        """Release whoever waits: `_tick` raised, and the clock no longer drives this user."""


class MediaThread:
    """The thread. Users share one through `attach` and `detach` and do not make their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop_wanted = False
        self._stopping = False
        # Held while nothing is to disturb the thread between two ticks.
        self._quiet = threading.Lock()
        self._quiet.acquire()
        # Replaced as a whole under the module's lock, so that a tick reads it without one.
        self._users: tuple[weakref.ref[Ticker], ...] = ()
        # Those that came while the thread rested: the periods until now are none of theirs.
        self._newcomers: tuple[weakref.ref[Ticker], ...] = ()
        self._hurried: deque[weakref.ref[Ticker]] = deque()
        self._wakeups = Wakeups()
        self._due = self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # A daemon, as a program that forgot to close a source must still be able to exit; see `_stop_at_exit`.
        self._thread = threading.Thread(target=self._run, name="aiolivekit-media", daemon=True)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The thread's loop, which runs from now on."""
        if not self._loop_wanted:
            self._loop_wanted = True
            self._disturb()
        return self._loop

    @property
    def ident(self) -> int | None:
        """The thread's identifier."""
        return self._thread.ident

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start it."""
        self._thread.start()

    def add(self, user: Ticker) -> None:
        """Have `user` ticked (under the module's lock)."""
        if any(ref() is user for ref in (*self._users, *self._newcomers)):
            return
        if self._thread.ident is None:
            self._users = (*self._users, weakref.ref(user))
        else:
            self._newcomers = (*self._newcomers, weakref.ref(user))
            self._wake()

    def remove(self, user: Ticker | None) -> bool:
        """Forget `user` and all that are gone (under the module's lock); return whether any is left."""
        self._users = tuple(ref for ref in self._users if ref() not in (None, user))
        self._newcomers = tuple(ref for ref in self._newcomers if ref() not in (None, user))
        return bool(self._users or self._newcomers)

    def admit(self) -> None:
        """Tick those as well that have come (under the module's lock)."""
        self._users = (*self._users, *self._newcomers)
        self._newcomers = ()

    def hurry(self, user: Ticker) -> None:
        """Tick `user` as soon as can be, and not when it said; from any thread, without waiting for a lock."""
        self._hurried.append(weakref.ref(user))
        self._wake()

    def stop(self) -> None:
        """Have the thread end after what it is doing; from any thread."""
        self._stopping = True
        self._disturb()
        try:
            self._loop.call_soon_threadsafe(self._loop.stop)
        except RuntimeError:
            logger.debug("the media thread has ended already")

    def join(self, timeout: float) -> None:
        """Wait for the end, unless called on the thread itself."""
        if threading.get_ident() != self._thread.ident:
            self._thread.join(timeout)

    def _wake(self) -> None:
        self._disturb()
        if self._loop_wanted:
            with contextlib.suppress(RuntimeError):  # the thread has ended
                self._loop.call_soon_threadsafe(self._on_woken_in_loop)

    def _disturb(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is disturbed already
            self._quiet.release()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        _switching.shorten()
        try:
            self._start_clock()
            while not (self._loop_wanted or self._stopping):
                disturbed = self._quiet.acquire(timeout=max(0.0, self._next - self._loop.time()))
                if not disturbed or self._is_woken:
                    self._on_due()
            if not self._stopping:
                self._loop.call_soon(self._on_woken_in_loop)
                self._timer = self._loop.call_at(self._next, self._on_due_in_loop)
                self._loop.run_forever()
        finally:
            _switching.restore()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            asyncio.set_event_loop(None)
            self._loop.close()

    def _start_clock(self) -> None:
        self._due = self._loop.time()
        self._on_due()

    @property
    def _is_woken(self) -> bool:
        return bool(self._hurried or self._newcomers)

    def _on_due_in_loop(self) -> None:
        self._on_due()
        if self._stopping:
            self._loop.stop()
        else:
            self._timer = self._loop.call_at(self._next, self._on_due_in_loop)

    def _on_woken_in_loop(self) -> None:
        if self._is_woken and self._timer is not None:
            self._timer.cancel()
            self._on_due_in_loop()

    def _on_due(self) -> None:
        now = self._loop.time()
        lag = now - self._due
        # Deadlines are absolute: a late tick makes up for its lag and shifts none of the following.
        periods = 1 + int(lag / PERIOD + _EARLY)
        if now < self._next - _EARLY * PERIOD:
            # Woken before: as many as would have been played by now if everybody were asked every other period.
            periods = 2 * int((lag + PERIOD) / (2 * PERIOD))
        if periods > _MAX_CATCH_UP:
            self._due += (periods - _MAX_CATCH_UP) * PERIOD
            periods = _MAX_CATCH_UP

        wakeups, users = self._wakeups, self._users
        gone, stride = not users, _MAX_CATCH_UP
        hurried = self._take_hurried() if self._hurried else ()
        for ref in users if periods else hurried:
            user = ref()
            if user is None:
                gone = True
                continue
            try:
                stride = min(stride, user._tick(periods, wakeups) or 1)
            except Exception as error:
                logger.exception("a source failed on the audio clock and is no longer played")
                detach(user)
                user._fail(error, wakeups)
        wakeups.send()

        if gone and not _prune(self):
            return
        if self._newcomers:
            with _lock:
                self.admit()
            stride = min(stride, 2)
        self._due += periods * PERIOD
        # All but the first of several periods are made up for as if they were late.
        following = self._due + (stride - 1) * PERIOD
        self._next = following if periods else min(following, self._next)

    def _take_hurried(self) -> tuple[weakref.ref[Ticker], ...]:
        hurried = []
        while self._hurried:
            hurried.append(self._hurried.popleft())
        return tuple(hurried)


# Re-entrant: a finalizer that runs under it may close a source.
_lock = threading.RLock()
_current: MediaThread | None = None
_exit_hook_set = False


def attach(user: Ticker) -> MediaThread:
    """Have the audio clock drive `user`, starting the media thread if there is none; twice is once."""
    global _current, _exit_hook_set
    with _lock:
        thread = _current
        if thread is None:
            thread = MediaThread()
            thread.add(user)
            thread.start()
            _current = thread
            if not _exit_hook_set:
                atexit.register(_stop_at_exit)
                _exit_hook_set = True
        else:
            thread.add(user)
        return thread


def detach(user: Ticker) -> None:
    """No longer drive `user`. After the last one the thread has ended when this returns; unknown users are ignored."""
    global _current
    with _lock:
        thread = _current
        if thread is None or thread.remove(user):
            return
        _current = None
    thread.stop()
    thread.join(_JOIN_TIMEOUT)


def hurry(user: Ticker) -> None:
    """Tick `user` as soon as can be; does nothing while no thread runs."""
    if (thread := _current) is not None:
        thread.hurry(user)


def current() -> MediaThread | None:
    """Return the media thread, if it runs."""
    return _current


def _prune(thread: MediaThread) -> bool:
    """Forget the users that are gone; end the thread (it is the caller) if none is left."""
    global _current
    with _lock:
        if thread.remove(None):
            return True
        if _current is thread:
            _current = None
    thread._stopping = True
    return False


def _stop_at_exit() -> None:
    # A daemon thread that is inside libwebrtc when the interpreter goes down would take the process with it.
    global _current
    with _lock:
        thread, _current = _current, None
    if thread is not None:
        thread.stop()
        thread.join(_JOIN_TIMEOUT)


def _forget_after_fork() -> None:
    # The thread did not come along; the lock may have been held by one that did not either.
    global _current, _lock
    _current = None
    _lock = threading.RLock()
    _switching.forget_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
