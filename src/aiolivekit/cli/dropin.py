"""`aiolivekit dropin`: this package as `livekit.rtc`, for a whole environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..compat.overlay import SWITCH, DropinError, DropinStatus
from ..compat.overlay import install as install_overlay
from ..compat.overlay import remove as remove_overlay
from ..compat.overlay import status as overlay_status
from .output import fail, print_json, print_line

__all__ = ["dropin"]

dropin = typer.Typer(
    no_args_is_help=True,
    help="Let every program of this environment get this package when it imports livekit.rtc.",
)

_Site = Annotated[
    Path | None,
    typer.Option(
        "--site",
        metavar="DIR",
        file_okay=False,
        exists=True,
        help="The site directory of the environment; that of this interpreter if left out.",
        show_default=False,
    ),
]


@dropin.command()
def install(site: _Site = None) -> None:
    """Set the switch: programs that start from now on get this package as livekit.rtc.

    An official package beside it stays as it is. Programs started with AIOLIVEKIT_DROPIN=0 get that one.
    """
    try:
        print_line(f"installed: {install_overlay(site)}")
    except DropinError as error:
        fail(str(error))


@dropin.command()
def remove(site: _Site = None) -> None:
    """Take the switch away: the environment is as it was before."""
    try:
        removed = remove_overlay(site)
    except DropinError as error:
        fail(str(error))
    print_line("removed" if removed else "it was not installed")


@dropin.command()
def status(
    site: _Site = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say whose livekit.rtc programs get."""
    found = overlay_status(site)
    if as_json:
        print_json(
            {
                "file": str(found.file),
                "installed": found.installed,
                "stale": found.stale,
                "switched_off": found.switched_off,
                "in_use": found.in_use,
                "official": found.official,
            }
        )
    else:
        for line in _lines(found):
            print_line(line)


def _lines(found: DropinStatus) -> list[str]:
    if found.stale:
        first = f"{found.file} leads to another place than this package; install writes it anew"
    elif found.installed:
        first = f"installed: {found.file}"
    else:
        first = "not installed"
    lines = [first]
    if found.switched_off:
        lines.append(f"switched off for this process by {SWITCH}")
    lines.append(f"livekit.rtc, as imported here: {'aiolivekit' if found.in_use else 'the official package'}")
    lines.append(f"official package beside it: {found.official or 'none'}")
    return lines
