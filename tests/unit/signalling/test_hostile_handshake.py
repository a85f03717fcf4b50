"""Handshakes with servers that are none, are broken, or mean ill: each fails by name, in time, and leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import aiohttp
import pytest
from aiohttp import web

from aiolivekit import errors
from aiolivekit.options import SignalOptions
from aiolivekit.signalling import SignalClient

from ...leaks import no_leaks
from .failing import IMPATIENT, Reader, Writer, close_after_request, fails, refuse, silent
from .servers import DEADLINE, TOKEN, Raw, Recorder, SignalServer, raw_server, reset

# -- before the handshake -----------------------------------------------------------------------------


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await fails(f"ws://127.0.0.1:{taken.getsockname()[1]}", errors.UnreachableError)
    assert error.detail == "Connection refused"
    assert error.retryable


async def test_unknown_name() -> None:
    error = await fails("ws://no-such-host.invalid", errors.UnreachableError, options=SignalOptions())
    assert error.detail == "the name of the host is not known"


async def test_localhost_needs_no_thread() -> None:
    server = SignalServer()
    async with server.running(), no_leaks():
        url = server.url.replace("127.0.0.1", "localhost")
        client = await SignalClient.connect(url, TOKEN, SignalOptions(), Recorder())
        await client.aclose()


async def test_a_full_backlog_never_accepts() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        await fails(f"ws://127.0.0.1:{listener.getsockname()[1]}", errors.ConnectTimeoutError)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "schlüssel", "nul\0"])
async def test_what_is_no_token(token: str) -> None:
    async with no_leaks():
        with pytest.raises(errors.InvalidTokenError):
            await SignalClient.connect("ws://127.0.0.1:1", token, IMPATIENT, Recorder())


async def test_a_closed_session() -> None:
    async with aiohttp.ClientSession() as session:
        pass
    await fails("ws://127.0.0.1:1", errors.ConnectError, options=SignalOptions(session=session))


# -- during the handshake -----------------------------------------------------------------------------


async def silent_after_request(reader: Reader, writer: Writer) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.read()


async def close_at_once(reader: Reader, writer: Writer) -> None:
    writer.close()


async def reset_after_request(reader: Reader, writer: Writer) -> None:
    await reader.readuntil(b"\r\n\r\n")
    reset(writer)


async def half_an_answer(reader: Reader, writer: Writer) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Prot")
    await writer.drain()


async def garbage(reader: Reader, writer: Writer) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(bytes(range(256)) * 16)
    await writer.drain()
    await reader.read()


async def tls_alert(reader: Reader, writer: Writer) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x15\x03\x01\x00\x02\x02\x46")
    await writer.drain()


async def endless_headers(reader: Reader, writer: Writer) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 1_000_000)
    await writer.drain()
    await reader.read()


async def wrong_accept(reader: Reader, writer: Writer) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: c29tZXRoaW5nIGVsc2U=\r\n\r\n"
    )
    await writer.drain()
    await reader.read()


async def endless_refusal(reader: Reader, writer: Writer) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 500 Oh\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


RAW: list[tuple[Raw, type[errors.ConnectError]]] = [
    (silent, errors.ConnectTimeoutError),
    (silent_after_request, errors.ConnectTimeoutError),
    (close_at_once, errors.SignalClosedError),
    (close_after_request, errors.SignalClosedError),
    (reset_after_request, errors.SignalClosedError),
    (half_an_answer, errors.SignalClosedError),
    (garbage, errors.ProtocolError),
    (tls_alert, errors.ProtocolError),
    (endless_headers, errors.ProtocolError),
    (wrong_accept, errors.ProtocolError),
    (endless_refusal, errors.ServerRefusedError),
]


@pytest.mark.parametrize(("handle", "kind"), RAW, ids=lambda value: value.__name__)
async def test_broken_handshakes(handle: Raw, kind: type[errors.ConnectError]) -> None:
    async with raw_server(handle) as url:
        await fails(url, kind)


STATUSES = [
    (401, f"invalid token: {TOKEN}, error: token has invalid claims: token is expired", errors.TokenExpiredError),
    (401, "permissions denied", errors.PermissionDeniedError),
    (401, "invalid authorization token", errors.InvalidTokenError),
    (403, "no", errors.PermissionDeniedError),
    (404, "requested room does not exist", errors.RoomNotFoundError),
    (404, "404 page not found", errors.ProtocolError),
    (429, "slow down", errors.ServerFullError),
    (500, "boom", errors.ServerRefusedError),
    (503, "node has exceeded its configured limit", errors.ServerFullError),
]


@pytest.mark.parametrize("own_session", [False, True])
@pytest.mark.parametrize(("status", "words", "kind"), STATUSES)
async def test_refusals(status: int, words: str, kind: type[errors.ConnectError], own_session: bool) -> None:
    server = SignalServer(answer=refuse(status, words))
    # It would keep the connection of the validate request for the next one, as is its right.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, server.running():
        options = SignalOptions(session=session if own_session else None)
        error = await fails(server.url, kind, options=options)
    assert error.status == status
    assert error.detail == words.replace(TOKEN, "<token>")
    assert server.paths[-1].endswith("/validate")
    validate, handshake = server.requests[-1], server.requests[-2]
    assert validate.path == f"{handshake.path}/validate"
    assert validate.query_string == handshake.query_string
    assert validate.headers["Authorization"] == f"Bearer {TOKEN}"
    assert server.paths[0] == "/rtc/v1"
    # `/rtc` is asked as well only after a 404 that may be about the path.
    asked_v0 = "/rtc" in server.paths
    assert asked_v0 is (status == 404 and ("page" in words or own_session))


async def test_bare_401_with_nothing_wrong_stays_retryable() -> None:
    def at_the_door(request: web.Request) -> web.Response | None:
        return None if request.path.endswith("validate") else web.Response(status=401)

    server = SignalServer(answer=at_the_door)
    async with server.running():
        error = await fails(server.url, errors.ServerRefusedError)
    assert error.status == 401
    assert error.retryable


async def test_a_full_room() -> None:
    """livekit-server 1.13.5: 500 for the handshake, and validate finds nothing wrong."""

    def full(request: web.Request) -> web.Response | None:
        return (
            None if request.path.endswith("validate") else web.Response(status=500, text="connection closed by media")
        )

    server = SignalServer(answer=full)
    async with server.running():
        error = await fails(server.url, errors.ServerRefusedError)
    assert error.detail.startswith("connection closed by media")
    assert "room is full" in error.detail


async def test_validate_names_the_cause_of_a_broken_off_handshake() -> None:
    async def handle(reader: Reader, writer: Writer) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if b"/validate?" in request.split(b"\r\n")[0]:
            words = b"permissions denied"
            writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%b" % (len(words), words))
            await writer.drain()

    async with raw_server(handle) as url:
        error = await fails(url, errors.PermissionDeniedError)
    assert error.status == 401


async def test_validate_that_never_answers_is_not_waited_for() -> None:
    async def handle(reader: Reader, writer: Writer) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if b"/validate?" not in request.split(b"\r\n")[0]:
            writer.write(b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\nboom")
            await writer.drain()
        await reader.read()

    async with raw_server(handle) as url:
        error = await fails(url, errors.ServerRefusedError, options=SignalOptions(validate_timeout=0.2))
    assert (error.status, error.detail) == (500, "boom")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects(status: int) -> None:
    elsewhere = SignalServer(answer=refuse(401, "no token here"))
    async with elsewhere.running():
        target = elsewhere.url.replace("ws://127.0.0.1", "http://localhost")
        server = SignalServer(answer=refuse(status, "", Location=f"{target}/rtc/v1"))
        async with server.running():
            error = await fails(server.url, errors.ServerRefusedError)
    assert error.status == status
    # The token is not carried to another place.
    assert all("Authorization" not in request.headers for request in elsewhere.requests)


async def test_redirects_in_a_circle() -> None:
    server = SignalServer(answer=refuse(302, "", Location="/rtc/v1"))
    async with server.running():
        await fails(server.url, errors.ServerRefusedError)


@pytest.mark.parametrize("target", ["ftp://h/", "http://", "http://h:99999", "nonsense://"])
async def test_redirects_to_nonsense(target: str) -> None:
    server = SignalServer(answer=refuse(302, "", Location=target))
    async with server.running(), no_leaks(), asyncio.timeout(DEADLINE):
        with pytest.raises(errors.ConnectError):
            await SignalClient.connect(server.url, TOKEN, IMPATIENT, Recorder())


async def test_a_web_site() -> None:
    page = "<html><head><title>Welcome</title></head></html>"
    server = SignalServer(answer=refuse(200, page, **{"Content-Type": "text/html"}))
    async with server.running():
        error = await fails(server.url, errors.ProtocolError)
    assert (error.status, error.detail) == (200, "Welcome")
