"""TLS, its failures, and HTTP proxies."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import sys

import aiohttp
import pytest

from aiolivekit import errors
from aiolivekit.options import SignalOptions
from aiolivekit.signalling import SignalClient

from ...leaks import no_leaks
from .failing import fails, refuse, silent
from .servers import CERTIFICATE, TOKEN, Recorder, SignalServer, raw_server, server_tls

PROXY_VARIABLES = [
    name for word in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (word, word.upper())
]


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


@pytest.mark.parametrize("scheme", ["wss", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_own_certificate_authority(scheme: str, host: str) -> None:
    server = SignalServer()
    async with server.running(server_tls()), no_leaks():
        url = server.url.replace("wss", scheme).replace("127.0.0.1", host)
        client = await SignalClient.connect(url, TOKEN, SignalOptions(ssl_context=trusting()), Recorder())
        client.start()
        await client.aclose()


async def test_unknown_certificate() -> None:
    server = SignalServer()
    async with server.running(server_tls()):
        error = await fails(server.url, errors.TlsError, options=SignalOptions())
    assert "self-signed certificate" in error.detail
    assert not error.retryable


async def test_certificate_of_another_name() -> None:
    server = SignalServer()
    async with server.running(server_tls()):
        url = server.url.replace("127.0.0.1", "other.localhost")
        error = await fails(url, errors.TlsError, options=SignalOptions(ssl_context=trusting()))
    assert "other" not in str(error)


async def test_tls_to_a_plain_port() -> None:
    server = SignalServer()
    async with server.running():
        await fails(server.url.replace("ws://", "wss://"), errors.TlsError)


async def test_plain_to_a_tls_port() -> None:
    """Whether its alert or only its hanging up is seen is up to the TLS library."""
    async with raw_server(silent, server_tls()) as url:
        await fails(url, errors.ProtocolError, or_=errors.SignalClosedError)


async def test_a_tls_port_that_is_silent() -> None:
    async with raw_server(silent) as url:
        await fails(url.replace("ws://", "wss://"), errors.ConnectTimeoutError)


async def test_a_tls_handshake_broken_off() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)

    async with raw_server(hang_up) as url:
        await fails(url.replace("ws://", "wss://"), errors.TlsError, or_=errors.UnreachableError)


# -- proxies ------------------------------------------------------------------------------------------


class Proxy:
    """An HTTP proxy that tunnels CONNECT and passes plain requests on; records first lines and credentials."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked: list[str] = []
        self.credentials: list[str] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *headers = head.split("\r\n")
        self.asked.append(" ".join(line.split()[:2]).split("?")[0])
        self.credentials += [h.split(": ")[1] for h in headers if h.lower().startswith("proxy-authorization")]
        if self.status != 200:
            writer.write(f"HTTP/1.1 {self.status} No\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        method, target, _ = line.split()
        if method == "CONNECT":
            host, port = target.rsplit(":", 1)
        else:
            host, port = target.split("/")[2].rsplit(":", 1)
        upstream_reader, upstream = await asyncio.open_connection(host, int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            upstream.write(head.replace(target, "/" + target.split("/", 3)[3], 1).encode())

        async def pump(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    to.write(data)
                    await to.drain()
            to.close()

        await asyncio.gather(pump(reader, upstream), pump(upstream_reader, writer))


@pytest.mark.parametrize("tls", [True, False])
async def test_a_given_proxy(tls: bool) -> None:
    server, proxy = SignalServer(), Proxy()
    async with server.running(server_tls() if tls else None), raw_server(proxy.handle) as proxy_url, no_leaks():
        options = SignalOptions(
            proxy=proxy_url.replace("ws://", "http://user:secret@"), ssl_context=trusting() if tls else None
        )
        client = await SignalClient.connect(server.url, TOKEN, options, Recorder())
        client.start()
        await client.aclose()
    address = server.url.split("//")[1]
    assert proxy.asked == ([f"CONNECT {address}"] if tls else [f"GET {server.url}/rtc/v1"])
    assert proxy.credentials == ["Basic " + base64.b64encode(b"user:secret").decode()]
    # The token goes to the server, and through a tunnel where there is TLS.
    assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_validate_goes_through_the_proxy_too() -> None:
    server, proxy = SignalServer(answer=refuse(401, "permissions denied")), Proxy()
    async with server.running(server_tls()), raw_server(proxy.handle) as proxy_url:
        options = SignalOptions(proxy=proxy_url.replace("ws", "http"), ssl_context=trusting())
        await fails(server.url, errors.PermissionDeniedError, options=options)
    assert len(proxy.asked) == 2


@pytest.mark.parametrize("status", [407, 403, 502])
async def test_a_proxy_that_refuses(status: int) -> None:
    proxy = Proxy(status)
    async with raw_server(proxy.handle) as proxy_url:
        options = SignalOptions(proxy=proxy_url.replace("ws", "http"))
        error = await fails("wss://livekit.invalid", errors.UnreachableError, options=options)
    assert error.status == status
    assert "proxy" in str(error)
    assert len(proxy.asked) == 1


async def test_a_proxy_that_is_not_there() -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    options = SignalOptions(proxy=f"http://127.0.0.1:{port}")
    error = await fails("wss://livekit.invalid", errors.UnreachableError, options=options)
    assert "proxy" in str(error)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "nonsense", "http://127.0.0.1:99999"])
async def test_what_is_no_proxy(proxy: str) -> None:
    await fails("wss://livekit.invalid", errors.InvalidUrlError, options=SignalOptions(proxy=proxy))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's settings have a say")
@pytest.mark.parametrize(
    ("url", "variables", "proxied"),
    [
        ("wss://a.invalid", {"https_proxy": "{}"}, True),
        ("wss://a.invalid", {"HTTPS_PROXY": "{}"}, True),
        ("wss://a.invalid", {"ALL_PROXY": "{}"}, True),
        ("wss://a.invalid", {"http_proxy": "{}"}, False),
        ("ws://a.invalid", {"http_proxy": "{}"}, True),
        ("wss://a.invalid", {"https_proxy": "{}", "no_proxy": "example,a.invalid"}, False),
        ("wss://a.invalid", {"https_proxy": "{}", "no_proxy": "*"}, False),
        ("wss://a.invalid", {"https_proxy": "{}", "no_proxy": "b.invalid"}, True),
        ("ws://127.0.0.1:1", {"http_proxy": "{}"}, False),
        ("ws://[::1]:1", {"http_proxy": "{}"}, False),
        ("ws://localhost:1", {"http_proxy": "{}"}, False),
    ],
)
async def test_the_environments_proxy(
    url: str, variables: dict[str, str], proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(502)
    async with raw_server(proxy.handle) as proxy_url, no_leaks():
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(proxy_url.replace("ws://", "")))
        with pytest.raises(errors.ConnectError):
            await SignalClient.connect(url, TOKEN, SignalOptions(), Recorder())
    assert bool(proxy.asked) is proxied


async def test_a_session_of_the_users_decides_about_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(502)
    async with raw_server(proxy.handle) as proxy_url:
        monkeypatch.setenv("https_proxy", proxy_url.replace("ws", "http"))
        async with aiohttp.ClientSession() as session:
            await fails("wss://a.invalid", errors.UnreachableError, options=SignalOptions(session=session))
    assert proxy.asked == []
