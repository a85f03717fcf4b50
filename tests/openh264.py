"""An OpenH264 for tests, built from source once into the cache: nothing is downloaded from Cisco.

The crate `openh264-sys2` has the sources of the version libwebrtc wants. Cargo compiles them into static archives, and
these are linked into a shared library.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

from aiolivekit.testing import ServerUnavailableError
from aiolivekit.testing.server_binary import _locked, _run, cache_directory

__all__ = ["OpenH264UnavailableError", "build_openh264"]

VERSION = "2.6.0"
CRATE = "openh264-sys2"
CRATE_VERSION = "0.9.0"
MANIFEST = f"""\
[package]
name = "openh264-for-tests"
version = "0.0.0"
edition = "2021"

[dependencies]
{CRATE} = "={CRATE_VERSION}"
"""


class OpenH264UnavailableError(Exception):
    """There is no OpenH264, and it could not be built."""


def build_openh264() -> Path:
    """Return the library in the cache, after building it there if it is not there yet (a minute or two)."""
    home = cache_directory() / f"openh264-{VERSION}"
    library = home / "libopenh264.so"
    if library.exists():
        return library
    tools = {name: _tool(name) for name in ("cargo", "g++")}
    missing = [name for name, path in tools.items() if path is None]
    if missing:
        raise OpenH264UnavailableError(f"{' and '.join(missing)} would be needed to build OpenH264")
    home.parent.mkdir(parents=True, exist_ok=True)
    never = threading.Event()
    try:
        with _locked(home.parent / f"openh264-{VERSION}.lock", never):
            if not library.exists():
                _build(str(tools["cargo"]), str(tools["g++"]), library, never)
    except ServerUnavailableError as error:
        raise OpenH264UnavailableError("another process is building OpenH264 and does not finish") from error
    return library


def _tool(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=str(Path.home() / ".cargo" / "bin"))


def _build(cargo: str, compiler: str, library: Path, cancelled: threading.Event) -> None:
    home = library.parent
    scratch = Path(tempfile.mkdtemp(prefix=f"{home.name}.", dir=home.parent))
    try:
        (scratch / "Cargo.toml").write_text(MANIFEST)
        (scratch / "src").mkdir()
        (scratch / "src" / "lib.rs").touch()
        environment = {**os.environ, "CARGO_TARGET_DIR": str(scratch / "target"), "PATH": _path(cargo)}
        output = _run([cargo, "build", "--release"], environment, scratch, cancelled)
        archives = sorted(scratch.glob(f"target/release/build/{CRATE}-*/out/*.a"))
        made = scratch / library.name
        if archives:
            link = [compiler, "-shared", "-o", str(made), "-Wl,--whole-archive", *map(str, archives)]
            output += _run([*link, "-Wl,--no-whole-archive", "-Wl,-Bsymbolic"], environment, scratch, cancelled)
        if not made.exists():
            tail = "\n".join(output.splitlines()[-15:])
            raise OpenH264UnavailableError(f"OpenH264 {VERSION} could not be built:\n{tail}")
        home.mkdir(exist_ok=True)
        # By one rename, so what is there is complete.
        made.rename(library)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _path(cargo: str) -> str:
    # Cargo finds the compiler beside itself.
    return os.pathsep.join([str(Path(cargo).parent), os.environ.get("PATH", os.defpath)])
