"""`aiolivekit flight`: make a page with a time line of a flight record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import FlightLogError
from .output import fail, print_line

__all__ = ["flight"]


def flight(
    record: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.jsonl", help="A flight record, as rooms write it.", dir_okay=False, show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.html",
            dir_okay=False,
            help="The page; beside the record if left out.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make one HTML page with a time line of a flight record; it needs no network.

    Rooms write flight records where RoomOptions.flight_log says (aiolivekit join --flight-log), when they cannot be
    connected or are lost.
    """
    from ..room.flight_log import FlightTrace

    page = output or record.with_suffix(".html")
    try:
        trace = FlightTrace.read_jsonl(record)
    except FlightLogError as error:
        fail(f"{record}: {error}")
    except OSError as error:
        fail(f"{record} could not be read: {error.strerror}")
    try:
        trace.write_html(page)
    except OSError as error:
        fail(f"{page} could not be written: {error.strerror}")
    print_line(str(page))
