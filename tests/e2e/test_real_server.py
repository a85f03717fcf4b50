from __future__ import annotations

import asyncio
import http.client
import os
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from aiolivekit.testing import RealServer, ServerStartError, real_server

pytestmark = pytest.mark.e2e


def gone(pid: int) -> bool:
    """Whether the process has ended and was reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def validate(server: RealServer, token: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(server.http_url).netloc, timeout=5)
    try:
        connection.request("GET", "/rtc/validate", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_runs_between_start_and_stop(server_binary: Path) -> None:
    server = RealServer(binary=server_binary)
    assert not server.running
    server.start()
    pid = server.pid
    assert pid is not None
    assert server.running
    assert server.url.startswith("ws://127.0.0.1:")
    server.start()
    assert server.pid == pid
    server.stop()
    assert not server.running
    assert gone(pid)
    server.stop()


def test_starts_again_after_it_was_stopped(server_binary: Path) -> None:
    server = RealServer(binary=server_binary)
    for _ in range(2):
        with server:
            assert server.api("RoomService/ListRooms") == {"rooms": []}


def test_comes_back_on_its_ports_and_has_forgotten(server_binary: Path) -> None:
    with RealServer(binary=server_binary) as server:
        server.api("RoomService/CreateRoom", {"name": "kitchen"})
        url, pid = server.url, server.pid
        server.kill()
        assert not server.running
        server.start()
        assert (server.url, server.api("RoomService/ListRooms")) == (url, {"rooms": []})
        server.restart()
        assert server.url == url
        assert server.pid != pid


def test_its_own_tokens_are_good_and_others_are_not(real_server: RealServer) -> None:
    assert validate(real_server, real_server.token("alice")) == (200, "success")
    assert validate(real_server, real_server.token("alice", ttl=-120))[0] == 401
    assert validate(real_server, RealServer().token("alice"))[0] == 401
    assert validate(real_server, real_server.token("alice", room_join=False))[0] == 401


def test_the_settings_of_rooms_are_kept(server_binary: Path) -> None:
    with RealServer(binary=server_binary, auto_create=False, empty_timeout=7, departure_timeout=3) as server:
        assert validate(server, server.token("alice", room="kitchen"))[0] == 404
        room = server.api("RoomService/CreateRoom", {"name": "kitchen"})
        assert (room["empty_timeout"], room["departure_timeout"]) == (7, 3)
        assert validate(server, server.token("alice", room="kitchen"))[0] == 200


def test_the_users_configuration_is_merged(server_binary: Path) -> None:
    with RealServer(binary=server_binary, config={"room": {"max_participants": 2}}, empty_timeout=9) as server:
        room = server.api("RoomService/CreateRoom", {"name": "kitchen"})
        assert (room["empty_timeout"], room["max_participants"]) == (9, 2)


def test_the_environment_does_not_reach_it(server_binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_KEYS", "other: secret")
    monkeypatch.setenv("UDP_PORT", "1")
    with RealServer(binary=server_binary) as server:
        assert validate(server, server.token("alice"))[0] == 200


def test_a_wrong_configuration_fails_with_the_servers_words(server_binary: Path) -> None:
    server = RealServer(binary=server_binary, config={"rtc": {"no_such_key": 1}})
    with pytest.raises(ServerStartError, match="no_such_key"):
        server.start()
    assert not server.running
    assert "no_such_key" in server.log


def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    server = RealServer(binary=silent, start_timeout=0.3)
    with pytest.raises(ServerStartError, match="does not answer"):
        server.start()
    assert not server.running


@pytest.mark.parametrize("kind", ["signal", "udp", "tcp"])
def test_takes_other_ports_when_one_was_taken(server_binary: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    free_ports = real_server._free_ports
    first = free_ports(real_server._Ports(0, 0, 0))
    taken = [first]
    monkeypatch.setattr(real_server, "_free_ports", lambda wanted: taken.pop() if taken else free_ports(wanted))
    family = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, family) as occupier:
        occupier.bind(("0.0.0.0" if kind == "tcp" else "127.0.0.1", getattr(first, kind)))
        if kind != "udp":
            occupier.listen()
        with RealServer(binary=server_binary) as server:
            assert not taken
            assert server.url != f"ws://127.0.0.1:{first.signal}"


def test_the_api_raises_what_the_server_says(real_server: RealServer) -> None:
    with pytest.raises(ServerStartError, match="status 404"):
        real_server.api("RoomService/GetParticipant", {"room": "nowhere", "identity": "nobody"})
    with pytest.raises(ServerStartError, match="not started"):
        RealServer().api("RoomService/ListRooms")


def test_logs_where_told(server_binary: Path, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with RealServer(binary=server_binary, log_path=log, config={"logging": {"level": "info"}}) as server:
        assert "starting LiveKit server" in server.log
    assert "starting LiveKit server" in log.read_text()


async def test_as_an_async_context_manager(server_binary: Path) -> None:
    async with RealServer(binary=server_binary) as server:
        pid = server.pid
        assert pid is not None
        assert (await asyncio.to_thread(server.api, "RoomService/ListRooms")) == {"rooms": []}
    assert gone(pid)


async def test_cancelling_the_start_leaves_nothing(server_binary: Path) -> None:
    server = RealServer(binary=server_binary)
    entering = asyncio.create_task(server.__aenter__())
    for _ in range(1000):
        if server.pid is not None:
            break
        await asyncio.sleep(0.001)
    pid = server.pid
    assert pid is not None
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert not server.running
    assert gone(pid)


def test_a_start_cancelled_beforehand_leaves_nothing(server_binary: Path) -> None:
    server = RealServer(binary=server_binary)
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(ServerStartError, match="cancelled"):
        server.start(cancelled=cancelled)
    assert not server.running
