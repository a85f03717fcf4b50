"""Rooms of a client library that has the names of `livekit.rtc`, for the length of an `async with`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["acquainted", "joined"]

_JOIN_LIMIT = 30.0
_LEAVE_LIMIT = 10.0
_ACQUAINT_LIMIT = 15.0
"""Seconds in which two participants have to see each other; the real server takes up to three."""


@asynccontextmanager
async def joined(rtc: Any, url: str, token: str, options: Any) -> AsyncIterator[Any]:
    """Join a room, and leave it at the end, whatever happened.

    Args:
        rtc: The client library.
        url: The server's URL.
        token: An access token.
        options: The library's `RoomOptions`, or `None`.

    Raises:
        TimeoutError: If joining or leaving takes too long.
    """
    room = rtc.Room()
    try:
        async with asyncio.timeout(_JOIN_LIMIT):
            await room.connect(url, token, rtc.RoomOptions() if options is None else options)
        yield room
    finally:
        async with asyncio.timeout(_LEAVE_LIMIT):
            await room.disconnect()


async def acquainted(room: Any, identity: str) -> None:
    """Wait until a room has a remote participant.

    Raises:
        TimeoutError: If it does not come.
    """
    arrived = asyncio.Event()

    def look(*_: Any) -> None:
        if identity in room.remote_participants:
            arrived.set()

    room.on("participant_connected", look)
    try:
        look()
        async with asyncio.timeout(_ACQUAINT_LIMIT):
            await arrived.wait()
    except TimeoutError:
        raise TimeoutError(f"{identity} was not seen within {_ACQUAINT_LIMIT:g} s") from None
    finally:
        room.off("participant_connected", look)
