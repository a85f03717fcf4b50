"""Connecting and closing, cancelled wherever they can be: nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from livekit.protocol import rtc as proto_rtc

from aiolivekit import errors
from aiolivekit.options import SignalOptions
from aiolivekit.signalling import SignalClient

from ...leaks import no_leaks
from ...suspensions import CancelAt
from .failing import refuse
from .servers import TOKEN, Recorder, SignalServer, server_tls
from .test_tls_and_proxy import trusting

LEAVE = proto_rtc.LeaveRequest()


async def after_steps(make: Callable[[], Coroutine[Any, Any, None]], steps: int) -> bool:
    """Cancel after so many turns of the loop; returns whether it had finished by then."""
    task = asyncio.create_task(make())
    for _ in range(steps):
        await asyncio.sleep(0)
    if task.done():
        await task
        return True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return False


async def at_await(make: Callable[[], Coroutine[Any, Any, None]], n: int) -> bool:
    """Cancel at the n-th await, counted inside what we call as well; returns whether there was none."""
    cancelled = CancelAt(make(), n + 1)

    async def run() -> None:
        await cancelled

    try:
        await asyncio.create_task(run())
    except asyncio.CancelledError:
        return False
    return cancelled.suspensions <= n


Cancel = Callable[[Callable[[], Coroutine[Any, Any, None]], int], Coroutine[Any, Any, bool]]
BOTH = pytest.mark.parametrize("cancel", [after_steps, at_await], ids=lambda value: value.__name__)


async def everywhere(cancel: Cancel, make: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Cancel at 0, 1, 2, … until it gets through; returns at how many places it was cancelled."""
    n = 0
    async with asyncio.timeout(60):
        while not await cancel(make, n):
            n += 1
    return n


@BOTH
@pytest.mark.parametrize("kind", ["plain", "tls", "fallback", "session"])
async def test_connect(cancel: Cancel, kind: str) -> None:
    def no_v1(request: web.Request) -> web.Response | None:
        return web.Response(status=404) if kind == "fallback" and "v1" in request.path else None

    clients: list[SignalClient] = []

    async def connect() -> None:
        clients.append(await SignalClient.connect(server.url, TOKEN, options, sink))

    server, sink = SignalServer(answer=no_v1), Recorder()
    async with aiohttp.ClientSession() as session, server.running(server_tls() if kind == "tls" else None):
        options = SignalOptions(
            ssl_context=trusting() if kind == "tls" else None, session=session if kind == "session" else None
        )
        async with no_leaks():
            places = await everywhere(cancel, connect)
            assert places >= 3
            assert len(clients) == 1
            await clients[0].aclose()
        assert not session.closed
        assert session.connector is not None
        assert not session.connector._acquired
    assert sink.messages == []
    assert sink.closed == []


@BOTH
async def test_connect_that_is_refused(cancel: Cancel) -> None:
    async def connect() -> None:
        with pytest.raises(errors.PermissionDeniedError):
            await SignalClient.connect(server.url, TOKEN, SignalOptions(), Recorder())

    server = SignalServer(answer=refuse(401, "permissions denied"))
    async with server.running(), no_leaks():
        assert await everywhere(cancel, connect) >= 3


async def test_a_participant_nobody_waits_for_is_taken_back() -> None:
    """Cancelled after the handshake, before the join: the server is told."""

    async def slow(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        opened.set()
        await server.serve(websocket)

    opened = asyncio.Event()
    server = SignalServer(slow)
    async with server.running(), no_leaks():
        task = asyncio.create_task(SignalClient.connect(server.url, TOKEN, SignalOptions(), Recorder()))
        await opened.wait()
        # The client has the handshake's answer when it answers nothing else for so many turns.
        for _ in range(50):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until(lambda: server.kinds == ["leave"])


@BOTH
async def test_aclose(cancel: Cancel) -> None:
    async def visit() -> None:
        client = await SignalClient.connect(server.url, TOKEN, SignalOptions(), Recorder())
        client.start()
        closing = False

        async def close() -> None:
            nonlocal closing
            closing = True
            await client.aclose(leave=LEAVE)

        through = await cancel(close, places[-1])
        # Cancelled before its first step, it was never called.
        assert client.closed is closing
        if not closing:
            await client.aclose()
        places.append(places[-1] + 1)
        done.append(through)

    places, done = [0], [False]
    server = SignalServer()
    async with server.running(), no_leaks(), asyncio.timeout(60):
        while not done[-1]:
            await visit()


@BOTH
async def test_send(cancel: Cancel) -> None:
    server, sink = SignalServer(), Recorder()
    async with server.running(), no_leaks():
        client = await SignalClient.connect(server.url, TOKEN, SignalOptions(), sink)
        client.start()

        async def send() -> None:
            await client.send(proto_rtc.SignalRequest(mute=proto_rtc.MuteTrackRequest(sid="x")))

        await everywhere(cancel, send)
        # The link still works.
        await client.send(proto_rtc.SignalRequest(mute=proto_rtc.MuteTrackRequest(sid="last")))
        await server.until(lambda: bool(server.signals) and server.signals[-1].mute.sid == "last")
        await client.aclose()
    assert sink.closed == []
