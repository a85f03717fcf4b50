"""The arrows of docs/design.md, enforced."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import aiolivekit

PACKAGE = Path(aiolivekit.__file__).parent

# Base modules everyone may use.
BASE = {"_begin", "_fields", "_listening", "_tasks", "_version", "enums", "errors", "options", "stats"}

# package -> packages it may import, itself apart
ARROWS: dict[str, set[str]] = {
    "core": set(),
    "signalling": {"core"},
    "peer": {"core"},
    "media": {"peer", "core"},
    "e2ee": {"peer", "core"},
    "session": {"signalling", "peer", "media", "e2ee", "core"},
    "engine": {"session", "signalling", "peer", "media", "e2ee", "core"},
    "data": {"core"},
    "room": {"engine", "session", "data", "media", "e2ee", "peer", "core"},
    "server": {"core"},
    "testing": {"server", "room", "core", "<root>"},
    "cli": {"room", "media", "server", "testing", "compat", "core", "<root>"},
    "compat": {"room", "media", "e2ee", "<root>"},
    "rtc": {"room", "media", "e2ee", "compat", "<root>"},
    "<root>": {"room", "media", "engine", "e2ee"},
}

# What only base modules may import from elsewhere: options name the types users pass.
NATIVE = {"webrtc", "wrtc"}


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        if relative.parts[0] in ("_vendor", "_overlay"):
            continue
        package = relative.parts[0] if len(relative.parts) > 1 else "<root>"
        if package == "<root>" and relative.stem in BASE:
            package = "<base>"
        elif package == "<root>" and relative.stem == "__main__":
            package = "cli"
        found.append((package, path))
    return found


def imports_of(path: Path) -> list[tuple[str, ...]]:
    """Absolute module paths imported by a file, as tuples of names."""
    relative = path.relative_to(PACKAGE)
    here = ("aiolivekit", *relative.with_suffix("").parts)
    if here[-1] == "__init__":
        here = here[:-1]
        level_base = here
    else:
        level_base = here[:-1]
    found: list[tuple[str, ...]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = level_base[: len(level_base) - node.level + 1]
                module = (*base, *(node.module.split(".") if node.module else ()))
            else:
                module = tuple((node.module or "").split("."))
            if module == ("aiolivekit",):
                found += [(*module, alias.name) for alias in node.names]
            else:
                found.append(module)
    return found


@pytest.mark.parametrize(("package", "path"), modules(), ids=lambda value: getattr(value, "name", value))
def test_import_arrows(package: str, path: Path) -> None:
    allowed = ARROWS.get(package, set()) | {package}
    for module in imports_of(path):
        if module[0] in NATIVE:
            assert package == "peer", f"{path.name} imports {module[0]}; only peer/ may"
        if module[0] != "aiolivekit" or len(module) < 2:
            continue
        target = module[1]
        if (PACKAGE / target).is_dir():
            if target == "_vendor":
                assert package == "server", f"{path.name} imports _vendor"
            elif package == "<base>":
                pytest.fail(f"base module {path.name} imports {target}")
            else:
                assert target in allowed, f"{package}/{path.name} may not import {target}"
        elif target not in BASE:
            # a name of the package's public face
            assert "<root>" in allowed, f"{package}/{path.name} imports from the public face"


def test_import_is_light() -> None:
    """What only some users need is not loaded by importing the package."""
    import subprocess

    heavy = ("numpy", "rich", "typer", "av", "jwt", "pydantic", "cryptography")
    used = "aiolivekit.Room; aiolivekit.KeyProvider"
    code = f"import sys, aiolivekit; {used}; print(*[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
