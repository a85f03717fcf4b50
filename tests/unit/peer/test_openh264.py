"""Which OpenH264 a process loads, and what becomes of one that cannot be."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import wrtc

from aiolivekit.errors import CodecUnavailableError, UnsupportedError
from aiolivekit.media.h264 import H264_NOTICE, disable_h264, enable_h264, h264_status, install_h264
from aiolivekit.peer import openh264
from aiolivekit.peer.capabilities import check_can_send
from aiolivekit.peer.connection import PeerConnection
from aiolivekit.peer.openh264 import H264Choice, H264Status


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """A process that has decided nothing yet; libwebrtc takes every library whose name begins with "lib"."""
    loaded: list[str] = []

    def load(path: str) -> str:
        if not Path(path).name.startswith("lib"):
            raise RuntimeError("Not an OpenH264 library")
        loaded.append(path)
        return openh264.VERSION

    monkeypatch.setattr(wrtc, "loadOpenH264", load)
    monkeypatch.setattr(wrtc, "disableOpenH264", lambda: loaded.append("off"))
    monkeypatch.setattr(openh264, "_process", openh264._Process())
    monkeypatch.setenv("AIOLIVEKIT_DATA", str(tmp_path / "data"))
    monkeypatch.delenv(openh264.VARIABLE)
    return loaded


@pytest.fixture
def library(tmp_path: Path) -> Path:
    file = tmp_path / "libopenh264.so"
    file.touch()
    return file


def test_nothing_is_chosen(native: list[str]) -> None:
    assert h264_status() == H264Status()
    assert native == []


def test_what_the_user_chose_is_loaded_once(native: list[str], library: Path) -> None:
    openh264.remember(H264Choice(library))
    assert h264_status() == H264Status(True, library, "user")
    assert h264_status().enabled
    assert native == [str(library)]


def test_the_environment_counts_more_than_the_choice(
    native: list[str], library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openh264.remember(H264Choice(tmp_path / "libother.so"))
    monkeypatch.setenv(openh264.VARIABLE, str(library))
    assert h264_status() == H264Status(True, library, "environment")
    assert native == [str(library)]


def test_the_environment_switches_it_off(native: list[str], library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openh264.remember(H264Choice(library))
    monkeypatch.setenv(openh264.VARIABLE, "off")
    assert h264_status() == H264Status()
    assert native == []


def test_the_program_counts_most(native: list[str], library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(openh264.VARIABLE, "/nowhere")
    enable_h264(library)
    assert h264_status() == H264Status(True, library, "program")
    disable_h264()
    assert h264_status() == H264Status()
    assert native == [str(library), "off"]


@pytest.mark.parametrize("name", ["missing/libopenh264.so", "no-library.so", ""])
def test_one_that_cannot_be_loaded(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "no-library.so").touch()
    library = tmp_path / name
    with pytest.raises(CodecUnavailableError):
        enable_h264(library)
    # What was remembered and is gone prevents no connection; it is said once, and why when H.264 is asked for.
    openh264.remember(H264Choice(library))
    with caplog.at_level(logging.WARNING, "aiolivekit.peer"):
        status = h264_status()
        assert h264_status() is status
    assert (status.enabled, status.library, status.chosen_by) == (False, library, "user")
    assert [record.getMessage() for record in caplog.records] == [f"there is no H.264: {status.problem}"]
    with pytest.raises(CodecUnavailableError, match="not usable: "):
        check_can_send("H264")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"openh264": 1}', '{"openh264": {"library": 3}}'])
def test_a_damaged_choice_is_none(text: str) -> None:
    file = openh264.data_directory() / "codecs.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert h264_status() == H264Status()
    assert not disable_h264(forget=True)
    assert not file.exists()


def test_forgetting_deletes_what_was_downloaded_and_nothing_else(library: Path) -> None:
    enable_h264(library, remember=True)
    assert json.loads((openh264.data_directory() / "codecs.json").read_text()) == {
        "openh264": {"library": str(library), "from_cisco": False}
    }
    assert disable_h264(forget=True)
    assert library.exists()
    assert not disable_h264(forget=True)
    # A choice that claims so, of a file elsewhere.
    openh264.remember(H264Choice(library, from_cisco=True))
    disable_h264(forget=True)
    assert library.exists()
    ours = openh264.data_directory() / f"openh264-{openh264.VERSION}" / "libopenh264.so"
    ours.parent.mkdir()
    ours.touch()
    openh264.remember(H264Choice(ours, from_cisco=True))
    disable_h264(forget=True)
    assert not ours.exists()


async def test_nothing_is_downloaded_without_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> str:
        raise AssertionError("downloaded without consent")

    monkeypatch.setattr("webrtc.openh264.install", never)
    with pytest.raises(CodecUnavailableError, match=H264_NOTICE):
        await install_h264(accept_license=False)
    assert h264_status() == H264Status()


async def test_what_is_downloaded_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def arrive(directory: Path) -> None:
        directory.mkdir(parents=True)
        for name in ("libopenh264-2.6.0-linux64.8.so", "libopenh264-2.6.0-linux64.8.so.bz2"):
            (directory / name).touch()

    async def install(directory: Path, *, print_notice: bool) -> str:
        assert not print_notice
        arrive(directory)
        return openh264.VERSION

    monkeypatch.setattr("webrtc.openh264.install", install)
    status = await install_h264(accept_license=True, remember=True)
    assert (status.enabled, status.from_cisco) == (True, True)
    monkeypatch.setattr(openh264, "_process", openh264._Process())
    assert h264_status() == H264Status(True, status.library, "user", from_cisco=True)


async def test_a_failed_download_names_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def install(*_: object, **__: object) -> str:
        raise RuntimeError("Can't download it from example.com") from OSError("refused")

    monkeypatch.setattr("webrtc.openh264.install", install)
    with pytest.raises(CodecUnavailableError, match=r"^Cisco's library could not be downloaded$"):
        await install_h264(accept_license=True)


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1"])
def test_codecs_that_are_always_there(codec: str) -> None:
    check_can_send(codec)


def test_codecs_that_are_not_there() -> None:
    with pytest.raises(CodecUnavailableError, match="has no H265; it has VP8, VP9, AV1"):
        check_can_send("H265")
    with pytest.raises(UnsupportedError, match="aiolivekit codecs install"):
        check_can_send("H264")


def test_the_codecs_of_a_later_connection() -> None:
    """What libwebrtc says is true for the first of the connections that live."""
    vp8, known = wrtc.RtpCodecCapability(), wrtc.RtpCodecCapability()
    vp8.name, known.name = "VP8", "H264"
    assert openh264.codecs_with_or_without([known, vp8], h264=False) == [vp8]
    assert openh264.codecs_with_or_without([known, vp8], h264=True) == [vp8, known]
    made = openh264.codecs_with_or_without([vp8], h264=True)
    assert made[0] is vp8
    assert [each.mimeType for each in made[1:]] == ["video/H264"] * 6
    assert made[1].parameters["profile-level-id"] == "42e01f"
    assert [each.parameters["packetization-mode"] for each in made[1:3]] == ["1", "0"]


async def test_a_connection_has_the_codecs_of_when_it_was_made(library: Path) -> None:
    class Sink:
        def __getattr__(self, name: str) -> object:
            return lambda *_: None

    peer = PeerConnection("publisher", Sink())  # type: ignore[arg-type]
    try:
        enable_h264(library)
        with pytest.raises(CodecUnavailableError, match="after joining again"):
            peer.send(None, [], codec="H264")  # type: ignore[arg-type]
    finally:
        peer.close()
