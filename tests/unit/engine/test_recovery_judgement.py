"""What the error of an attempt says, and what follows from it."""

from __future__ import annotations

import asyncio

import pytest
from livekit.protocol import models, rtc

from aiolivekit.core.reconnect_table import State
from aiolivekit.core.reconnection import Failure
from aiolivekit.engine.recovery import judge
from aiolivekit.enums import DisconnectReason
from aiolivekit.errors import (
    ClosedError,
    ConnectError,
    ConnectTimeoutError,
    InvalidTokenError,
    InvalidUrlError,
    PermissionDeniedError,
    ProtocolError,
    RoomNotFoundError,
    ServerFullError,
    ServerLeaveError,
    ServerRefusedError,
    SignalClosedError,
    TlsError,
    TokenExpiredError,
    TokenSourceError,
    TransportError,
    UnreachableError,
)
from aiolivekit.session.events import SessionClosed

from ...leaks import no_leaks
from .scripted import (
    ENDED,
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
)

Reason = DisconnectReason
Action = rtc.LeaveRequest.Action


# -- what an error says --

NO_WORD, MISMATCH, LOST_MEDIA, REVOKED = Failure.NO_WORD, Failure.MISMATCH, Failure.MEDIA, Failure.REVOKED


def leave(reason: Reason, action: Action) -> ServerLeaveError:
    return ServerLeaveError("away", reason=int(reason), action=int(action))


JUDGED: list[tuple[ConnectError, Failure, str, Reason, bool]] = [
    (UnreachableError("x"), NO_WORD, "signal", Reason.SIGNAL_CLOSE, False),
    (ConnectTimeoutError("x"), NO_WORD, "signal", Reason.SIGNAL_CLOSE, False),
    (SignalClosedError("x"), NO_WORD, "signal", Reason.SIGNAL_CLOSE, False),
    (TlsError("x"), NO_WORD, "signal", Reason.SIGNAL_CLOSE, False),
    (ServerFullError("x", status=503), NO_WORD, "signal", Reason.SIGNAL_CLOSE, False),
    (ServerRefusedError("x", status=500), NO_WORD, "signal", Reason.SIGNAL_CLOSE, False),
    # Bare, not validated: what stands in front of a server sends these for a while.
    (ServerRefusedError("x", status=401), NO_WORD, "signal", Reason.SIGNAL_CLOSE, False),
    (ServerRefusedError("x", status=403), NO_WORD, "signal", Reason.SIGNAL_CLOSE, False),
    (InvalidUrlError("x"), NO_WORD, "signal", Reason.SIGNAL_CLOSE, False),
    (ConnectError("x"), NO_WORD, "signal", Reason.SIGNAL_CLOSE, False),
    # The application may have another token next time.
    (TokenSourceError("x"), NO_WORD, "token", Reason.JOIN_FAILURE, False),
    (ProtocolError("x"), MISMATCH, "signal", Reason.JOIN_FAILURE, False),
    (TransportError("x"), LOST_MEDIA, "publisher", Reason.CONNECTION_TIMEOUT, False),
    (InvalidTokenError("x", status=401), REVOKED, "token", Reason.JOIN_FAILURE, False),
    (TokenExpiredError("x", status=401), REVOKED, "token", Reason.JOIN_FAILURE, False),
    (PermissionDeniedError("x", status=403), REVOKED, "token", Reason.JOIN_FAILURE, False),
    (RoomNotFoundError("x", status=404), REVOKED, "token", Reason.JOIN_FAILURE, False),
    (leave(Reason.STATE_MISMATCH, Action.DISCONNECT), MISMATCH, "leave", Reason.STATE_MISMATCH, True),
    (leave(Reason.STATE_MISMATCH, Action.RECONNECT), MISMATCH, "leave", Reason.STATE_MISMATCH, True),
    (leave(Reason.SERVER_SHUTDOWN, Action.RECONNECT), MISMATCH, "leave", Reason.SERVER_SHUTDOWN, True),
    (leave(Reason.SERVER_SHUTDOWN, Action.RESUME), NO_WORD, "leave", Reason.SERVER_SHUTDOWN, True),
    (leave(Reason.SERVER_SHUTDOWN, Action.DISCONNECT), REVOKED, "leave", Reason.SERVER_SHUTDOWN, False),
    (leave(Reason.DUPLICATE_IDENTITY, Action.DISCONNECT), REVOKED, "leave", Reason.DUPLICATE_IDENTITY, False),
    (leave(Reason.ROOM_DELETED, Action.DISCONNECT), REVOKED, "leave", Reason.ROOM_DELETED, False),
    (leave(Reason.PARTICIPANT_REMOVED, Action.DISCONNECT), REVOKED, "leave", Reason.PARTICIPANT_REMOVED, False),
]


