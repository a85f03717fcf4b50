"""The flight recorder of a room as files: JSON lines for programs, one HTML page for people."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import platform
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

from .._version import __version__
from ..core.flight import FIELDS, LANES, FlightHeader, FlightRecord, FlightRecorder
from ..errors import FlightLogError

__all__ = ["FlightHeader", "FlightLog", "FlightRecord", "FlightTrace"]

_logger = logging.getLogger("aiolivekit.room")

_FORMAT: Final = 1
_MAX_LINE = 1 << 20
_MAX_FILE = 1 << 28
_PAGE = "flight_page"


@dataclass(frozen=True, slots=True)
class FlightTrace:
    """A trace as it was at one time.

    Attributes:
        header: About it as a whole.
        records: What happened, oldest first.
        made_by: The version of this package, and of Python, that recorded it.
    """

    header: FlightHeader
    records: Sequence[FlightRecord]
    made_by: str = f"aiolivekit {__version__}, Python {platform.python_version()}"

    # -- JSON lines --

    def lines(self) -> Iterable[str]:
        """Return the lines of a file: the first tells of the trace, the others have one record each."""
        head = {"flight": _FORMAT, "made_by": self.made_by, **asdict(self.header), "records": len(self.records)}
        yield json.dumps(head)
        for record in self.records:
            yield json.dumps(_json(record))

    @classmethod
    def read_jsonl(cls, path: str | os.PathLike[str]) -> FlightTrace:
        """Read a file that `write_jsonl` wrote; what is not allowed in a trace is left out here too.

        Raises:
            FlightLogError: If it is no such file.
            OSError: If it cannot be read.
        """
        with Path(path).open("rb") as file:
            if os.fstat(file.fileno()).st_size > _MAX_FILE:
                raise FlightLogError("the file is too large for a flight record")
            head = _object(file.readline(_MAX_LINE), 1)
            if head.get("flight") != _FORMAT:
                raise FlightLogError("the file is no flight record, or one of another version")
            header = FlightHeader(
                _real(head.get("began")), int(_real(head.get("dropped"))), int(_real(head.get("withheld")))
            )
            records = []
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE), b""), start=2):
                if line.strip():
                    records.append(_record(_object(line, number), number))
        made_by = head.get("made_by")
        return cls(header, records, made_by[:100] if isinstance(made_by, str) else "")

    def write_jsonl(self, path: str | os.PathLike[str]) -> None:
        """Write a file with one JSON object a line.

        Raises:
            OSError: If it cannot be written.
        """
        with Path(path).open("w", encoding="utf-8", newline="\n") as file:
            for line in self.lines():
                file.write(line + "\n")

    # -- HTML --

    def html(self) -> str:
        """Return one page, complete in itself, that shows the trace on a time line."""
        page = resources.files(__package__).joinpath(_PAGE)

        def part(name: str) -> str:
            return page.joinpath(name).read_text(encoding="utf-8")

        data = {
            "made_by": self.made_by,
            **asdict(self.header),
            "lanes": LANES,
            "records": [_json(record) for record in self.records],
        }
        # Within a script element only `<` could end it, or begin a comment.
        text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
        found = part("page.html").replace("/*style*/", part("style.css"))
        # The script has parts of its own, so that each can be read.
        script = part("axis.js") + part("timeline.js") + part("records.js")
        return found.replace("/*script*/", script).replace("/*trace*/", text)

    def write_html(self, path: str | os.PathLike[str]) -> None:
        """Write one HTML file that needs no other.

        Raises:
            OSError: If it cannot be written.
        """
        Path(path).write_text(self.html(), encoding="utf-8", newline="\n")


class FlightLog:
    """What the flight recorder of a room holds: the last few thousand things that happened during one connection.

    No token, key, address, description, metadata, name or payload gets in; participants and tracks are known by their
    sids.

    Args:
        recorder: Where the room and everything below it write.
        directory: Where files are written when the connection cannot be made, or is lost for good; `None`: nowhere.
    """

    def __init__(self, recorder: FlightRecorder, directory: str | os.PathLike[str] | None = None) -> None:
        self._recorder = recorder
        self._directory = None if directory is None else Path(directory)
        self._saving: asyncio.Task[None] | None = None
        self._saved_as: Path | None = None

    @property
    def recorder(self) -> FlightRecorder:
        """Where the room and everything below it write."""
        return self._recorder

    def trace(self) -> FlightTrace:
        """Return what is held now, which does not change any more."""
        return FlightTrace(self._recorder.header, self._recorder.records())

    def records(self) -> tuple[FlightRecord, ...]:
        """Return what is held now, oldest first."""
        return self._recorder.records()

    def write_jsonl(self, path: str | os.PathLike[str]) -> None:
        """Write what is held as one JSON object a line; the first line tells of the whole.

        It takes some milliseconds, in which an event loop stands still.

        Raises:
            OSError: If the file cannot be written.
        """
        self.trace().write_jsonl(path)

    def write_html(self, path: str | os.PathLike[str]) -> None:
        """Write what is held as one HTML file with a time line, which needs no other file and no network.

        It takes some milliseconds, in which an event loop stands still.

        Raises:
            OSError: If the file cannot be written.
        """
        self.trace().write_html(path)

    async def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write what is held into a directory, as JSON lines and as HTML, on a thread of its own.

        Args:
            directory: Made if it is not there.

        Returns:
            The HTML file; the other has the same name and ends in `.jsonl`.

        Raises:
            OSError: If they cannot be written.
        """
        trace = self.trace()
        pool = ThreadPoolExecutor(1, "aiolivekit-flight")
        try:
            self._saved_as = await asyncio.get_running_loop().run_in_executor(pool, _write_both, trace, Path(directory))
        finally:
            # The thread ends by itself when it has written.
            pool.shutdown(wait=False)
        return self._saved_as

    @property
    def saved_as(self) -> Path | None:
        """The HTML file that was written last, by `save` or because the connection failed."""
        return self._saved_as

    # -- for the room --

    @contextmanager
    def of_joining(self) -> Iterator[FlightRecorder]:
        """Record a join; if it fails, begin to write what the options want written."""
        self._recorder.note("room", "joining")
        try:
            yield self._recorder
        except BaseException as error:
            self._recorder.note("room", "not joined", error=type(error).__name__)
            if isinstance(error, Exception):
                self.save_soon("the room could not be joined")
            raise

    def save_soon(self, why: str) -> None:
        """Write both files where the options say, if they do; what goes wrong is logged.

        Args:
            why: What failed, for the log.
        """
        if self._directory is not None and self._recorder.on and self._saving is None:
            self._saving = asyncio.get_running_loop().create_task(
                self._save_and_tell(self._directory, why), name="aiolivekit-flight"
            )

    async def saved(self) -> None:
        """Wait until what is being written is written."""
        saving = self._saving
        if saving is not None:
            await asyncio.wait([saving])

    async def _save_and_tell(self, directory: Path, why: str) -> None:
        try:
            path = await self.save(directory)
        except OSError as error:
            _logger.warning("%s; the flight record could not be written: %s", why, error.strerror)
        else:
            _logger.warning("%s; the flight record is %s, and beside it as .jsonl", why, path)
        finally:
            self._saving = None


