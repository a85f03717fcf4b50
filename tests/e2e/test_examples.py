"""The programs in `examples/` do what they say; those on other people's frameworks are in `tests/compat/programs`."""

from __future__ import annotations

import ast
import asyncio
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiolivekit
from aiolivekit.rtc import jupyter
from aiolivekit.testing import RealServer
from tests.compat.programs.running import Program
from tests.conftest import TokenMaker
from tests.interop import media
from tests.interop.sdk_client import SdkClient

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples"


@asynccontextmanager
async def ada(real_server: RealServer, token: TokenMaker) -> AsyncIterator[SdkClient]:
    """Somebody who is in the room."""
    client = SdkClient(aiolivekit, "ours", "ada")
    try:
        await client.join(real_server.url, token("ada"), single=True)
        yield client
    finally:
        await client.close()


def program(name: str, *arguments: str, server: RealServer, token: str) -> Program:
    environment = {"LIVEKIT_URL": server.url, "LIVEKIT_TOKEN": token, "PYTHONWARNINGS": "error"}
    return Program(Path(sys.executable), str(EXAMPLES / name), *arguments, sdk="ours", environment=environment)


async def close_room(server: RealServer, room_name: str) -> None:
    await asyncio.to_thread(server.api, "RoomService/DeleteRoom", {"room": room_name})


async def test_the_echo_agent(real_server: RealServer, token: TokenMaker, room_name: str) -> None:
    async with program("echo_agent.py", server=real_server, token=token("echo")) as echo:
        await echo.line("listening")
        async with ada(real_server, token) as client:
            await client.publish_tone(440)
            back = await client.events.wait("track_subscribed", identity="echo", kind="audio")
            assert back["track_name"] == "echo of ada"
            assert (await client.hear(back["sid"])).frequency == pytest.approx(440, abs=6)
            await close_room(real_server, room_name)
        assert await echo.ended() == 0, echo.words


async def test_the_recorder(real_server: RealServer, token: TokenMaker, room_name: str, tmp_path: Path) -> None:
    async with program("recorder.py", str(tmp_path), server=real_server, token=token("tape", hidden=True)) as recorder:
        await recorder.line(f"recording {room_name}")
        async with ada(real_server, token) as client:
            sid = await client.publish_tone(600)
            await recorder.line(f"recording ada as {sid}.wav")
            await asyncio.sleep(1)  # so much is to be on the tape
            await client.unpublish(sid)
            await recorder.line(f"recorded {sid}.wav")
            await close_room(real_server, room_name)
        assert await recorder.ended() == 0, recorder.words
    with wave.open(str(tmp_path / f"{sid}.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert len(samples) > 24_000
    assert media.read_tone(samples).frequency == pytest.approx(600, abs=6)


async def test_the_camera(real_server: RealServer, token: TokenMaker) -> None:
    async with (
        ada(real_server, token) as client,
        program("camera.py", "600", server=real_server, token=token("camera")),
    ):
        track = await client.events.wait("track_subscribed", identity="camera")
        assert (track["kind"], track["source"]) == ("video", "camera")
        # It moves: the middle is not always the same.
        first = await client.see(track["sid"])
        second = await client.see_until(track["sid"], lambda picture: not picture.is_colour(_bytes(first), 3))
        for picture in (first, second):
            assert picture.width * 9 == picture.height * 16


def _bytes(picture: Any) -> tuple[int, int, int]:
    red, green, blue = (round(value) for value in picture.colour)
    return red, green, blue


async def test_teleoperation(real_server: RealServer, token: TokenMaker) -> None:
    async with program("teleoperation.py", "robot", server=real_server, token=token("robot")) as robot:
        await robot.line("the robot is ready")
        async with program("teleoperation.py", "operator", server=real_server, token=token("operator")) as operator:
            line = await operator.line("the robot is standing at")
            x, y = (float(value) for value in line.split("at ")[1].split(","))
            assert x >= 2
            assert y == 0
            assert await operator.ended() == 0, operator.words
        assert await robot.ended() == 0, robot.words


async def test_the_notebook(
    real_server: RealServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(jupyter, "display_room", lambda url, token: shown.append((url, token)))
    monkeypatch.setenv("LIVEKIT_URL", real_server.url)
    monkeypatch.setenv("LIVEKIT_API_KEY", real_server.api_key)
    monkeypatch.setenv("LIVEKIT_API_SECRET", real_server.api_secret)
    source = (EXAMPLES / "notebook.py").read_text(encoding="utf-8")
    first, *cells = source.split("\n# %% ")
    names: dict[str, Any] = {}
    reader = SdkClient(aiolivekit, "ours", "reader")
    try:
        for number, cell in enumerate(cells):
            code = compile(f"# {cell}", f"cell {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            running = eval(code, names)
            if running is not None:
                await running
            if number == 0:
                # The page is the reader's, here played by us.
                ((url, token),) = shown
                await reader.join(url, token, single=True)
                await reader.receive_streams("lk.chat")
        text = await reader.events.wait("text_received", topic="lk.chat")
        assert (text["identity"], text["text"]) == ("notebook", "Hello from the notebook!")
        assert "'reader'" in capsys.readouterr().out
    finally:
        await reader.close()
    assert not names["room"].isconnected()
