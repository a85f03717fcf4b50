"""With which token we join and come back: the user's, the server's, or a fresh one of the application's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from livekit.protocol import models, rtc

import aiolivekit
from aiolivekit.engine import RtcEngine
from aiolivekit.engine.access import Access
from aiolivekit.engine.events import Disconnected, Restarted
from aiolivekit.enums import DisconnectReason
from aiolivekit.errors import (
    ConnectError,
    InvalidTokenError,
    PermissionDeniedError,
    RoomNotFoundError,
    ServerRefusedError,
    TokenExpiredError,
    TokenSourceError,
)
from aiolivekit.options import EngineOptions, RoomOptions, SignalOptions, TokenNeed
from aiolivekit.session.events import RefreshToken, RoomMoved
from aiolivekit.testing import EmbeddedServer

from ..leaks import no_leaks
from ..unit.engine.scripted import DEADLINE, Soon
from .visits import Visit

NAMED = "ws://named.test"
OLD, FRESH = "old.token.x", "fresh.token.x"

Source = Callable[[TokenNeed], Awaitable[str]]


class Door:
    """Answers attempts: a token it takes, and what it says to others."""

    def __init__(self, takes: str, refusal: ConnectError) -> None:
        self.takes = takes
        self.refusal = refusal
        self.tried: list[str] = []

    async def __call__(self, _url: str, token: str) -> str:
        self.tried.append(token)
        if token != self.takes:
            raise self.refusal
        return "in"

    async def resume(self, token: str) -> str:
        return await self("", token)


def access(source: Source | None = None, *, seconds: float = 10.0) -> tuple[Access, list[str]]:
    renewed: list[str] = []
    options = EngineOptions(token_source=source, token_timeout=seconds)
    return Access(NAMED, OLD, options, renewed.append), renewed


class Asked:
    """A token source that writes down why it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.needs: list[TokenNeed] = []

    async def __call__(self, need: TokenNeed) -> str:
        self.needs.append(need)
        await asyncio.sleep(0)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]


async def came_in(way: Access) -> None:
    async def let_in(_url: str, _token: str) -> None:
        return

    await way.join(let_in)


@pytest.mark.parametrize("refusal", [TokenExpiredError("x"), InvalidTokenError("x")], ids=lambda e: type(e).__name__)
async def test_without_a_source_a_refused_token_is_final(refusal: ConnectError) -> None:
    way, _ = access()
    with pytest.raises(type(refusal)) as caught:
        await way.join(Door(FRESH, refusal))
    assert caught.value is refusal


async def test_an_expired_token_is_renewed_at_the_first_join_a_wrong_one_is_not() -> None:
    source = Asked(FRESH)
    way, renewed = access(source)
    with pytest.raises(InvalidTokenError):
        await way.join(Door(FRESH, InvalidTokenError("x")))
    assert source.needs == []
    door = Door(FRESH, TokenExpiredError("x"))
    assert await way.join(door) == "in"
    assert (door.tried, source.needs, renewed, way.token) == ([OLD, FRESH], ["expired"], [FRESH], FRESH)


@pytest.mark.parametrize(
    ("refusal", "need"), [(TokenExpiredError("x"), "expired"), (InvalidTokenError("x"), "reconnect")]
)
async def test_who_comes_back_may_have_another_token(refusal: ConnectError, need: TokenNeed) -> None:
    source = Asked(FRESH)
    way, _ = access(source)
    await came_in(way)
    door = Door(FRESH, refusal)
    assert await way.with_token(door.resume) == "in"
    assert source.needs == [need]


@pytest.mark.parametrize(
    "refusal", [PermissionDeniedError("x"), RoomNotFoundError("x"), ServerRefusedError("x", status=401)]
)
async def test_other_refusals_are_not_for_the_source(refusal: ConnectError) -> None:
    source = Asked(FRESH)
    way, _ = access(source)
    await came_in(way)
    with pytest.raises(type(refusal)):
        await way.with_token(Door(FRESH, refusal).resume)
    assert source.needs == []


async def test_the_source_is_asked_once_an_attempt_and_a_fresh_token_refused_is_final() -> None:
    source = Asked(FRESH, "newer.token.x")
    way, renewed = access(source)
    await came_in(way)
    door = Door("newer.token.x", TokenExpiredError("x"))
    with pytest.raises(TokenExpiredError):
        await way.with_token(door.resume)
    assert door.tried == [OLD, FRESH]
    assert await way.with_token(door.resume) == "in"
    assert renewed == [FRESH, "newer.token.x"]


