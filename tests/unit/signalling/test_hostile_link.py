"""First messages, frames and connections against the rules: each ends by name, in time, and leaves nothing."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from livekit.protocol import models as proto_models
from livekit.protocol import rtc as proto_rtc

from aiolivekit import errors
from aiolivekit.signalling import SignalClient

from ...leaks import no_leaks
from .failing import IMPATIENT, Reader, Writer, fails
from .servers import DEADLINE, TOKEN, Recorder, SignalServer, join_response, raw_server, reset, response, upgrade

# -- the first message --------------------------------------------------------------------------------

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


def say(*frames: bytes | str) -> Talk:
    async def talk(websocket: web.WebSocketResponse) -> None:
        for frame in frames:
            await (websocket.send_str(frame) if isinstance(frame, str) else websocket.send_bytes(frame))
        await websocket.receive()

    return talk


def hang_up(code: int, words: bytes = b"") -> Talk:
    async def talk(websocket: web.WebSocketResponse) -> None:
        await websocket.close(code=code, message=words)

    return talk


FIRST = [
    ("nothing", say(), errors.ConnectTimeoutError, "first message"),
    ("a pong", say(response(pong=1)), errors.ProtocolError, "pong"),
    ("an update", say(response(update=proto_rtc.ParticipantUpdate())), errors.ProtocolError, "update"),
    ("a reconnect", say(response(reconnect=proto_rtc.ReconnectResponse())), errors.ProtocolError, "reconnect"),
    ("an empty message", say(b""), errors.ProtocolError, "do not know"),
    ("a kind from the future", say(b"\xfa\x7f\x00"), errors.ProtocolError, "do not know"),
    ("garbage", say(b"\xff\xff\xff\xff"), errors.ProtocolError, "decoded"),
    ("text", say('{"join":{}}'), errors.ProtocolError, "text"),
    ("close 1000", hang_up(1000), errors.SignalClosedError, "closed"),
    ("close 1011", hang_up(1011, b"internal"), errors.SignalClosedError, "internal"),
    ("close with a token", hang_up(4000, b"bad " + TOKEN.encode()), errors.SignalClosedError, "bad <token>"),
]


@pytest.mark.parametrize(("talk", "kind", "words"), [case[1:] for case in FIRST], ids=[case[0] for case in FIRST])
async def test_first_messages(talk: Talk, kind: type[errors.ConnectError], words: str) -> None:
    async def script(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        await talk(websocket)

    server = SignalServer(script)
    async with server.running():
        error = await fails(server.url, kind)
    assert words in str(error)
    # The handshake succeeded, so there is nothing to ask validate about.
    assert server.paths == ["/rtc/v1"]


async def test_a_leave_instead_of_a_join() -> None:
    leave = proto_rtc.LeaveRequest(
        reason=proto_models.DisconnectReason.STATE_MISMATCH, action=proto_rtc.LeaveRequest.Action.RECONNECT
    )
    server = SignalServer(lambda server, websocket: say(response(leave=leave))(websocket))
    async with server.running():
        error = await fails(server.url, errors.ServerLeaveError)
    assert isinstance(error, errors.ServerLeaveError)
    assert (error.reason, error.action) == (leave.reason, leave.action)
    assert "STATE_MISMATCH" in str(error)
    assert "RECONNECT" in str(error)


async def test_a_leave_for_reasons_from_the_future() -> None:
    leave = proto_rtc.LeaveRequest(reason=4711, action=4712)  # type: ignore[arg-type]
    server = SignalServer(lambda server, websocket: say(response(leave=leave))(websocket))
    async with server.running():
        error = await fails(server.url, errors.ServerLeaveError)
    assert "4711" in str(error)


def frame(opcode: int, payload: bytes, *, length: int | None = None, fin: bool = True) -> bytes:
    size = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        return head + bytes([size]) + payload
    return head + bytes([127]) + struct.pack("!Q", size) + payload


JOIN = frame(2, join_response().SerializeToString())
HUGE = frame(2, b"x" * 100, length=100 * 1024 * 1024)

FRAMES = [
    ("a frame of 100 MiB", HUGE, 1009),
    ("a frame of 8 EiB", frame(2, b"x", length=2**63 - 1), 1009),
    ("reserved bits", bytes([0xF2, 1, 0]), 1002),
    ("an opcode that is none", bytes([0x83, 1, 0]), 1002),
    ("a continuation of nothing", frame(0, b"x"), 1002),
    ("text that is no UTF-8", frame(1, b"\xff\xfe"), 1007),
    ("a close code that is none", frame(8, b"\x00\x01"), 1002),
]


@pytest.mark.parametrize(("data", "code"), [case[1:] for case in FRAMES], ids=[case[0] for case in FRAMES])
@pytest.mark.parametrize("first", [True, False])
async def test_frames_against_the_rules(data: bytes, code: int, first: bool) -> None:
    async def handle(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        writer.write(data if first else JOIN + data)
        await writer.drain()
        await reader.read()

    async with raw_server(handle) as url:
        if first:
            await fails(url, errors.ProtocolError)
            return
        sink = Recorder()
        async with no_leaks():
            client = await SignalClient.connect(url, TOKEN, IMPATIENT, sink)
            client.start()
            cause = await sink.until_closed()
            assert (cause.source, cause.code) == ("protocol", code)
            await client.aclose()


@pytest.mark.parametrize("how", [reset, lambda writer: writer.close()], ids=["reset", "eof"])
async def test_broken_off_before_the_first_message(how: Callable[[Writer], None]) -> None:
    async def handle(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        how(writer)

    async with raw_server(handle) as url:
        await fails(url, errors.SignalClosedError)


@pytest.mark.parametrize("how", [reset, lambda writer: writer.close()], ids=["reset", "eof"])
async def test_broken_off_later(how: Callable[[Writer], None]) -> None:
    async def handle(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        writer.write(JOIN + frame(2, response(pong=1)))
        await writer.drain()
        await told.wait()
        how(writer)

    told = asyncio.Event()
    sink = Recorder()
    async with raw_server(handle) as url, no_leaks():
        client = await SignalClient.connect(url, TOKEN, IMPATIENT, sink)
        client.start()
        await sink.until(lambda: sink.kinds == ["pong"])
        told.set()
        cause = await sink.until_closed()
        assert (cause.source, cause.code) == ("transport", None)
        await client.aclose()


async def test_a_server_that_never_stops_talking_can_be_left() -> None:
    async def handle(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        writer.write(JOIN)
        while True:
            writer.write(frame(2, response(pong=1)) * 100)
            await writer.drain()

    sink = Recorder()
    async with raw_server(handle) as url, no_leaks():
        client = await SignalClient.connect(url, TOKEN, IMPATIENT, sink)
        client.start()
        await sink.until(lambda: len(sink.messages) > 300)
        async with asyncio.timeout(DEADLINE):
            await client.aclose(leave=proto_rtc.LeaveRequest())
        assert sink.closed == []


async def test_a_server_that_reads_nothing_can_be_left() -> None:
    async def handle(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(JOIN)
        await left.wait()

    left = asyncio.Event()
    sink = Recorder()
    async with raw_server(handle) as url, no_leaks():
        client = await SignalClient.connect(url, TOKEN, IMPATIENT, sink)
        client.start()
        bulky = proto_rtc.SignalRequest(update_metadata=proto_rtc.UpdateParticipantMetadata(metadata="x" * 1_000_000))
        sending = [asyncio.create_task(client.send(bulky)) for _ in range(20)]
        await asyncio.sleep(0)
        async with asyncio.timeout(DEADLINE):
            await client.aclose(leave=proto_rtc.LeaveRequest())
        results = await asyncio.gather(*sending, return_exceptions=True)
        assert type(results[-1]) is errors.SignalClosedError
        left.set()
