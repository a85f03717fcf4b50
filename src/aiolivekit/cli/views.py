"""How `join` shows a room: a live table with a log above it, plain lines, or JSON lines."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..room.participant import Participant
from .describe import Entry, kind_of, quality_of, track_of
from .masking import secrets
from .output import print_json, print_line, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from ..room.room import Room

__all__ = ["JsonView", "LineView", "LiveView", "View", "make_view"]

_QUALITY_STYLES = {"excellent": "green", "good": "green", "poor": "yellow", "lost": "red"}
_REFRESH_DELAY = 0.1
"""Seconds after an event until the table is redrawn, so that many events are one redraw."""

_MARGIN = 6
"""Columns kept free: the terminal shows `^C` at the end of the last line, and must not break that line for it."""


class View(Protocol):
    """What shows a room."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def joined(self, room: Room) -> None:
        """We are in the room."""

    def happened(self, entry: Entry) -> None:
        """Something happened there."""

    def left(self) -> None:
        """We left of our own accord."""


def make_view(*, as_json: bool, verbose: bool, media: bool) -> View:
    """Return the view for where the output goes.

    Args:
        as_json: Whether programs are to read it.
        verbose: Whether to show what is not notable too.
        media: Whether tracks are received; the server tells levels to those who do.
    """
    if as_json:
        return JsonView()
    if sys.stdout.isatty():
        from rich.console import Console

        return LiveView(Console(highlight=False, markup=False, emoji=False), verbose=verbose, media=media)
    return LineView(verbose=verbose)


def _mode(room: Room) -> str:
    return "one peer connection" if room.single_peer_connection else "two peer connections"


def _now() -> datetime:
    return datetime.now().astimezone()


