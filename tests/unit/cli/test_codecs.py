"""`aiolivekit codecs`: H.264 by the user's explicit choice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import wrtc

from aiolivekit.media.h264 import H264_NOTICE
from aiolivekit.peer import openh264

from .running import Cli


@pytest.fixture(autouse=True)
def downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Path]]:
    """A user who has chosen nothing yet; what is downloaded is an empty file, and libwebrtc takes it."""
    done: list[Path] = []

    def arrive(directory: Path) -> None:
        directory.mkdir(parents=True)
        (directory / "libopenh264.so").touch()
        done.append(directory)

    async def install(directory: Path, *, print_notice: bool) -> str:
        arrive(directory)
        return openh264.VERSION

    monkeypatch.setattr("webrtc.openh264.install", install)
    monkeypatch.setattr(wrtc, "loadOpenH264", lambda path: openh264.VERSION)
    monkeypatch.setattr(wrtc, "disableOpenH264", lambda: None)
    monkeypatch.setenv("AIOLIVEKIT_DATA", str(tmp_path / "data"))
    monkeypatch.delenv(openh264.VARIABLE)
    monkeypatch.setattr(openh264, "_process", openh264._Process())
    return done


def another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openh264, "_process", openh264._Process())


def test_what_there_is(cli: Cli) -> None:
    done = cli("codecs")
    assert done.status == 0
    assert "VP8, VP9, AV1" in done.out
    assert "H.264   off; `aiolivekit codecs install`" in done.out
    found = json.loads(cli("codecs", "--json").out)
    assert found["video"] == ["VP8", "VP9", "AV1"]
    assert "opus" in found["audio"]
    assert found["h264"] == {
        "enabled": False,
        "library": None,
        "chosen_by": None,
        "from_cisco": False,
        "problem": None,
    }


def test_installing_asks_first(cli: Cli, downloads: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    done = cli("codecs", "install")
    assert (done.status, downloads) == (2, [])
    assert H264_NOTICE in done.out
    assert "--accept-license" in done.err

    monkeypatch.setattr("aiolivekit.cli.codecs._can_ask", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda question: False)
    done = cli("codecs", "install")
    assert (done.status, downloads) == (1, [])
    assert H264_NOTICE in done.out

    monkeypatch.setattr("typer.confirm", lambda question: True)
    done = cli("codecs", "install")
    assert done.status == 0
    assert len(downloads) == 1
    another_process(monkeypatch)
    shown = cli("codecs").out
    assert "H.264   on, by " in shown
    assert H264_NOTICE in shown


def test_installing_and_removing(cli: Cli, downloads: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("codecs", "install", "--accept-license").status == 0
    [directory] = downloads
    assert (directory / "libopenh264.so").exists()
    another_process(monkeypatch)
    assert cli("codecs", "remove").out == "H.264 is off.\n"
    assert not (directory / "libopenh264.so").exists()
    another_process(monkeypatch)
    assert "H.264   off" in cli("codecs").out
    assert cli("codecs", "remove").out == "H.264 was not chosen; nothing was changed.\n"


def test_a_library_of_ones_own(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = cli("codecs", "use", str(tmp_path / "nothing.so"))
    assert (done.status, done.out) == (1, "")
    assert "there is no file" in done.err
    library = tmp_path / "libopenh264.so"
    library.touch()
    assert cli("codecs", "use", str(library)).status == 0
    another_process(monkeypatch)
    found = json.loads(cli("codecs", "--json").out)["h264"]
    assert found == {
        "enabled": True,
        "library": str(library),
        "chosen_by": "user",
        "from_cisco": False,
        "problem": None,
    }


def test_the_licence(cli: Cli) -> None:
    assert "AVC/H.264 Patent Portfolio License Conditions" in cli("codecs", "license").out
