"""`aiolivekit join`: be in a room, and show who is there and what happens."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Annotated

import typer

from . import interrupt
from .connection import ApiKey, ApiSecret, Dual, Identity, RoomName, Target, Token, UrlArgument, connect, resolve
from .describe import describe
from .views import View, make_view

__all__ = ["join"]


def join(
    url: UrlArgument = None,
    token: Token = None,
    api_key: ApiKey = None,
    api_secret: ApiSecret = None,
    room: RoomName = None,
    identity: Identity = None,
    subscribe: Annotated[
        bool, typer.Option("--subscribe", help="Receive audio and video too, to see who speaks; it is not played.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every event: speakers, quality and the like.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    duration: Annotated[
        float | None,
        typer.Option("--duration", metavar="SECONDS", min=0, help="Leave after so long.", show_default=False),
    ] = None,
    dual: Dual = False,
) -> None:
    """Join a room and show who is there and what happens, until Ctrl-C.

    On a terminal the participants are shown in a live table below the log; elsewhere the log is plain lines.
    """
    target = resolve(url, token, api_key, api_secret, room, identity)
    view = make_view(as_json=json, verbose=verbose, media=subscribe)
    raise typer.Exit(interrupt.run(_join(target, view, subscribe=subscribe, dual=dual, duration=duration)))


async def _join(target: Target, view: View, *, subscribe: bool, dual: bool, duration: float | None) -> int:
    async with connect(target, dual=dual, auto_subscribe=subscribe) as room, aclosing(room.events()) as events:
        with view:
            view.joined(room)
            try:
                async with asyncio.timeout(duration):
                    async for event in events:
                        view.happened(describe(event))
            except (asyncio.CancelledError, TimeoutError):
                # Ctrl-C, or the end of the time asked for: to leave now is what is wanted.
                await room.disconnect()
                view.left()
                return 0
    # The events ended by themselves: the server sent us away, or it is gone. The log has said why.
    return 1
