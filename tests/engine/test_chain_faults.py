"""A fault at every step of a resume and of a restart: recovered, or ended with the cause, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aiolivekit.enums import DisconnectReason
from aiolivekit.testing import EmbeddedServer

from ..leaks import no_leaks
from .stage import Stage, hurried, on_stage, until

Reason = DisconnectReason
Faults = Any
Fault = Callable[[Faults], Any]

RESUMED, RESTARTED = "resumed", "restarted"


RESUME: dict[str, tuple[Fault, str | Reason]] = {
    # reopen
    "refused (503)": (lambda f: f.refuse_resume(1, identity="alice", status=503), RESUMED),
    "refused three times (500)": (lambda f: f.refuse_resume(3, identity="alice", status=500), RESUMED),
    "not validated (401)": (lambda f: f.refuse_resume(1, identity="alice", status=401), RESUMED),
    "unknown session": (lambda f: f.refuse_resume(1, identity="alice"), RESTARTED),
    "token refused": (lambda f: f.expire_token("alice"), Reason.JOIN_FAILURE),
    # first message
    "closed before the first message": (lambda f: f.close_before("reconnect", identity="alice"), RESUMED),
    "cut before the first message": (lambda f: f.close_before("reconnect", identity="alice", abrupt=True), RESUMED),
    "another first message": (lambda f: f.drop_signal("reconnect", identity="alice"), RESTARTED),
    "unknown first message": (lambda f: f.unknown_first_message("alice"), RESTARTED),
    # sync state
    "closed after the first message": (lambda f: f.close_after("reconnect", identity="alice"), RESUMED),
    "cut after the first message": (lambda f: f.close_after("reconnect", identity="alice", abrupt=True), RESUMED),
    "no sync state": (lambda f: f.drop_signal("sync_state", identity="alice", direction="in"), RESUMED),
    # the path is looked at, and the participants are told
    "closed while the path is looked at": (lambda f: f.close_before("update", identity="alice"), RESUMED),
    "cut after the participants": (lambda f: f.close_after("update", identity="alice", abrupt=True), RESUMED),
    "no participants told": (lambda f: f.drop_signal("update", identity="alice"), RESUMED),
}

# The path is dead, so that the ICE restart is needed.
ICE: dict[str, tuple[Fault, str | Reason]] = {
    "offer lost": (lambda f: f.drop_signal("offer", identity="alice", direction="in"), RESTARTED),
    "answer lost": (lambda f: f.drop_signal("answer", identity="alice"), RESTARTED),
    "closed before the answer": (lambda f: f.close_before("answer", identity="alice"), RESUMED),
    "cut after the answer": (lambda f: f.close_after("answer", identity="alice", abrupt=True), RESUMED),
}

RESTART: dict[str, tuple[Fault, str | Reason]] = {
    # dial
    "refused (503)": (lambda f: f.refuse_join(1, identity="alice"), RESTARTED),
    "refused three times (500)": (lambda f: f.refuse_join(3, identity="alice", status=500), RESTARTED),
    "not validated (401)": (lambda f: f.refuse_join(1, identity="alice", status=401), RESTARTED),
    "token refused": (lambda f: f.expire_token("alice"), Reason.JOIN_FAILURE),
    # join
    "closed before the join response": (lambda f: f.close_before("join", identity="alice"), RESTARTED),
    "cut before the join response": (lambda f: f.close_before("join", identity="alice", abrupt=True), RESTARTED),
    "no join response": (lambda f: f.drop_signal("join", identity="alice"), RESTARTED),
    "unknown first message": (lambda f: f.unknown_first_message("alice"), RESTARTED),
    "closed after the join response": (lambda f: f.close_after("join", identity="alice"), RESTARTED),
    "cut after the join response": (lambda f: f.close_after("join", identity="alice", abrupt=True), RESTARTED),
    # offer and answer
    "answer lost": (lambda f: f.drop_signal("answer", identity="alice"), RESTARTED),
    "closed before the answer": (lambda f: f.close_before("answer", identity="alice"), RESTARTED),
    "cut after the answer": (lambda f: f.close_after("answer", identity="alice", abrupt=True), RESTARTED),
    # republish
    "no word of the track": (lambda f: f.drop_signal("track_published", identity="alice"), RESTARTED),
    "closed before the word of the track": (lambda f: f.close_before("track_published", identity="alice"), RESTARTED),
    "cut after the word of the track": (
        lambda f: f.close_after("track_published", identity="alice", abrupt=True),
        RESTARTED,
    ),
    "answer to the track lost": (lambda f: f.drop_signal("answer", identity="alice", nth=2), RESTARTED),
}


async def check(stage: Stage, outcome: str | Reason) -> None:
    await stage.over()
    if isinstance(outcome, Reason):
        stage.ended(outcome)
        return
    assert stage.events.of("disconnected") == []
    restarted = outcome == RESTARTED
    assert (stage.engine.epoch > 1) is restarted
    await stage.works(restarted=restarted)


@pytest.mark.parametrize("step", RESUME)
async def test_a_fault_in_a_resume(
    dev_server: EmbeddedServer, single: bool, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    fault, outcome = RESUME[step]
    async with no_leaks(), on_stage(dev_server, single) as stage:
        fault(dev_server.faults)
        dev_server.faults.close_signal("alice", abrupt=True)
        await check(stage, outcome)


@pytest.mark.parametrize("step", ICE)
async def test_a_fault_in_the_ice_restart_of_a_resume(
    dev_server: EmbeddedServer, single: bool, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    fault, outcome = ICE[step]
    async with no_leaks(), on_stage(dev_server, single) as stage:
        faults = dev_server.faults
        installed = fault(faults)
        dark = faults.blackout("alice")
        faults.close_signal("alice", abrupt=True)
        # The path is found dead, an ICE restart is offered, and something happens to the offer or its answer.
        await installed.wait_fired()
        dark.lift()
        await check(stage, outcome)


@pytest.mark.parametrize("step", RESTART)
async def test_a_fault_in_a_restart(
    dev_server: EmbeddedServer, single: bool, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    fault, outcome = RESTART[step]
    async with no_leaks(), on_stage(dev_server, single) as stage:
        fault(dev_server.faults)
        dev_server.faults.leave("alice", "RECONNECT")
        await check(stage, outcome)


async def test_messages_go_on_before_a_restart_is_complete(
    dev_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    async with no_leaks(), on_stage(dev_server, single=False) as stage:
        # Without its offer there is no way from the server to us; the way to the server stands.
        withheld = dev_server.faults.drop_signal("offer", identity="alice")
        dev_server.faults.leave("alice", "RECONNECT")
        await withheld.wait_fired()
        sent = stage.sent
        await until(lambda: stage.sent > sent + 20 and stage.heard[-1:] >= [sent + 10], "messages in between")
        assert not stage.events.of("reconnected")
        await check(stage, RESTARTED)


async def test_a_media_path_that_does_not_come_back_makes_a_restart(
    dev_server: EmbeddedServer, single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch, attempts=30)
    async with no_leaks(), on_stage(dev_server, single) as stage:
        faults = dev_server.faults
        dark = faults.blackout("alice")
        faults.close_signal("alice", abrupt=True)
        await until(lambda: stage.engine.epoch > 1, "a restart")
        dark.lift()
        await check(stage, RESTARTED)


async def test_a_media_path_that_never_comes_back_ends_with_what_began_it(
    dev_server: EmbeddedServer, single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch, attempts=2)
    async with no_leaks(), on_stage(dev_server, single) as stage:
        dev_server.faults.blackout("alice")
        dev_server.faults.close_signal("alice", abrupt=True)
        await check(stage, Reason.SIGNAL_CLOSE)


@pytest.mark.parametrize("reason", ["SERVER_SHUTDOWN", "DUPLICATE_IDENTITY", "PARTICIPANT_REMOVED", "ROOM_DELETED"])
async def test_a_leave_for_good_is_not_questioned(dev_server: EmbeddedServer, single: bool, reason: str) -> None:
    async with no_leaks(), on_stage(dev_server, single) as stage:
        dev_server.faults.leave("alice", "DISCONNECT", reason)
        await stage.over()
        assert stage.events.of("disconnected") == [(Reason[reason],)]
        assert not stage.events.of("reconnecting")


def hold(faults: Faults, message: str) -> Any:
    """Hold a message; the first one together with all behind it, since it must stay the first."""
    if message in ("reconnect", "join"):
        return faults.hold("", identity="alice")
    return faults.hold(message, identity="alice", count=1)


def release_and_leave(server: EmbeddedServer, held: Any, action: str, reason: str) -> None:
    """What was held, and the leave request right behind it."""

    def act() -> None:
        held._hold.release()
        server.faults.faults.leave("alice", action, reason)

    server.call(act)


@pytest.mark.parametrize("message", ["reconnect", "update"])
@pytest.mark.parametrize(
    ("action", "reason", "outcome"),
    [
        ("RESUME", "SERVER_SHUTDOWN", RESUMED),
        ("RECONNECT", "SERVER_SHUTDOWN", RESTARTED),
        ("DISCONNECT", "PARTICIPANT_REMOVED", Reason.PARTICIPANT_REMOVED),
        ("DISCONNECT", "DUPLICATE_IDENTITY", Reason.DUPLICATE_IDENTITY),
    ],
)
async def test_a_leave_during_a_resume(
    dev_server: EmbeddedServer,
    single: bool,
    message: str,
    action: str,
    reason: str,
    outcome: str | Reason,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hurried(monkeypatch)
    async with no_leaks(), on_stage(dev_server, single) as stage:
        faults = dev_server.faults
        held = hold(faults, message)
        faults.close_signal("alice", abrupt=True)
        await held.wait_fired()
        release_and_leave(dev_server, held, action, reason)
        await check(stage, outcome)


@pytest.mark.parametrize("message", ["join", "answer", "track_published"])
@pytest.mark.parametrize(
    ("action", "reason", "outcome"),
    [
        ("RECONNECT", "SERVER_SHUTDOWN", RESTARTED),
        ("DISCONNECT", "PARTICIPANT_REMOVED", Reason.PARTICIPANT_REMOVED),
    ],
)
async def test_a_leave_during_a_restart(
    dev_server: EmbeddedServer,
    single: bool,
    message: str,
    action: str,
    reason: str,
    outcome: str | Reason,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hurried(monkeypatch)
    async with no_leaks(), on_stage(dev_server, single) as stage:
        faults = dev_server.faults
        faults.leave("alice", "RECONNECT")
        held = hold(faults, message)
        await held.wait_fired()
        release_and_leave(dev_server, held, action, reason)
        await check(stage, outcome)


async def test_what_is_lost_while_the_old_session_is_closed_is_not_overlooked(
    dev_server: EmbeddedServer, single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new session is up, the restart not at its end: a loss then begins no episode, and must not go unseen."""
    hurried(monkeypatch)
    async with no_leaks(), on_stage(dev_server, single) as stage:
        old = stage.engine.session()
        close, reached = old.aclose, asyncio.Event()

        async def slow(*arguments: Any, **named: Any) -> None:
            dev_server.faults.close_signal("alice", abrupt=True)
            await until(lambda: stage.engine.session().signal.closed, "the new link is lost")
            reached.set()
            await close(*arguments, **named)

        monkeypatch.setattr(old, "aclose", slow)
        dev_server.faults.leave("alice", "RECONNECT")
        await check(stage, RESTARTED)
        assert reached.is_set()
