"""Finds the binary of the LiveKit server that the tests are written for, or builds it once into a cache."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..errors import LiveKitError
from ._process import kill_group

__all__ = [
    "SERVER_VERSION",
    "ServerUnavailableError",
    "build_server",
    "cache_directory",
    "find_server",
    "server_version",
]

SERVER_VERSION = "1.13.5"
_MODULE = f"github.com/livekit/livekit-server/cmd/server@v{SERVER_VERSION}"
_BUILD_LIMIT = 30 * 60.0
"""Seconds for a build: it downloads some 350 MB of modules, then compiles for minutes on a slow machine."""

_logger = logging.getLogger("aiolivekit.testing")


class ServerUnavailableError(LiveKitError):
    """There is no LiveKit server of the right version, and it could not be built."""


def find_server(*, cancelled: threading.Event | None = None, build: bool = True) -> Path:
    """Return the path of a server binary of version `SERVER_VERSION`; blocks while it is being built.

    In this order: the binary `$AIOLIVEKIT_LIVEKIT_SERVER` names, `livekit-server` on the PATH if it has the
    right version, the one in the cache, and else a new one built into the cache with `go install`.

    Args:
        cancelled: Ends a build when it is set.
        build: Whether to build one if there is none.

    Raises:
        ServerUnavailableError: If there is none and it could not or should not be built, or if the one that
            `$AIOLIVEKIT_LIVEKIT_SERVER` names is missing or of another version.
    """
    named = os.environ.get("AIOLIVEKIT_LIVEKIT_SERVER")
    if named:
        version = server_version(Path(named))
        if version != SERVER_VERSION:
            found = f"version {version}" if version else "no LiveKit server"
            raise ServerUnavailableError(
                f"$AIOLIVEKIT_LIVEKIT_SERVER names {found}; version {SERVER_VERSION} is needed"
            )
        return Path(named)
    on_path = shutil.which("livekit-server")
    if on_path is not None and server_version(Path(on_path)) == SERVER_VERSION:
        return Path(on_path)
    if not build and not _cached().exists():
        raise ServerUnavailableError(f"livekit-server {SERVER_VERSION} is neither on the PATH nor in the cache")
    return build_server(cancelled=cancelled)


def server_version(binary: Path) -> str | None:
    """Return the version a binary reports, or `None` if it is no LiveKit server or cannot be run."""
    try:
        result = subprocess.run(  # noqa: S603 - the path is the user's own
            [binary, "--version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    # "livekit-server version 1.13.5": a constant in the source, so what `go install` builds reports it too.
    name, _, version = result.stdout.strip().partition(" version ")
    return version or None if name == "livekit-server" else None


def cache_directory() -> Path:
    """Return where built servers are kept: `$AIOLIVEKIT_CACHE`, or a directory in the user's cache."""
    own = os.environ.get("AIOLIVEKIT_CACHE")
    if own:
        return Path(own)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "aiolivekit"


def _cached() -> Path:
    name = "server.exe" if sys.platform == "win32" else "server"
    return cache_directory() / f"livekit-server-{SERVER_VERSION}" / name


def build_server(*, cancelled: threading.Event | None = None) -> Path:
    """Return the server in the cache, after building it there if it is not there yet.

    Several processes may call this at once: one builds, the others wait for it.

    Args:
        cancelled: Ends the wait and the build when it is set.

    Raises:
        ServerUnavailableError: If Go is missing or the build fails.
    """
    cancelled = cancelled if cancelled is not None else threading.Event()
    cache = cache_directory()
    binary = _cached()
    home = binary.parent
    # The directory appears by one rename after the build, so what is there is complete.
    if binary.exists():
        return binary
    go = shutil.which("go")
    if go is None:
        raise ServerUnavailableError(
            f"livekit-server {SERVER_VERSION} is not installed, nor is Go, which could build it"
        )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f"livekit-server-{SERVER_VERSION}.lock", cancelled):
            if not binary.exists():
                _build(go, home, binary.name, cancelled)
    except OSError as error:
        raise ServerUnavailableError(f"the cache of servers cannot be written: {error.strerror}") from error
    return binary


def _build(go: str, home: Path, name: str, cancelled: threading.Event) -> None:
    _logger.info("building livekit-server %s; this happens once and takes minutes", SERVER_VERSION)
    scratch = Path(tempfile.mkdtemp(prefix=f"{home.name}.", dir=home.parent))
    try:
        # A user's GOFLAGS may ask for vendoring, which `go install module@version` refuses. Without cgo no C
        # compiler is needed.
        environment = {
            **os.environ,
            "GOBIN": str(scratch),
            "GO111MODULE": "on",
            "GOFLAGS": "",
            "CGO_ENABLED": "0",
        }
        for variable in ("GOOS", "GOARCH"):
            environment.pop(variable, None)
        output = _run([go, "install", _MODULE], environment, scratch, cancelled)
        version = server_version(scratch / name)
        if version != SERVER_VERSION:
            tail = "\n".join(output.splitlines()[-15:])
            raise ServerUnavailableError(f"livekit-server {SERVER_VERSION} could not be built:\n{tail}")
        if home.exists():
            shutil.rmtree(home)
        scratch.rename(home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run(command: list[str], environment: dict[str, str], directory: Path, cancelled: threading.Event) -> str:
    """Run a command to its end and return its output; it is killed when `cancelled` is set or time is up."""
    deadline = time.monotonic() + _BUILD_LIMIT
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            command,
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                if cancelled.wait(0.1) or time.monotonic() > deadline:
                    break
        finally:
            kill_group(process)
        output.seek(0)
        return output.read().decode(errors="replace")


@contextlib.contextmanager
def _locked(path: Path, cancelled: threading.Event) -> Iterator[None]:
    """Hold an exclusive lock on a file; it ends with the process, so a crash leaves none behind."""
    deadline = time.monotonic() + _BUILD_LIMIT
    with path.open("a+b") as file:
        while not _try_lock(file):
            if cancelled.wait(0.1) or time.monotonic() > deadline:
                raise ServerUnavailableError("another process is building the server and does not finish")
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
