"""The facts about livekit-server that everything else here rests on, from the server itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livekit.protocol import models as proto_models
from livekit.protocol import rtc as proto_rtc

from aiolivekit import errors
from aiolivekit.options import SignalOptions
from aiolivekit.signalling import ResumeRequest, SignalClient
from aiolivekit.testing import RealServer, access_token

from ..leaks import no_leaks
from ..unit.signalling.servers import Recorder

pytestmark = pytest.mark.e2e

SINGLE = SignalOptions()
DUAL = SignalOptions(single_peer_connection=False)
LEAVE = proto_rtc.LeaveRequest(reason=proto_models.DisconnectReason.CLIENT_INITIATED)
BOTH = pytest.mark.parametrize("options", [SINGLE, DUAL], ids=["v1", "v0"])


async def fails(url: str, token: str, options: SignalOptions, kind: type[errors.ConnectError]) -> errors.ConnectError:
    async with no_leaks():
        with pytest.raises(errors.ConnectError) as caught:
            await SignalClient.connect(url, token, options, Recorder())
    assert type(caught.value) is kind, repr(caught.value)
    assert not token or token not in str(caught.value)
    return caught.value


@BOTH
async def test_join(real_server: RealServer, token: Any, room_name: str, options: SignalOptions) -> None:
    sink = Recorder()
    async with no_leaks():
        access = token("me")
        client = await SignalClient.connect(real_server.url, access, options, sink)
        join = client.first
        assert isinstance(join, proto_rtc.JoinResponse)
        assert (join.room.name, join.participant.identity) == (room_name, "me")
        assert (join.ping_interval, join.ping_timeout) == (5, 15)
        # One peer connection where it came over v1, and the publisher's first: no offer from the server.
        assert client.path == ("v1" if options is SINGLE else "v0")
        assert join.subscriber_primary is (options is DUAL)
        client.start()
        await sink.until(lambda: "refresh_token" in sink.kinds)
        assert client.token != access
        if options is DUAL:
            await sink.until(lambda: "offer" in sink.kinds)
        await client.aclose(leave=LEAVE)
        assert sink.closed == []


@BOTH
async def test_both_pings_are_answered(real_server: RealServer, token: Any, options: SignalOptions) -> None:
    sink = Recorder()
    async with no_leaks():
        client = await SignalClient.connect(real_server.url, token("me"), options, sink)
        client.start()
        client._keepalive._next_ping = 0.0
        client._wake()
        await sink.until(lambda: {"pong", "pong_resp"} <= set(sink.kinds))
        assert client.rtt is not None
        assert 0 < client.rtt < 5
        await client.aclose(leave=LEAVE)


@BOTH
async def test_leave_is_read_before_the_connection_ends(
    real_server: RealServer, token: Any, options: SignalOptions
) -> None:
    """The other one learns at once that we left, not when our media times out."""
    other = Recorder()
    watcher = await SignalClient.connect(real_server.url, token("watcher"), options, other)
    watcher.start()
    client = await SignalClient.connect(real_server.url, token("me"), options, Recorder())
    assert isinstance(client.first, proto_rtc.JoinResponse)
    assert [p.identity for p in client.first.other_participants] == ["watcher"]
    await client.aclose(leave=LEAVE)
    gone = proto_models.ParticipantInfo.State.DISCONNECTED
    await other.until(
        lambda: any(p.identity == "me" and p.state == gone for m in other.messages for p in m.update.participants)
    )
    await watcher.aclose(leave=LEAVE)


@BOTH
async def test_tokens(real_server: RealServer, options: SignalOptions) -> None:
    key, secret, url = real_server.api_key, real_server.api_secret, real_server.url

    def token(**claims: Any) -> str:
        return access_token(key, secret, "me", room="r", **claims)

    forged = access_token(key, "x" * 40, "me", room="r")
    foreign = access_token("APIother", secret, "me", room="r")
    later = token(valid_from=datetime.now(UTC) + timedelta(hours=1), ttl=7200)
    expired = token(valid_from=datetime.now(UTC) - timedelta(hours=2), ttl=3600)

    error = await fails(url, expired, options, errors.TokenExpiredError)
    assert (error.status, error.detail) == (
        401,
        "invalid token: <token>, error: token has invalid claims: token is expired",
    )
    error = await fails(url, later, options, errors.InvalidTokenError)
    assert error.detail.endswith("token is not valid yet")
    error = await fails(url, forged, options, errors.InvalidTokenError)
    assert error.detail.endswith("signature is invalid")
    error = await fails(url, foreign, options, errors.InvalidTokenError)
    assert (error.status, error.detail) == (401, "invalid API key")
    error = await fails(url, "not-a-token", options, errors.InvalidTokenError)
    assert (error.status, error.detail) == (401, "invalid authorization token")
    error = await fails(url, token(room_join=False), options, errors.PermissionDeniedError)
    assert (error.status, error.detail) == (401, "permissions denied")


@BOTH
async def test_a_path_that_is_no_server(real_server: RealServer, token: Any, options: SignalOptions) -> None:
    error = await fails(f"{real_server.url}/elsewhere", token("me"), options, errors.ProtocolError)
    assert (error.status, error.detail) == (404, "404 page not found")


@BOTH
async def test_a_session_that_is_not_there(real_server: RealServer, token: Any, options: SignalOptions) -> None:
    async with no_leaks():
        with pytest.raises(errors.ServerLeaveError) as caught:
            await SignalClient.connect(
                real_server.url, token("me"), options, Recorder(), resume=ResumeRequest("PA_nobody")
            )
    assert caught.value.reason == proto_models.DisconnectReason.STATE_MISMATCH
    assert caught.value.action == proto_rtc.LeaveRequest.Action.RECONNECT


@BOTH
@pytest.mark.parametrize("own_session", [False, True])
async def test_a_room_that_is_not_there(
    server_binary: Path, tmp_path: Path, options: SignalOptions, own_session: bool
) -> None:
    with RealServer(binary=server_binary, log_path=tmp_path / "log", config={"room": {"auto_create": False}}) as server:
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            options = SignalOptions(
                single_peer_connection=options.single_peer_connection, session=session if own_session else None
            )
            error = await fails(server.url, server.token("me"), options, errors.RoomNotFoundError)
        assert (error.status, error.detail) == (404, "requested room does not exist")


@BOTH
async def test_a_room_that_is_full(server_binary: Path, tmp_path: Path, options: SignalOptions) -> None:
    """The server does not say so; the error says what it said, and that this may be the reason."""
    config = {"room": {"max_participants": 1}}
    with RealServer(binary=server_binary, log_path=tmp_path / "log", config=config) as server:
        first = await SignalClient.connect(server.url, server.token("first"), options, Recorder())
        error = await fails(server.url, server.token("second"), options, errors.ServerRefusedError)
        assert error.status == 500
        assert error.detail.startswith("connection closed by media")
        assert "full" in error.detail
        await first.aclose(leave=LEAVE)


async def test_a_server_that_dies(server_binary: Path, tmp_path: Path) -> None:
    sink = Recorder()
    with RealServer(binary=server_binary, log_path=tmp_path / "log") as server:
        client = await SignalClient.connect(server.url, server.token("me"), SINGLE, sink)
        client.start()
        await sink.until(lambda: "refresh_token" in sink.kinds)
        server.kill()
        cause = await sink.until_closed()
        assert (cause.source, cause.code) == ("transport", None)
        await client.aclose(leave=LEAVE)