@pytest.mark.parametrize(
    ("error", "failure", "source", "reason", "hurry"),
    JUDGED,
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_an_error_says(error: ConnectError, failure: Failure, source: str, reason: Reason, hurry: bool) -> None:
    judged, cause, hurried = judge(error)
    assert (judged, cause.source, cause.reason, hurried) == (failure, source, reason, hurry)
    assert cause.detail


def _every_kind(kind: type[ConnectError]) -> set[type[ConnectError]]:
    return {kind}.union(*(_every_kind(each) for each in kind.__subclasses__()))


def test_every_kind_of_error_is_judged() -> None:
    """A new kind of error has to be thought about here."""
    assert {type(error) for error, *_ in JUDGED} == _every_kind(ConnectError)


# -- how an attempt that fails goes on --


@pytest.mark.parametrize("error", [error for error, *_ in JUDGED], ids=lambda error: type(error).__name__)
async def test_an_attempt_that_fails_is_followed_by_what_its_error_says(error: ConnectError) -> None:
    host = Host(raising(error), at_once)
    host.recovery.lost(SIGNAL)
    await host.recovered_or_ended()
    failure, cause, _ = judge(error)
    expected = {NO_WORD: RESUME_ONLY, MISMATCH: ESCALATED, LOST_MEDIA: ESCALATED, REVOKED: ENDED}[failure]
    assert host.log == expected
    assert host.ends == ([cause] if failure is REVOKED else [])
    await host.recovery.aclose()


async def test_no_word_while_the_media_path_is_dead_makes_a_restart() -> None:
    host = Host(raising(UnreachableError("x")), at_once)
    host.media = True
    host.recovery.lost(SIGNAL)
    await host.recovered_or_ended()
    assert host.log == ESCALATED
    await host.recovery.aclose()


@pytest.mark.parametrize("error", [ValueError("secret"), ClosedError("closed"), TimeoutError(), AssertionError()])
async def test_an_unexpected_error_ends_the_attempt_and_not_the_room(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(raising(error), at_once)
    async with no_leaks():
        host.recovery.lost(SIGNAL)
        await host.recovered_or_ended()
        assert host.log == ESCALATED
        # Its words may hold anything; they are for the log alone.
        assert host.causes[1].detail == type(error).__name__
        assert any("unexpectedly" in record.message for record in caplog.records)
        await host.recovery.aclose()


async def test_a_step_cancelled_from_elsewhere_is_a_failure_like_others() -> None:
    async def spoiled() -> None:
        task = asyncio.ensure_future(for_ever())
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    host = Host(spoiled, at_once)
    async with no_leaks():
        host.recovery.lost(SIGNAL)
        await host.recovered_or_ended()
        assert host.log[0:2] == ["announce resume", "resume"]
        assert host.log[-1] == "recovered by restart"
        await host.recovery.aclose()


@pytest.mark.parametrize("policy_attempts", [1, 3])
async def test_exhaustion_names_what_began_the_episode_and_ends_once(policy_attempts: int) -> None:
    host = Host(raising(ProtocolError("other")), policy=Soon(policy_attempts))
    async with no_leaks():
        host.recovery.lost(SIGNAL)
        await host.until(lambda: bool(host.ends))
        assert [(cause.source, cause.reason, cause.detail) for cause in host.ends] == [
            ("signal", Reason.SIGNAL_CLOSE, "closed")
        ]
        assert host.log.count("resume") + host.log.count("restart") == policy_attempts
        assert host.log.count("announce resume") == 1
        assert host.log.count("announce restart") == min(1, policy_attempts - 1)
        for event in (SIGNAL, MEDIA, RESTART, FATAL):
            host.recovery.lost(event)
        host.recovery.retry_now()
        host.recovery.close()
        await host.recovery.aclose()
        assert host.log[-1] == "end"
        assert len(host.ends) == 1
        assert host.recovery.state is State.CLOSED


async def test_a_policy_that_never_tries_ends_without_an_announcement() -> None:
    host = Host(policy=Soon(0))
    host.recovery.lost(MEDIA)
    assert host.log == ["end"]
    await host.recovery.wait_settled()


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (SIGNAL, models.ReconnectReason.RR_SIGNAL_DISCONNECTED),
        (MEDIA, models.ReconnectReason.RR_PUBLISHER_FAILED),
        (SessionClosed("subscriber", Reason.CONNECTION_TIMEOUT, Action.RESUME), models.RR_SUBSCRIBER_FAILED),
        (SessionClosed("channel", Reason.CONNECTION_TIMEOUT, Action.RESUME), models.RR_UNKNOWN),
        (SessionClosed("leave", Reason.MIGRATION, Action.RESUME, retry_now=True), models.RR_UNKNOWN),
    ],
)
async def test_the_server_is_told_why(event: SessionClosed, reason: models.ReconnectReason) -> None:
    host = Host()
    host.recovery.lost(event)
    await host.recovered_or_ended()
    assert host.reasons == [reason]
