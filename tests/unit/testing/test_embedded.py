"""The embedded server on its thread: from any thread, with and without a loop, and gone without a trace."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

pytest.importorskip("pylibsrtp", reason="needs the extra [server]")

from aiolivekit.server import Limits, ServerOptions
from aiolivekit.testing import EmbeddedServer, HoldHandle

from ...leaks import no_leaks_sync


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(room="kitchen") as running:
        yield running


def knock(server: EmbeddedServer, identity: str) -> int:
    """Ask to join; return the status of the answer, 101 from a server that lets us in."""
    connection = http.client.HTTPConnection(urlsplit(server.http_url).netloc, timeout=5)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    try:
        connection.request("GET", f"/rtc?access_token={server.token(identity)}", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_leaves_nothing_and_can_start_again() -> None:
    with EmbeddedServer():
        pass  # what is loaded once stays
    with no_leaks_sync():
        server = EmbeddedServer()
        secrets = []
        for _ in range(3):
            with server:
                assert server.running
                assert server.rooms == []
                secrets.append(server.api_secret)
                port = urlsplit(server.url).port
            server.stop()
            assert not server.running
            assert threading.active_count() == len(threading.enumerate())
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", port), timeout=5)
        # Tokens stay good.
        assert secrets == [secrets[0]] * 3


def test_starting_twice_is_refused(server: EmbeddedServer) -> None:
    with pytest.raises(RuntimeError, match="is running"):
        server.start()
    assert server.rooms == []


def test_what_the_start_raises_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiolivekit.server import DevServer

    async def start(_: object) -> None:
        raise OSError("no port")

    monkeypatch.setattr(DevServer, "start", start)
    server = EmbeddedServer()
    with no_leaks_sync():
        for _ in range(2):
            with pytest.raises(OSError, match="no port"):
                server.start()
            assert not server.running


def test_who_gives_up_waiting_for_the_start_leaves_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiolivekit.server import DevServer
    from aiolivekit.testing import embedded

    release = threading.Event()
    begin = DevServer.start

    async def start(self: DevServer) -> None:
        await asyncio.to_thread(release.wait, 10)
        await begin(self)

    monkeypatch.setattr(DevServer, "start", start)
    monkeypatch.setattr(embedded, "_START_LIMIT", 0.01)
    threading.Timer(2.0, release.set).start()
    server = EmbeddedServer()
    with no_leaks_sync(), pytest.raises(TimeoutError):
        server.start()
    assert not server.running


def test_before_the_start_and_after_the_end() -> None:
    server = EmbeddedServer()
    for attribute in ("url", "http_url", "api_key", "api_secret", "faults"):
        with pytest.raises(RuntimeError, match="not started"):
            getattr(server, attribute)
    server.stop()
    with server:
        faults = server.faults
        fault = faults.no_pong()
    assert server.url.startswith("ws://127.0.0.1:")
    assert faults.log == []
    with pytest.raises(RuntimeError, match="not running"):
        server.call(lambda: 1)
    with pytest.raises(RuntimeError, match="not running"):
        server.room()
    with pytest.raises(RuntimeError, match="not running"):
        faults.no_pong()
    with pytest.raises(RuntimeError, match="not running"):
        fault.wait_fired_blocking()


def test_options_are_the_servers() -> None:
    with EmbeddedServer(ServerOptions(limits=Limits(identity=3))) as server:
        assert knock(server, "abcd") == 400


def test_what_a_call_raises_is_raised_here(server: EmbeddedServer) -> None:
    assert server.call(lambda: threading.current_thread().name) == "livekit dev server"
    with pytest.raises(LookupError, match="kitchen"):
        server.room()
    with pytest.raises(LookupError, match="cellar"):
        server.room("cellar")
    with pytest.raises(LookupError, match="nobody"):
        server.faults.kill("nobody")
    with pytest.raises(ValueError, match="counts from 1"):
        server.faults.drop_signal("join", nth=0)
    with pytest.raises(TimeoutError, match="own"):
        server.call(lambda: (_ for _ in ()).throw(TimeoutError("my own")))
    with pytest.raises(RuntimeError, match="own thread"):
        server.call(lambda: server.rooms)


def test_a_server_that_hangs_does_not_hang_the_test(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiolivekit.testing import embedded

    release = threading.Event()
    monkeypatch.setattr(embedded, "_CALL_LIMIT", 0.05)
    with ThreadPoolExecutor(1) as others:
        stuck = others.submit(server.call, lambda: release.wait(10))
        with pytest.raises(TimeoutError, match="did not come to it"):
            stuck.result(10)
        with pytest.raises(TimeoutError, match="did not come to it"):
            _ = server.rooms
        release.set()


def test_many_threads_at_once(server: EmbeddedServer) -> None:
    def work(number: int) -> tuple[int, bool]:
        hold = server.faults.hold("update", identity=f"p{number}")
        refusal = server.faults.refuse_join(identity=f"p{number}", status=500 + number)
        status = knock(server, f"p{number}")
        refusal.wait_fired_blocking()
        hold.release()
        return status, refusal.spent

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(40))) == [(500 + number, True) for number in range(40)]
    log = server.faults.log
    assert {(each.identity, each.detail) for each in log} == {(f"p{number}", str(500 + number)) for number in range(40)}
    assert len(log) == 40
    assert [each.at for each in log] == sorted(each.at for each in log)
    assert len(server.faults.installed) == 80
    server.faults.clear()


async def test_a_blocked_loop_does_not_stall_it(server: EmbeddedServer) -> None:
    # This blocks the loop until the server has answered.
    refusal = server.faults.refuse_join(identity="me")
    assert knock(server, "me") == 503
    await refusal.wait_fired()
    assert refusal.fired == 1


async def test_waiting_for_a_fault(server: EmbeddedServer) -> None:
    refusal = server.faults.refuse_join(2, identity="me")
    waiting = asyncio.create_task(refusal.wait_fired(2))
    await asyncio.sleep(0)
    for _ in range(2):
        assert not waiting.done()
        assert await asyncio.to_thread(knock, server, "me") == 503
    await waiting
    with pytest.raises(TimeoutError, match=r"refuse_join for me: fired 2 times>; 3 times .* within 0\.01 s"):
        await refusal.wait_fired(3, timeout=0.01)
    with pytest.raises(TimeoutError, match=r"refuse_join for me: fired 2 times>; 3 times .* within 0\.01 s"):
        refusal.wait_fired_blocking(3, timeout=0.01)
    assert [repr(each) for each in server.faults.installed] == ["<refuse_join for me: fired 2 times>"]
    assert repr(server.faults.no_pong()) == "<no_pong for everybody: fired 0 times>"


async def test_a_wait_can_be_cancelled(server: EmbeddedServer) -> None:
    fault = server.faults.blackout()
    waiting = asyncio.create_task(fault.wait_fired(timeout=60))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    deadline = time.monotonic() + 5
    while server.call(lambda: len(asyncio.all_tasks())) > 2:  # the server's own and this call's
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


async def test_a_wait_ends_by_name_when_the_server_is_stopped() -> None:
    server = EmbeddedServer()
    server.start()
    waits = [
        asyncio.create_task(fault.wait_fired(timeout=60))
        for fault in (server.faults.no_pong(), server.faults.blackout())
    ]
    await asyncio.sleep(0)
    await asyncio.to_thread(server.stop)
    for wait in waits:
        with pytest.raises(RuntimeError, match="was stopped"):
            await wait


def test_a_hold_is_a_handle_of_its_own(server: EmbeddedServer) -> None:
    hold = server.faults.hold("update", identity="me")
    assert isinstance(hold, HoldHandle)
    assert (hold.name, hold.identity, hold.held, hold.seen, hold.fired) == ("hold", "me", 0, 0, 0)
    hold.release()
    hold.release()
    fault = server.faults.refuse_join(identity="me")
    fault.lift()
    assert knock(server, "me") == 101
    assert fault.fired == 0
