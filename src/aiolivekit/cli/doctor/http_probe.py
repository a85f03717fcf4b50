"""Probes over HTTP and WebSocket: is it LiveKit, what time has it, what does it say to a token, does it let us in."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp
from google.protobuf.message import DecodeError
from livekit.protocol import models, rtc

from ...core.signal_errors import HttpAnswer, is_room_missing, redact, status_error
from ..inspection import inspect_token
from .address import Address
from .findings import HttpFinding, TokenFinding, WebSocketFinding

__all__ = ["ask_about_token", "ask_without_token", "open_signalling", "read_token"]

_QUERY = "protocol=16&sdk=python&auto_subscribe=0"
_MAX_BODY = 4096
_DATE_STEP = 1.0
"""Seconds: the Date header counts whole ones, cut off."""


async def ask_without_token(session: aiohttp.ClientSession, address: Address, timeout: float) -> HttpFinding:
    """Ask `/rtc/validate`, which every LiveKit server has, and look at the clock of whoever answers."""
    sent = time.time()
    try:
        async with (
            asyncio.timeout(timeout),
            session.get(
                f"{address.http}/rtc/validate?{_QUERY}", proxy=address.proxy, allow_redirects=False
            ) as response,
        ):
            received = time.time()
            words = await _words(response, "")
            offset, error = _clock(response.headers.get("Date", ""), sent, received)
            return HttpFinding(response.status, words, clock_offset=offset, clock_error=error)
    except TimeoutError:
        return HttpFinding(problem="timeout")
    except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError):
        return HttpFinding(problem="proxy")
    except aiohttp.ClientResponseError:
        return HttpFinding(problem="not HTTP")
    except (aiohttp.ClientError, OSError, ValueError):
        return HttpFinding(problem="closed")


def _clock(date: str, sent: float, received: float) -> tuple[float | None, float]:
    """Return how far the server's clock is ahead, and how far that may be off."""
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None, 0.0
    server = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() + _DATE_STEP / 2
    return server - (sent + received) / 2, _DATE_STEP / 2 + (received - sent) / 2


async def _words(response: aiohttp.ClientResponse, token: str) -> str:
    body = await response.content.read(_MAX_BODY)
    return redact(body.decode("utf-8", "replace"), token)


def read_token(token: str, clock_offset: float, *, made: bool) -> TokenFinding:
    """Return what a token says; its times by the server's clock.

    Args:
        token: The token.
        clock_offset: Seconds by which the server's clock is ahead of ours.
        made: Whether it was made here.
    """
    try:
        report = inspect_token(token)
    except ValueError as error:
        return TokenFinding(unreadable=str(error), made=made)
    now = time.time() + clock_offset
    allowed, _ = report.may()
    return TokenFinding(
        made=made,
        identity=str(report.claims.get("sub") or ""),
        room=str(report.grants.get("room") or ""),
        may=tuple(allowed),
        begins_in=None if report.valid_from is None else report.valid_from.timestamp() - now,
        ends_in=None if report.expires is None else report.expires.timestamp() - now,
    )


async def ask_about_token(
    session: aiohttp.ClientSession, address: Address, token: str, timeout: float
) -> tuple[str, str]:
    """Ask the server what it thinks of a token; return the name of the error class it stands for, and its words."""
    try:
        async with (
            asyncio.timeout(timeout),
            session.get(
                f"{address.http}/rtc/validate?{_QUERY}",
                headers={"Authorization": f"Bearer {token}"},
                proxy=address.proxy,
                allow_redirects=False,
            ) as response,
        ):
            answer = HttpAnswer(response.status, await _words(response, token))
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
        return "UnreachableError", "no answer"
    if answer.status < 300:
        return "", ""
    if answer.status == 404 and not is_room_missing(answer.words):
        # Found without a token, not found with one: whatever it is, it is not about the token.
        return "", ""
    return type(status_error(answer)).__name__, answer.words


async def open_signalling(
    session: aiohttp.ClientSession, address: Address, token: str, timeout: float
) -> WebSocketFinding:
    """Open the WebSocket, take the join response and leave again."""
    try:
        async with (
            asyncio.timeout(timeout),
            session.ws_connect(
                f"{address.websocket}/rtc?{_QUERY}",
                headers={"Authorization": f"Bearer {token}"},
                proxy=address.proxy,
                max_msg_size=16 * 1024 * 1024,
            ) as socket,
        ):
            finding = _first(await socket.receive())
            if not finding.problem:
                leave = rtc.LeaveRequest(
                    reason=models.DisconnectReason.CLIENT_INITIATED, action=rtc.LeaveRequest.Action.DISCONNECT
                )
                await socket.send_bytes(rtc.SignalRequest(leave=leave).SerializeToString())
            return finding
    except TimeoutError:
        return WebSocketFinding("timeout")
    except aiohttp.WSServerHandshakeError as error:
        return WebSocketFinding("refused", status=error.status)
    except (aiohttp.ClientError, OSError, ValueError):
        return WebSocketFinding("closed")


def _first(message: aiohttp.WSMessage) -> WebSocketFinding:
    if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
        return WebSocketFinding("closed")
    if message.type is not aiohttp.WSMsgType.BINARY:
        return WebSocketFinding("garbage")
    try:
        response = rtc.SignalResponse.FromString(message.data)
    except DecodeError:
        return WebSocketFinding("garbage")
    kind = response.WhichOneof("message")
    if kind == "leave":
        return WebSocketFinding("leave")
    if kind != "join":
        return WebSocketFinding("garbage")
    join = response.join
    codecs = [*join.enabled_publish_codecs] or [*join.room.enabled_codecs]
    return WebSocketFinding(
        version=join.server_info.version or join.server_version,
        region=join.server_info.region or join.server_region,
        codecs=tuple(dict.fromkeys(codec.mime for codec in codecs)),
        relays=sum(url.startswith("turn") for server in join.ice_servers for url in server.urls),
    )
