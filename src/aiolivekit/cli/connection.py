"""The options of every command that joins a room, and what they come to."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit
from uuid import uuid4

import typer

from ..errors import LiveKitError
from .masking import secrets, short_secrets_allowed
from .output import UsageProblem, describe_error, fail

if TYPE_CHECKING:
    from ..room.room import Room

__all__ = [
    "ApiKey",
    "ApiSecret",
    "Dual",
    "Identity",
    "RoomName",
    "Target",
    "Token",
    "UrlArgument",
    "allow_loopback",
    "connect",
    "make_token",
    "resolve",
]


def _option(name: str, help: str, metavar: str, envvar: str | None = None) -> Any:  # noqa: A002 - the option's own word
    words = f"{help} ({envvar})" if envvar else help
    return typer.Option(f"--{name}", help=words, metavar=metavar, envvar=envvar, show_envvar=False, show_default=False)


UrlArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="URL",
        help="The server, such as wss://example.livekit.cloud (LIVEKIT_URL).",
        envvar="LIVEKIT_URL",
        show_envvar=False,
        show_default=False,
    ),
]
Token = Annotated[str | None, _option("token", "The access token", "TOKEN", "LIVEKIT_TOKEN")]
ApiKey = Annotated[str | None, _option("api-key", "The API key, to make a token with", "KEY", "LIVEKIT_API_KEY")]
ApiSecret = Annotated[str | None, _option("api-secret", "The secret of the key", "SECRET", "LIVEKIT_API_SECRET")]
RoomName = Annotated[str | None, _option("room", "The room of a token that is made.", "NAME")]
Identity = Annotated[
    str | None, _option("identity", "The identity of a token that is made; a random guest if left out.", "NAME")
]
Dual = Annotated[
    bool, typer.Option("--dual", help="Use two peer connections, one for each direction, as older servers need.")
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to join, and with what."""

    url: str
    token: str = field(repr=False)


def resolve(
    url: str | None,
    token: str | None,
    api_key: str | None,
    api_secret: str | None,
    room: str | None,
    identity: str | None,
) -> Target:
    """Return what the options come to; a token is made if there is a room to make it for.

    Raises:
        UsageProblem: If something is missing.
    """
    if not url:
        raise UsageProblem("the URL of the server is missing: give it, or set LIVEKIT_URL")
    # A token from the environment stands back when a room or an identity is asked for.
    if room or identity or not token:
        if not (api_key and api_secret):
            if token:
                raise UsageProblem("a token has its room and identity; --room and --identity need a key")
            raise UsageProblem("a token is missing: give --token, or --api-key, --api-secret and --room")
        if not room:
            raise UsageProblem("the room is missing: a token made with a key needs --room")
        token = make_token(api_key, api_secret, identity or f"guest-{uuid4().hex[:6]}", room=room)
    secrets.add(token, api_secret)
    allow_loopback(url)
    return Target(url, token)


def make_token(api_key: str, api_secret: str, identity: str, **claims: Any) -> str:
    """Return an access token; `claims` are the other arguments of `access_token`."""
    from ..testing import access_token

    with short_secrets_allowed():
        return access_token(api_key, api_secret, identity, **claims)


@asynccontextmanager
async def connect(
    target: Target, *, dual: bool = False, auto_subscribe: bool = False, flight_log: Path | None = None
) -> AsyncIterator[Room]:
    """Join a room, and leave it at the end; a failed join ends the command with one line and status 1."""
    from .. import Room, RoomOptions

    room = Room()
    # Who sits in front of it sees at once that it failed, and can try again.
    options = RoomOptions(
        auto_subscribe=auto_subscribe, single_peer_connection=not dual, join_retries=0, flight_log=flight_log
    )
    try:
        await room.connect(target.url, target.token, options)
    except LiveKitError as error:
        fail(f"could not join {describe_error(error)}")
    try:
        yield room
    finally:
        await room.disconnect()


def allow_loopback(url: str) -> None:
    """Let libwebrtc use loopback if the server is there; it reads this when the first peer connection is made."""
    if _is_loopback(url):
        os.environ.setdefault("WRTC_ALLOW_LOOPBACK", "1")


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
