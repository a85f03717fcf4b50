"""The switch for a whole environment, in interpreters of their own."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import pytest

import aiolivekit.rtc
from aiolivekit.compat import overlay
from aiolivekit.compat.overlay import FILE_NAME, OVERLAY, SWITCH, DropinError, install, remove, status

from .environment import Environment

PACKAGE = Path(aiolivekit.__file__).parent
FORKSERVER = pytest.mark.skipif(sys.platform == "win32", reason="no forkserver on Windows")

official = pytest.importorskip("livekit.rtc", reason="the official package is not installed (group `peers`)")

WHOSE = """
from livekit import rtc
import livekit.rtc.room
print(rtc.Room.__module__.partition(".")[0], livekit.rtc.room.Room is rtc.Room)
"""

CHILDREN = """
import multiprocessing

def whose():
    from livekit import rtc
    return rtc.Room.__module__.partition(".")[0]

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    if {method!r} == "forkserver":
        multiprocessing.set_forkserver_preload(["livekit.rtc"])
    with context.Pool(1) as pool:
        print(pool.apply(whose))
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def test_an_environment_is_switched_and_switched_back(environment: Environment) -> None:
    before = sorted(path.name for path in environment.site.iterdir())
    assert environment.run(WHOSE) == "livekit True"
    assert not status(environment.site).installed

    assert install(environment.site) == environment.site / FILE_NAME
    assert install(environment.site) == environment.site / FILE_NAME  # twice is once
    assert sorted(path.name for path in environment.site.iterdir()) == [*before, FILE_NAME]
    assert environment.run(WHOSE) == "aiolivekit True"
    assert status(environment.site).installed

    assert remove(environment.site)
    assert not remove(environment.site)
    assert sorted(path.name for path in environment.site.iterdir()) == before
    assert environment.run(WHOSE) == "livekit True"


@pytest.mark.parametrize("value", ["0", "off", "No", "FALSE"])
def test_a_program_can_opt_out(environment: Environment, value: str) -> None:
    install(environment.site)
    assert environment.run(WHOSE, **{SWITCH: value}) == "livekit True"
    assert status(environment.site, {SWITCH: value}).switched_off


@pytest.mark.parametrize("method", ["spawn", pytest.param("forkserver", marks=FORKSERVER)])
def test_children_get_it_too(environment: Environment, method: str) -> None:
    install(environment.site)
    assert environment.run(CHILDREN.format(method=method)) == "aiolivekit"


def test_nothing_is_loaded_before_it_is_imported(environment: Environment) -> None:
    install(environment.site)
    code = """
import sys
before = [name for name in sys.modules if name.partition(".")[0] in ("aiolivekit", "livekit", "webrtc", "wrtc")]
from livekit import rtc
loaded = [name for name in ("webrtc", "wrtc", "numpy", "google.protobuf") if name in sys.modules]
print(before, loaded, rtc.RoomOptions().auto_subscribe)
"""
    assert environment.run(code) == "[] [] True"


def test_the_rest_of_the_namespace_goes_on_working(environment: Environment) -> None:
    install(environment.site)
    code = """
import livekit.api, livekit.protocol.models, livekit.rtc
print(livekit.api.AccessToken.__module__, livekit.protocol.models.Room.__module__, livekit.rtc.Room.__module__)
"""
    assert environment.run(code) == "livekit.api.access_token models aiolivekit.room.room"


def test_every_module_is_ours_under_a_second_name(environment: Environment) -> None:
    install(environment.site)
    code = """
import importlib, pkgutil
import aiolivekit.rtc, livekit.rtc

names = [each.name for each in pkgutil.walk_packages(aiolivekit.rtc.__path__, "")]
names += [f"_proto.{each.name}" for each in pkgutil.iter_modules(aiolivekit.rtc._proto.__path__)]
for name in names:
    ours = importlib.import_module(f"aiolivekit.rtc.{name}")
    theirs = importlib.import_module(f"livekit.rtc.{name}")
    assert theirs is ours or name == "_proto", name
    if "." not in name:
        assert getattr(livekit.rtc, name) is theirs, name
for name in aiolivekit.rtc.__all__:
    assert getattr(livekit.rtc, name) is getattr(aiolivekit.rtc, name), name
assert set(livekit.rtc.__all__) == set(aiolivekit.rtc.__all__)
print(len(names) > 40)
"""
    assert environment.run(code) == "True"


def test_the_folder_has_a_module_for_each_of_ours() -> None:
    ours = {path.relative_to(PACKAGE / "rtc") for path in (PACKAGE / "rtc").rglob("*.py")}
    theirs = {path.relative_to(OVERLAY / "livekit/rtc") for path in (OVERLAY / "livekit").rglob("*.py")}
    assert ours == theirs
    assert not (OVERLAY / "livekit" / "__init__.py").exists(), "livekit is a namespace that others share"


def test_what_is_patched_is_found(environment: Environment) -> None:
    """Tests of other people replace names of `livekit.rtc`, before and after they were first read."""
    install(environment.site)
    code = """
from unittest.mock import patch
from livekit import rtc
for _ in range(2):
    with patch("livekit.rtc.AudioSource") as fake, patch("livekit.rtc.AudioStream.from_track") as made:
        assert rtc.AudioSource is fake and rtc.AudioStream.from_track is made
    assert rtc.AudioSource.__module__.startswith("aiolivekit.") and rtc.AudioStream.from_track is not made
print("done")
"""
    assert environment.run(code) == "done"


def test_a_file_that_leads_nowhere_harms_nobody(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "OVERLAY", environment.site / "gone")
    install(environment.site)
    monkeypatch.undo()
    assert status(environment.site).stale
    assert not status(environment.site).installed
    assert environment.run(WHOSE) == "livekit True"
    install(environment.site)
    assert status(environment.site).installed


def test_the_switch_is_one_line_that_imports_nothing_new(environment: Environment) -> None:
    lines = install(environment.site).read_text().splitlines()
    assert len(lines) == 1
    imported = [
        alias.name for node in ast.walk(ast.parse(lines[0])) if isinstance(node, ast.Import) for alias in node.names
    ]
    assert imported == ["os", "sys"]


def test_another_file_in_its_place_is_left_alone(environment: Environment) -> None:
    file = environment.site / FILE_NAME
    file.write_text("somebody's\n")
    for change in (install, remove):
        with pytest.raises(DropinError, match="left alone"):
            change(environment.site)
    assert file.read_text() == "somebody's\n"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written(environment: Environment) -> None:
    environment.site.chmod(0o500)
    with pytest.raises(DropinError, match="cannot be written"):
        install(environment.site)
    environment.site.chmod(0o700)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DropinError, match="cannot be written: No such file"):
        install(tmp_path / "missing")
    assert not remove(tmp_path / "missing")


def test_status_tells_of_this_process(environment: Environment) -> None:
    found = status(environment.site)
    assert found.file == environment.site / FILE_NAME
    assert not found.in_use
    assert found.official == official.__version__
