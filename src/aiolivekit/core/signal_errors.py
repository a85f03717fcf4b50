"""Which error a refused connection is, from what the server said.

The statuses and texts are those of livekit-server 1.13.5, each tried on it: 401 stands for a bad token as well as for
a missing grant, so the text decides; a full room is refused with a bare 500.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from ..errors import (
    ConnectError,
    InvalidTokenError,
    PermissionDeniedError,
    ProtocolError,
    RoomNotFoundError,
    ServerFullError,
    ServerRefusedError,
    TokenExpiredError,
)

__all__ = ["HttpAnswer", "explain", "handshake_error", "is_room_missing", "redact", "status_error"]

_MAX_WORDS = 300
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]*(?:\.[\w-]*)?")
_API_KEY = re.compile(r"(invalid API key)\W+\S+", re.IGNORECASE)
_HTML = re.compile(r"^\s*<(?:!doctype|html|\?xml|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)

_ROOM_MISSING = "requested room does not exist"
_NO_GRANT = ("permissions denied", "no permissions to access the room", "permission denied")
_FULL = ("exceeded its max participants", "exceeded its configured limit")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP response that was no WebSocket: its status and what it said, redacted."""

    status: int
    words: str


def redact(text: str, token: str) -> str:
    """Make text of the other side fit for an error or a log: no token, no key, no mark-up, one short line."""
    if len(token) >= 8:
        text = text.replace(token, "<token>")
    if _HTML.match(text):
        title = _TITLE.search(text)
        text = title[1] if title else ""
    text = _API_KEY.sub(r"\1", _JWT.sub("<token>", text))
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= _MAX_WORDS else text[: _MAX_WORDS - 1] + "…"


def is_room_missing(words: str) -> bool:
    """Whether a 404 is about the room, not about the path."""
    return _ROOM_MISSING in words


def handshake_error(answer: HttpAnswer) -> ConnectError:
    """Name a refused WebSocket handshake as long as nothing better is known.

    A bare 401 or 403 is not taken for the last word on the token: what stands in front of a server sends them too,
    for a while, so these stay retryable. The validate request decides.
    """
    status = answer.status
    if status == HTTPStatus.SWITCHING_PROTOCOLS:
        return ProtocolError("the server's WebSocket handshake is not valid", status=status)
    if 200 <= status < 300:
        return ProtocolError("what answers there is no WebSocket", status=status, detail=answer.words)
    if 300 <= status < 400:
        return ServerRefusedError("the server redirects to another place", status=status)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return ServerRefusedError("the server refused the handshake", status=status, detail=answer.words)
    return status_error(answer)


def status_error(answer: HttpAnswer) -> ConnectError:
    """Name an error response (status 400 and up) that speaks for the LiveKit server itself."""
    status, words = answer.status, answer.words
    folded = words.casefold()
    if status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.FORBIDDEN and "token" in folded):
        if "expired" in folded:
            return TokenExpiredError("the token has expired", status=status, detail=words)
        if any(sign in folded for sign in _NO_GRANT):
            return PermissionDeniedError("the token does not allow to join", status=status, detail=words)
        return InvalidTokenError("the server refused the token", status=status, detail=words)
    if status == HTTPStatus.FORBIDDEN:
        return PermissionDeniedError("the server does not allow to join", status=status, detail=words)
    if status == HTTPStatus.NOT_FOUND:
        if is_room_missing(folded):
            return RoomNotFoundError("the room does not exist", status=status, detail=words)
        return ProtocolError("no LiveKit server answers at this path", status=status, detail=words)
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE) or any(s in folded for s in _FULL):
        return ServerFullError("the server takes no more participants", status=status, detail=words)
    return ServerRefusedError("the server refused the connection", status=status, detail=words)


def explain(error: ConnectError, validated: HttpAnswer | None) -> ConnectError:
    """Name a failed handshake by what the validate request brought.

    Args:
        error: What is known from the handshake.
        validated: The answer to the validate request; `None` if there was none.
    """
    if validated is None or 300 <= validated.status < 400:
        return error
    if validated.status < 300:
        if isinstance(error, ServerRefusedError) and error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            words = error.detail or "no reason given"
            detail = f"{words} (token and room are valid; livekit-server answers like this when the room is full)"
            return ServerRefusedError(error.message, status=error.status, detail=detail)
        return error
    if validated.status == HTTPStatus.NOT_FOUND != error.status and not is_room_missing(validated.words):
        # A server, or what stands in front of it, that has no validate: the handshake's own answer is the better one.
        return error
    return status_error(validated)