def _write_both(trace: FlightTrace, directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    began = datetime.fromtimestamp(trace.header.began, UTC)
    # Several rooms of several processes may fail at once and write to one place.
    stem = f"flight-{began:%Y%m%dT%H%M%SZ}-{os.getpid()}-{secrets.token_hex(3)}"
    trace.write_jsonl(directory / f"{stem}.jsonl")
    page = directory / f"{stem}.html"
    trace.write_html(page)
    return page


def _json(record: FlightRecord) -> dict[str, Any]:
    return {
        "at": round(record.at, 6),
        "wall": round(record.wall, 6),
        "lane": record.lane,
        "what": record.what,
        "epoch": record.epoch,
        "fields": dict(record.fields),
    }


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise FlightLogError(f"line {number} is not one of a flight record")
    return value


def _record(value: dict[str, Any], number: int) -> FlightRecord:
    what, lane, fields = value.get("what"), value.get("lane"), value.get("fields")
    if lane not in LANES or not isinstance(what, str) or not isinstance(fields, dict):
        raise FlightLogError(f"line {number} is not one of a flight record")
    kept = {
        name: found for name, given in fields.items() if name in FIELDS and (found := FIELDS[name](given)) is not None
    }
    epoch = int(_real(value.get("epoch")))
    return FlightRecord(_real(value.get("at")), _real(value.get("wall")), lane, what[:60], epoch, kept)


def _real(value: object) -> float:
    # Neither what is no number, nor one that JSON does not have (NaN) or a date cannot be made of.
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e11 else 0.0
