"""`aiolivekit demo` on the dev server and on the real one, and with the faults it is there to find."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import wave
from collections import Counter
from pathlib import Path

import pytest

from aiolivekit.testing import RealServer

from .cli_process import environment, run, started

pytestmark = pytest.mark.e2e

CHECKS = {"room": 1, "text": 3, "tone": 4, "picture": 4}

FILES = {"tone.png", "tone.wav", "picture.png", "frame.png"}


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.mark.parametrize(("server", "mode"), [("embedded", "two"), ("given", "one"), ("given", "two")])
async def test_demo(request: pytest.FixtureRequest, server: str, mode: str, tmp_path: Path) -> None:
    arguments = ["--dual"] if mode == "two" else []
    if server == "given":
        real: RealServer = request.getfixturevalue("real_server")
        arguments += ["--url", real.url, "--api-key", real.api_key, "--api-secret", real.api_secret]
    status, out, errors = await run("demo", "--json", "--output", str(tmp_path), *arguments, timeout=60)
    result = json.loads(out)
    failed = [check for check in result["checks"] if not check["passed"]]
    assert (status, failed, errors) == (0, [], "")
    assert result["passed"] is True
    assert result["server"] == ("the given server" if server == "given" else "the dev server in this process")
    assert result["mode"] == ("one peer connection" if mode == "one" else "two peer connections")
    # Of a server in the same process it can tell that sound and picture went through it.
    assert Counter(check["topic"] for check in result["checks"]) == {**CHECKS, "room": 1 + (server == "embedded")}
    assert names_in(tmp_path) == {Path(name).name for name in result["files"]} == FILES
    from PIL import Image

    sizes = {}
    for name in ("tone.png", "picture.png", "frame.png"):
        with Image.open(tmp_path / name) as image:
            image.load()
            sizes[name] = image.size
    assert sizes["tone.png"] == (1080, 720)
    assert sizes["picture.png"] == (1240, 520)
    assert f"{sizes['frame.png'][0]}x{sizes['frame.png'][1]}" in result["numbers"]["frame size"]
    with wave.open(str(tmp_path / "tone.wav")) as sound:
        assert sound.getnframes() / sound.getframerate() > 1.5


async def test_demo_runs_on_the_dev_server(tmp_path: Path) -> None:
    more = {"AIOLIVEKIT_LIVEKIT_SERVER": str(tmp_path / "none"), "PATH": "/nowhere"}
    status, out, errors = await run("demo", "--output", str(tmp_path / "out"), more=more, timeout=60)
    assert status == 0, out + errors
    assert "the dev server in this process, one peer connection" in out
    assert "went through the server" in out
    assert "All 13 checks passed" in out
    assert names_in(tmp_path / "out") == FILES


async def test_demo_starts_a_real_server_by_itself(server_binary: Path, tmp_path: Path) -> None:
    more = {"AIOLIVEKIT_LIVEKIT_SERVER": str(server_binary)}
    status, out, errors = await run(
        "demo", "--real", "--output", str(tmp_path / "new" / "place"), more=more, timeout=60
    )
    assert status == 0, out + errors
    assert "LiveKit server 1.13.5 on loopback, one peer connection" in out
    assert "All 12 checks passed" in out
    assert errors.splitlines()[0] == "starting LiveKit server 1.13.5 on this machine …"
    assert names_in(tmp_path / "new" / "place") == FILES


@pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")
async def test_an_interrupted_demo(tmp_path: Path) -> None:
    async with started("demo", "--output", str(tmp_path / "out"), merged=True) as command:
        await command.line(lambda line: line.startswith("they write to each other"))
        command.send_signal(signal.SIGINT)
        status, _, _ = await command.end()
    assert status == 130
    assert not any("Traceback" in line for line in command.lines)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the server in /proc")
async def test_an_interrupted_demo_takes_its_server_with_it(server_binary: Path, tmp_path: Path) -> None:
    # Under a name that no other server here has.
    named = tmp_path / "livekit-server-of-this-test"
    named.symlink_to(server_binary)
    more = {"AIOLIVEKIT_LIVEKIT_SERVER": str(named)}
    async with started("demo", "--real", "--output", str(tmp_path), more=more, merged=True) as command:
        await command.line(lambda line: line.startswith("alice and bob join a room"))
        assert len(processes_of(named)) == 1
        command.send_signal(signal.SIGINT)
        status, _, _ = await command.end()
    assert status == 130
    assert processes_of(named) == []


def processes_of(binary: Path) -> list[str]:
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(binary).encode() in each.read_bytes().split(b"\0"):
                found.append(each.parent.name)
        except OSError:  # it has ended meanwhile
            pass
    return found


async def test_demo_fails_when_a_check_does(tmp_path: Path) -> None:
    """A wrong tone, sent for real, is what the demo is there to find."""
    code = (
        "import sys, aiolivekit.cli, aiolivekit.cli.demo.media as media;"
        "right = media.melody;"
        "media.melody = lambda: right()[::-1].copy();"
        "sys.exit(aiolivekit.cli.main(sys.argv[1:]))"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, "demo", "--json", "--output", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # The names of the package are imported before the command knows where the server is.
        env=environment({"WRTC_ALLOW_LOOPBACK": "1"}),
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    result = json.loads(out)
    assert process.returncode == 1
    assert result["passed"] is False
    assert "frequencies in order" in [check["name"] for check in result["checks"] if not check["passed"]]


async def test_demo_without_a_server_says_what_to_do(tmp_path: Path) -> None:
    more = {"AIOLIVEKIT_LIVEKIT_SERVER": str(tmp_path / "nothing")}
    status, out, errors = await run("demo", "--real", "--output", str(tmp_path / "out"), more=more)
    assert (status, out) == (1, "")
    last = errors.splitlines()[-1]
    assert last.startswith("aiolivekit: the demo could not be run (server unavailable): ")
    assert "without --real the dev server is used, and --url takes one that runs already" in last
    assert not (tmp_path / "out").exists()


async def test_demo_that_cannot_write_its_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, out, errors = await run("demo", "--json", "--output", str(tmp_path / "file"), timeout=60)
    assert (status, out) == (1, "")
    assert errors.startswith("aiolivekit: the demo could not be run (")
