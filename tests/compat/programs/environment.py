"""The environments in which other people's programs run: their framework with all its pins, and ours beside them.

Each has a virtual environment of its own in the cache, made once from a list of pins and hashes, into which the package
is installed as users install it: as a wheel, whose overlay stands before the official `livekit.rtc`.

`python -m tests.compat.programs.environment NAME` makes one and prints its interpreter.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from aiolivekit.testing.server_binary import cache_directory

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parents[2]
LIMIT = 600.0
"""Seconds for any one command; the first time, some 200 MB are downloaded."""

Framework = Literal["agents", "pipecat"]


class EnvironmentUnavailableError(Exception):
    """The environment could not be made; the message ends with the words of what failed."""


def prepare(framework: Framework) -> Path:
    """Return the interpreter of an environment with the framework and this checkout's package; may take a minute.

    Several processes may call this at once: one makes it, the others wait.

    Raises:
        EnvironmentUnavailableError: If it cannot be made, e.g. without a package index.
    """
    lock = FOLDER / f"{framework}.lock"
    # Checkouts have environments of their own, since each installs itself.
    digest = _digest(lock.read_bytes(), sys.version.encode(), str(PROJECT).encode())
    home = cache_directory() / f"programs-{framework}-{digest}"
    python = home / "bin" / "python"
    home.parent.mkdir(parents=True, exist_ok=True)
    with _locked(home.with_suffix(".lock")):
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            _uv("venv", "--quiet", "--python", sys.executable, str(home))
            _uv(
                "pip",
                "install",
                "--quiet",
                "--compile-bytecode",
                "--python",
                str(python),
                "--require-hashes",
                "-r",
                str(lock),
            )
            (home / "complete").touch()
        _install_ours(home, python)
    return python


def _install_ours(home: Path, python: Path) -> None:
    stamp = home / "installed"
    now = _digest(*_sources())
    if stamp.exists() and stamp.read_text() == now:
        return
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, str(PROJECT)])
        (wheel,) = Path(folder).glob("*.whl")
        _uv(
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--python",
            str(python),
            "--no-deps",
            "--reinstall",
            str(wheel),
        )
    # Not by the command line, whose extra pipecat has no use for.
    _run([str(python), "-c", "from aiolivekit.compat.overlay import install; install(None)"])
    stamp.write_text(now)


def _sources() -> Iterator[bytes]:
    yield (PROJECT / "pyproject.toml").read_bytes()
    for path in sorted((PROJECT / "src").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(PROJECT)).encode()
            yield path.read_bytes()


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def _uv(*arguments: str) -> None:
    uv = shutil.which("uv", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
    if uv is None:
        raise EnvironmentUnavailableError("uv is not installed (it is in the development group)")
    _run([uv, *arguments])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentUnavailableError(str(error)) from error
    if done.returncode:
        name = " ".join(Path(part).name if part.startswith("/") else part for part in command[:4])
        raise EnvironmentUnavailableError(f"{name} failed: {done.stdout[-2000:]}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # ends with the process, so a crash leaves none behind
        yield


if __name__ == "__main__":
    print(prepare(sys.argv[1]))  # type: ignore[arg-type]
