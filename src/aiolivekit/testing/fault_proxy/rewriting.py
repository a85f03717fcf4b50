"""What the fault proxy changes in messages, so that media goes through its relays and nowhere else.

The server's ICE candidates get the relays' addresses. The client's are left out: a server that knows them would send
to the client directly; so it learns the relay's address from the client's first check (RFC 8445, section 7.3.1.3).
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from livekit.protocol import rtc
from yarl import URL

from .faults import MediaTarget

__all__ = [
    "Candidate",
    "asks_for_resume",
    "candidates_of",
    "identity_of",
    "with_relays",
    "without_candidates",
]

_PREFIX = "candidate:"


class Candidate(NamedTuple):
    """Where a candidate of the server leads."""

    target: MediaTarget
    transport: str
    host: str
    port: int


Relays = Callable[[Candidate], tuple[str, int]]


def identity_of(authorization: str, query: dict[str, str]) -> str:
    """Return the identity a request's token is for; empty when it has none that can be read."""
    token = authorization.removeprefix("Bearer ") or query.get("access_token", "")
    try:
        body = token.split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return str(claims.get("sub", ""))
    except (IndexError, ValueError, AttributeError):
        return ""


def _join_request(url: URL) -> rtc.JoinRequest | None:
    text = url.query.get("join_request", "")
    with contextlib.suppress(ValueError, DecodeError, OSError):
        wrapped = rtc.WrappedJoinRequest.FromString(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        packed = wrapped.compression == rtc.WrappedJoinRequest.Compression.GZIP
        return rtc.JoinRequest.FromString(gzip.decompress(wrapped.join_request) if packed else wrapped.join_request)
    return None


def asks_for_resume(url: URL) -> bool:
    """Whether a client asks to take its session up again."""
    if url.query.get("reconnect") == "1":
        return True
    request = _join_request(url)
    return request is not None and request.reconnect


# -- the server's --


def candidates_of(response: rtc.SignalResponse) -> Iterator[Candidate]:
    """Yield the candidates a message of the server tells of."""
    if (target := _description_target(response)) is not None:
        description = response.offer if target == "subscriber" else response.answer
        for line in description.sdp.splitlines():
            if (candidate := _parse(line.removeprefix("a="), target)) is not None:
                yield candidate
    elif response.HasField("trickle"):
        candidate = _parse(_init(response.trickle).get("candidate", ""), _trickle_target(response.trickle))
        if candidate is not None:
            yield candidate


def with_relays(response: rtc.SignalResponse, relays: Relays) -> None:
    """Give the server's candidates in a message the addresses of relays."""
    if (target := _description_target(response)) is not None:
        description = response.offer if target == "subscriber" else response.answer
        lines = description.sdp.split("\r\n")
        description.sdp = "\r\n".join([_relayed(line, target, relays) for line in lines])
    elif response.HasField("trickle"):
        init = _init(response.trickle)
        if init.get("candidate"):
            init["candidate"] = _relayed(init["candidate"], _trickle_target(response.trickle), relays)
            response.trickle.candidateInit = json.dumps(init)


def _description_target(response: rtc.SignalResponse) -> MediaTarget | None:
    # The server answers publishers and offers to subscribers.
    if response.HasField("answer"):
        return "publisher"
    return "subscriber" if response.HasField("offer") else None


def _trickle_target(trickle: rtc.TrickleRequest) -> MediaTarget:
    return "subscriber" if trickle.target == rtc.SignalTarget.SUBSCRIBER else "publisher"


def _init(trickle: rtc.TrickleRequest) -> dict[str, Any]:
    try:
        init = json.loads(trickle.candidateInit)
    except ValueError:
        return {}
    return init if isinstance(init, dict) and isinstance(init.get("candidate", ""), str) else {}


def _parse(text: str, target: MediaTarget) -> Candidate | None:
    fields = text.split()
    if not text.startswith(_PREFIX) or len(fields) < 8 or not fields[5].isdecimal():
        return None
    return Candidate(target, fields[2].lower(), fields[4], int(fields[5]))


def _relayed(text: str, target: MediaTarget, relays: Relays) -> str:
    candidate = _parse(text.removeprefix("a="), target)
    if candidate is None:
        return text
    fields = text.split(" ")
    host, port = relays(candidate)
    fields[4], fields[5] = host, str(port)
    return " ".join(fields)


# -- the client's --


def without_candidates(request: rtc.SignalRequest) -> bool:
    """Leave the client's candidates out of a message; false when nothing is left to send."""
    if request.HasField("trickle"):
        # The last, empty one is no address.
        return not _init(request.trickle).get("candidate")
    for description in (
        request.offer if request.HasField("offer") else None,
        request.answer if request.HasField("answer") else None,
        request.sync_state.offer if request.HasField("sync_state") else None,
        request.sync_state.answer if request.HasField("sync_state") else None,
    ):
        if description is not None and "a=candidate:" in description.sdp:
            kept = [line for line in description.sdp.split("\r\n") if not line.startswith("a=candidate:")]
            description.sdp = "\r\n".join(kept)
    return True
