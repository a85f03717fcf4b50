"""Opens WebSockets, and asks the server why it refused one: all there is of HTTP."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from .._version import __version__
from ..core.signal_errors import HttpAnswer, handshake_error, redact
from ..errors import ConnectError, ConnectTimeoutError, InvalidTokenError, InvalidUrlError
from ..options import SignalOptions
from .failures import connection_error
from .link import WebSocketLink

__all__ = ["Dialer", "HttpBody"]

_MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes of one message from the server. A join response lists everyone in the room with their metadata; this is also
what LiveKit's own clients take."""
_HEADER_SAFE = re.compile(r"[!-~]+")
_MAX_WORDS_READ = 4096
"""Bytes of an error response that are read."""


@dataclass(frozen=True, slots=True)
class HttpBody:
    """An HTTP response with what it is made of."""

    status: int
    cache_control: str
    body: bytes


class Dialer:
    """One client's way to its server.

    It has an HTTP session of its own unless the options bring one, which is then left open.

    Args:
        token: The access token.
        options: Proxy, TLS settings, session and time limits.

    Raises:
        InvalidTokenError: If the token is empty or cannot be put into an HTTP header.
        InvalidUrlError: If the proxy given is no HTTP proxy.
        ConnectError: If the session given is closed.
    """

    def __init__(self, token: str, options: SignalOptions) -> None:
        self._token = token
        self._options = options
        self._given_proxy = None if options.proxy is None else _http_proxy(options.proxy)
        self._headers = {"Authorization": f"Bearer {_checked(token)}", "User-Agent": f"aiolivekit/{__version__}"}
        self._ssl: ssl.SSLContext | bool = options.ssl_context or True
        self._refusal: HttpAnswer | None = None
        self._owns_session = options.session is None
        if options.session is None:
            self._session = aiohttp.ClientSession(
                # A cookie jar, a cache of addresses and a pool serve those who come back; a client dials once.
                connector=aiohttp.TCPConnector(resolver=_Resolver(), use_dns_cache=False, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(),
                raise_for_status=self._note_refusal,
            )
        elif options.session.closed:
            raise ConnectError("the HTTP session given is closed")
        else:
            self._session = options.session

    async def open(self, url: URL) -> WebSocketLink:
        """Make the WebSocket handshake.

        Raises:
            ConnectError: One of its kinds, by cause.
        """
        self._refusal = None
        seconds = self._options.connect_timeout
        try:
            async with asyncio.timeout(seconds) as limit:
                websocket = await self._session.ws_connect(
                    url,
                    headers=self._headers,
                    proxy=self._proxy(url),
                    ssl=self._ssl,
                    max_msg_size=_MAX_MESSAGE,
                )
            return WebSocketLink(websocket, self._token)
        except TimeoutError:
            words = f" of {seconds:g} s" if limit.expired() else ""
            failure: ConnectError = ConnectTimeoutError(f"the WebSocket handshake exceeded its limit{words}")
        except aiohttp.WSServerHandshakeError as error:
            if error.history:
                # aiohttp went where it was sent, without the token: what that place says is of no interest.
                self._refusal = HttpAnswer(error.history[0].status, "")
            failure = handshake_error(self._refusal or HttpAnswer(error.status, ""))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = connection_error(error)
        # Raised out here, so that aiohttp's exception, which holds the token, is no part of this one.
        raise failure

    async def validate(self, url: URL) -> HttpAnswer | None:
        """Ask over plain HTTP; `None` if there is no answer within the limit."""
        response = await self.get(url, self._options.validate_timeout, _MAX_WORDS_READ)
        return None if response is None else self._words(response.status, response.body)

    async def get(self, url: URL, seconds: float, limit: int) -> HttpBody | None:
        """Ask for something over plain HTTP; `None` if there is no answer within the time.

        Args:
            url: What; with another place that it redirects to we do not speak.
            seconds: The time.
            limit: Bytes that are read at most.
        """
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.get(
                    url,
                    headers=self._headers,
                    proxy=self._proxy(url),
                    ssl=self._ssl,
                    allow_redirects=False,
                    raise_for_status=False,
                ) as response,
            ):
                body = await _read(response, limit)
                return HttpBody(response.status, response.headers.get("Cache-Control", ""), body)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return None

    async def aclose(self) -> None:
        """Close our own session with every socket it opened. The sockets are closed even if this is cancelled."""
        if self._owns_session:
            await self._session.close()

    async def _note_refusal(self, response: aiohttp.ClientResponse) -> None:
        # aiohttp drops the body of a refused handshake; this hook of our own session sees it before.
        if response.status != 101:
            self._refusal = await self._answer(response)

    async def _answer(self, response: aiohttp.ClientResponse) -> HttpAnswer:
        return self._words(response.status, await _read(response, _MAX_WORDS_READ))

    def _words(self, status: int, body: bytes) -> HttpAnswer:
        return HttpAnswer(status, redact(body.decode("utf-8", "replace"), self._token))

    def _proxy(self, url: URL) -> URL | None:
        if self._given_proxy is not None:
            return self._given_proxy
        # A session of the user's has its own mind about the environment (`trust_env`).
        return _environment_proxy(url) if self._owns_session else None


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = await response.content.read(limit)
    while len(body) < limit and (more := await response.content.read(limit - len(body))):
        body += more
    return body


class _Resolver(AbstractResolver):
    """The system's resolver, but no thread is started to learn where localhost is (RFC 6761 §6.3)."""

    def __init__(self) -> None:
        self._system: AbstractResolver | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        name = host.rstrip(".").lower()
        if name == "localhost" or name.endswith(".localhost"):
            return [
                ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
                for kind, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
                if family in (socket.AF_UNSPEC, kind)
            ]
        if self._system is None:
            self._system = aiohttp.DefaultResolver()
        return await self._system.resolve(host, port, family)

    async def close(self) -> None:
        if self._system is not None:
            await self._system.close()


def _checked(token: str) -> str:
    if not isinstance(token, str) or not token:
        raise InvalidTokenError("the token is empty")
    if not _HEADER_SAFE.fullmatch(token):
        raise InvalidTokenError("the token has characters no token can have")
    return token


def _environment_proxy(url: URL) -> URL | None:
    """Find the proxy `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` (or the system's settings) name for a URL.

    aiohttp's own `trust_env` is not used: it reads `~/.netrc` for each connection and knows no proxy for wss. What is
    on this machine is never reached through a proxy.
    """
    host = url.host or ""
    if _is_local(host):
        return None
    proxies = getproxies()
    proxy = proxies.get("https" if url.scheme in ("wss", "https") else "http") or proxies.get("all")
    if not proxy or proxy_bypass(f"{host}:{url.port}" if url.port else host):
        return None
    return _http_proxy(proxy if "://" in proxy else f"http://{proxy}")


def _http_proxy(proxy: str) -> URL:
    try:
        url = URL(proxy)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise InvalidUrlError("the proxy is not an http:// or https:// URL")
    return url


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
