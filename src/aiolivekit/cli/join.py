"""`aiolivekit join`: be in a room, and show who is there and what happens."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import interrupt
from .connection import ApiKey, ApiSecret, Dual, Identity, RoomName, Target, Token, UrlArgument, connect, resolve
from .describe import describe
from .output import print_error
from .views import View, make_view

if TYPE_CHECKING:
    from ..room.room import Room

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
    flight_log: Annotated[
        Path | None,
        typer.Option(
            "--flight-log",
            metavar="DIR",
            file_okay=False,
            help="Write there, at the end, what happened underneath: JSON lines and a page with a time line.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Join a room and show who is there and what happens, until Ctrl-C.

    On a terminal the participants are shown in a live table below the log; elsewhere the log is plain lines.
    """
    target = resolve(url, token, api_key, api_secret, room, identity)
    view = make_view(as_json=json, verbose=verbose, media=subscribe)
    joined = _join(target, view, subscribe=subscribe, dual=dual, duration=duration, flight_log=flight_log)
    raise typer.Exit(interrupt.run(joined))


async def _join(
    target: Target, view: View, *, subscribe: bool, dual: bool, duration: float | None, flight_log: Path | None
) -> int:
    async with (
        connect(target, dual=dual, auto_subscribe=subscribe, flight_log=flight_log) as room,
        aclosing(room.events()) as events,
    ):
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
                await _save(room, flight_log)
                return 0
    # The events ended by themselves: the server sent us away, or it is gone. The log has said why.
    await _save(room, flight_log)
    return 1


async def _save(room: Room, directory: Path | None) -> None:
    if directory is None:
        return
    await room.flight_recorder.saved()
    if room.flight_recorder.saved_as is not None:
        # Written because the room was lost, and told.
        return
    try:
        path = await room.flight_recorder.save(directory)
    except OSError as error:
        print_error(f"the flight record could not be written: {error.strerror}")
    else:
        print_error(f"the flight record is {path}")
