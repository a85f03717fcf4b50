"""The checks in their order; one that cannot be made because another failed is skipped."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar
from uuid import uuid4

import aiohttp

from ..connection import make_token
from .address import Address
from .findings import Check, ClockFinding, CodecFinding, DataFinding, HttpFinding, Verdict
from .http_probe import ask_about_token, ask_without_token, open_signalling, read_token
from .network import look_up, reach, shake_hands
from .network_judgement import judge_clock, judge_dns, judge_http, judge_plain, judge_tcp, judge_tls
from .room_judgement import judge_codecs, judge_data, judge_join, judge_path, judge_websocket
from .token_judgement import judge_token

__all__ = ["Credentials", "examine"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What to join with: a token, or a key to make tokens with, or nothing.

    Attributes:
        token: A token; its identity is taken over from whoever uses it.
        api_key: A key.
        api_secret: Its secret.
        room: The room of tokens that are made.
    """

    token: str | None = field(default=None, repr=False)
    api_key: str | None = None
    api_secret: str | None = field(default=None, repr=False)
    room: str | None = None

    def tokens(self) -> tuple[str | None, str | None]:
        """Return the token to join with, and one of a second participant; `None` for what cannot be had."""
        if not (self.api_key and self.api_secret):
            return self.token, None
        room, ours = self.room or f"doctor-{uuid4().hex[:8]}", f"doctor-{uuid4().hex[:6]}"
        first, second = (
            make_token(self.api_key, self.api_secret, identity, room=room, ttl=600) for identity in (ours, f"{ours}-2")
        )
        return first, second

    @property
    def made(self) -> bool:
        """Whether tokens are made here."""
        return bool(self.api_key and self.api_secret)


async def examine(
    address: Address, credentials: Credentials, timeout: float, tell: Callable[[Check], None]
) -> list[Check]:
    """Make all checks.

    Args:
        address: The server.
        credentials: What to join with.
        timeout: Seconds that each may take.
        tell: Told of each check when it is made.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),
        headers={"User-Agent": "aiolivekit doctor"},
    ) as session:
        examination = _Examination(session, address, credentials, timeout, tell)
        await examination.run()
        return examination.checks


class _Examination:
    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: Address,
        credentials: Credentials,
        timeout: float,
        tell: Callable[[Check], None],
    ) -> None:
        self.checks: list[Check] = []
        self._session = session
        self._address = address
        self._credentials = credentials
        self._timeout = timeout
        self._tell = tell

    async def run(self) -> None:
        """Make the checks, each of which is listed, made or not."""
        missing = await self._network()
        http = await self._http() if not missing else None
        if missing:
            self._skip("HTTP", missing)
        elif http is None:
            missing = "HTTP"
        token, second = self._credentials.tokens()
        if not await self._token(token, http, missing):
            missing = missing or "token"
        self._clock(http, missing)
        allowed = None
        if missing or token is None:
            self._skip("WebSocket", missing)
        else:
            allowed = await self._signalling(token)
            missing = "WebSocket" if allowed is None else ""
        if missing or token is None:
            for name in ("join", "data round trip", "ICE/UDP", "ICE/TCP"):
                self._skip(name, missing)
        else:
            await self._media(token, second)
        self._codecs(allowed, missing)

    # -- the checks --

    async def _network(self) -> str:
        """Return the check that failed, empty if the server can be reached."""
        address = self._address
        if address.proxy is not None:
            for name in ("DNS", "TCP", "TLS"):
                self._add(name, Verdict("skipped", "an HTTP proxy is set, which does this"), None)
            return ""
        names, seconds = await self._timed(look_up(address, self._timeout))
        if not self._add("DNS", judge_dns(names), seconds):
            self._skip("TCP", "DNS")
            self._skip("TLS", "DNS")
            return "DNS"
        ports, seconds = await self._timed(reach(address, names.addresses, self._timeout))
        if not self._add("TCP", judge_tcp(ports), seconds) or ports.address is None:
            self._skip("TLS", "TCP")
            return "TCP"
        if not address.encrypted:
            self._add("TLS", judge_plain(local=address.local), None)
            return ""
        tls, seconds = await self._timed(shake_hands(address, ports.address, self._timeout))
        return "" if self._add("TLS", judge_tls(tls), seconds) else "TLS"

    async def _http(self) -> HttpFinding | None:
        found, seconds = await self._timed(ask_without_token(self._session, self._address, self._timeout))
        return found if self._add("HTTP", judge_http(found), seconds) else None

    async def _token(self, token: str | None, http: HttpFinding | None, missing: str) -> bool:
        if token is None:
            advice = "Give --token, or --api-key and --api-secret, for the checks that join."
            self._add("token", Verdict("skipped", "none given", advice), None)
            return False
        if http is None:
            self._skip("token", missing)
            return False
        start = time.perf_counter()
        said = read_token(token, http.clock_offset or 0.0, made=self._credentials.made)
        if not said.unreadable:
            refusal, words = await ask_about_token(self._session, self._address, token, self._timeout)
            said = replace(said, refusal=refusal, server_words=words)
        return self._add("token", judge_token(said), time.perf_counter() - start)

    def _clock(self, http: HttpFinding | None, missing: str) -> None:
        if http is None:
            self._skip("clock", missing)
        else:
            self._add("clock", judge_clock(ClockFinding(http.clock_offset, http.clock_error)), None)

    async def _signalling(self, token: str) -> tuple[str, ...] | None:
        """Return the codecs that the server allows, `None` if it does not let us in."""
        found, seconds = await self._timed(open_signalling(self._session, self._address, token, self._timeout))
        return found.codecs if self._add("WebSocket", judge_websocket(found), seconds) else None

    async def _media(self, token: str, second: str | None) -> None:
        from .media_probe import join, try_path

        joined, data, seconds = await join(self._session, self._address, token, second, self._timeout)
        self._add("join", judge_join(joined), seconds)
        if data is None:
            self._skip("data round trip", "join")
        else:
            self._add("data round trip", judge_data(data), _total(data))
        protocols: tuple[Literal["udp", "tcp"], ...] = ("udp", "tcp")
        for protocol in protocols:
            path, seconds = await self._timed(try_path(self._session, self._address, token, protocol, self._timeout))
            self._add(f"ICE/{protocol.upper()}", judge_path(path), seconds)

    def _codecs(self, allowed: tuple[str, ...] | None, missing: str) -> None:
        if allowed is None:
            self._skip("codecs", missing)
            return
        from ...media.capabilities import supported_codecs

        start = time.perf_counter()
        ours = (*supported_codecs("audio"), *supported_codecs("video"))
        self._add("codecs", judge_codecs(CodecFinding(ours, allowed)), time.perf_counter() - start)

    # -- the book --

    async def _timed(self, probe: Awaitable[T]) -> tuple[T, float]:
        start = time.perf_counter()
        found = await probe
        return found, time.perf_counter() - start

    def _add(self, name: str, verdict: Verdict, seconds: float | None) -> bool:
        """Take note of a check; return whether those that need it can be made."""
        check = Check(name, verdict, seconds)
        self.checks.append(check)
        self._tell(check)
        return verdict.status != "failed"

    def _skip(self, name: str, needed: str) -> None:
        self._add(name, Verdict("skipped", f"needs {needed}"), None)


def _total(data: DataFinding) -> float | None:
    return sum(data.round_trips) if data.messages and data.round_trips else None
