"""The life of a link: first message, messages in order, pings, tokens, the end."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import pytest
from aiohttp import web
from livekit.protocol import models as proto_models
from livekit.protocol import rtc as proto_rtc

from aiolivekit.errors import SignalClosedError
from aiolivekit.options import SignalOptions
from aiolivekit.signalling import SignalClient
from aiolivekit.signalling.join_request import join_request

from ...leaks import no_leaks
from .servers import DEADLINE, TOKEN, Recorder, SignalServer, join_response, response
from .test_join_request import unwrap

OPTIONS = SignalOptions()
LEAVE = proto_rtc.LeaveRequest(
    reason=proto_models.DisconnectReason.CLIENT_INITIATED, action=proto_rtc.LeaveRequest.Action.DISCONNECT
)


def speaker(number: int) -> bytes:
    return response(speakers_changed=proto_rtc.SpeakersChanged(speakers=[proto_models.SpeakerInfo(sid=str(number))]))


def mute(number: int) -> proto_rtc.SignalRequest:
    return proto_rtc.SignalRequest(mute=proto_rtc.MuteTrackRequest(sid=str(number)))


async def test_join_over_v1() -> None:
    offer = proto_rtc.SessionDescription(type="offer", sdp="v=0\r\n" * 50, id=1)
    server, sink = SignalServer(), Recorder()
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink, publisher_offer=offer)
        assert client.first == server.joined.join
        assert (client.path, client.token, client.url, client.rtt) == ("v1", TOKEN, server.url, None)
        assert not client.closed
        [request] = server.requests
        assert request.path == "/rtc/v1"
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        assert "Sec-WebSocket-Extensions" not in request.headers
        assert unwrap(request.query_string)[0] == join_request(OPTIONS, offer)
        client.start()
        await client.aclose(leave=LEAVE)
        await server.until(lambda: bool(server.close_codes))
        assert server.kinds == ["leave"]
        assert server.signals[0].leave == LEAVE
        assert server.close_codes == [1000]
        assert sink.closed == []
        assert client.closed


async def test_join_over_v0() -> None:
    server = SignalServer()
    async with no_leaks(), server.running():
        options = SignalOptions(single_peer_connection=False)
        client = await SignalClient.connect(server.url, TOKEN, options, Recorder())
        assert client.path == "v0"
        assert server.paths == ["/rtc"]
        assert TOKEN not in server.requests[0].query_string
        await client.aclose()


async def test_fallback_to_v0_where_v1_is_missing() -> None:
    def no_v1(request: web.Request) -> web.Response | None:
        return web.Response(status=404, text="404 page not found") if request.path.startswith("/rtc/v1") else None

    server = SignalServer(answer=no_v1)
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, Recorder())
        assert client.path == "v0"
        assert server.paths == ["/rtc/v1", "/rtc"]
        await client.aclose()


async def test_messages_before_start_are_delivered_after_it_in_order() -> None:
    async def talk(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        await server.join(websocket)
        for n in range(500):
            await websocket.send_bytes(speaker(n))
        await server.serve(websocket)

    server, sink = SignalServer(talk), Recorder()
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink)
        client.post(mute(1))
        await server.until(lambda: server.kinds == ["mute"])
        assert sink.messages == []
        client.start()
        client.start()
        await sink.until(lambda: len(sink.messages) == 500)
        assert [m.speakers_changed.speakers[0].sid for m in sink.messages] == [str(n) for n in range(500)]
        await client.aclose()


async def test_send_and_post_keep_the_order_of_calls() -> None:
    server = SignalServer()
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, Recorder())
        order: list[str] = []

        async def sender(base: int) -> None:
            for n in range(base, base + 30):
                order.append(str(n))
                if n % 3:
                    await client.send(mute(n))
                else:
                    client.post(mute(n))
                    await asyncio.sleep(0)

        await asyncio.gather(*(sender(100 * k) for k in range(8)))
        await server.until(lambda: len(server.signals) == 240)
        assert [signal.mute.sid for signal in server.signals] == order
        await client.aclose()


async def test_pings_and_round_trip_time() -> None:
    server, sink = SignalServer(), Recorder()
    server.joined = join_response(ping_interval=1, ping_timeout=1)  # so pinged every half second
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink)
        client.start()
        await sink.until(lambda: sink.kinds.count("pong_resp") >= 3)
        assert server.kinds[:6] == ["ping", "ping_req"] * 3
        stamps = [s.ping_req.timestamp for s in server.signals if s.HasField("ping_req")]
        assert stamps == sorted(set(stamps))
        assert client.rtt is not None
        assert 0 < client.rtt < 1
        assert client.counters.stray_pongs == 0
        assert sink.closed == []
        await client.aclose()


async def test_doubt_makes_silence_a_ping_timeout_long_before_the_timeout() -> None:
    server, sink = SignalServer(), Recorder()
    server.joined = join_response(ping_interval=300, ping_timeout=300)
    server.pongs = False
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink)
        client.start()
        client.doubt()
        cause = await sink.until_closed()
        assert (cause.source, cause.code) == ("ping_timeout", None)
        assert "the media path was interrupted" in cause.detail
        assert server.kinds == ["ping", "ping_req"]
        client.doubt()  # nothing, on a lost link
        await client.aclose()


async def test_silence_is_a_ping_timeout() -> None:
    server, sink = SignalServer(), Recorder()
    server.joined = join_response(ping_interval=1, ping_timeout=1)
    server.pongs = False
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink)
        client.start()
        cause = await sink.until_closed()
        assert (cause.source, cause.code) == ("ping_timeout", None)
        assert client.closed
        with pytest.raises(SignalClosedError):
            await client.send(mute(1))
        client.post(mute(2))
        assert client.counters.not_posted == 1
        await client.aclose(leave=LEAVE)
        await client.aclose()
        assert len(sink.closed) == 1
        assert "leave" not in server.kinds


async def test_a_pong_that_answers_nothing_is_counted() -> None:
    async def talk(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        await server.join(websocket)
        await websocket.send_bytes(response(pong_resp=proto_rtc.Pong(last_ping_timestamp=-5)))
        await websocket.send_bytes(response(pong=7))
        await server.serve(websocket)

    server, sink = SignalServer(talk), Recorder()
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink)
        client.start()
        await sink.until(lambda: sink.kinds == ["pong_resp", "pong"])
        assert client.counters.stray_pongs == 1
        assert client.rtt is None
        await client.aclose()


async def test_newer_tokens_are_stored() -> None:
    async def talk(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        await server.join(websocket)
        await websocket.send_bytes(response(refresh_token="second"))
        await websocket.send_bytes(response(refresh_token=""))
        await websocket.send_bytes(response(room_moved=proto_rtc.RoomMovedResponse(token="third")))
        await server.serve(websocket)

    server, sink = SignalServer(talk), Recorder()
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink)
        seen: list[str] = []
        sink.on_signal_message = lambda message: (seen.append(client.token), Recorder.on_signal_message(sink, message))  # type: ignore[assignment, func-returns-value, method-assign]
        client.start()
        await sink.until(lambda: sink.kinds == ["refresh_token", "refresh_token", "room_moved"])
        assert seen == ["second", "second", "third"]
        assert client.token == "third"
        assert "third" not in repr(client)
        await client.aclose()


async def test_what_is_no_message_is_counted_and_dropped(caplog: pytest.LogCaptureFixture) -> None:
    async def talk(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        await server.join(websocket)
        await websocket.send_str('{"leave":{}}')
        await websocket.send_bytes(b"\xff\xff\xff garbage")
        await websocket.send_bytes(speaker(1))
        await server.serve(websocket)

    server, sink = SignalServer(talk), Recorder()
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink)
        client.start()
        await sink.until(lambda: bool(sink.messages))
        assert sink.kinds == ["speakers_changed"]
        assert client.counters.undecodable == 2
        assert [r.levelno for r in caplog.records if r.name == "aiolivekit.signalling"] == [logging.WARNING]
        await client.aclose()


async def test_a_sink_that_raises_is_counted_and_goes_on() -> None:
    async def talk(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        await server.join(websocket)
        for n in range(3):
            await websocket.send_bytes(speaker(n))
        await websocket.close(code=4001, message=b"enough")

    class Broken(Recorder):
        def on_signal_message(self, message: proto_rtc.SignalResponse) -> None:
            super().on_signal_message(message)
            raise RuntimeError("broken")

        def on_signal_closed(self, cause: object) -> None:
            super().on_signal_closed(cause)  # type: ignore[arg-type]
            raise RuntimeError("broken")

    server, sink = SignalServer(talk), Broken()
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink)
        client.start()
        cause = await sink.until_closed()
        assert len(sink.messages) == 3
        assert (cause.source, cause.code, cause.detail) == ("server_close", 4001, "enough")
        assert client.counters.sink_errors == 4
        await client.aclose()


async def test_a_loss_before_start_is_told_after_it() -> None:
    async def talk(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        await server.join(websocket)
        await websocket.send_bytes(response(leave=LEAVE))

    server, sink = SignalServer(talk), Recorder()
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink)
        await asyncio.sleep(0)
        assert sink.closed == []
        client.start()
        cause = await sink.until_closed()
        assert sink.kinds == ["leave"]
        assert (cause.source, cause.code) == ("server_close", 1000)
        await client.aclose()


async def test_overflow_before_start() -> None:
    async def deaf(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        await server.join(websocket)
        await server.serve(websocket)

    server, sink = SignalServer(deaf), Recorder()
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink)
        for n in range(1100):  # without giving the writer a turn
            client.post(mute(n))
        assert client.closed
        assert client.counters.not_posted == 1100 - 1024
        assert sink.closed == []
        client.start()
        cause = await sink.until_closed()
        assert cause.source == "write"
        await client.aclose()
        assert len(sink.closed) == 1


async def test_a_broken_connection_is_a_transport_loss() -> None:
    async def talk(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        await server.join(websocket)
        await websocket.send_bytes(speaker(1))
        assert websocket._req is not None
        assert websocket._req.transport is not None
        websocket._req.transport.abort()

    server, sink = SignalServer(talk), Recorder()
    async with aiohttp.ClientSession() as session:
        async with no_leaks(), server.running():
            client = await SignalClient.connect(server.url, TOKEN, SignalOptions(session=session), sink)
            client.start()
            cause = await sink.until_closed()
            assert sink.kinds == ["speakers_changed"]
            assert (cause.source, cause.code) == ("transport", None)
            await client.aclose()
        assert not session.closed
        assert session.connector is not None
        assert not session.connector._acquired  # its place in the user's session is free again


async def test_an_own_session_is_used_and_left_open() -> None:
    server = SignalServer()
    async with aiohttp.ClientSession(headers={"X-Mine": "yes"}) as session:
        async with no_leaks(), server.running():
            client = await SignalClient.connect(server.url, TOKEN, SignalOptions(session=session), Recorder())
            assert server.requests[0].headers["X-Mine"] == "yes"
            client.start()
            await client.aclose()
        assert not session.closed
        assert session.connector is not None
        assert not session.connector._acquired


async def test_aclose_from_several_tasks_one_of_them_cancelled() -> None:
    async def slow(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        await server.join(websocket)
        assert websocket._req is not None
        assert websocket._req.transport is not None
        websocket._req.transport.pause_reading()  # type: ignore[attr-defined]
        await release.wait()

    release = asyncio.Event()
    server, sink = SignalServer(slow), Recorder()
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink)
        client.start()
        closers = [asyncio.create_task(client.aclose(leave=LEAVE)) for _ in range(3)]
        for _ in range(5):
            await asyncio.sleep(0)
        closers[0].cancel()
        async with asyncio.timeout(DEADLINE):
            results = await asyncio.gather(*closers, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [None, None]
        release.set()
        assert sink.closed == []


async def test_a_server_that_does_not_answer_the_close_is_left() -> None:
    async def stubborn(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        await server.join(websocket)
        assert websocket._req is not None
        transport = websocket._req.transport
        assert transport is not None
        transport.pause_reading()  # type: ignore[attr-defined]
        await release.wait()

    release = asyncio.Event()
    server = SignalServer(stubborn)
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, Recorder())
        client.start()
        async with asyncio.timeout(DEADLINE):
            await client.aclose(leave=LEAVE)
        release.set()
