"""H.264, which libwebrtc here has only once OpenH264, a library of Cisco's, is loaded: the user's explicit choice.

Which library it is (a file) is said by the program, by the environment (`AIOLIVEKIT_OPENH264`) or by what the user once
chose on the command line; in this order. A process can load one library only, but switch it off and on. The codecs of a
peer connection are those at the time it is made.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import webrtc
import wrtc  # type: ignore[import-not-found,unused-ignore]

from ..errors import CodecUnavailableError

__all__ = [
    "CODEC",
    "LICENSE",
    "NOTICE",
    "VARIABLE",
    "VERSION",
    "H264Choice",
    "H264Status",
    "codecs_with_or_without",
    "data_directory",
    "disable",
    "download",
    "enable",
    "forget",
    "prepare",
    "remember",
    "status",
]

_logger = logging.getLogger("aiolivekit.peer")

VERSION: str = webrtc.openh264.VERSION
"""The version that libwebrtc here was built for; it takes no other."""

NOTICE: str = webrtc.openh264.NOTICE
"""What Cisco's licence wants shown where users switch H.264 on and off."""

LICENSE: str = webrtc.openh264.LICENSE
"""Cisco's licence of the library it distributes."""

VARIABLE = "AIOLIVEKIT_OPENH264"
"""The environment's word: the path of a library, or `off`."""

CODEC = "H264"

_OFF = "off"
_PROFILES = ("42e01f", "42001f", "4d001f")
"""What OpenH264 is offered with, in libwebrtc's order (RFC 6184, `profile-level-id`)."""
_SUFFIXES = {".so", ".dylib", ".dll"}

Chooser = Literal["program", "environment", "user"]


@dataclass(frozen=True, slots=True)
class H264Choice:
    """What a user chose for all programs.

    Args:
        library: The file.
        from_cisco: Whether we downloaded it from Cisco, so that it is ours to delete.
    """

    library: Path
    from_cisco: bool = False


@dataclass(frozen=True, slots=True)
class H264Status:
    """Whether this process has H.264, and why.

    Args:
        enabled: Whether connections made from now on have it.
        library: Which library that is, or should be.
        chosen_by: Who chose it: the program, the environment, or the user on the command line.
        from_cisco: Whether it is Cisco's own, downloaded; what `NOTICE` is to be shown for.
        problem: Why it could not be loaded.
    """

    enabled: bool = False
    library: Path | None = None
    chosen_by: Chooser | None = None
    from_cisco: bool = False
    problem: str | None = None


class _Process:
    """What this process decided."""

    def __init__(self) -> None:
        self.prepared = False
        self.status = H264Status()


_process = _Process()


# -- what the user chose --


def data_directory() -> Path:
    """Return where a user's choice and Cisco's library are kept: `$AIOLIVEKIT_DATA`, or a directory of the user's."""
    own = os.environ.get("AIOLIVEKIT_DATA")
    if own:
        return Path(own)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "aiolivekit"


def remember(choice: H264Choice) -> None:
    """Remember a choice for all programs of this user.

    Raises:
        OSError: If it cannot be written.
    """
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    words = {"openh264": {"library": str(choice.library), "from_cisco": choice.from_cisco}}
    scratch = file.with_suffix(f".{os.getpid()}.tmp")
    scratch.write_text(json.dumps(words, indent=2) + "\n", encoding="utf-8")
    scratch.replace(file)


def forget() -> bool:
    """Forget the choice, and delete the library if we downloaded it; return whether there was one.

    Raises:
        OSError: If it cannot be deleted.
    """
    choice = _chosen()
    _file().unlink(missing_ok=True)
    # A file that says so could name any path: only what lies where we put it is deleted.
    if choice is not None and choice.from_cisco and choice.library.parent == _download_directory():
        choice.library.unlink(missing_ok=True)
        choice.library.with_name(f"{choice.library.name}.bz2").unlink(missing_ok=True)
    return choice is not None


def _file() -> Path:
    return data_directory() / "codecs.json"


