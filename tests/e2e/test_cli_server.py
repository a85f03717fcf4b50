"""`aiolivekit server`: the dev server and the real one, with participants in them."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiolivekit import AudioFrame, LocalAudioTrack, TrackPublishOptions, TrackSource
from aiolivekit.media import AudioSource
from aiolivekit.testing import access_token

from .cli_process import Process, run, started
from .cli_terminal import on_terminal
from .conftest import OURS

pytestmark = pytest.mark.e2e

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals as on POSIX")

SECRET = "a-secret-that-is-long-enough-for-hs256"
KEY = {"LIVEKIT_API_KEY": "mykey", "LIVEKIT_API_SECRET": SECRET}


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        yield taken.getsockname()[1]


async def rates_of(command: Process, identity: str, *, data: bool) -> dict[str, Any]:
    """Wait for rates in which a participant's track and, if `data`, its messages flow."""

    def find(line: str) -> dict[str, Any] | None:
        event = json.loads(line)
        for room in event.get("rooms", []):
            for person in room["participants"]:
                flows = bool(person["data_messages_per_second"]) or not data
                if person["participant"] == identity and flows:
                    for track in person["tracks"]:
                        if track["packets_per_second"]:
                            return {**person, "track": track, "room": room["room"]}
        return None

    found = find(await command.line(lambda line: find(line) is not None))
    assert found is not None
    return found


async def speak_and_write(room: Any, source: AudioSource) -> None:
    """Send sound and data until cancelled."""
    while True:
        await source.capture_frame(AudioFrame(b"\x10\x00" * 480, 48_000, 1, 480))
        await room.local_participant.publish_data(b"x")


@posix
async def test_it_tells_how_to_join_and_what_happens() -> None:
    async with started("server", "--port", "0", "--json", "--room", "lab", "--identity", "ann") as command:
        up = await command.event("started")
        assert up["server"] == "dev server"
        assert up["url"].startswith("ws://127.0.0.1:")
        assert up["browser"].startswith("https://meet.livekit.io/custom?liveKitUrl=ws%3A%2F%2F127.0.0.1%3A")

        # The key that was made up makes tokens, and the token joins.
        bob_token = access_token(up["api_key"], up["api_secret"], "bob", room="lab")
        ann, _ = await OURS.join(up["url"], up["token"], single=True)
        assert (ann.name, ann.local_participant.identity) == ("lab", "ann")
        await command.event("room_started", room="lab")
        await command.event("participant_joined", participant="ann")
        await command.event("participant_active", participant="ann")
        bob, _ = await OURS.join(up["url"], bob_token, single=False)
        await command.event("participant_joined", participant="bob")

        source = AudioSource(48_000, 1)
        track = LocalAudioTrack.create_audio_track("mic", source)
        options = TrackPublishOptions(source=TrackSource.SOURCE_MICROPHONE)
        publication = await ann.local_participant.publish_track(track, options)
        published = await command.event("track_published", track=publication.sid)
        assert (published["participant"], published["source"]) == ("ann", "microphone")
        sending = asyncio.ensure_future(speak_and_write(ann, source))
        try:
            rates = await rates_of(command, "ann", data=True)
        finally:
            sending.cancel()
            await asyncio.wait([sending])
        assert (rates["room"], rates["track"]["track"]) == ("lab", publication.sid)
        assert rates["track"]["kbit_per_second"] > 0
        assert rates["track"]["packets"] > 0
        track.mute()
        await command.event("track_muted", track=publication.sid)
        await ann.local_participant.unpublish_track(publication.sid)
        await command.event("track_unpublished", track=publication.sid)
        await source.aclose()
        await bob.disconnect()
        await command.event("participant_left", participant="bob")
        await ann.disconnect()
        await command.event("participant_left", participant="ann")

        command.send_signal(signal.SIGINT)
        status, rest, errors = await command.end()
        assert (status, errors) == (0, "")
        assert json.loads(rest[-1])["event"] == "stopped"


async def test_with_a_key_of_ones_own_the_secret_is_not_shown() -> None:
    async with started("server", "--port", "0", "--duration", "20", more=KEY) as command:
        first = await command.line(lambda _: True)
        assert first == "dev server, for development and tests, not for production"
        url = (await command.line(lambda line: line.startswith("URL"))).split()[1]
        await command.line(lambda line: line.startswith("  https://meet.livekit.io/custom?"))
        # Somebody who comes and goes at once is seen too.
        status, out, errors = await run("send", url, "--room", "lab", "--identity", "ann", "hello", more=KEY)
        assert (status, out, errors) == (0, "sent 5 bytes to an empty room\n", "")
        for words in ("opened", "ann joined", "ann is connected", "ann left"):
            await command.line(lambda line, words=words: line.endswith(f"  lab: {words}"))  # type: ignore[misc]
        assert SECRET not in "\n".join(command.lines)


