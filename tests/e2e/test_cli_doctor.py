"""`aiolivekit doctor` on good servers and on every kind of bad one."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from aiolivekit.cli.doctor.examination import Credentials
from aiolivekit.server import DevServer
from aiolivekit.testing import RealServer, access_token

from .cli_process import PATIENCE, run, started
from .examining import NAMES, SHORT, Place, look, place_of
from .sdk import until

pytestmark = pytest.mark.e2e

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")

WRONG_SECRET = "another-secret-that-is-long-enough-for-hs256"


@pytest.fixture
async def dev() -> AsyncIterator[DevServer]:
    async with DevServer() as server:
        yield server


@pytest.fixture(params=["embedded", "real"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    if request.param == "real":
        real: RealServer = request.getfixturevalue("real_server")
        yield Place(real.url, real.api_key, real.api_secret, "real")
    else:
        async with DevServer() as server:
            yield place_of(server)


@asynccontextmanager
async def answering(handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> AsyncIterator[str]:
    """A server that is no LiveKit server."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def http_answer(status: str, body: str = "", *headers: str) -> Callable[..., Any]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers])
        writer.write(f"{head}\r\n\r\n{body}".encode())
        await writer.drain()

    return handle


# -- good servers -------------------------------------------------------------------------------------------


async def test_all_is_well(place: Place) -> None:
    key = ("--api-key", place.api_key, "--api-secret", place.api_secret)
    status, out, errors = await run("doctor", place.url, *key, "--json")
    result = json.loads(out)
    checks = {check["name"]: check for check in result["checks"]}
    bad = [check for check in result["checks"] if check["status"] != "passed"]
    assert (status, bad, errors) == (0, [], "")
    assert result["passed"] is True
    assert list(checks) == NAMES
    assert checks["token"]["identity"].startswith("doctor-")
    assert checks["WebSocket"]["server_version"] == "1.13.5"
    assert checks["ICE/UDP"]["pair"]["protocol"] == "udp"
    assert checks["ICE/TCP"]["pair"]["protocol"] == "tcp"
    assert checks["data round trip"]["round_trips"] == checks["data round trip"]["sent"] == 20
    assert {"video/VP8", "audio/opus"} <= {*checks["codecs"]["ours"]}
    assert "VP8" in checks["codecs"]["common"]["video"]
    assert place.api_secret not in out
    assert "eyJ" not in out


async def test_with_a_token_alone(place: Place) -> None:
    credentials = place.token("ann", ttl=3600)
    found = await look(place.url, credentials)
    assert found.statuses("failed") == []
    assert found.statuses("skipped") in ([], ["data round trip"])
    assert found["token"].verdict.facts["identity"] == "ann"
    assert found["token"].verdict.facts["room"] == "lab"
    assert "publish tracks" in found["token"].verdict.facts["may"]
    assert not found["data round trip"].verdict.facts["messages"]
    assert credentials.token not in str(found)


async def test_nobody_is_left_behind(dev: DevServer) -> None:
    found = await look(dev.url, Credentials(api_key=dev.api_key, api_secret=dev.api_secret, room="lab"))
    assert found.statuses("failed") == []
    await until(lambda: not dev.room("lab").participants, "all have left")


async def test_without_a_token_it_looks_as_far_as_it_can(place: Place) -> None:
    status, out, errors = await run("doctor", place.url)
    assert (status, errors) == (0, "")
    lines = out.splitlines()
    assert [line[:18].strip() for line in lines if line.startswith(("✔", "-"))] == [
        *(f"✔ {name}" for name in NAMES[:4]),
        "- token",
        "✔ clock",
        *(f"- {name}" for name in NAMES[6:]),
    ]
    assert lines[-1] == "All 5 checks passed, 7 skipped."


