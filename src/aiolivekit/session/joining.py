"""A join, step by step: signalling and our own offer at once, then the media path."""

# ruff: noqa: SLF001 - a join is the inside of a session

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from livekit.protocol import rtc

from ..errors import ConnectError, ProtocolError, ServerLeaveError, SignalClosedError, TransportError
from ..signalling.client import SignalClient
from .events import SessionClosed

if TYPE_CHECKING:
    from .session import RtcSession

__all__ = ["connect_error", "join", "wait_connected"]


async def join(session: RtcSession, url: str, token: str) -> rtc.JoinResponse:
    """Have the server let us in, and set up the peer connections for what it says.

    Raises:
        ConnectError: One of its kinds, by cause.
    """
    offer = None
    before = session._context.before_join
    first = None if before is None else session._scope.spawn("before the join", before())
    if session._options.signal.single_peer_connection:
        offer = await session._peers.prepare_single()
    if first is not None:
        await asyncio.wait([first])
    description = rtc.SessionDescription(type="offer", sdp=offer, id=1) if offer is not None else None
    signal = await SignalClient.connect(
        url,
        token,
        session._options.signal,
        session._dispatcher,
        publisher_offer=description,
        flight=session._context.flight,
    )
    session._signal = signal
    response = signal.first
    if not isinstance(response, rtc.JoinResponse):
        raise ProtocolError("the server answered a join with a reconnect")
    if not response.HasField("room") or not response.HasField("participant"):
        raise ProtocolError("the join response names no room or no participant")
    if offer is not None and signal.path == "v0":
        session._peers.forget_single()
        offer = None
    session._context.e2ee._joined(response.participant.identity, response.sif_trailer)
    session._context.joined(session, response)
    session._participant_sid = response.participant.sid
    session._ping = (float(response.ping_interval), float(response.ping_timeout))
    session._connected = asyncio.get_running_loop().create_future()
    session._peers.set_up(response, offer, auto_subscribe=session._options.signal.auto_subscribe)
    signal.start()
    session._context.takes_data(session)
    return response


async def wait_connected(session: RtcSession) -> None:
    """Wait until the media path is up.

    Raises:
        TransportError: If it is not within the limit.
        ConnectError: Another kind, if what it rests on is lost first.
    """
    assert session._connected is not None
    limit = session._options.peer_timeout
    try:
        async with asyncio.timeout(limit):
            await session._connected
    except TimeoutError:
        raise TransportError(
            f"no media path to the server could be made within {limit:g} s (ICE or DTLS did not complete)"
        ) from None


def connect_error(event: SessionClosed) -> ConnectError:
    """Return the error of a join or a resume that lost what it needs."""
    match event.source:
        case "signal":
            return SignalClosedError("the signalling connection was lost meanwhile", detail=event.detail)
        case "leave":
            return ServerLeaveError(
                f"the server asked us to leave meanwhile ({event.reason.name})",
                reason=int(event.reason),
                action=int(event.action),
                regions=event.regions,
            )
        case _:
            return TransportError("the media path could not be made", detail=event.detail)
