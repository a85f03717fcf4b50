"""`aiolivekit server`: what it takes, and its run from start to end."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Annotated

import typer

from ...errors import LiveKitError
from .. import interrupt
from ..connection import ApiKey, ApiSecret, make_token
from ..output import UsageProblem, describe_error, fail
from .changes import changes_between
from .hosting import Host, Settings, checked_address, embedded, real
from .invitation import Invitation
from .overview import Overview
from .rates import rates_between
from .views import ServerView, make_view

__all__ = ["server"]

_PORT = 7880
"""LiveKit's own."""

_LOOPBACK = "127.0.0.1"
_INTERVAL = 1.0
_BROWSER = "browser"


def _port(name: str, words: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, metavar="PORT", min=0, max=65535, help=words)
    return option


def server(
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="The address to listen on, which clients are told too.")
    ] = _LOOPBACK,
    port: Annotated[int, _port("--port", "The port of HTTP and WebSocket; 0 takes a free one.")] = _PORT,
    udp_port: Annotated[int, _port("--udp-port", "The port of media over UDP; 0 takes a free one.")] = 0,
    tcp_port: Annotated[int, _port("--tcp-port", "The port of media over TCP; 0 takes a free one.")] = 0,
    api_key: ApiKey = None,
    api_secret: ApiSecret = None,
    room: Annotated[str, typer.Option("--room", metavar="NAME", help="The room of the tokens that are printed.")] = (
        "test"
    ),
    identity: Annotated[
        str, typer.Option("--identity", metavar="NAME", help="The identity of the token that is printed.")
    ] = "guest",
    use_real: Annotated[
        bool,
        typer.Option("--real", help="Run the real LiveKit server (from the PATH or the cache) as a child process."),
    ] = False,
    build: Annotated[
        bool,
        typer.Option("--build", help="With --real: build it if it is not there; takes minutes, and needs Go."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    duration: Annotated[
        float | None,
        typer.Option("--duration", metavar="SECONDS", min=0, help="Stop after so long.", show_default=False),
    ] = None,
) -> None:
    """Run a LiveKit server for development and tests, and show what goes on in it, until Ctrl-C.

    It is no production server. Its key and secret are made up unless they are given; a token is printed, and lines to
    join with. On a terminal rooms, tracks and rates are shown in a live table; elsewhere what happens is plain lines.
    """
    if bool(api_key) != bool(api_secret):
        raise UsageProblem("--api-key and --api-secret go together; without both they are made up")
    if build and not use_real:
        raise UsageProblem("--build goes with --real")
    if not room or not identity:
        raise UsageProblem("--room and --identity cannot be empty")
    address = checked_address(host)
    if use_real and address != _LOOPBACK:
        raise UsageProblem("--real runs on 127.0.0.1 alone; --host is for the dev server")
    settings = Settings(address, port, udp_port, tcp_port, api_key or None, api_secret or None)
    view = make_view(as_json=json)
    running = real(settings, build=build) if use_real else embedded(settings)
    raise typer.Exit(interrupt.run(_serve(running, view, room, identity, told=bool(api_key), duration=duration)))


async def _serve(
    running: AbstractAsyncContextManager[Host],
    view: ServerView,
    room: str,
    identity: str,
    *,
    told: bool,
    duration: float | None,
) -> int:
    try:
        async with running as host:
            with view:
                view.started(_invitation(host, room, identity, told=told))
                try:
                    async with asyncio.timeout(duration):
                        await _watch(host, view)
                except (asyncio.CancelledError, TimeoutError):
                    # Ctrl-C, or the end of the time asked for: to stop now is what is wanted.
                    view.stopped()
    except LiveKitError as error:
        fail(f"the server cannot be run {describe_error(error)}{_advice(error)}")
    return 0


def _advice(error: LiveKitError) -> str:
    from ...testing.server_binary import ServerUnavailableError

    if isinstance(error, ServerUnavailableError):
        return "; --build builds it, or leave --real out for the dev server"
    return ""


def _invitation(host: Host, room: str, identity: str, *, told: bool) -> Invitation:
    def token(who: str) -> str:
        return make_token(host.api_key, host.api_secret, who, room=room)

    return Invitation(
        server=host.name,
        url=host.url,
        room=room,
        identity=identity,
        api_key=host.api_key,
        api_secret=host.api_secret,
        token=token(identity),
        browser_token=token(_BROWSER if identity != _BROWSER else f"{_BROWSER}-2"),
        show_secret=not told,
    )


async def _watch(host: Host, view: ServerView) -> None:
    """Show what happens, and once a second what flows."""
    shown = counted = Overview()
    last = time.monotonic()
    while True:
        await host.wait(max(0.0, last + _INTERVAL - time.monotonic()))
        now = await host.look()
        entries = changes_between(shown, now)
        if entries:
            view.changed(entries, now)
        shown = now
        elapsed = time.monotonic() - last
        if elapsed >= _INTERVAL:
            view.flowed(now, rates_between(counted, now, elapsed))
            counted, last = now, last + elapsed