async def test_it_stops_after_its_time() -> None:
    status, out, errors = await run("server", "--port", "0", "--duration", "0.1")
    assert (status, errors) == (0, "")
    assert out.splitlines()[-1].endswith("  stopped")


@posix
async def test_a_table_on_a_terminal() -> None:
    with taken_port() as port:
        pass
    async with on_terminal("server", "--port", str(port), "--api-key", "mykey", "--api-secret", SECRET) as terminal:
        await terminal.shows("0 rooms, 0 here", "Ctrl-C stops the server")
        room, _ = await OURS.join(
            f"ws://127.0.0.1:{port}", access_token("mykey", SECRET, "ann", room="lab"), single=True
        )
        await terminal.shows("lab: ann joined", "1 room, 1 here", "packets/s")
        await room.disconnect()
        await terminal.shows("lab: ann left", "nobody")
        terminal.type(b"\x03")
        assert await terminal.status() == 0
        await terminal.shows("stopped")
        assert terminal.cursor_is_back
        assert SECRET not in terminal.text


@pytest.mark.parametrize("option", ["--port", "--udp-port", "--tcp-port"])
async def test_a_port_that_is_taken(option: str) -> None:
    kind = socket.SOCK_DGRAM if option == "--udp-port" else socket.SOCK_STREAM
    with socket.socket(type=kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen(1)
        port = taken.getsockname()[1]
        others = ["--port", "0"] if option != "--port" else []
        status, out, errors = await run("server", *others, option, str(port))
    assert (status, out) == (1, "")
    assert errors == (
        f"aiolivekit: the server cannot be started: port {port} is taken; {option} takes another one, 0 a free one\n"
    )


async def test_an_address_of_another_machine() -> None:
    status, out, errors = await run("server", "--port", "0", "--host", "203.0.113.77")
    assert (status, out) == (1, "")
    assert errors == "aiolivekit: the server cannot be started: 203.0.113.77 is no address of this machine\n"


# -- the real server ----------------------------------------------------------------------------------------


@posix
async def test_the_real_server(server_binary: Path) -> None:
    more = {"AIOLIVEKIT_LIVEKIT_SERVER": str(server_binary), **KEY}
    with taken_port() as port:
        pass
    async with started("server", "--real", "--port", str(port), "--json", more=more) as command:
        up = await command.event("started")
        assert (up["server"], up["url"], up["api_key"]) == ("LiveKit server 1.13.5", f"ws://127.0.0.1:{port}", "mykey")
        assert "api_secret" not in up
        room, _ = await OURS.join(up["url"], up["token"], single=True)
        await command.event("room_started", room="test")
        await command.event("participant_joined", participant="guest")
        source = AudioSource(48_000, 1)
        publication = await room.local_participant.publish_track(LocalAudioTrack.create_audio_track("mic", source))
        published = await command.event("track_published", track=publication.sid)
        assert (published["track_name"], published["track_kind"]) == ("mic", "audio")
        rates = await command.event("rates")
        assert rates["rooms"][0]["participants"][0]["tracks"][0]["packets_per_second"] is None
        await room.disconnect()
        await source.aclose()
        await command.event("participant_left", participant="guest")
        command.send_signal(signal.SIGINT)
        status, rest, errors = await command.end()
    assert (status, errors) == (0, "")
    assert json.loads(rest[-1])["event"] == "stopped"
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))  # it has ended with the command


async def test_the_real_server_with_a_port_that_is_taken(server_binary: Path) -> None:
    with taken_port() as port:
        more = {"AIOLIVEKIT_LIVEKIT_SERVER": str(server_binary)}
        status, out, errors = await run("server", "--real", "--port", str(port), more=more)
    assert (status, out) == (1, "")
    assert f"port {port} is taken; --port takes another one" in errors


async def test_the_real_server_is_not_built_unasked(tmp_path: Path) -> None:
    more = {"AIOLIVEKIT_CACHE": str(tmp_path), "PATH": "", "AIOLIVEKIT_LIVEKIT_SERVER": ""}
    status, out, errors = await run("server", "--real", more=more)
    assert (status, out) == (1, "")
    assert "neither on the PATH nor in the cache; --build builds it, or leave --real out" in errors
    assert errors.count("\n") == 1
