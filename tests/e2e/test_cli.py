"""The command line against a real server."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from aiolivekit import DataPacketKind, DisconnectReason, TrackPublishOptions, TrackSource
from aiolivekit import LocalAudioTrack as AudioTrack
from aiolivekit.media import AudioSource
from aiolivekit.testing import RealServer

from .cli_process import run, started
from .cli_terminal import on_terminal
from .conftest import OURS
from .sdk import DEADLINE

pytestmark = pytest.mark.e2e

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals as on POSIX")


@asynccontextmanager
async def joined(real_server: RealServer, token: Any, identity: str = "bob", **claims: Any):
    room, events = await OURS.join(real_server.url, token(identity, **claims), single=True)
    try:
        yield room, events
    finally:
        await room.disconnect()


# -- join ---------------------------------------------------------------------------------------------------


@posix
async def test_join_tells_what_happens_and_leaves_at_ctrl_c(real_server, token, room_name) -> None:
    async with (
        joined(real_server, token) as (bob, events),
        started("join", real_server.url, "--token", token("watcher"), "--json") as command,
    ):
        first = await command.event("joined")
        assert (first["room"], first["identity"]) == (room_name, "watcher")
        assert [each["identity"] for each in first["participants"]] == ["bob"]
        assert datetime.fromisoformat(first["time"]).tzinfo is not None

        for text in ("one", "two", "three"):
            await bob.local_participant.publish_data(text, topic="chat")
        for text in ("one", "two", "three"):
            assert (await command.event("data_received"))["text"] == text
        await bob.local_participant.set_attributes({"mood": "good"})
        changed = await command.event("participant_attributes_changed")
        assert (changed["participant"], changed["changed"]) == ("bob", {"mood": "good"})

        track = AudioTrack.create_audio_track("mic", AudioSource(48_000, 1))
        publication = await bob.local_participant.publish_track(
            track, TrackPublishOptions(source=TrackSource.SOURCE_MICROPHONE)
        )
        published = await command.event("track_published")
        assert (published["track"], published["source"]) == (publication.sid, "microphone")
        track.mute()
        await command.event("track_muted", track=publication.sid)
        await bob.local_participant.unpublish_track(publication.sid)
        await command.event("track_unpublished", track=publication.sid)
        # It receives no media unless told to.
        assert not any('"track_subscribed"' in line for line in command.lines)

        await events.wait("participant_connected", lambda participant: participant.identity == "watcher")
        command.send_signal(signal.SIGINT)
        status, rest, errors = await command.end()
        assert (status, errors) == (0, "")
        assert [json.loads(line)["event"] for line in rest][-1] == "left"
        # It has said goodbye, rather than vanished.
        (gone,) = await events.wait("participant_disconnected")
        assert (gone.identity, gone.disconnect_reason) == ("watcher", DisconnectReason.CLIENT_INITIATED)


@posix
async def test_join_subscribes_when_told_to(real_server, token) -> None:
    async with joined(real_server, token) as (bob, _):
        track = AudioTrack.create_audio_track("mic", AudioSource(48_000, 1))
        await bob.local_participant.publish_track(track, TrackPublishOptions(source=TrackSource.SOURCE_MICROPHONE))
        async with started("join", real_server.url, "--token", token("watcher"), "--json", "--subscribe") as command:
            assert (await command.event("track_subscribed"))["participant"] == "bob"
            command.send_signal(signal.SIGTERM)
            assert (await command.end())[0] == 0


async def test_join_prints_lines_and_ends_with_the_room(real_server, token, room_name, peer_mode) -> None:
    key = ("--api-key", real_server.api_key, "--api-secret", real_server.api_secret)
    mode = ["--dual"] if peer_mode == "dual" else []
    async with (
        joined(real_server, token, name="Bob B.") as (bob, _),
        started("join", real_server.url, *key, "--room", room_name, "--identity", "watcher", *mode) as command,
    ):
        words = "one peer connection" if peer_mode == "single" else "two peer connections"
        await command.line(lambda line: line.endswith(f"  joined {room_name} as watcher ({words})"))
        await command.line(lambda line: line.endswith("  bob is here"))
        await bob.local_participant.publish_data("hello\x1b[31m")
        await command.line(lambda line: line.endswith("  bob (Bob B.): “hello\\x1b[31m”"))
        await asyncio.to_thread(real_server.api, "RoomService/DeleteRoom", {"room": room_name})
        status, rest, errors = await command.end()
        assert status == 1
        # What the library warns of comes beside it.
        assert all(line.startswith("aiolivekit: ") for line in errors.splitlines())
        assert rest[-1].endswith("  disconnected (room deleted)")
        assert real_server.api_secret not in "\n".join(command.lines)


async def test_join_leaves_after_its_time(real_server, token) -> None:
    status, out, errors = await run("join", real_server.url, "--token", token("watcher"), "--duration", "0.2")
    assert (status, errors) == (0, "")
    assert out.splitlines()[-1].endswith("  left the room")


@posix
async def test_join_shows_a_table_on_a_terminal(real_server, token) -> None:
    async with (
        joined(real_server, token) as (bob, _),
        on_terminal("join", real_server.url, "--token", token("watcher")) as terminal,
    ):
        await terminal.shows("watcher", "(you)", "bob", "Ctrl-C leaves")
        await bob.local_participant.publish_data("good morning")
        await terminal.shows("“good morning”")
        terminal.type(b"\x03")
        assert await terminal.status() == 0
        await terminal.shows("left the room")
        assert terminal.cursor_is_back


# -- errors of connect --------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["join", "send", "demo"])
async def test_nobody_there(command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: connections are refused
        url = f"ws://127.0.0.1:{taken.getsockname()[1]}"
        secret = "a-secret-that-is-long-enough-for-hs256"
        key = ["--api-key", "key", "--api-secret", secret]
        arguments = [command, "--url", url, *key] if command == "demo" else [command, url, *key, "--room", "r"]
        status, out, errors = await run(*arguments, *(["hello"] if command == "send" else []))
    assert (status, out) == (1, "")
    last = errors.splitlines()[-1]
    assert last.startswith("aiolivekit: ")
    assert "(unreachable): the server cannot be reached" in last
    assert secret not in errors
    if command != "demo":
        assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"ttl": -3600}, "token expired"),
        ({"room_join": False}, "permission denied"),
        (None, "invalid token"),
    ],
    ids=["expired", "no join grant", "another secret"],
)
async def test_refused_tokens(real_server, token, claims, kind: str) -> None:
    from aiolivekit.testing import access_token

    given = token("bob", **claims) if claims is not None else access_token("key", "x" * 40, "bob", room="r")
    status, out, errors = await run("join", real_server.url, "--token", given)
    assert (status, out) == (1, "")
    assert errors.startswith(f"aiolivekit: could not join ({kind}): ")
    assert errors.count("\n") == 1
    assert not any(part in errors for part in given.split("."))


@posix
async def test_an_interrupt_while_connecting_ends_at_once() -> None:
    arrived = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with started("join", f"ws://127.0.0.1:{port}", "--token", "some-token") as command:
            async with asyncio.timeout(DEADLINE):
                await arrived.wait()
            command.send_signal(signal.SIGINT)
            # Less than the handshake may take by itself.
            status, rest, errors = await command.end(timeout=4.0)
    assert (status, rest, errors) == (130, [], "")


# -- send ---------------------------------------------------------------------------------------------------


async def test_send_to_everybody(real_server, token) -> None:
    async with joined(real_server, token) as (_, events), joined(real_server, token, "carol") as (_, carol_events):
        sender = token("sender")
        status, out, errors = await run(
            "send", real_server.url, "--token", sender, "--topic", "chat", "hello", "you two"
        )
        assert (status, out, errors) == (0, "sent 13 bytes to 2 participants\n", "")
        for each in (events, carol_events):
            (packet,) = await each.wait("data_received")
            assert (packet.data, packet.topic, packet.kind) == (
                b"hello you two",
                "chat",
                DataPacketKind.KIND_RELIABLE,
            )
            assert packet.participant.identity == "sender"


async def test_send_to_one_with_everything_from_the_environment(real_server, token, room_name) -> None:
    more = {
        "LIVEKIT_URL": real_server.url,
        "LIVEKIT_API_KEY": real_server.api_key,
        "LIVEKIT_API_SECRET": real_server.api_secret,
    }
    async with joined(real_server, token) as (_, events), joined(real_server, token, "carol") as (carol, carol_events):
        status, out, errors = await run(
            *("send", "--room", room_name, "--to", "bob", "--lossy", "-"), more=more, stdin=b"\x00\xffraw\n"
        )
        assert (status, out, errors) == (0, "sent 6 bytes to 1 participant\n", "")
        (packet,) = await events.wait("data_received")
        assert (packet.data, packet.topic, packet.kind) == (b"\x00\xffraw\n", "", DataPacketKind.KIND_LOSSY)
        # What carol is sent afterwards is the first she gets.
        await run("send", "--room", room_name, "--to", "carol", "for carol", more=more)
        await carol_events.wait("data_received")
        assert [packet.data for (packet,) in carol_events.of("data_received")] == [b"for carol"]


@posix
async def test_send_waits_for_its_target(real_server, token) -> None:
    async with joined(real_server, token, "carol") as (_, carol_events):
        arguments = ("send", real_server.url, "--token", token("sender"), "--to", "bob", "--wait", "20", "at last")
        async with started(*arguments) as command:
            # Who publishes nothing is announced after some seconds; the sender is there before that.
            await carol_events.wait("participant_connected", lambda participant: participant.identity == "sender")
            async with joined(real_server, token) as (bob, events):
                # Who publishes is announced at once.
                await bob.local_participant.publish_track(AudioTrack.create_audio_track("mic", AudioSource(48_000, 1)))
                (packet,) = await events.wait("data_received")
                assert packet.data == b"at last"
                status, rest, errors = await command.end()
        assert (status, rest, errors) == (0, ["sent 7 bytes to 1 participant"], "")


async def test_send_gives_up_on_a_target_that_does_not_come(real_server, token) -> None:
    async with joined(real_server, token) as (_, events):
        arguments = ("--to", "bob", "--to", "dave", "--wait", "0.2", "hello")
        status, out, errors = await run("send", real_server.url, "--token", token("sender"), *arguments)
        assert (status, out) == (1, "")
        assert errors == "aiolivekit: not in the room: dave (waited 0.2 s)\n"
        assert events.of("data_received") == []


async def test_send_waits_for_anybody_when_told_to(real_server, token) -> None:
    arguments = ("send", real_server.url, "--token", token("sender"), "hello")
    assert (await run(*arguments))[:2] == (0, "sent 5 bytes to an empty room\n")
    status, out, errors = await run(*arguments, "--wait", "0.2")
    assert (status, out, errors) == (1, "", "aiolivekit: nobody is in the room (waited 0.2 s)\n")


async def test_send_says_why_it_cannot(real_server, token) -> None:
    mute = token("mute", can_publish_data=False)
    status, out, errors = await run("send", real_server.url, "--token", mute, "hello")
    assert (status, out) == (1, "")
    assert errors == "aiolivekit: could not send (permission denied): the token does not allow to send data\n"
    for size, words in ((100_000, "could not send (packet too large)"), (2 << 20, "more than 1048576 bytes")):
        status, out, errors = await run("send", real_server.url, "--token", token("loud"), "-", stdin=bytes(size))
        assert (status, out) == (1, "")
        assert words in errors
        assert errors.count("\n") == 1


async def test_a_made_token_is_one_the_server_takes(real_server, room_name) -> None:
    key = ("--api-key", real_server.api_key, "--api-secret", real_server.api_secret)
    status, out, _ = await run("token", *key, "--room", room_name, "--identity", "bob", "--no-publish")
    assert status == 0
    more = {"LIVEKIT_TOKEN": out.strip(), "LIVEKIT_URL": real_server.url}
    status, out, errors = await run("join", "--duration", "0", "--json", more=more)
    assert (status, errors) == (0, "")
    assert json.loads(out.splitlines()[0])["identity"] == "bob"
