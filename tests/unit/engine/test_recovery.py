"""The driver of recovery with a scripted host: every order of losses, attempts, words and ends."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import pytest
from livekit.protocol import rtc

from aiolivekit.core.reconnect_table import State
from aiolivekit.core.reconnection import Mode
from aiolivekit.engine import recovery as driver
from aiolivekit.engine.recovery import Recovery
from aiolivekit.enums import DisconnectReason
from aiolivekit.errors import (
    InvalidTokenError,
    ProtocolError,
    TransportError,
    UnreachableError,
)
from aiolivekit.session.events import SessionClosed

from ...leaks import no_leaks
from .scripted import (
    ESCALATED,
    FATAL,
    MEDIA,
    RESTART,
    RESUME_ONLY,
    SIGNAL,
    Host,
    Soon,
    at_once,
    for_ever,
    raising,
    reached,
)

Reason = DisconnectReason
Action = rtc.LeaveRequest.Action


# -- the application's word --


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "HANDSHAKE_TIMEOUT", 0.05)


async def test_an_attempt_waits_for_the_word() -> None:
    host = Host(acknowledge=False)
    host.recovery.lost(SIGNAL)
    await reached(lambda: host.recovery.state is State.RESUMING)
    await asyncio.sleep(0.01)
    assert host.log == ["announce resume"]
    host.announced[0]()
    await host.recovered_or_ended()
    assert host.log == ["announce resume", "resume", "recovered by resume"]


@pytest.mark.usefixtures("short_patience")
async def test_without_a_word_it_goes_on_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(raising(ProtocolError("x")), at_once, acknowledge=False)
    async with no_leaks():
        host.recovery.lost(SIGNAL)
        await host.recovered_or_ended()
        assert host.log == ESCALATED
        assert sum("nobody acknowledged" in record.message for record in caplog.records) == 2
        # Too late, and without effect.
        for word in host.announced:
            word()
        await host.recovery.aclose()


@pytest.mark.usefixtures("short_patience")
async def test_a_second_attempt_of_the_same_mode_waits_for_no_word(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(raising(UnreachableError("x")), raising(UnreachableError("x")), at_once, acknowledge=False)
    host.recovery.lost(SIGNAL)
    await host.recovered_or_ended()
    assert host.log == ["announce resume", "resume", "resume", "resume", "recovered by resume"]
    assert sum("nobody acknowledged" in record.message for record in caplog.records) == 1


async def test_a_restart_waits_for_its_own_word_and_not_for_that_of_the_resume_it_replaces() -> None:
    host = Host(acknowledge=False)
    host.recovery.lost(SIGNAL)
    await reached(lambda: host.recovery.state is State.RESUMING)
    host.recovery.lost(RESTART)
    host.announced[0]()
    await asyncio.sleep(0.01)
    assert host.log == ["announce resume", "announce restart"]
    host.announced[1]()
    await host.recovered_or_ended()
    assert host.log == ["announce resume", "announce restart", "restart", "recovered by restart"]
    await host.recovery.aclose()


# -- what happens during an attempt --


@pytest.mark.parametrize("event", [SIGNAL, MEDIA], ids=["signal", "media"])
async def test_a_loss_during_a_resume_is_the_attempts_own(event: SessionClosed) -> None:
    host = Host(for_ever)
    host.recovery.lost(SIGNAL)
    await host.until(lambda: "resume" in host.log)
    host.recovery.lost(event)
    assert host.log == ["announce resume", "resume"]
    await host.recovery.aclose()
    assert host.log[-1] == "resume cancelled"


async def test_a_restart_that_is_asked_for_stops_a_resume_and_begins_when_it_is_cleared_up() -> None:
    cleared = asyncio.Event()

    async def reluctant() -> None:
        try:
            await for_ever()
        finally:
            await cleared.wait()

    host = Host(reluctant, at_once)
    async with no_leaks():
        host.recovery.lost(SIGNAL)
        await host.until(lambda: "resume" in host.log)
        host.recovery.lost(RESTART)
        await asyncio.sleep(0.01)
        assert host.log == ["announce resume", "resume", "announce restart"]
        cleared.set()
        await host.recovered_or_ended()
        assert host.log[3:] == ["resume cancelled", "restart", "recovered by restart"]
        await host.recovery.aclose()


@pytest.mark.parametrize("event", [SIGNAL, MEDIA, RESTART], ids=["signal", "media", "restart"])
async def test_what_is_lost_during_a_restart_changes_nothing(event: SessionClosed) -> None:
    gate = asyncio.Event()

    async def gated() -> None:
        await gate.wait()

    host = Host(gated)
    host.recovery.lost(RESTART)
    await host.until(lambda: "restart" in host.log)
    host.recovery.lost(event)
    gate.set()
    await host.recovered_or_ended()
    assert host.log == ["announce restart", "restart", "recovered by restart"]


@pytest.mark.parametrize("begin", [SIGNAL, RESTART], ids=["resume", "restart"])
async def test_a_leave_for_good_during_an_attempt_ends_it_with_its_reason(begin: SessionClosed) -> None:
    host = Host(for_ever)
    async with no_leaks():
        host.recovery.lost(begin)
        await host.until(lambda: host.running == 1)
        host.recovery.lost(FATAL)
        assert [cause.reason for cause in host.ends] == [Reason.PARTICIPANT_REMOVED]
        await host.recovery.aclose()
        assert host.running == 0
        assert len(host.ends) == 1
        assert host.log[-1].endswith("cancelled")


@pytest.mark.parametrize(
    "finish",
    [None, UnreachableError("x"), ProtocolError("x"), InvalidTokenError("x"), ValueError("x")],
    ids=lambda value: type(value).__name__,
)
async def test_a_cancelled_attempt_that_ends_otherwise_is_not_heard(finish: Exception | None) -> None:
    """It may be past its last await, or its clean-up may fail: the attempt after it is another one."""
    second = asyncio.Event()

    async def deaf() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            if finish is not None:
                raise finish from None

    async def wait() -> None:
        await second.wait()

    host = Host(deaf, wait)
    async with no_leaks():
        host.recovery.lost(SIGNAL)
        await host.until(lambda: "resume" in host.log)
        host.recovery.lost(RESTART)
        await host.until(lambda: "restart" in host.log)
        assert (host.recovery.state, host.reports, host.ends) == (State.RESTARTING, [], [])
        second.set()
        await host.recovered_or_ended()
        assert host.log == [
            "announce resume",
            "resume",
            "announce restart",
            "restart",
            "recovered by restart",
        ]
        await host.recovery.aclose()


# -- retry now --


async def test_retry_now_makes_the_attempt_that_is_waited_for() -> None:
    host = Host(raising(UnreachableError("x")), at_once, policy=Soon(wait=60.0))
    async with no_leaks():
        host.recovery.retry_now()
        host.recovery.lost(SIGNAL)
        assert host.recovery.state is State.RESUME_DUE
        host.recovery.retry_now()
        host.recovery.retry_now()
        await reached(lambda: host.recovery.state is State.RESUME_DUE and "resume" in host.log)
        host.recovery.retry_now()
        await host.recovered_or_ended()
        assert host.log == RESUME_ONLY
        host.recovery.retry_now()
        assert host.recovery.state is State.CONNECTED
        await host.recovery.aclose()


# -- a walk through everything --


async def test_any_order_of_losses_ends_in_one_of_two_ways(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    async with no_leaks():
        for seed in range(150):
            await _walk(Random(seed))


async def _walk(rng: Random) -> None:
    errors = [None, UnreachableError, ProtocolError, TransportError, ValueError]

    async def attempt() -> None:
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        error = rng.choice(errors)
        if error is not None:
            raise error("x")

    host = Host(attempt, policy=Soon(10))
    for _ in range(60):
        choice = rng.random()
        if choice < 0.5:
            host.recovery.lost(rng.choice([SIGNAL, MEDIA, RESTART]))
        elif choice < 0.6:
            host.recovery.retry_now()
        elif choice < 0.61:
            host.recovery.lost(FATAL)
        for _ in range(rng.randrange(6)):
            await asyncio.sleep(0)
    await reached(lambda: host.recovery.state in (State.CONNECTED, State.CLOSED))
    assert len(host.ends) == (host.recovery.state is State.CLOSED)
    _check_episodes(host)
    await host.recovery.aclose()


def _check_episodes(host: Host) -> None:
    """One announcement for each mode of an episode, attempts of the announced mode, an end that fits."""
    announced: list[str] = []
    for word in host.log:
        if word.startswith("announce"):
            assert word not in announced
            announced.append(word)
        elif word in ("resume", "restart"):
            assert announced[-1] == f"announce {word}"
        elif word.startswith("recovered"):
            assert announced[-1].split()[-1] == word.split()[-1]
            announced = []


async def test_a_machine_of_ones_own_has_no_task_before_a_loss() -> None:
    async with no_leaks():
        host = Host()
        assert isinstance(host.recovery, Recovery)
        assert (host.recovery.state, host.recovery.mode) == (State.CONNECTED, None)
        host.recovery.lost(SIGNAL)
        assert host.recovery.mode is Mode.RESUME
        await host.recovery.aclose()
