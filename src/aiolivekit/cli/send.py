"""`aiolivekit send`: join a room, send one message, and leave."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ..enums import ParticipantState
from ..errors import LiveKitError
from . import interrupt
from .connection import ApiKey, ApiSecret, Dual, Identity, RoomName, Target, Token, connect, resolve
from .output import UsageProblem, describe_error, fail, print_line, printable

if TYPE_CHECKING:
    from ..room.room import Room

__all__ = ["send", "split_arguments"]

_LINGER = 0.3
"""Seconds to stay after sending. A packet is handed to libwebrtc when `publish_data` returns; the connection must live
until it was sent, and sent again if it was lost on the way."""

_DEFAULT_WAIT = 10.0
_MAX_INPUT = 1 << 20
_SCHEMES = ("ws://", "wss://", "http://", "https://")


@dataclass(frozen=True, slots=True)
class Message:
    """What to send, and to whom."""

    payload: bytes
    topic: str
    reliable: bool
    to: tuple[str, ...]


def split_arguments(arguments: Sequence[str], url: str | None) -> tuple[str, list[str]]:
    """Return the URL and the words of the text; `url` is the environment's, which makes the argument optional.

    Raises:
        UsageProblem: If the URL or the text is missing.
    """
    words = list(arguments)
    # One argument alone is the text when the environment has the URL, whatever it looks like.
    if words and words[0].startswith(_SCHEMES) and (len(words) > 1 or not url):
        url = words.pop(0)
    if not url:
        raise UsageProblem("the URL of the server is missing: give it, or set LIVEKIT_URL")
    if not words:
        raise UsageProblem("the text is missing; - takes it from the standard input")
    return url, words


def send(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[URL] TEXT...",
            help="The server (LIVEKIT_URL if left out), and the text; - takes it from the standard input.",
            show_default=False,
        ),
    ],
    token: Token = None,
    api_key: ApiKey = None,
    api_secret: ApiSecret = None,
    room: RoomName = None,
    identity: Identity = None,
    topic: Annotated[str, typer.Option("--topic", metavar="TOPIC", help="What the message is about.")] = "",
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to", metavar="IDENTITY", help="Who gets it; may be repeated. Everybody if left out.", show_default=False
        ),
    ] = None,
    lossy: Annotated[bool, typer.Option("--lossy", help="Send it once, without repair.")] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            "--wait",
            metavar="SECONDS",
            min=0,
            help=f"How long to wait for those it is for: {_DEFAULT_WAIT:g} with --to; else not, or for anybody.",
            show_default=False,
        ),
    ] = None,
    dual: Dual = False,
) -> None:
    """Join a room, send one message, and leave."""
    url, words = split_arguments(arguments, os.environ.get("LIVEKIT_URL"))
    target = resolve(url, token, api_key, api_secret, room, identity)
    payload = _standard_input() if words == ["-"] else " ".join(words).encode()
    message = Message(payload, topic, not lossy, tuple(dict.fromkeys(to or [])))
    if wait is None:
        wait = _DEFAULT_WAIT if message.to else 0
    raise typer.Exit(interrupt.run(_send(target, message, wait=wait, dual=dual)))


def _standard_input() -> bytes:
    payload = sys.stdin.buffer.read(_MAX_INPUT + 1)
    if len(payload) > _MAX_INPUT:
        fail(f"the message has more than {_MAX_INPUT} bytes; no server takes that in one packet")
    return payload


async def _send(target: Target, message: Message, *, wait: float, dual: bool) -> int:
    async with connect(target, dual=dual) as room:
        if not room.local_participant.permissions.can_publish_data:
            fail("could not send (permission denied): the token does not allow to send data")
        await _wait_for_listeners(room, message.to, wait)
        listeners = _listeners(room)
        missing = [identity for identity in message.to if identity not in listeners]
        if missing:
            names = ", ".join(printable(identity) for identity in missing)
            fail(f"not in the room: {names} (waited {wait:g} s)")
        if wait and not listeners:
            fail(f"nobody is in the room (waited {wait:g} s)")
        try:
            await room.local_participant.publish_data(
                message.payload,
                reliable=message.reliable,
                destination_identities=list(message.to),
                topic=message.topic,
            )
        except LiveKitError as error:
            fail(f"could not send {describe_error(error)}")
        await asyncio.sleep(_LINGER)
    print_line(f"sent {len(message.payload)} bytes to {_people(len(message.to) or len(listeners))}")
    return 0


def _people(count: int) -> str:
    if not count:
        return "an empty room"
    return "1 participant" if count == 1 else f"{count} participants"


def _listeners(room: Room) -> set[str]:
    """Return who can receive: the server passes data on to active participants alone."""
    return {
        each.identity
        for each in room.remote_participants.values()
        if each.state is ParticipantState.PARTICIPANT_STATE_ACTIVE
    }


async def _wait_for_listeners(room: Room, identities: Sequence[str], seconds: float) -> None:
    """Wait until these can receive, or anybody if none are named; at most so long."""

    def ready() -> bool:
        listeners = _listeners(room)
        return listeners.issuperset(identities) if identities else bool(listeners)

    if seconds > 0:
        try:
            async with asyncio.timeout(seconds):
                await _until(room, ready)
        except TimeoutError:
            pass


async def _until(room: Room, condition: Callable[[], bool]) -> None:
    async with aclosing(room.events()) as events:
        if condition():
            return
        async for _ in events:
            if condition():
                return