# -- bad tokens ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "words", "advice"),
    [
        ({"ttl": -3600}, "it has expired", "Make a new one"),
        ({"valid_from": datetime(2099, 1, 1, tzinfo=UTC)}, "not valid until", "clock"),
        ({"room_join": False}, "does not allow to join", "roomJoin"),
    ],
    ids=["expired", "of the future", "no grant"],
)
async def test_bad_tokens(place: Place, claims: dict[str, Any], words: str, advice: str) -> None:
    found = await look(place.url, place.token(**claims))
    assert found.statuses("failed") == ["token"]
    assert words in found["token"].verdict.words
    assert advice in found["token"].verdict.advice
    assert found["clock"].verdict.status == "passed"
    assert found.needs("token")


async def test_bad_signature(place: Place) -> None:
    signed = Credentials(access_token(place.api_key, WRONG_SECRET, "ann", room="lab"))
    for credentials, advice in (
        (signed, "another key or secret"),
        (Credentials(api_key=place.api_key, api_secret=WRONG_SECRET), "Key and secret"),
        (Credentials(api_key="stranger", api_secret=WRONG_SECRET), "Key and secret"),
    ):
        found = await look(place.url, credentials)
        assert found.statuses("failed") == ["token"]
        assert advice in found["token"].verdict.advice
        assert "eyJ" not in str(found)


async def test_no_token_at_all(dev: DevServer) -> None:
    found = await look(dev.url, Credentials("not.a.token"))
    assert found.statuses("failed") == ["token"]
    assert found["token"].verdict.words.startswith("this is no access token")


async def test_what_fails_is_said_with_what_to_do(dev: DevServer) -> None:
    token = dev.token("ann", ttl=-3600)
    status, out, errors = await run("doctor", dev.url, more={"LIVEKIT_TOKEN": token})
    assert (status, errors) == (1, "")
    lines = out.splitlines()
    (at,) = [index for index, line in enumerate(lines) if line.startswith("✘ token")]
    assert "it has expired 1 h" in lines[at]
    assert lines[at + 1].strip().startswith("Make a new one, with `aiolivekit token`")
    assert lines[-1] == "1 of 6 checks failed."
    assert not any(part in out for part in token.split("."))


# -- wrong places -------------------------------------------------------------------------------------------


async def test_a_host_that_does_not_exist() -> None:
    found = await look("wss://no-such-host.invalid", Credentials("t.o.k"))
    assert found.statuses("failed") == ["DNS"]
    assert found.statuses("passed") == []
    assert found.needs("DNS")


async def test_a_port_nobody_listens_on() -> None:
    async with answering(http_answer("200 OK")) as url:
        pass
    found = await look(url, Credentials("t.o.k"))
    assert found.statuses("failed") == ["TCP"]
    assert "nothing listens" in found["TCP"].verdict.words
    assert found.needs("TCP")


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n" + bytes(range(256)))
    await writer.drain()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass


async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        (http_answer("404 Not Found", "<html>"), "no LiveKit server (status 404"),
        (http_answer("200 OK", "hello"), "no LiveKit server (status 200"),
        (http_answer("301 Moved", "", "Location: https://elsewhere.example/"), "another place"),
        (http_answer("502 Bad Gateway"), "status 502"),
        (garbage, "does not speak HTTP"),
        (silence, "does not answer"),
        (slam, "closes the connection"),
    ],
    ids=["a web server", "a web page", "a redirect", "a bad gateway", "SSH", "silence", "a slammed door"],
)
async def test_what_is_no_livekit_server(handle: Callable[..., Any], words: str) -> None:
    async with answering(handle) as url:
        found = await look(url, Credentials("t.o.k"), SHORT)
    assert found.statuses("failed") == ["HTTP"]
    assert words in found["HTTP"].verdict.words
    assert found.needs("HTTP")


async def test_a_wrong_clock() -> None:
    late = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    async with answering(http_answer("401 Unauthorized", "no token", f"Date: {late}")) as url:
        found = await look(url, Credentials())
    assert found.statuses("failed") == ["clock"]
    assert "ahead" in found["clock"].verdict.words
    assert "NTP" in found["clock"].verdict.advice


