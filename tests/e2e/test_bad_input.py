"""Everything that can be wrong when connecting: its named error, within its time, and nothing left behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiolivekit
from aiolivekit import errors
from aiolivekit.testing import RealServer

from ..leaks import no_leaks
from .sdk import DEADLINE, Recorder, until

pytestmark = pytest.mark.e2e


@pytest.fixture
def options(single: bool) -> aiolivekit.RoomOptions:
    return aiolivekit.RoomOptions(single_peer_connection=single, join_retries=0, connect_timeout=2)


async def fails(url: str, token: str, options: aiolivekit.RoomOptions, kind: type[Exception]) -> Any:
    """Connect must raise exactly that error, tell no secret, and leave nothing behind."""
    room = aiolivekit.Room()
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(kind) as caught:
            await room.connect(url, token, options)
    assert type(caught.value) is kind
    error: BaseException | None = caught.value
    while error is not None:
        assert token not in str(error)
        assert "access_token" not in str(error)
        error = error.__cause__
    assert not room.isconnected()
    return caught.value


@asynccontextmanager
async def rogue(handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that is none."""
    tasks: set[asyncio.Task[None]] = set()

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(on_client, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://127.0.0.1", "ws://", "http://[broken", "ws://host:port"])
async def test_url(url: str, options) -> None:
    async with no_leaks():
        await fails(url, "token", options, errors.InvalidUrlError)


async def test_port_where_nobody_listens(token, options) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with no_leaks():
            await fails(f"ws://127.0.0.1:{taken.getsockname()[1]}", "t.o.k", options, errors.UnreachableError)


async def test_malformed_token(real_server, options) -> None:
    async with no_leaks():
        error = await fails(real_server.url, "not-a-token", options, errors.InvalidTokenError)
    assert error.status == 401


async def test_token_of_another_key(real_server, options) -> None:
    forged = aiolivekit.testing.access_token(real_server.api_key, "x" * 32, "me", room="r")
    async with no_leaks():
        await fails(real_server.url, forged, options, errors.InvalidTokenError)


async def test_expired_token(real_server, token, options) -> None:
    async with no_leaks():
        await fails(real_server.url, token("me", ttl=-3600), options, errors.TokenExpiredError)


async def test_token_without_join_grant(real_server, token, options) -> None:
    async with no_leaks():
        await fails(real_server.url, token("me", room_join=False), options, errors.PermissionDeniedError)


async def test_bad_tokens_are_not_tried_again(real_server, token, single: bool) -> None:
    options = aiolivekit.RoomOptions(single_peer_connection=single, join_retries=1_000_000)
    await fails(real_server.url, token("me", ttl=-3600), options, errors.TokenExpiredError)


async def test_server_that_speaks_garbage(options) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(bytes(range(256)) * 4)
        await writer.drain()
        await reader.read()

    async with rogue(garbage) as url, no_leaks():
        await fails(url, "t.o.k", options, errors.ProtocolError)


async def test_server_that_never_answers(options) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass

    async with rogue(silent) as url, no_leaks():
        await fails(url, "t.o.k", options, errors.ConnectTimeoutError)


async def test_server_that_closes_mid_handshake(options) -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)

    async with rogue(closing) as url, no_leaks():
        await fails(url, "t.o.k", options, errors.SignalClosedError)


async def test_without_udp_tcp_carries(server_binary, single: bool) -> None:
    with RealServer(binary=server_binary, udp=False) as server:
        room = aiolivekit.Room()
        options = aiolivekit.RoomOptions(single_peer_connection=single)
        async with no_leaks():
            await room.connect(server.url, server.token("me"), options)
            assert room.single_peer_connection is single
            stats = await room.get_rtc_stats()
            used = [each.local_candidate for each in [*stats.publisher_stats, *stats.subscriber_stats]]
            assert "tcp" in {each.candidate.protocol for each in used if each is not None}
            await room.disconnect()


async def test_oversize_packet(real_server, token, options) -> None:
    async with no_leaks():
        room = aiolivekit.Room()
        await room.connect(real_server.url, token("me"), options)
        with pytest.raises(errors.PacketTooLargeError):
            await room.local_participant.publish_data(bytes(1_000_000))
        await room.local_participant.publish_data(b"still works")
        await room.disconnect()


async def test_publish_without_permission(real_server, token, options) -> None:
    source = aiolivekit.AudioSource(48_000, 1)
    async with no_leaks():
        room = aiolivekit.Room()
        await room.connect(real_server.url, token("me", can_publish=False), options)
        track = aiolivekit.LocalAudioTrack.create_audio_track("mic", source)
        with pytest.raises(errors.RequestError):
            await room.local_participant.publish_track(track)
        assert room.local_participant.track_publications == {}
        await room.disconnect()
    await source.aclose()


async def test_duplicate_identity(real_server, token, options) -> None:
    async with no_leaks():
        first, second = aiolivekit.Room(), aiolivekit.Room()
        events = Recorder(first)
        await first.connect(real_server.url, token("same"), options)
        await second.connect(real_server.url, token("same"), options)
        (reason,) = await events.wait("disconnected")
        assert reason == aiolivekit.DisconnectReason.DUPLICATE_IDENTITY
        assert not first.isconnected()
        with pytest.raises(errors.LiveKitError):
            await first.local_participant.publish_data(b"too late")
        assert second.isconnected()
        await second.disconnect()
        await until(lambda: second.connection_state == aiolivekit.ConnectionState.CONN_DISCONNECTED, "ended")
