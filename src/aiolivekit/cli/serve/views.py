"""How `server` shows what goes on: a live table with a log above it, plain lines, or JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..describe import Entry
from ..masking import secrets
from ..output import print_json, print_line, printable
from .changes import track_words
from .invitation import Invitation
from .overview import Overview, ParticipantView, TrackView
from .rates import Rates

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["ServerView", "make_view", "overview_table"]

_WARNING = "for development and tests, not for production"
_MARGIN = 6
"""Columns kept free: the terminal shows `^C` at the end of the last line, and must not break that line for it."""


class ServerView(Protocol):
    """What shows a server."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def started(self, invitation: Invitation) -> None:
        """It is up."""

    def changed(self, entries: Sequence[Entry], overview: Overview) -> None:
        """Something happened; this is how it is now."""

    def flowed(self, overview: Overview, rates: Rates) -> None:
        """So much flowed in the last second."""

    def stopped(self) -> None:
        """It was stopped by the user."""


def make_view(*, as_json: bool) -> ServerView:
    """Return the view for where the output goes."""
    if as_json:
        return JsonView()
    if sys.stdout.isatty():
        from rich.console import Console

        return LiveView(Console(highlight=False, markup=False, emoji=False))
    return LineView()


def _now() -> datetime:
    return datetime.now().astimezone()


def _print_invitation(invitation: Invitation) -> None:
    print(f"{invitation.server}, {_WARNING}")
    for label, value in invitation.lines():
        # Printed as they are, tokens and all: they are of the user's own server, which was started a moment ago.
        print(f"{label}:\n  {value}" if len(label) > 10 else f"{label:<8} {value}")
    print(flush=True)


class JsonView:
    """One JSON object a line: `started` with everything it takes to join, every event, and the rates."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def started(self, invitation: Invitation) -> None:
        """Print the invitation; its tokens are what is asked for."""
        import json

        print(json.dumps({**_head("started"), **invitation.as_json()}, ensure_ascii=False), flush=True)

    def changed(self, entries: Sequence[Entry], overview: Overview) -> None:
        """Print the events."""
        for entry in entries:
            print_json({**_head(entry.event), **entry.fields})

    def flowed(self, overview: Overview, rates: Rates) -> None:
        """Print the rates while somebody is there."""
        if not overview.empty:
            print_json(
                {
                    **_head("rates"),
                    "rooms": [_room_fields(room.name, room.participants, rates) for room in overview.rooms],
                }
            )

    def stopped(self) -> None:
        """Say so."""
        print_json(_head("stopped"))


def _head(event: str) -> dict[str, Any]:
    return {"time": _now().isoformat(timespec="milliseconds"), "event": event}


def _room_fields(name: str, people: Sequence[ParticipantView], rates: Rates) -> dict[str, Any]:
    return {
        "room": name,
        "participants": [
            {
                "participant": person.identity,
                "data_messages_per_second": _rounded(rates.messages.get(person.sid)),
                "tracks": [_track_fields(track, rates) for track in person.tracks],
            }
            for person in people
        ],
    }


def _track_fields(track: TrackView, rates: Rates) -> dict[str, Any]:
    rate = rates.tracks.get(track.sid)
    return {
        "track": track.sid,
        "packets": None if track.counts is None else track.counts.packets,
        "subscribers": None if track.counts is None else track.counts.subscribers,
        "packets_per_second": None if rate is None else _rounded(rate.packets),
        "kbit_per_second": None if rate is None else _rounded(rate.kbit),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


class LineView:
    """Plain lines with the time of day; rates are for those who watch."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def started(self, invitation: Invitation) -> None:
        """Print the invitation."""
        _print_invitation(invitation)

    def changed(self, entries: Sequence[Entry], overview: Overview) -> None:
        """Print the events."""
        for entry in entries:
            self._print(entry.words)

    def flowed(self, overview: Overview, rates: Rates) -> None:
        """Print nothing."""

    def stopped(self) -> None:
        """Say so."""
        self._print("stopped")

    def _print(self, words: str) -> None:
        print_line(f"{_now():%H:%M:%S}  {words}")


