"""The README's example runs as it is printed."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from .cli_process import environment
from .conftest import OURS
from .sdk import DEADLINE

pytestmark = pytest.mark.e2e

PROJECT = Path(__file__).parents[2]


def printed_example() -> str:
    """The first block of Python in the README."""
    match = re.search(r"^```python\n(.*?)^```$", (PROJECT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert match is not None, "the README has no block of Python"
    assert match[1].strip(), "the README's first block of Python is empty"
    return match[1]


def test_the_example_is_ten_lines_and_the_file_beside_it_is_the_same() -> None:
    example = printed_example()
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    assert (PROJECT / "examples" / "hello.py").read_text(encoding="utf-8").endswith(f"\n{example}")


async def test_the_example_runs_as_printed(real_server, token, room_name, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(printed_example(), encoding="utf-8")
    bob, events = await OURS.join(real_server.url, token("bob"), single=True)
    # Loopback is what only a server on the same machine needs, and no part of the example.
    more = {
        "LIVEKIT_URL": real_server.url,
        "LIVEKIT_TOKEN": token("reader"),
        "LIVEKIT_API_KEY": real_server.api_key,
        "LIVEKIT_API_SECRET": real_server.api_secret,
        "WRTC_ALLOW_LOOPBACK": "1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(more),
    )
    try:
        (packet,) = await events.wait("data_received")
        assert packet.participant.identity == "reader"
        assert packet.data.decode().startswith("Hello")
        await bob.local_participant.publish_data("hello, reader")
        await _line_with(process, "hello, reader")
        await asyncio.to_thread(real_server.api, "RoomService/DeleteRoom", {"room": room_name})
        await _line_with(process, "ROOM_DELETED")
        async with asyncio.timeout(DEADLINE):
            assert await process.wait() == 0
    finally:
        await bob.disconnect()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _line_with(process: asyncio.subprocess.Process, words: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE):
        while line := await process.stdout.readline():
            if words in line.decode():
                return
    raise AssertionError(f"the example ended before it printed {words!r}")
