"""`aiolivekit token`: make an access token, or look into one."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from .connection import ApiKey, ApiSecret, RoomName, make_token
from .inspection import TokenReport, inspect_token
from .output import UsageProblem, fail, print_json

__all__ = ["parse_duration", "token"]

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", re.ASCII)
_SOURCES = ("camera", "microphone", "screen_share", "screen_share_audio")
_KINDS = ("standard", "agent", "sip", "ingress", "egress")


def parse_duration(text: str) -> int:
    """Return the seconds of a duration such as `6h`, `1d12h`, `90m`, `45s` or `45`.

    Raises:
        UsageProblem: If it is none, or zero.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or not any(match.groups()):
        raise UsageProblem(f"{text!r} is no duration; write it as 6h, 1d12h, 90m or 45s")
    seconds = sum(int(number or 0) * unit for number, unit in zip(match.groups(), _UNITS.values(), strict=True))
    if not 0 < seconds < 100 * 365 * 86_400:
        raise UsageProblem(f"a token cannot be valid for {text}")
    return seconds


def _flag(name: str, help: str, **more: Any) -> Any:  # noqa: A002 - the option's own word
    return typer.Option(f"--{name}", help=help, show_default=False, **more)


def _grant(name: str, help: str) -> Any:  # noqa: A002 - likewise
    return _flag(name, help, rich_help_panel="Grants")


def token(
    given: Annotated[
        str | None,
        typer.Argument(
            metavar="TOKEN",
            help="With --inspect: the token, or - to read it from the standard input (LIVEKIT_TOKEN).",
            envvar="LIVEKIT_TOKEN",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    inspect: Annotated[
        bool, _flag("inspect", "Show what a token grants and until when, instead of making one.")
    ] = False,
    json: Annotated[bool, _flag("json", "With --inspect: print one JSON object.")] = False,
    api_key: ApiKey = None,
    api_secret: ApiSecret = None,
    room: RoomName = None,
    identity: Annotated[str | None, _flag("identity", "Who the participant is.", metavar="NAME")] = None,
    name: Annotated[str | None, _flag("name", "The name shown to others.", metavar="NAME")] = None,
    metadata: Annotated[str | None, _flag("metadata", "The participant's metadata.", metavar="TEXT")] = None,
    attribute: Annotated[
        list[str] | None, _flag("attribute", "An attribute; may be repeated.", metavar="KEY=VALUE")
    ] = None,
    kind: Annotated[str | None, _flag("kind", f"One of {', '.join(_KINDS)}.", metavar="KIND")] = None,
    ttl: Annotated[
        str, typer.Option("--ttl", metavar="DURATION", help="How long it is valid: 6h, 1d12h, 90m, 45s.")
    ] = "6h",
    no_join: Annotated[bool, _grant("no-join", "May not join a room.")] = False,
    no_publish: Annotated[bool, _grant("no-publish", "May not publish tracks.")] = False,
    no_subscribe: Annotated[bool, _grant("no-subscribe", "May not subscribe to tracks.")] = False,
    no_data: Annotated[bool, _grant("no-data", "May not send data.")] = False,
    no_update: Annotated[bool, _grant("no-update", "May not change its own metadata, name and attributes.")] = False,
    publish_source: Annotated[
        list[str] | None,
        _flag(
            "publish-source",
            f"May publish this source alone; may be repeated ({', '.join(_SOURCES)}).",
            metavar="SOURCE",
            rich_help_panel="Grants",
        ),
    ] = None,
    hidden: Annotated[bool, _grant("hidden", "The others do not see it.")] = False,
    room_admin: Annotated[bool, _grant("room-admin", "May administer the room.")] = False,
    room_create: Annotated[bool, _grant("room-create", "May create and delete rooms.")] = False,
    room_list: Annotated[bool, _grant("room-list", "May list rooms.")] = False,
) -> None:
    """Make an access token and print it, or look into one with --inspect.

    A token made here may join, publish, subscribe, send data and change its own metadata, unless told otherwise.
    """
    if inspect:
        _inspect(given, api_secret, as_json=json)
        return
    if not (api_key and api_secret):
        raise UsageProblem("--api-key and --api-secret are needed (or LIVEKIT_API_KEY, LIVEKIT_API_SECRET)")
    if not no_join and not room:
        raise UsageProblem("--room is needed; for a token that joins no room say --no-join")
    if not no_join and not identity:
        raise UsageProblem("--identity is needed; for a token that joins no room say --no-join")
    _check_choices("--kind", [kind] if kind else [], _KINDS)
    _check_choices("--publish-source", publish_source or [], _SOURCES)

    made = make_token(
        api_key,
        api_secret,
        identity or "",
        room=room or "",
        name=name,
        metadata=metadata,
        attributes=_attributes(attribute or []),
        kind=kind,
        room_join=not no_join,
        room_admin=room_admin,
        room_create=room_create,
        room_list=room_list,
        can_publish=not no_publish,
        can_publish_sources=publish_source or None,
        can_subscribe=not no_subscribe,
        can_publish_data=not no_data,
        can_update_own_metadata=not no_update,
        hidden=hidden,
        ttl=parse_duration(ttl),
    )
    # Printed as it is: this is what was asked for.
    print(made)


def _check_choices(option: str, values: Sequence[str], choices: Sequence[str]) -> None:
    for value in values:
        if value not in choices:
            raise UsageProblem(f"{option} is one of {', '.join(choices)}; not {value!r}")


def _attributes(pairs: Sequence[str]) -> dict[str, str]:
    attributes = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageProblem(f"--attribute takes KEY=VALUE, not {pair!r}")
        attributes[key] = value
    return attributes


def _inspect(given: str | None, api_secret: str | None, *, as_json: bool) -> None:
    if given == "-":
        given = sys.stdin.read(1 << 20)
    if not given or not given.strip():
        raise UsageProblem("the token to look into is missing")
    try:
        report = inspect_token(given.strip(), api_secret)
    except ValueError as error:
        fail(f"this is no access token: {error}")
    now = datetime.now(UTC)
    if as_json:
        print_json(report.as_json(now))
    else:
        _show(report, now)


def _show(report: TokenReport, now: datetime) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    for label, value, style in report.rows(now):
        console.print(Text.assemble((f"{label:<12}", "bold"), (value, style)), soft_wrap=True)
