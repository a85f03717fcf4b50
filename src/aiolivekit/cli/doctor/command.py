"""`aiolivekit doctor`: what it takes, and how it shows what it finds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from .. import interrupt
from ..connection import ApiKey, ApiSecret, RoomName, Token, UrlArgument, allow_loopback
from ..masking import secrets
from ..output import UsageProblem, print_json, printable
from .address import Address
from .findings import Check

__all__ = ["doctor"]

_TIMEOUT = 10.0
_MARKS = {
    "passed": ("✔", "bold green"),
    "warning": ("!", "bold yellow"),
    "failed": ("✘", "bold red"),
    "skipped": ("-", "dim"),
}
_INDENT = " " * 29


def doctor(
    url: UrlArgument = None,
    token: Token = None,
    api_key: ApiKey = None,
    api_secret: ApiSecret = None,
    room: RoomName = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long each check may take.")
    ] = _TIMEOUT,
) -> None:
    """Find out, step by step, why a server cannot be joined or media do not get through.

    Nobody but that server is spoken to. With a token it joins a few times as the token's participant, and would put out
    one of the same identity; with a key it joins a room of its own, unless --room is given, with participants of its
    own. The status is 1 if a check fails.
    """
    if not url:
        raise UsageProblem("the URL of the server is missing: give it, or set LIVEKIT_URL")
    address = Address.of(url)
    if bool(api_key) != bool(api_secret):
        raise UsageProblem("--api-key and --api-secret go together")
    if room and not api_key:
        raise UsageProblem("--room is for tokens that are made with a key")
    secrets.add(token, api_secret)
    if address.local:
        allow_loopback("ws://localhost")
    # A token that was given counts more than a key from the environment, unless a room is asked for.
    if token and not room:
        api_key = api_secret = None
    raise typer.Exit(interrupt.run(_doctor(address, token, api_key, api_secret, room, timeout, as_json=json)))


async def _doctor(
    address: Address,
    token: str | None,
    api_key: str | None,
    api_secret: str | None,
    room: str | None,
    timeout: float,
    *,
    as_json: bool,
) -> int:
    from .examination import Credentials, examine

    credentials = Credentials(token, api_key, api_secret, room)
    checks = await examine(address, credentials, timeout, _quiet if as_json else _printer())
    failed = sum(check.verdict.status == "failed" for check in checks)
    if as_json:
        print_json({"passed": not failed, "checks": [check.as_json() for check in checks]})
    else:
        _print_verdict(checks, failed)
    return 1 if failed else 0


def _quiet(_check: Check) -> None:
    pass


def _printer() -> Callable[[Check], None]:
    """Return what prints a check as soon as it is made."""
    from rich.console import Console
    from rich.text import Text

    # Without a terminal nothing says how wide lines may be.
    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 160)

    def show(check: Check) -> None:
        verdict = check.verdict
        mark, style = _MARKS[verdict.status]
        time = "" if check.seconds is None else f"{check.seconds * 1000:,.0f} ms"
        words = secrets.mask(printable(verdict.words))
        line = Text.assemble(
            (f"{mark} ", style),
            (f"{check.name:<16}", "bold"),
            (f"{time:>9}  ", "dim"),
            (words, _words_style(verdict.status)),
        )
        console.print(line, soft_wrap=True)
        if verdict.advice:
            console.print(Text(f"{_INDENT}{secrets.mask(printable(verdict.advice))}"), soft_wrap=True)

    return show


def _words_style(status: str) -> str:
    return {"failed": "red", "warning": "yellow", "skipped": "dim"}.get(status, "")


def _print_verdict(checks: list[Check], failed: int) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    made = [check for check in checks if check.verdict.status != "skipped"]
    console.print()
    if failed:
        console.print(Text(f"{failed} of {len(made)} checks failed.", style="bold red"))
    else:
        skipped = len(checks) - len(made)
        more = f", {skipped} skipped" if skipped else ""
        console.print(Text(f"All {len(made)} checks passed{more}.", style="bold green"))