class LiveView:
    """A table of what is there and what flows, below the log.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._overview = Overview()
        self._rates = Rates()
        self._live = Live(
            console=console,
            get_renderable=self._render,
            # Rich would draw from a thread of its own, while the server runs.
            auto_refresh=False,
            transient=True,
            redirect_stderr=True,
            vertical_overflow="ellipsis",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, invitation: Invitation) -> None:
        """Print the invitation, and show the table from now on."""
        # Not through rich, which would break the lines that are there to be copied.
        _print_invitation(invitation)
        self._live.start()
        self._live.refresh()

    def changed(self, entries: Sequence[Entry], overview: Overview) -> None:
        """Log the events, and redraw."""
        from rich.text import Text

        self._overview = overview
        for entry in entries:
            style = _STYLES.get(entry.event, "")
            self._console.print(Text.assemble((f"{_now():%H:%M:%S}  ", "dim"), (secrets.mask(entry.words), style)))
        self._live.refresh()

    def flowed(self, overview: Overview, rates: Rates) -> None:
        """Redraw with new rates."""
        self._overview, self._rates = overview, rates
        self._live.refresh()

    def stopped(self) -> None:
        """Say so."""
        from rich.text import Text

        self._console.print(Text.assemble((f"{_now():%H:%M:%S}  ", "dim"), ("stopped", "bold")))

    def _render(self) -> RenderableType:
        return overview_table(self._overview, self._rates, self._console.width - _MARGIN)


_STYLES = {
    "room_started": "bold",
    "room_finished": "bold",
    "participant_joined": "green",
    "participant_left": "yellow",
    "participant_active": "dim",
}


def overview_table(overview: Overview, rates: Rates, width: int) -> RenderableType:
    """Return the table of rooms, participants and tracks, so many columns wide."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    people = sum(len(room.participants) for room in overview.rooms)
    title = f"{len(overview.rooms)} {'room' if len(overview.rooms) == 1 else 'rooms'}, {people} here"
    table = Table(
        title=Text(title),
        title_justify="left",
        title_style="",
        caption="Ctrl-C stops the server",
        caption_justify="left",
        box=box.ROUNDED,
        width=width,
    )
    table.add_column("room", ratio=2, no_wrap=True, overflow="ellipsis")
    table.add_column("participant", ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column("track", ratio=4, no_wrap=True, overflow="ellipsis")
    table.add_column("to", justify="right", no_wrap=True)
    table.add_column("packets/s", justify="right", no_wrap=True)
    table.add_column("kbit/s", justify="right", no_wrap=True)
    table.add_column("data/s", justify="right", no_wrap=True)
    for room in overview.rooms:
        name = Text(secrets.mask(printable(room.name)), style="bold")
        for person in room.participants:
            identity = Text(secrets.mask(printable(person.identity)), style="" if person.active else "dim")
            data = _figure(rates.messages.get(person.sid))
            for track in person.tracks or (None,):
                table.add_row(name, identity, *_track_cells(track, rates), data)
                # Each is named once.
                name, identity, data = Text(""), Text(""), ""
        if not room.participants:
            table.add_row(name, Text("nobody", style="dim"))
    return table


def _track_cells(track: TrackView | None, rates: Rates) -> tuple[RenderableType, ...]:
    from rich.text import Text

    if track is None:
        return "", "", "", ""
    what = Text(secrets.mask(track_words(track)), style="dim" if track.muted else "")
    if track.muted:
        what.append(" muted")
    rate = rates.tracks.get(track.sid)
    to = "" if track.counts is None else str(track.counts.subscribers)
    return what, to, _figure(rate.packets if rate else None), _figure(rate.kbit if rate else None)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
