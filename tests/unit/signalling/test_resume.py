"""Taking up a session again: how it is asked for, the gate, and what was not sent before."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from livekit.protocol import models as proto_models
from livekit.protocol import rtc as proto_rtc

from aiolivekit.options import SignalOptions
from aiolivekit.signalling import ResumeRequest, SignalClient

from ...leaks import no_leaks
from .servers import DEADLINE, TOKEN, Recorder, SignalServer, response
from .test_join_request import unwrap

OPTIONS = SignalOptions()


def mute(number: int) -> proto_rtc.SignalRequest:
    return proto_rtc.SignalRequest(mute=proto_rtc.MuteTrackRequest(sid=str(number)))


@pytest.mark.parametrize("path", ["v1", "v0"])
async def test_resume(path: str) -> None:
    async def talk(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        await websocket.send_bytes(response(reconnect=proto_rtc.ReconnectResponse(last_message_seq=7)))
        await server.serve(websocket)

    reason = proto_models.ReconnectReason.RR_SIGNAL_DISCONNECTED
    resume = ResumeRequest("PA_1", reason, path=path, ping_interval=1, ping_timeout=1)  # type: ignore[arg-type]
    server, sink = SignalServer(talk), Recorder()
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, OPTIONS, sink, resume=resume)
        assert isinstance(client.first, proto_rtc.ReconnectResponse)
        assert client.first.last_message_seq == 7
        assert client.path == path
        [request] = server.requests
        if path == "v1":
            asked = unwrap(request.query_string)[0]
            assert (asked.reconnect, asked.participant_sid, asked.reconnect_reason) == (True, "PA_1", reason)
        else:
            assert (request.query["reconnect"], request.query["sid"]) == ("1", "PA_1")
            assert request.query["reconnect_reason"] == "1"
        # Gated from the start; pings pass.
        client.start()
        client.post(mute(1))
        client.post(proto_rtc.SignalRequest(sync_state=proto_rtc.SyncState()))
        await server.until(lambda: "ping_req" in server.kinds)
        assert server.kinds[0] == "sync_state"
        assert "mute" not in server.kinds
        client.flush_gate()
        await server.until(lambda: "mute" in server.kinds)
        await client.aclose()


async def test_what_a_lost_link_held_goes_out_on_its_successor() -> None:
    async def cut(server: SignalServer, websocket: web.WebSocketResponse) -> None:
        if server.requests[-1].query.get("reconnect") != "1":
            await server.join(websocket)
            return
        await websocket.send_bytes(response(reconnect=proto_rtc.ReconnectResponse()))
        await server.serve(websocket)

    class Gating(Recorder):
        def on_signal_closed(self, cause: object) -> None:
            client.gate()
            super().on_signal_closed(cause)  # type: ignore[arg-type]

    server, sink = SignalServer(cut), Gating()
    options = SignalOptions(single_peer_connection=False)
    async with no_leaks(), server.running():
        client = await SignalClient.connect(server.url, TOKEN, options, sink)
        client.start()
        await sink.until_closed()
        client.post(mute(1))
        sending = asyncio.create_task(client.send(mute(2)))
        await asyncio.sleep(0)
        successor = await SignalClient.connect(
            server.url, TOKEN, options, Recorder(), resume=ResumeRequest("PA_1", path="v0")
        )
        successor.take_over(client)
        await client.aclose()
        successor.start()
        successor.flush_gate()
        async with asyncio.timeout(DEADLINE):
            await sending
        await server.until(lambda: len(server.signals) == 2)
        assert [signal.mute.sid for signal in server.signals] == ["1", "2"]
        await successor.aclose()


async def test_resume_does_not_change_the_endpoint() -> None:
    server = SignalServer(answer=lambda request: web.Response(status=404, text="404 page not found"))
    async with no_leaks(), server.running():
        with pytest.raises(Exception, match="path"):
            await SignalClient.connect(server.url, TOKEN, OPTIONS, Recorder(), resume=ResumeRequest("PA_1"))
        assert server.paths == ["/rtc/v1", "/rtc/v1/validate"]
