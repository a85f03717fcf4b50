"""Which server is joined: the one that was named, or a region that it named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from livekit.protocol import models, rtc

from aiolivekit.engine import RtcEngine
from aiolivekit.engine.access import Access
from aiolivekit.engine.events import Disconnected, Restarted, Resumed
from aiolivekit.errors import (
    ConnectError,
    InvalidTokenError,
    PermissionDeniedError,
    RoomNotFoundError,
    ServerLeaveError,
    ServerRefusedError,
    TlsError,
    TransportError,
    UnreachableError,
)
from aiolivekit.options import EngineOptions, SignalOptions
from aiolivekit.testing import EmbeddedServer

from ..leaks import no_leaks
from ..unit.engine.scripted import Soon
from .visits import Visit

OLD = "old.token.x"


@asynccontextmanager
async def front(*regions: str, status: int = 503) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that lets nobody in, but has a list of regions."""
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/settings/regions":
            listed = [{"region": url, "url": url, "distance": str(at)} for at, url in enumerate(regions)]
            return web.json_response({"regions": listed}, headers={"Cache-Control": "max-age=60"})
        return web.Response(status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.2, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"ws://{host}:{port}", asked
    finally:
        await runner.cleanup()


def with_regions(single: bool, **options: Any) -> EngineOptions:
    signal = SignalOptions(single_peer_connection=single, has_regions=lambda host: host == "127.0.0.1")
    return EngineOptions(signal=signal, join_retries=0, reconnect_policy=Soon(9, 0.0), **options)


NOBODY = "ws://127.0.0.1:9"


async def test_a_join_falls_back_to_the_nearest_region_that_answers(dev_server: EmbeddedServer, single: bool) -> None:
    async with no_leaks(), front(NOBODY, dev_server.url) as (named, asked):
        engine, _, events = await RtcEngine.connect(named, dev_server.token("alice"), with_regions(single))
        assert engine.session().signal.url == dev_server.url
        assert asked.count("/settings/regions") == 1
        visit = Visit(engine, events)
        before = len(asked)
        # Resumes stay, and so does a restart as long as the region answers.
        dev_server.faults.close_signal("alice", abrupt=True)
        await visit.until(lambda: bool(visit.of(Resumed, Disconnected)))
        dev_server.faults.leave("alice", "RECONNECT")
        await visit.until(lambda: bool(visit.of(Restarted, Disconnected)))
        assert engine.session().signal.url == dev_server.url
        assert len(asked) == before
        await engine.close()


async def test_a_restart_falls_back_too(dev_server: EmbeddedServer, single: bool) -> None:
    local = dev_server.url.replace("127.0.0.1", "localhost")
    async with no_leaks(), front(dev_server.url, local) as (named, _):
        engine, _, events = await RtcEngine.connect(named, dev_server.token("alice"), with_regions(single))
        visit = Visit(engine, events)
        dev_server.faults.refuse_join(1, identity="alice")
        dev_server.faults.leave("alice", "RECONNECT")
        await visit.until(lambda: bool(visit.of(Restarted, Disconnected)))
        assert engine.session().signal.url == local
        await engine.close()


async def test_all_regions_count_as_one_try_and_the_last_error_is_told(single: bool) -> None:
    async with no_leaks(), front(NOBODY) as (named, asked):
        token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
        options = with_regions(single)
        options.join_retries = 1
        with pytest.raises(UnreachableError):
            await RtcEngine.connect(named, token, options)
        dials = [path for path in asked if path in ("/rtc", "/rtc/v1")]
        assert len(dials) == 2
        assert asked.count("/settings/regions") == 1


async def test_without_a_list_nobody_else_is_asked(single: bool) -> None:
    async with no_leaks(), front(NOBODY) as (named, asked):
        options = EngineOptions(signal=SignalOptions(single_peer_connection=single), join_retries=0)
        with pytest.raises(ConnectError):
            await RtcEngine.connect(named, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl", options)
        assert "/settings/regions" not in asked


@pytest.mark.parametrize(
    ("error", "goes_on"),
    [
        (UnreachableError("x"), True),
        (TlsError("x"), True),
        (ServerRefusedError("x", status=500), True),
        (TransportError("x"), True),
        (InvalidTokenError("x"), False),
        (PermissionDeniedError("x"), False),
        (RoomNotFoundError("x"), False),
        (ServerLeaveError("x"), False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_no_other_region_would_answer_differently_is_told_at_once(
    error: ConnectError, goes_on: bool
) -> None:
    async with front("ws://other.test") as (named, _):
        options = with_regions(True)
        way = Access(named, OLD, options, lambda _token: None)
        tried: list[str] = []

        async def attempt(url: str, _token: str) -> None:
            tried.append(url)
            raise error

        with pytest.raises(type(error)):
            await way.join(attempt)
        assert way.elsewhere is goes_on
        with pytest.raises(type(error)):
            await way.join(attempt)
        assert tried == [named, "ws://other.test" if goes_on else named]
        assert not way.elsewhere


def leave_for(regions: list[str]) -> rtc.LeaveRequest:
    return rtc.LeaveRequest(
        action=rtc.LeaveRequest.Action.RECONNECT,
        reason=models.DisconnectReason.MIGRATION,
        regions=rtc.RegionSettings(regions=[rtc.RegionInfo(url=url, distance=at) for at, url in enumerate(regions)]),
    )


async def test_a_leave_request_says_where_to_join(dev_server: EmbeddedServer, single: bool) -> None:
    """The named host has no list; what it says counts all the same, and what does not answer there is passed over."""
    local = dev_server.url.replace("127.0.0.1", "localhost")
    async with no_leaks():
        visit = await Visit.join(dev_server, "alice", single)

        def leave() -> None:
            (room,) = (room for room in dev_server.dev_server().rooms if "alice" in room.participants)
            room.participants["alice"].send(rtc.SignalResponse(leave=leave_for([NOBODY, local])))

        dev_server.call(leave)
        await visit.until(lambda: bool(visit.of(Restarted, Disconnected)))
        assert visit.engine.session().signal.url == local
        assert not visit.of(Disconnected)
        await visit.engine.close()
