"""The server's sockets: who is let in, how much is kept, and what counts as a sign of life."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

pytest.importorskip("pylibsrtp", reason="needs the extra [server]")

from aiolivekit.server import ice
from aiolivekit.server.door import MAX_WAITING, Door
from aiolivekit.server.ice import IceAgent, IceMux
from tests.unit.server.test_stun import make_request


@pytest.fixture
async def mux() -> AsyncIterator[IceMux]:
    mux = IceMux("127.0.0.1")
    await mux.start()
    yield mux
    await mux.stop()


def agent(mux: IceMux) -> tuple[IceAgent, list[bytes]]:
    received: list[bytes] = []
    return IceAgent(mux, "test", lambda path: None, received.append), received


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def check(agent: IceAgent) -> bytes:
    return make_request(agent.credentials.ufrag, "them", agent.credentials.password)


async def test_packets_count_only_from_proven_addresses(mux: IceMux) -> None:
    mine, received = agent(mux)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", mux.udp_port))
        sock.send(b"\x80 too early")
        await until(lambda: mux.dropped["unknown address"] == 1)
        sock.send(check(mine))
        await until(lambda: mine.path is not None)
        sock.send(b"\x80 packet")
        await until(lambda: received == [b"\x80 packet"])


async def test_an_empty_datagram_is_counted(mux: IceMux) -> None:
    mine, received = agent(mux)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", mux.udp_port))
        sock.send(check(mine))
        sock.send(b"")
        sock.send(b"\x80 after it")
        await until(lambda: received)
    assert received == [b"\x80 after it"]
    assert mux.dropped["empty"] == 1


async def test_one_agent_keeps_so_many_addresses_and_the_one_in_use(mux: IceMux) -> None:
    mine, _ = agent(mux)
    request = check(mine)
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(ice.MAX_PATHS + 20)]
    try:
        for sock in sockets:
            sock.sendto(request, ("127.0.0.1", mux.udp_port))
        await until(lambda: sockets[-1].getsockname()[1] in {key[1] for key in mux._paths})
        assert len(mux._paths) == len(mine._keys) == ice.MAX_PATHS
        assert mine.path is not None
        assert mine.path.key in mux._paths
    finally:
        for sock in sockets:
            sock.close()
    mine.close()
    assert not mux._paths


async def test_restarts_without_end_keep_few_credentials(mux: IceMux) -> None:
    mine, _ = agent(mux)
    for _ in range(100):
        mine.restart()
    assert len(mux._agents) == ice.MAX_OLD_CREDENTIALS + 1
    mine.close()
    assert not mux._agents


async def test_media_is_a_sign_of_life(mux: IceMux) -> None:
    mine, received = agent(mux)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", mux.udp_port))
        sock.send(check(mine))
        await until(lambda: mine.path is not None)
        seen = mine.last_seen
        assert mine.last_seen == seen
        sock.send(b"\x80 packet")
        await until(lambda: received)
        assert mine.last_seen > seen


async def test_the_door_keeps_few_who_have_shown_nothing() -> None:
    turned_away, ended = [], []
    door = Door(lambda: turned_away.append(1))
    for number in range(MAX_WAITING + 10):
        door.enter(number, lambda number=number: ended.append(number))
    assert ended == list(range(10))
    assert len(turned_away) == 10
    door.admit(10)
    door.enter(11, lambda: ended.append(11))  # again: its patience begins anew, and it goes to the end of the row
    door.enter("new", lambda: ended.append("new"))
    assert ended == list(range(10))
    door.enter("newer", lambda: ended.append("newer"))
    assert ended == [*range(10), 12]
    door.close()