@pytest.mark.parametrize("answer", [OLD, "", None, 7, ValueError("the key is s3cret"), TimeoutError()])
async def test_a_source_that_does_not_help_is_named(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    way, renewed = access(Asked(answer))
    await came_in(way)
    with pytest.raises(TokenSourceError) as caught:
        await way.with_token(Door(FRESH, TokenExpiredError("x")).resume)
    words = str(caught.value) + caplog.text
    assert "s3cret" not in words
    assert OLD not in words
    if isinstance(answer, Exception):
        assert type(answer).__name__ in str(caught.value)
        assert caught.value.__cause__ is answer
    assert (renewed, way.token) == ([], OLD)


async def test_a_source_that_takes_too_long_is_given_up() -> None:
    cancelled = asyncio.Event()

    async def slow(_need: TokenNeed) -> str:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()
        return FRESH

    way, _ = access(slow, seconds=0.05)
    async with no_leaks():
        with pytest.raises(TokenSourceError, match=r"limit of 0\.05 s"):
            await way.join(Door(FRESH, TokenExpiredError("x")))
        assert cancelled.is_set()


async def test_the_newest_token_wins() -> None:
    way, _ = access(Asked(FRESH))
    await came_in(way)
    way.told_token("of.the.server")
    assert way.token == "of.the.server"
    way.told_token("")
    assert way.token == "of.the.server"
    await way.with_token(Door(FRESH, TokenExpiredError("x")).resume)
    assert way.token == FRESH
    way.told_token("of.the.server.again")
    assert way.token == "of.the.server.again"


async def test_an_expired_token_does_not_end_the_room_before_the_source_was_asked(
    dev_server: EmbeddedServer, single: bool
) -> None:
    fresh = dev_server.token("alice", name="renewed")
    needs: list[TokenNeed] = []

    async def source(need: TokenNeed) -> str:
        needs.append(need)
        if len(needs) == 1:
            raise OSError("the application's own server is down")
        expired.lift()
        return fresh

    async with no_leaks():
        room, told = aiolivekit.Room(), []
        room.on("token_refreshed", lambda: told.append(room._token))
        for name in ("reconnecting", "reconnected", "disconnected"):
            room.on(name, lambda *_, name=name: told.append(name))
        options = RoomOptions(single_peer_connection=single, token_source=source, reconnect_policy=Soon(9, 0.01))
        await room.connect(dev_server.url, dev_server.token("alice"), options)
        async with asyncio.timeout(DEADLINE):
            while not told:
                # What the server gives at the join.
                await asyncio.sleep(0.005)
        expired = dev_server.faults.expire_token("alice")
        dev_server.faults.close_signal("alice", abrupt=True)
        async with asyncio.timeout(DEADLINE):
            while "reconnected" not in told:
                await asyncio.sleep(0.005)
        assert needs == ["expired", "expired"]
        assert told[1:3] == ["reconnecting", fresh]
        assert "disconnected" not in told
        await room.disconnect()


async def test_a_source_that_never_helps_ends_with_what_began_it(dev_server: EmbeddedServer, single: bool) -> None:
    source = Asked(*[ValueError("x")] * 20)
    options = EngineOptions(
        signal=SignalOptions(single_peer_connection=single), reconnect_policy=Soon(3, 0.0), token_source=source
    )
    async with no_leaks():
        engine, _, events = await RtcEngine.connect(dev_server.url, dev_server.token("alice"), options)
        visit = Visit(engine, events)
        dev_server.faults.expire_token("alice")
        dev_server.faults.close_signal("alice", abrupt=True)
        await visit.until(lambda: bool(visit.of(Disconnected)))
        assert visit.of(Disconnected)[0].reason == DisconnectReason.SIGNAL_CLOSE
        assert len(source.needs) == 3
        await engine.close()
    dev_server.faults.clear()


async def test_a_closed_room_does_not_wait_for_its_source(dev_server: EmbeddedServer) -> None:
    asked = asyncio.Event()

    async def source(_need: TokenNeed) -> str:
        asked.set()
        await asyncio.get_running_loop().create_future()
        return ""

    async with no_leaks():
        engine, _, _ = await RtcEngine.connect(
            dev_server.url, dev_server.token("alice"), EngineOptions(token_source=source)
        )
        dev_server.faults.expire_token("alice")
        dev_server.faults.close_signal("alice", abrupt=True)
        async with asyncio.timeout(DEADLINE):
            await asked.wait()
            await engine.close()
    dev_server.faults.clear()


async def test_moved_to_another_room_we_come_back_there(dev_server: EmbeddedServer, single: bool) -> None:
    """Token, room and sid are those of the new room, for a resume and for a restart."""
    async with no_leaks():
        visit = await Visit.join(dev_server, "alice", single)
        sid = visit.engine.join_response.participant.sid
        elsewhere = dev_server.token("alice", room="elsewhere")
        moved = rtc.RoomMovedResponse(
            room=models.Room(name="elsewhere"),
            token=elsewhere,
            participant=models.ParticipantInfo(sid=sid, identity="alice", name="moved"),
        )

        def move() -> None:
            (room,) = (room for room in dev_server.dev_server().rooms if "alice" in room.participants)
            room.participants["alice"].send(rtc.SignalResponse(room_moved=moved))

        dev_server.call(move)
        await visit.until(lambda: bool(visit.of(RoomMoved)))
        assert visit.engine._sessions._access.token == elsewhere
        assert visit.engine.session()._participant_sid == sid
        dev_server.faults.leave("alice", "RECONNECT")
        await visit.until(lambda: bool(visit.of(Restarted, Disconnected)))
        assert visit.engine.join_response.room.name == "elsewhere"
        assert dev_server.room("elsewhere").participants
        await visit.engine.close()


async def test_a_token_of_the_server_is_the_newest(dev_server: EmbeddedServer, single: bool) -> None:
    visit = await Visit.join(dev_server, "alice", single)
    await visit.until(lambda: bool(visit.of(RefreshToken)))
    assert visit.engine._sessions._access.token == visit.of(RefreshToken)[-1].token
    await visit.engine.close()
