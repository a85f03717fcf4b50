"""The switch by which a whole environment gets this package as `livekit.rtc`.

Why it is here: a program's own imports can be changed, those of the libraries it uses cannot. One `.pth` file in the
environment's site directory puts a folder with nothing but `livekit/rtc` first on the import path of every interpreter
that starts there, spawned and forkserver children among them. The official package, if there is one, stays as it is and
is found again without the file; `livekit.api`, `livekit.protocol` and the like are other parts of the same namespace.
"""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..errors import LiveKitError

__all__ = ["FILE_NAME", "OVERLAY", "SWITCH", "DropinError", "DropinStatus", "install", "remove", "status"]

SWITCH = "AIOLIVEKIT_DROPIN"
"""The environment variable that, as `0`, `no`, `off` or `false`, leaves `livekit.rtc` to the official package."""

FILE_NAME = "aiolivekit_dropin.pth"

OVERLAY = Path(__file__).resolve().parent.parent / "_overlay"

_OFF = ("0", "no", "off", "false")


class DropinError(LiveKitError):
    """The switch could not be set; the message says why."""


@dataclass(frozen=True, slots=True)
class DropinStatus:
    """Whose `livekit.rtc` programs of this environment get.

    Args:
        file: The switch, whether it is there or not.
        installed: Whether it is there, and leads to this package.
        stale: Whether it is there, but leads elsewhere, such as to a package that has been moved.
        switched_off: Whether the environment variable says to leave it alone.
        in_use: Whether this process would import, or has imported, `livekit.rtc` from the overlay.
        official: The version of the official package beside it; `None` if there is none.
    """

    file: Path
    installed: bool
    stale: bool
    switched_off: bool
    in_use: bool
    official: str | None


def install(site: Path | None = None) -> Path:
    """Set the switch; programs that start from now on get this package as `livekit.rtc`. Twice is once.

    Args:
        site: The site directory to put the file into; `None` takes that of the running interpreter.

    Returns:
        The file.

    Raises:
        DropinError: If it cannot be written, or another file is in its place.
    """
    file = _file_in(site)
    _check_ours(file)
    # Written beside and renamed, so that an interpreter that starts meanwhile reads all of it or nothing.
    draft = file.with_name(f".{FILE_NAME}.{os.getpid()}")
    try:
        draft.write_text(_text(), encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise DropinError(f"{file} cannot be written: {error.strerror}") from error
    return file


def remove(site: Path | None = None) -> bool:
    """Take the switch away; the environment is as it was before.

    Args:
        site: As for `install`.

    Returns:
        Whether there was one.

    Raises:
        DropinError: If it cannot be removed, or another file is in its place.
    """
    file = _file_in(site)
    _check_ours(file)
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DropinError(f"{file} cannot be removed: {error.strerror}") from error
    return True


def status(site: Path | None = None, environment: Mapping[str, str] = os.environ) -> DropinStatus:
    """Return how the switch is set.

    Args:
        site: As for `install`.
        environment: Where the variable is looked up.
    """
    file = _file_in(site)
    text = _read(file)
    return DropinStatus(
        file=file,
        installed=text == _text(),
        stale=text is not None and text != _text(),
        switched_off=environment.get(SWITCH, "").lower() in _OFF,
        in_use=_in_use(),
        official=_official_version(),
    )


def _text() -> str:
    # One line, since only lines that begin with `import` are run; no import but of modules that are there at start.
    path, off = str(OVERLAY), ", ".join(repr(word) for word in _OFF)
    return (
        "import os, sys; "
        f"os.environ.get({SWITCH!r}, '').lower() in ({off}) "
        f"or {path!r} in sys.path or sys.path.insert(0, {path!r})\n"
    )


def _file_in(site: Path | None) -> Path:
    return (Path(sysconfig.get_path("purelib")) if site is None else site) / FILE_NAME


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return None


def _check_ours(file: Path) -> None:
    text = _read(file)
    if text is not None and SWITCH not in text:
        raise DropinError(f"{file} is not the drop-in's; it is left alone")


def _in_use() -> bool:
    spec = importlib.util.find_spec("livekit.rtc")
    return spec is not None and spec.origin is not None and Path(spec.origin).is_relative_to(OVERLAY)


def _official_version() -> str | None:
    try:
        return metadata.version("livekit")
    except metadata.PackageNotFoundError:
        return None
