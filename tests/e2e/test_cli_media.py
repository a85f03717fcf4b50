"""`aiolivekit publish` and `record`: from one film to another, through a room."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from aiolivekit.testing import RealServer
from tests.marks import read_recording, write_film
from tests.xvfb import display

from .cli_process import run, started
from .cli_terminal import on_terminal
from .conftest import OURS
from .sdk import DEADLINE, subscribed

pytest.importorskip("av")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals as on POSIX"),
]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("films") / "film.mkv", 3, audio="libopus")


async def test_a_film_goes_through_a_room_into_a_file(
    real_server: RealServer, token: Any, room_name: str, film: Path, tmp_path: Path, peer_mode: str
) -> None:
    url, mode = real_server.url, ["--dual"] if peer_mode == "dual" else []
    path = tmp_path / "room.mkv"
    async with started("record", url, str(path), "--token", token("recorder"), "--size", "320x240", *mode) as recording:
        await recording.line(lambda line: line == f"recording {room_name} to {path}")
        status, out, errors = await run("publish", url, str(film), "--token", token("film"), *mode)
        assert (status, errors) == (0, "")
        first, last = out.splitlines()
        assert first == f"publishing sound and picture (opus; h264 320x240, 30 a second, 0:03 long) in {room_name}"
        assert last == "ended after 0:03 of 0:03"
        recording.send_signal(signal.SIGINT)
        status, rest, errors = await recording.end()
        assert (status, errors) == (0, "")
        assert re.fullmatch(
            rf"recorded \d:\d\d, \d tracks?, [\d.]+ [kM]B(, .* dropped)*: {re.escape(str(path))}", rest[-1]
        )
    found = read_recording(path)
    assert {0, 1, 2} >= {each.number for each in found.beeps} >= {1, 2}
    assert found.flashes


async def test_test_pictures_go_into_a_directory(real_server: RealServer, token: Any, tmp_path: Path) -> None:
    url, where = real_server.url, tmp_path / "room"
    camera = ("--camera", "--device", "testsrc=size=160x120:rate=20,realtime", "--format", "lavfi")
    async with (
        started("publish", url, *camera, "--token", token("camera"), "--codec", "vp9", "--no-simulcast") as publishing,
        started("record", url, str(where), "--token", token("recorder"), "--from", "camera", "--no-audio") as recording,
    ):
        await publishing.line(lambda line: line.startswith("publishing camera in "))
        async with asyncio.timeout(DEADLINE * 2):
            while not (where / "camera-camera.mkv").exists():
                await asyncio.sleep(0.05)
            while (where / "camera-camera.mkv").stat().st_size < 5_000:
                await asyncio.sleep(0.05)
        recording.send_signal(signal.SIGTERM)
        status, rest, errors = await recording.end()
        assert (status, errors) == (0, "")
        assert rest[-1].endswith(str(where / "camera-camera.mkv"))
        publishing.send_signal(signal.SIGINT)
        # A camera has no other end.
        assert (await publishing.end())[0] == 0
    assert json.loads((where / "recording.json").read_text())["files"][0]["identity"] == "camera"
    assert read_recording(where / "camera-camera.mkv").pictures > 1


async def test_a_screen_is_published_as_one(real_server: RealServer, token: Any) -> None:
    bob, events = await OURS.join(real_server.url, token("bob"), single=True)
    try:
        with display() as name:
            arguments = ("--screen", "--device", name, "--fps", "10", "--token", token("screen"))
            async with started("publish", real_server.url, *arguments) as publishing:
                await publishing.line(lambda line: line.startswith("publishing screen in "))
                _, publication, _ = await subscribed(events)
                assert publication.source == OURS.rtc.TrackSource.SOURCE_SCREENSHARE
                assert (publication.width, publication.height) == (320, 240)
                publishing.send_signal(signal.SIGINT)
                assert (await publishing.end())[0] == 0
    finally:
        await bob.disconnect()


async def test_progress_is_shown_on_a_terminal(real_server: RealServer, token: Any, film: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    async with (
        on_terminal("record", real_server.url, str(path), "--token", token("recorder")) as recording,
        on_terminal("publish", real_server.url, str(film), "--loop", "--token", token("film")) as publishing,
    ):
        await publishing.shows("0:01 of 0:03", "begun anew 1 times")
        await recording.shows("1 track")
        publishing.type(b"\x03")
        assert await publishing.status() == 0
        recording.type(b"\x03")
        assert await recording.status() == 0
        assert publishing.cursor_is_back
        assert recording.cursor_is_back
    assert read_recording(path).beeps


async def test_a_file_that_is_there_is_kept(real_server: RealServer, token: Any, tmp_path: Path) -> None:
    path = tmp_path / "there.mkv"
    path.write_text("mine")
    status, out, errors = await run("record", real_server.url, str(path), "--token", token("recorder"))
    assert (status, out) == (1, "")
    assert errors == "aiolivekit: could not record (recording): there is a file of that name already\n"
    assert path.read_text() == "mine"
    status, _, errors = await run("record", real_server.url, str(tmp_path / "a.avi"), "--token", token("recorder"))
    assert status == 1
    assert "a recording ends in one of" in errors
