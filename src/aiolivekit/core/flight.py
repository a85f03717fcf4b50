"""What happened, in order: a bounded trace that is always on, and into which no secret gets.

What may be written down is said by a list (`FIELDS`): a field that is not on it, or a value that has not the shape
its field allows, is withheld and counted. So a token, a key, a description or an address does not get in by mistake:
it has the shape of nothing that is allowed. There are no names and no identities either; participants and tracks are
known by their sids.
"""

from __future__ import annotations

import marshal
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

__all__ = [
    "FIELDS",
    "LANES",
    "MAX_BYTES",
    "MAX_RECORDS",
    "SILENT",
    "FlightHeader",
    "FlightRecord",
    "FlightRecorder",
    "FlightTap",
    "Lane",
    "Value",
    "plain_words",
]

Lane = Literal["signalling", "peers", "engine", "room"]
"""Who tells: the signalling link, the peer connections, the engine, the room."""
LANES: Final[tuple[str, ...]] = get_args(Lane)

Value = bool | int | float | str | list[str]

MAX_RECORDS = 8_192
MAX_BYTES = 2 * 1024 * 1024
"""Bytes that a trace may take, about; the oldest records give way."""

_OBJECT_BYTES = 41
"""What a record takes besides its bytes: the head of the object, and its place in the trace."""
_MAX_SIDS = 8
_MAX_WORD = 64
_MAX_TEXT = 200
_THINNED = 1.0
"""Seconds: of what comes all the time one is written down in so long, with the number of those left out."""

_SID = re.compile(r"[A-Z]{2,4}_[A-Za-z0-9_]{1,40}")
_CID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORD = re.compile(
    # What is written small, in capitals, or as classes are: names of states, of enums and of errors.
    r"[a-z]{1,20}\d?(?:[ _-](?:[a-z]{1,20}\d?|\d{1,4}))*"
    r"|[A-Z]{1,20}\d?(?:_[A-Z0-9]{1,20})*"
    r"|(?:[A-Z]{1,4}[a-z]{2,20}){1,6}"
)
_VERSION = re.compile(r"\d{1,4}(?:\.\d{1,4}){1,2}(?:[a-z-][a-z0-9]{0,8})?")
_NAME = r"(?:<[a-z]{1,20}>|_{0,2}[A-Za-z]{1,40}\d{0,2}(?:_+[A-Za-z]{0,20}\d{0,3})*)"
_CALLABLE = re.compile(rf"{_NAME}(?:\.{_NAME})*")
_PLAIN = re.compile(
    # A word, a name such as WebSocket, one in capitals, or a number, with what stands around it in a sentence.
    r"[(“\"']?(?:[A-Za-z]?[a-z]{0,20}(?:['’-][a-z]{1,12})*|(?:[A-Z][a-z]{1,12}){2}|[A-Z]{2,8}|[A-Z]{2,20}(?:_[A-Z]{2,20})+|\d{1,6}(?:\.\d{1,3})?)"
    r"[)”\"']?[.,:;]?"
)


def _number(value: object) -> Value | None:
    if type(value) is bool or type(value) is int:
        return value
    return round(float(value), 6) if isinstance(value, float) else None


def _shape(pattern: re.Pattern[str], limit: int = _MAX_WORD) -> Callable[[object], Value | None]:
    def check(value: object) -> Value | None:
        fits = isinstance(value, str) and len(value) <= limit and pattern.fullmatch(value) is not None
        return str.__str__(value) if fits else None

    return check


def _sids(value: object) -> Value | None:
    if not isinstance(value, (list, tuple)):
        return None
    return [each for each in value[:_MAX_SIDS] if isinstance(each, str) and _SID.fullmatch(each)]


def _words(value: object) -> Value | None:
    return plain_words(value) if isinstance(value, str) else None


def plain_words(text: str) -> str:
    """Return a text of ours, or of the server, with everything but plain words and numbers left out."""
    words = [word if _PLAIN.fullmatch(word) else "…" for word in text[: 2 * _MAX_TEXT].split()]
    return " ".join(words)[:_MAX_TEXT]


def _list(check: Callable[[object], Value | None], names: str) -> dict[str, Callable[[object], Value | None]]:
    return dict.fromkeys(names.split(), check)


FIELDS: Final[Mapping[str, Callable[[object], Value | None]]] = {
    **_list(
        _number,
        "size id request_id handle count skipped sections audio video participants tracks data_tracks others published "
        "subscribed disabled channels layers ice_servers protocol ping_interval ping_timeout subscriber_primary "
        "fast_publish last_seq attempt attempts delay duration code status muted allowed subscribe final width height "
        "fps on buffered threshold ice_restart settled replayed missing republished resumed succeeded rtt gated single "
        "present all_participants version number",
    ),
    **_list(
        _shape(_WORD),
        "kind direction state reason action source mode target type candidate transport remote_candidate peer channel "
        "event error cause path quality what_for ice gathering",
    ),
    **_list(_shape(_SID), "sid room participant track previous"),
    **_list(_shape(_CID), "cid"),
    **_list(_shape(_VERSION), "server_version"),
    **_list(_shape(_CALLABLE, 120), "handler"),
    **_list(_sids, "sids"),
    **_list(_words, "detail"),
}
"""The fields a record may have, each with the shape of its values."""