def _download_directory() -> Path:
    return data_directory() / f"openh264-{VERSION}"


def _chosen() -> H264Choice | None:
    try:
        words = json.loads(_file().read_text(encoding="utf-8"))["openh264"]
        return H264Choice(Path(words["library"]), words.get("from_cisco") is True)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


# -- in this process --


def prepare() -> None:
    """Load what the environment or the user chose, once, unless the program has chosen; a failure is logged."""
    if _process.prepared:
        return
    _process.prepared = True
    found = _library_to_load()
    if found is None:
        return
    library, chosen_by, from_cisco = found
    try:
        _load(library)
    except CodecUnavailableError as error:
        _process.status = H264Status(False, library, chosen_by, from_cisco, str(error))
        _logger.warning("there is no H.264: %s", error)
    else:
        _process.status = H264Status(True, library, chosen_by, from_cisco)


def _library_to_load() -> tuple[Path, Chooser, bool] | None:
    named = os.environ.get(VARIABLE)
    if named:
        return None if named.lower() == _OFF else (Path(named), "environment", False)
    choice = _chosen()
    return None if choice is None else (choice.library, "user", choice.from_cisco)


def status() -> H264Status:
    """Return whether this process has H.264, after loading what was chosen."""
    prepare()
    return _process.status


def enable(library: Path, *, from_cisco: bool = False) -> None:
    """Have H.264 in connections made from now on.

    Raises:
        CodecUnavailableError: If it is no OpenH264 of the right version, or this process has loaded another one.
    """
    _load(library)
    _process.prepared = True
    _process.status = H264Status(True, library, "program", from_cisco)


def disable() -> None:
    """Have no H.264 in connections made from now on."""
    wrtc.disableOpenH264()
    _process.prepared = True
    _process.status = H264Status()


def _load(library: Path) -> None:
    # libwebrtc would search for a bare name, and take an empty one for the program itself.
    path = library.absolute()
    if not path.is_file():
        raise CodecUnavailableError(f"there is no file {library}")
    try:
        wrtc.loadOpenH264(str(path))
    except RuntimeError as error:
        raise CodecUnavailableError(f"{library} cannot be used (OpenH264 {VERSION} is needed): {error}") from error


def codecs_with_or_without(codecs: Sequence[Any], *, h264: bool) -> list[Any]:
    """Return video codecs as a connection has them that has H.264, or has not.

    What libwebrtc says of its codecs is true for the first of the connections that live; a later one goes by what was
    loaded when it was made.

    Args:
        codecs: What libwebrtc says (`wrtc.RtpCodecCapability`).
        h264: Whether the connection has H.264.
    """
    others = [each for each in codecs if each.name != CODEC]
    known = [each for each in codecs if each.name == CODEC]
    if not h264:
        return others
    return others + (known or [_codec(profile, mode) for profile in _PROFILES for mode in ("1", "0")])


def _codec(profile: str, packetization_mode: str) -> Any:
    codec = wrtc.RtpCodecCapability()
    codec.name, codec.kind, codec.clockRate = CODEC, "video", 90_000
    codec.parameters = {
        "level-asymmetry-allowed": "1",
        "packetization-mode": packetization_mode,
        "profile-level-id": profile,
    }
    return codec


async def download() -> H264Choice:
    """Download Cisco's library, unless it is there already, and load it. Only for a user who accepted its licence.

    Raises:
        CodecUnavailableError: If there is none for this platform, or it could not be downloaded or loaded.
        OSError: If it cannot be written.
    """
    directory = _download_directory()
    try:
        await webrtc.openh264.install(directory, print_notice=False)
    except RuntimeError as error:
        # That message would name addresses.
        words = "Cisco's library could not be downloaded" if isinstance(error.__cause__, OSError) else str(error)
        raise CodecUnavailableError(words) from error
    library = next(each for each in sorted(directory.iterdir()) if each.suffix in _SUFFIXES)
    _process.prepared = True
    _process.status = H264Status(True, library, "program", from_cisco=True)
    return H264Choice(library, from_cisco=True)
