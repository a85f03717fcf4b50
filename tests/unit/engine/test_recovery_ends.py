"""Recovery with a scripted host is closed: in every state, at every await, while something clears up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from livekit.protocol import rtc

from aiolivekit.core.reconnect_table import State
from aiolivekit.enums import DisconnectReason
from aiolivekit.session.events import SessionClosed

from ...leaks import no_leaks
from .scripted import (
    DEADLINE,
    FATAL,
    RESTART,
    SIGNAL,
    Host,
    Soon,
    at_once,
    for_ever,
    reached,
)

Reason = DisconnectReason
Action = rtc.LeaveRequest.Action


def _connected(host: Host) -> bool:
    return host.recovery.state is State.CONNECTED


WHEN: dict[str, tuple[SessionClosed | None, Callable[[Host], bool], float]] = {
    "connected": (None, _connected, 0.0),
    "resume due": (SIGNAL, lambda host: host.recovery.state is State.RESUME_DUE, 60.0),
    "resume begun": (SIGNAL, lambda host: host.recovery.state is State.RESUMING, 0.0),
    "resuming": (SIGNAL, lambda host: host.running == 1, 0.0),
    "restart begun": (RESTART, lambda host: host.recovery.state is State.RESTARTING, 0.0),
    "restarting": (RESTART, lambda host: host.running == 1, 0.0),
}


@pytest.mark.parametrize("when", WHEN)
async def test_close_ends_every_state_at_once(when: str) -> None:
    event, condition, wait = WHEN[when]
    host = Host(for_ever, policy=Soon(wait=wait))
    async with no_leaks():
        if event is not None:
            host.recovery.lost(event)
        await reached(lambda: condition(host))
        waiting = asyncio.create_task(host.recovery.wait_settled())
        await asyncio.sleep(0)
        async with asyncio.timeout(DEADLINE):
            await host.recovery.aclose()
            # Whoever waits for the room to be connected again hears of the end.
            await waiting
        assert host.recovery.state is State.CLOSED
        # The end that the application asked for is its own to tell.
        assert not host.ends
        assert not host.reports
        assert host.running == 0
        host.recovery.lost(SIGNAL)
        await host.recovery.aclose()
        assert host.recovery.state is State.CLOSED


async def test_close_waits_for_all_that_clears_up() -> None:
    """A resume that clears up slowly, and the restart behind it that has not had its first step."""
    cleared = asyncio.Event()
    ended = False

    async def reluctant() -> None:
        nonlocal ended
        try:
            await for_ever()
        finally:
            await cleared.wait()
            ended = True

    host = Host(reluctant)
    async with no_leaks():
        host.recovery.lost(SIGNAL)
        await host.until(lambda: host.running == 1)
        host.recovery.lost(RESTART)
        closing = asyncio.create_task(host.recovery.aclose())
        await asyncio.sleep(0.01)
        assert not closing.done()
        cleared.set()
        async with asyncio.timeout(DEADLINE):
            await closing
        assert ended
        assert "restart" not in host.log


async def test_the_end_that_the_server_decides_wakes_who_waits() -> None:
    host = Host(for_ever)
    host.recovery.lost(SIGNAL)
    await host.until(lambda: host.running == 1)
    waiting = asyncio.create_task(host.recovery.wait_settled())
    host.recovery.lost(FATAL)
    async with asyncio.timeout(DEADLINE):
        await waiting
    await host.recovery.aclose()


async def test_close_from_within_an_attempt_does_not_wait_for_itself() -> None:
    async def closes() -> None:
        await host.recovery.aclose()

    host = Host(closes)
    async with no_leaks():
        host.recovery.lost(SIGNAL)
        await host.until(lambda: "resume" in host.log)
        async with asyncio.timeout(DEADLINE):
            while host.running:
                await asyncio.sleep(0)
        assert host.recovery.state is State.CLOSED
        await host.recovery.aclose()


@pytest.mark.parametrize("event", [RESTART, FATAL, None], ids=["restart", "fatal", "close"])
@pytest.mark.parametrize("acknowledge", [True, False], ids=["acknowledged", "not acknowledged"])
async def test_stopped_at_every_await(event: SessionClosed | None, acknowledge: bool) -> None:
    """An attempt of so many awaits, stopped before it starts, at each of them and after it."""
    async with no_leaks():
        for steps in (1, 2, 3, 5):
            for turns in range(steps + 12):
                await _stopped_after(turns, steps, event, acknowledge)


async def _stopped_after(turns: int, steps: int, event: SessionClosed | None, acknowledge: bool) -> None:
    async def attempt() -> None:
        for _ in range(steps):
            await asyncio.sleep(0)

    host = Host(attempt, at_once, acknowledge=acknowledge)
    host.recovery.lost(SIGNAL)
    for turn in range(turns):
        await asyncio.sleep(0)
        if turn == 2:
            host.announced[0]()
    if event is not None:
        host.recovery.lost(event)
    for word in list(host.announced):
        word()
    if event is RESTART:
        await host.until(lambda: "recovered by restart" in host.log)
        assert host.log.count("announce restart") == 1
    await host.recovery.aclose()
    assert host.running == 0
    assert host.recovery.state is State.CLOSED
    assert len(host.ends) == (event is FATAL)
    assert host.log.count("announce resume") == 1