@dataclass(frozen=True, slots=True)
class FlightRecord:
    """One thing that happened.

    Args:
        at: Seconds since the recorder was made, on a monotonic clock.
        wall: Seconds since 1970, on the clock on the wall.
        lane: Who tells.
        what: What happened.
        epoch: The session it belongs to, from 1; 0 for none.
        fields: More about it.
    """

    at: float
    wall: float
    lane: str
    what: str
    epoch: int = 0
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlightHeader:
    """About a trace as a whole.

    Args:
        began: When it begins, in seconds since 1970.
        dropped: How many records gave way to newer ones.
        withheld: How many values were left out because they might have told a secret.
    """

    began: float
    dropped: int = 0
    withheld: int = 0


class FlightRecorder:
    """A trace of the last things that happened; on one thread.

    Args:
        max_records: How many it holds; 0 switches it off.
        max_bytes: How many bytes they may take, about.
        clock: A monotonic clock, in seconds.
        wall: The clock on the wall, in seconds since 1970.
    """

    def __init__(
        self,
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if max_records < 0 or max_bytes < 0:
            raise ValueError("a trace cannot hold less than nothing")
        self.on = max_records > 0
        self.epoch = 0
        """The session that is in force, for what belongs to none in particular."""
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._clock = clock
        self._wall = wall
        self._zero = clock()
        self._began = wall()
        # Each one in a single object, a third as large as a `FlightRecord` with its values, and nothing to look
        # through for whoever collects garbage.
        self._records: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._withheld = 0
        self._thinned: dict[tuple[str, str], tuple[float, int]] = {}

    @property
    def header(self) -> FlightHeader:
        """About the trace as a whole."""
        return FlightHeader(self._began, self._dropped, self._withheld)

    def records(self) -> tuple[FlightRecord, ...]:
        """Return what is held, oldest first."""
        return tuple(FlightRecord(*marshal.loads(record)) for record in self._records)  # noqa: S302 - our own bytes

    def note(self, lane: Lane, what: str, **fields: Any) -> None:
        """Write something down; never raises.

        Args:
            lane: Who tells.
            what: What happened, in a word or two.
            **fields: More about it, by the names of `FIELDS`; `None` stands for nothing.
        """
        if self.on:
            self.write(lane, what, self.epoch, fields)

    def begin_epoch(self, epoch: int) -> None:
        """Take note that a session has joined."""
        self.epoch = epoch
        self.note("engine", "session")

    def due(self, what: str, kind: str) -> int | None:
        """Say whether one of the things that come all the time is to be written down.

        Returns:
            How many were left out since the last that was; `None` if this one is left out too.
        """
        key, now = (what, kind), self._clock()
        last, skipped = self._thinned.get(key, (None, 0))
        if last is not None and now - last < _THINNED:
            self._thinned[key] = (last, skipped + 1)
            return None
        self._thinned[key] = (now, 0)
        return skipped

    def write(self, lane: str, what: str, epoch: int, fields: Mapping[str, Any]) -> None:
        """Write down a record (for `note` and taps)."""
        kept: dict[str, Value] = {}
        for name, given in fields.items():
            if given is None:
                continue
            check = FIELDS.get(name)
            value = None if check is None else check(given)
            if value is None:
                self._withheld += 1
                continue
            kept[name] = value
        record = marshal.dumps((self._clock() - self._zero, self._wall(), lane, what, epoch, kept))
        self._records.append(record)
        self._bytes += len(record) + _OBJECT_BYTES
        while len(self._records) > self._max_records or (self._bytes > self._max_bytes and len(self._records) > 1):
            self._bytes -= len(self._records.popleft()) + _OBJECT_BYTES
            self._dropped += 1

    def tap(self, epoch: int) -> FlightTap:
        """Return where one session writes."""
        return FlightTap(self, epoch)


class FlightTap:
    """Where one session writes: its records bear its epoch, also after the next session has begun."""

    __slots__ = ("epoch", "on", "recorder")

    def __init__(self, recorder: FlightRecorder, epoch: int) -> None:
        self.recorder = recorder
        self.epoch = epoch
        self.on = recorder.on

    def note(self, lane: Lane, what: str, **fields: Any) -> None:
        """See `FlightRecorder.note`."""
        if self.on:
            self.recorder.write(lane, what, self.epoch, fields)

    def due(self, what: str, kind: str) -> int | None:
        """See `FlightRecorder.due`; where nothing is recorded, nothing is due."""
        return self.recorder.due(what, kind) if self.on else None


SILENT: Final = FlightTap(FlightRecorder(0), 0)
"""Where those write that nobody gave a recorder."""
