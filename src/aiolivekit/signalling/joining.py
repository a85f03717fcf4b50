"""From an address to the first message: which endpoint, what it said, and why it said no."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from http import HTTPStatus

from google.protobuf.message import DecodeError
from livekit.protocol import models as proto_models
from livekit.protocol import rtc as proto_rtc

from ..core.regions import nearest_first
from ..core.signal_errors import explain
from ..errors import (
    ConnectError,
    ConnectTimeoutError,
    ProtocolError,
    RoomNotFoundError,
    ServerLeaveError,
    SignalClosedError,
    UnreachableError,
)
from ..options import SignalOptions
from .dialer import Dialer
from .join_request import ResumeRequest, join_query
from .link import LinkClosed, WebSocketLink
from .url import Endpoints, SignalPath

__all__ = ["FirstMessage", "Joined", "decode", "join"]

FirstMessage = proto_rtc.JoinResponse | proto_rtc.ReconnectResponse

_GOODBYE_TIMEOUT = 0.1
_GOODBYE = proto_rtc.SignalRequest(
    leave=proto_rtc.LeaveRequest(
        reason=proto_models.DisconnectReason.JOIN_FAILURE, action=proto_rtc.LeaveRequest.Action.DISCONNECT
    )
).SerializeToString()


@dataclass(frozen=True, slots=True)
class Joined:
    """An open link, past its first message."""

    link: WebSocketLink
    path: SignalPath
    first: FirstMessage
    ping_interval: float
    """Seconds; 0 if the server does not say."""
    ping_timeout: float
    """Likewise."""


async def join(
    dialer: Dialer,
    url: str,
    options: SignalOptions,
    publisher_offer: proto_rtc.SessionDescription | None,
    resume: ResumeRequest | None,
) -> Joined:
    """Open the WebSocket of the right endpoint and read the first message.

    Raises:
        ConnectError: One of its kinds, by cause; the link is closed then, the dialer is the caller's to close.
    """
    endpoints = Endpoints.of(url)
    path: SignalPath = "v1" if options.single_peer_connection else "v0"
    if resume is not None and resume.path is not None:
        path = resume.path
    query = join_query(path, options, publisher_offer, resume)
    try:
        link = await dialer.open(endpoints.signal(path, query))
    except ConnectError as error:
        # A session keeps the endpoint it began with: a resume looks for no other.
        if path == "v0" or resume is not None or not _is_path_missing(error):
            raise await _explained(error, dialer, endpoints, path, query) from None
        path, query = "v0", join_query("v0", options)
        try:
            link = await dialer.open(endpoints.signal(path, query))
        except ConnectError as second:
            raise await _explained(second, dialer, endpoints, path, query) from None
    try:
        first = await _first_message(link, options.join_timeout, resume)
    except BaseException:
        await _hang_up(link, leave=resume is None)
        raise
    if isinstance(first, proto_rtc.JoinResponse):
        return Joined(link, path, first, first.ping_interval, first.ping_timeout)
    assert resume is not None
    return Joined(link, path, first, resume.ping_interval, resume.ping_timeout)


def _is_path_missing(error: ConnectError) -> bool:
    # Not told apart without the words of the refusal (a session of the user's hides them): then `/rtc` is asked as
    # well and gives the same answer.
    return error.status == HTTPStatus.NOT_FOUND and not isinstance(error, RoomNotFoundError)


async def _explained(
    error: ConnectError, dialer: Dialer, endpoints: Endpoints, path: SignalPath, query: str
) -> ConnectError:
    """Ask the server why, if it can be asked: not when it was not reached, nor when it kept us waiting already."""
    answered = error.status is not None and not isinstance(error, UnreachableError)
    if not answered and not isinstance(error, SignalClosedError):
        return error
    return explain(error, await dialer.validate(endpoints.validate(path, query)))


async def _first_message(link: WebSocketLink, seconds: float, resume: ResumeRequest | None) -> FirstMessage:
    try:
        async with asyncio.timeout(seconds):
            data = await link.receive()
    except TimeoutError:
        raise ConnectTimeoutError(f"the first message exceeded its limit of {seconds:g} s") from None
    except LinkClosed as end:
        if end.cause.source == "protocol":
            raise ProtocolError("the first message is not one of WebSocket", detail=end.cause.detail) from None
        raise SignalClosedError("the connection was closed before the first message", detail=end.cause.detail) from None
    if data is None:
        raise ProtocolError("the first message is text")
    message = decode(data)
    if message is None:
        raise ProtocolError("the first message cannot be decoded")
    match message.WhichOneof("message"):
        case "join":
            return message.join
        case "reconnect" if resume is not None:
            return message.reconnect
        case "leave":
            raise _left(message.leave)
        case kind:
            raise ProtocolError(f"the first message is {kind or 'of a kind we do not know'}")


def decode(data: bytes | None) -> proto_rtc.SignalResponse | None:
    """Parse a message; `None` for text (itself `None`) and for bytes that are no message."""
    if data is None:
        return None
    try:
        return proto_rtc.SignalResponse.FromString(data)
    except DecodeError:
        return None


def _left(leave: proto_rtc.LeaveRequest) -> ServerLeaveError:
    reason = _name(proto_models.DisconnectReason, leave.reason)
    action = _name(proto_rtc.LeaveRequest.Action, leave.action)
    return ServerLeaveError(
        f"the server sent us away ({reason}, {action})",
        reason=leave.reason,
        action=leave.action,
        regions=nearest_first(leave.regions.regions),
    )


def _name(enum: type[proto_models.DisconnectReason] | type[proto_rtc.LeaveRequest.Action], number: int) -> str:
    try:
        return enum.Name(number)
    except ValueError:
        return str(number)


async def _hang_up(link: WebSocketLink, *, leave: bool) -> None:
    """Close a link whose join failed; without `leave` the server would keep a participant that never comes."""
    try:
        if leave:
            with contextlib.suppress(OSError):
                async with asyncio.timeout(_GOODBYE_TIMEOUT):
                    await link.write(_GOODBYE)
    finally:
        link.abort()