# -- blocked media ------------------------------------------------------------------------------------------


async def test_a_server_without_udp(server_binary: Path) -> None:
    with RealServer(binary=server_binary, udp=False) as server:
        found = await look(server.url, Credentials(api_key=server.api_key, api_secret=server.api_secret), SHORT)
    assert found.statuses("failed") == ["ICE/UDP"]
    assert "names no address over UDP" in found["ICE/UDP"].verdict.words
    assert found["join"].verdict.facts["pair"]["protocol"] == "tcp"
    assert found["ICE/TCP"].verdict.facts["pair"]["protocol"] == "tcp"


async def test_blocked_udp(dev: DevServer) -> None:
    deaf(dev)
    found = await look(dev.url, place_of(dev).key, SHORT)
    assert found.statuses("failed") == ["ICE/UDP"]
    assert "do not get through over UDP" in found["ICE/UDP"].verdict.words
    assert "rtc.udp_port" in found["ICE/UDP"].verdict.advice
    assert found["join"].verdict.facts["pair"]["protocol"] == "tcp"


async def test_blocked_tcp(dev: DevServer) -> None:
    mute(dev)
    found = await look(dev.url, place_of(dev).key, SHORT)
    assert found.statuses("failed") == ["ICE/TCP"]
    assert "do not get through over TCP" in found["ICE/TCP"].verdict.words
    assert found["join"].verdict.facts["pair"]["protocol"] == "udp"


async def test_blocked_media(dev: DevServer) -> None:
    deaf(dev)
    mute(dev)
    # All three wait in vain.
    found = await look(dev.url, place_of(dev).key, SHORT / 2)
    assert found.statuses("failed") == ["join", "ICE/UDP", "ICE/TCP"]
    assert found.statuses("skipped") == ["data round trip"]
    assert found.needs("join")


def deaf(server: DevServer) -> None:
    """Let a server read no datagrams any more, as a firewall would have it."""
    udp = server.core.mux._socket
    assert udp is not None
    asyncio.get_running_loop().remove_reader(udp.fileno())


def mute(server: DevServer) -> None:
    """Let a server take no media connections over TCP any more."""
    tcp = server.core.mux._server
    assert tcp is not None
    tcp.close()


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("leave_first_message", "sends us away"),
        ("no_first_message", "no join response in time"),
        ("close_before_join", "closed before the join response"),
    ],
)
async def test_signalling_that_goes_wrong(dev: DevServer, mode: str, words: str) -> None:
    found = await look(dev.url, place_of(dev).token(attributes={"lk.mock": json.dumps({"signal": mode})}), SHORT)
    assert found.statuses("failed") == ["WebSocket"]
    assert words in found["WebSocket"].verdict.words
    assert found.needs("WebSocket")


@pytest.mark.parametrize(
    ("mode", "words"),
    [("validate_500", "does not take it (internal server error)"), ("room_not_found", "there is no room lab")],
)
async def test_a_server_that_refuses_a_good_token(dev: DevServer, mode: str, words: str) -> None:
    found = await look(dev.url, place_of(dev).token(attributes={"lk.mock": json.dumps({"signal": mode})}))
    assert found.statuses("failed") == ["token"]
    assert words in found["token"].verdict.words
    assert found.needs("token")


# -- the end ------------------------------------------------------------------------------------------------


@posix
async def test_an_interrupt_ends_it() -> None:
    arrived = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(4096):  # the first connection only tries the port
            arrived.set()
            await reader.read(-1)

    async with answering(wait) as url, started("doctor", url, "--timeout", "300") as command:
        async with asyncio.timeout(PATIENCE):
            await arrived.wait()
        command.send_signal(signal.SIGINT)
        status, _, errors = await command.end()
    assert (status, errors) == (130, "")