class JsonView:
    """One JSON object a line, with every event."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def joined(self, room: Room) -> None:
        """Say who is there."""
        self._print(
            "joined",
            {
                "room": room.name,
                "identity": room.local_participant.identity,
                "single_peer_connection": room.single_peer_connection,
                "participants": [_participant_fields(each) for each in room.remote_participants.values()],
            },
        )

    def happened(self, entry: Entry) -> None:
        """Print an event."""
        self._print(entry.event, entry.fields)

    def left(self) -> None:
        """Say that we left."""
        self._print("left", {})

    def _print(self, event: str, fields: dict[str, Any]) -> None:
        print_json({"time": _now().isoformat(timespec="milliseconds"), "event": event, **fields})


def _participant_fields(participant: Participant) -> dict[str, Any]:
    return {
        "identity": participant.identity,
        "name": participant.name,
        "sid": participant.sid,
        "kind": kind_of(participant) or "standard",
        "tracks": [
            {"sid": each.sid, "name": each.name, "what": track_of(each), "muted": each.muted}
            for each in participant.track_publications.values()
        ],
    }


class LineView:
    """Plain lines with the time of day.

    Args:
        verbose: Whether to print what is not notable too.
    """

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def joined(self, room: Room) -> None:
        """Say who is there."""
        self._print(joined_words(room))
        for participant in room.remote_participants.values():
            tracks = ", ".join(track_of(each) for each in participant.track_publications.values())
            here = f"{printable(participant.identity)} is here"
            self._print(f"{here}, publishing {tracks}" if tracks else here)

    def happened(self, entry: Entry) -> None:
        """Print an event."""
        if entry.notable or self._verbose:
            self._print(entry.words)

    def left(self) -> None:
        """Say that we left."""
        self._print("left the room")

    def _print(self, words: str) -> None:
        print_line(f"{_now():%H:%M:%S}  {words}")


def joined_words(room: Room) -> str:
    """Return where we are, as whom and how."""
    name, identity = printable(room.name), printable(room.local_participant.identity)
    return f"joined {name} as {identity} ({_mode(room)})"


class LiveView:
    """A table of who is there, kept up to date below the log.

    Args:
        console: The terminal.
        verbose: Whether to log what is not notable too; the table shows it anyway.
        media: Whether to show who speaks, and how loud.
    """

    def __init__(self, console: Console, *, verbose: bool, media: bool) -> None:
        from rich.live import Live

        self._console = console
        self._verbose = verbose
        self._media = media
        self._room: Room | None = None
        self._redraw: asyncio.TimerHandle | None = None
        self._live = Live(
            console=console,
            get_renderable=self._render,
            # Rich would draw from a thread of its own, while the room changes.
            auto_refresh=False,
            # It goes when we do: what stays is the log.
            transient=True,
            redirect_stderr=True,
            vertical_overflow="ellipsis",
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._redraw is not None:
            self._redraw.cancel()
        self._live.stop()

    def joined(self, room: Room) -> None:
        """Show the room from now on."""
        self._room = room
        self._live.refresh()
        self._log(joined_words(room), "bold")

    def happened(self, entry: Entry) -> None:
        """Log an event, and redraw the table soon."""
        if self._redraw is None:
            self._redraw = asyncio.get_running_loop().call_later(_REFRESH_DELAY, self._refresh)
        if entry.notable or self._verbose:
            self._log(entry.words, _STYLES.get(entry.event, "" if entry.notable else "dim"))

    def left(self) -> None:
        """Say that we left."""
        self._log("left the room", "bold")

    def _refresh(self) -> None:
        self._redraw = None
        self._live.refresh()

    def _log(self, words: str, style: str) -> None:
        from rich.text import Text

        line = Text.assemble((f"{_now():%H:%M:%S}  ", "dim"), (secrets.mask(words), style))
        self._console.print(line, soft_wrap=False)

    def _render(self) -> RenderableType:
        from rich.text import Text

        if self._room is None:
            return Text("")
        return room_table(self._room, self._console.width - _MARGIN, media=self._media)


_STYLES = {
    "participant_connected": "green",
    "participant_disconnected": "yellow",
    "data_received": "cyan",
    "reconnecting": "bold yellow",
    "reconnected": "green",
    "disconnected": "bold red",
    "track_subscription_failed": "red",
    "events_dropped": "red",
}


def room_table(room: Room, width: int, *, media: bool) -> RenderableType:
    """Return the table of who is in the room, so many columns wide."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    others = sorted(room.remote_participants.values(), key=lambda each: each.identity)
    title = Text.assemble((secrets.mask(printable(room.name)), "bold"), f"  {len(others) + 1} here, {_mode(room)}")
    table = Table(
        title=title,
        title_justify="left",
        title_style="",
        caption="Ctrl-C leaves",
        caption_justify="left",
        box=box.ROUNDED,
        width=width,
    )
    table.add_column("participant", ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column("name", ratio=2, no_wrap=True, overflow="ellipsis")
    table.add_column("tracks", ratio=4, overflow="ellipsis")
    table.add_column("connection", width=10, no_wrap=True)
    if media:
        table.add_column("level", width=10, no_wrap=True)
    for participant in (room.local_participant, *others):
        cells = _cells(participant, is_us=participant is room.local_participant)
        table.add_row(*cells if media else cells[:-1])
    return table


def _cells(participant: Participant, *, is_us: bool) -> tuple[RenderableType, ...]:
    from rich.text import Text

    identity = Text(secrets.mask(printable(participant.identity)), style="bold")
    note = "you" if is_us else kind_of(participant)
    if note:
        identity.append(f" ({note})", style="dim")
    tracks = Text(", ").join(
        Text(f"{track_of(each)} (muted)" if each.muted else track_of(each), style="dim" if each.muted else "")
        for each in participant.track_publications.values()
    )
    quality = quality_of(participant.connection_quality)
    bars = round(min(1.0, participant.audio_level) * 10) if participant.is_speaking else 0
    return (
        identity,
        Text(secrets.mask(printable(participant.name))),
        tracks,
        Text("" if quality == "unknown" else quality, style=_QUALITY_STYLES.get(quality, "dim")),
        # Somebody who speaks softly has a bar too.
        Text("▮" * max(bars, 1 if participant.is_speaking else 0), style="green"),
    )
