"""Text and byte streams between participants: what arrives, whole and unchanged, with whom, and how it ends."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aiolivekit.enums import SimulateScenarioKind
from aiolivekit.errors import StreamAbortedError, StreamDamagedError, StreamError, StreamTimeoutError

from .conftest import OURS
from .sdk import Sdk, meeting, until

pytestmark = pytest.mark.e2e

NOISE = random.Random(3).randbytes(300_000)
UNICODE = "".join(chr(point) for point in (0x41, 0x7F, 0xE9, 0x7FF, 0x800, 0x4E16, 0xFFFD, 0x1F389, 0x10FFFF))
TEXTS = ["", "x", UNICODE, "x" * 15_000, "é" * 7_501, UNICODE * 3_000]
BYTES = [b"", b"\0", bytes(range(256)), bytes(15_000), NOISE[:14_000], NOISE[:15_001], NOISE, b"notes " * 100_000]
RESTART = SimulateScenarioKind.SIMULATE_FULL_RECONNECT
RESUME = SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT


@dataclass
class Received:
    kind: str
    sender: str
    info: Any
    content: Any
    error: ConnectionError | None


class Inbox:
    """Reads every stream of a topic, to its end."""

    def __init__(self, room: Any, topic: str) -> None:
        self.begun = 0
        self.got: list[Received] = []
        self.pieces: list[Any] = []
        self._tasks: set[asyncio.Task[None]] = set()
        room.register_text_stream_handler(topic, partial(self._begin, "text"))
        room.register_byte_stream_handler(topic, partial(self._begin, "bytes"))

    def _begin(self, kind: str, reader: Any, sender: str) -> None:
        self.begun += 1
        task = asyncio.get_running_loop().create_task(self._read(kind, reader, sender))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, kind: str, reader: Any, sender: str) -> None:
        pieces, error = [], None
        try:
            async for piece in reader:
                pieces.append(piece)
                self.pieces.append(piece)
        except ConnectionError as reason:
            error = reason
        content = "".join(pieces) if kind == "text" else b"".join(bytes(piece) for piece in pieces)
        self.got.append(Received(kind, sender, reader.info, content, error))

    async def all(self, count: int) -> list[Received]:
        await until(lambda: len(self.got) >= count, f"{count} streams; there are {len(self.got)} of {self.begun}")
        return self.got

    async def one(self, stream_id: str) -> Received:
        def found() -> list[Received]:
            return [each for each in self.got if each.info.stream_id == stream_id]

        await until(lambda: bool(found()), f"the stream {stream_id}")
        return found()[0]


def one_mode_is_enough(pair: tuple[Sdk, Sdk], *, single: bool) -> None:
    """Streams are the same in both; ours are tried in both, with the official SDK in one."""
    if not single and not (pair[0].is_ours and pair[1].is_ours):
        pytest.skip("tried with one peer connection")


def stray(room: Any) -> int:
    """Packets of streams that came to one of ours though the beginning did not."""
    return int(room._visit.streams.receiver.table.stray)


async def send_all_kinds(pair: tuple[Sdk, Sdk], me: Any, inbox: Inbox, path: Path) -> None:
    """What is all there is sent in one call, whatever its size and kind."""
    sent: dict[str, tuple[str, Any]] = {}
    for text in TEXTS:
        for compress in (True, False):
            info = await me.send_text(text, topic="topic", attributes={"é": "🎉"}, compress=compress)
            sent[info.stream_id] = ("text", text)
    for data in BYTES:
        for compress in (True, False):
            info = await me.send_bytes(data, topic="topic", name="file", compress=compress)
            sent[info.stream_id] = ("bytes", data)
    for compress in (True, False):
        info = await me.send_file(str(path), topic="topic", compress=compress)
        assert (info.name, info.mime_type, info.size) == ("notes.txt", "text/plain", len(BYTES[-1]))
        sent[info.stream_id] = ("bytes", BYTES[-1])
    for received in await inbox.all(len(sent)):
        assert received.error is None
        assert (received.kind, received.content) == sent[received.info.stream_id]
        assert received.sender == "alice"
        assert received.info.topic == "topic"
        if received.kind == "text":
            assert received.info.attributes == {"é": "🎉"}
        elif received.info.name == "notes.txt":
            assert received.info.mime_type == "text/plain"
    assert len(inbox.got) == len(sent)


async def write_all_kinds(pair: tuple[Sdk, Sdk], me: Any, inbox: Inbox) -> None:
    """Written piece by piece, with more said at the end; and one that its sender gives up."""
    writer = await me.stream_text(topic="topic", attributes={"a": "1", "b": "2"}, reply_to_id="before")
    for piece in (UNICODE, "🎉" * 5_000):
        await writer.write(piece)
    await writer.aclose(attributes={"b": "3"})
    received = await inbox.one(writer.info.stream_id)
    assert (received.content, received.error) == (UNICODE + "🎉" * 5_000, None)
    assert received.info.attributes == {"a": "1", "b": "3"}
    if pair[1].is_ours:
        assert received.info.reply_to_id == "before"
    writer = await me.stream_bytes("file", topic="topic", total_size=40_000, mime_type="image/png")
    for at in range(0, 40_000, 20_000):
        await writer.write(NOISE[at : at + 20_000])
    await writer.aclose()
    received = await inbox.one(writer.info.stream_id)
    assert (received.content, received.info.size, received.error) == (NOISE[:40_000], 40_000, None)
    assert received.info.mime_type == "image/png"
    writer = await me.stream_text(topic="topic")
    await writer.write("so far")
    await writer.aclose(reason="so bad")
    received = await inbox.one(writer.info.stream_id)
    assert received.content == "so far"
    assert "so bad" in str(received.error)
    with pytest.raises(RuntimeError):
        await writer.write("more")


async def send_many(me: Any, inboxes: tuple[Inbox, ...]) -> None:
    """A hundred at once, none of which gets anything of another."""
    before = [len(inbox.got) for inbox in inboxes]
    contents = [bytes([number]) * (number * 500) for number in range(100)]
    infos = await asyncio.gather(
        *(me.send_bytes(each, topic="topic", compress=bool(number % 2)) for number, each in enumerate(contents))
    )
    expected = {info.stream_id: content for info, content in zip(infos, contents, strict=True)}
    for inbox, count in zip(inboxes, before, strict=True):
        got = (await inbox.all(count + 100))[count:]
        assert {each.info.stream_id: each.content for each in got} == expected
        assert [each.error for each in got] == [None] * 100


async def send_to_one(pair: tuple[Sdk, Sdk], alice: Any, his: Inbox, hers: Inbox, carol: Any) -> None:
    """Short, long, written and given up: one gets it, and the other not a packet of it."""
    me, first, others = alice.local_participant, len(his.got), hers.begun
    to: dict[str, Any] = {"destination_identities": ["bob"], "topic": "topic"}
    await me.send_text("hi", **to)
    await me.send_bytes(NOISE, **to)
    writer = await me.stream_text(**to)
    await writer.write("x" * 40_000)
    await writer.aclose(attributes={"k": "v"})
    if pair[0].is_ours:
        sending = asyncio.create_task(me.send_bytes(NOISE * 50, **to))
        await until(lambda: bool(alice._visit.streams.sender._open), "a long one has begun")
        sending.cancel()
    info = await me.send_text("for all", topic="topic")
    assert (await hers.one(info.stream_id)).content == "for all"
    got = (await his.all(first + 4 + pair[0].is_ours))[first:]
    assert sorted(len(each.content) for each in got if each.error is None) == [2, 7, 40_000, 300_000]
    assert hers.begun == others + 1
    if pair[0].is_ours:
        [broken] = [each for each in got if each.error is not None]
        # The official SDK looks first whether it is whole.
        assert "cancelled" in str(broken.error) or "incomplete" in str(broken.error)
        # (The chunks of the official SDK go to everybody.)
        assert stray(carol) == 0


async def test_what_is_sent_arrives_as_it_was_with_those_it_is_for(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool, tmp_path: Path
) -> None:
    one_mode_is_enough(pair, single=single)
    path = tmp_path / "notes.txt"
    path.write_bytes(BYTES[-1])
    carol, _ = await OURS.join(livekit_server.url, livekit_token("carol"), single=single)
    try:
        async with meeting(livekit_server.url, livekit_token, *pair, single=single) as (alice, _, bob, _events):
            await until(lambda: "carol" in alice.remote_participants, "alice sees carol")
            his, hers, me = Inbox(bob, "topic"), Inbox(carol, "topic"), alice.local_participant
            await send_all_kinds(pair, me, his, path)
            await write_all_kinds(pair, me, his)
            await hers.all(len(his.got))
            await send_many(me, (his, hers))
            await send_to_one(pair, alice, his, hers, carol)
    finally:
        await carol.disconnect()


async def test_a_sender_that_leaves_and_a_room_that_ends(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    one_mode_is_enough(pair, single=single)
    # Of somebody who leaves before it was announced the server says no more than that.
    async with meeting(livekit_server.url, livekit_token, *pair, single=single, acquainted=False) as (
        alice,
        _,
        bob,
        _events,
    ):
        his, hers = Inbox(bob, "topic"), Inbox(alice, "topic")
        from_alice = await alice.local_participant.stream_text(topic="topic")
        from_bob = await bob.local_participant.stream_text(topic="topic")
        await from_alice.write("from alice")
        await from_bob.write("from bob")
        await until(lambda: his.pieces == ["from alice"] and hers.pieces == ["from bob"], "beginnings")
        await alice.disconnect()
        if pair[0].is_ours:
            # Who leaves knows that there will be no more, and that it can say no more.
            [received] = await hers.all(1)
            assert (received.content, type(received.error).__name__) == ("from bob", "StreamDisconnectedError")
            with pytest.raises(StreamError, match="disconnected"):
                await from_alice.write("more")
        [received] = await his.all(1)
        assert (received.content, received.sender) == ("from alice", "alice")
        assert isinstance(received.error, pair[1].rtc.StreamError)


async def test_through_a_resume_and_a_restart(livekit_server, livekit_token, single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, events, bob, others):
        inbox, me = Inbox(bob, "topic"), alice.local_participant

        async def write_through(scenario: SimulateScenarioKind, room: Any, its_events: Any, **to: Any) -> Received:
            count = len(its_events.of("reconnected"))
            writer = await me.stream_text(topic="topic", **to)
            error, number = None, 0
            try:
                for number in range(2000):
                    await writer.write(f"{number} ")
                    if number == 20:
                        await room.simulate_scenario(scenario)
                    if len(its_events.of("reconnected")) > count and number > 60:
                        break
                    await asyncio.sleep(0.005)
                await writer.aclose()
            except StreamError as raised:
                error = raised
            received = await inbox.one(writer.info.stream_id)
            whole = "".join(f"{each} " for each in range(number + 1))
            assert whole.startswith(received.content) or error is not None
            if error is None and received.error is None:
                assert received.content == whole
            if error is not None:
                # Whoever reads it is not left in the belief that this was all.
                assert received.error is not None
                assert isinstance(error, StreamAbortedError)
            return received

        received = await write_through(RESUME, alice, events)
        assert received.error is None
        received = await write_through(RESUME, bob, others)
        assert received.error is None
        received = await write_through(RESTART, alice, events)
        if not events.of("data_undelivered"):
            assert received.error is None
        await until(lambda: "alice" in bob.remote_participants, "bob sees alice again")
        # What was sent while he was away is missing, and he knows.
        received = await write_through(RESTART, bob, others)
        assert received.error is None or isinstance(received.error, (StreamDamagedError, StreamTimeoutError))


async def test_who_it_is_for_loses_its_session(livekit_server, livekit_token, single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, events, bob, others):
        Inbox(bob, "topic")
        writer = await alice.local_participant.stream_text(topic="topic", destination_identities=["bob"])
        await writer.write("before")
        await bob.simulate_scenario(RESTART)
        await events.wait("participant_disconnected")
        with pytest.raises(StreamAbortedError, match="have left"):
            await writer.write("after")
        await others.wait("reconnected")


async def test_chat(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    if not (pair[0].is_ours and pair[1].is_ours):
        pytest.skip("the official SDK has no chat; its streams are the same")
    async with meeting(livekit_server.url, livekit_token, *pair, single=single, acquainted=False) as (
        alice,
        _,
        bob,
        _events,
    ):
        heard: list[tuple[Any, str]] = []
        bob.on("chat_message_received", lambda message, participant: heard.append((message, participant.identity)))
        sent = await alice.local_participant.send_chat_message("grüße 🎉")
        edited = await alice.local_participant.edit_chat_message("grüß Gott", sent, destination_identities=["bob"])
        long = await alice.local_participant.send_chat_message("ä" * 20_000, destination_identities=["bob"])
        await until(lambda: len(heard) >= 3, "messages")
        assert heard == [(sent, "alice"), (edited, "alice"), (long, "alice")]
        # With a handler of the application's own they come as streams, and as packets still.
        inbox = Inbox(bob, "lk.chat")
        last = await alice.local_participant.send_chat_message("last")
        received = await inbox.one(last.id)
        assert received.content == "last"
        await until(lambda: len(heard) == 4, "the packet")


async def test_attachments_and_another_name(livekit_server, livekit_token, single: bool, tmp_path: Path) -> None:
    files = [tmp_path / "one.txt", tmp_path / "two.bin"]
    for file, content in zip(files, (b"one", NOISE), strict=True):
        file.write_bytes(content)
    agent, _ = await OURS.join(livekit_server.url, livekit_token("agent", kind="agent"), single=single)
    try:
        bob, _ = await OURS.join(livekit_server.url, livekit_token("bob"), single=single)
        try:
            inbox, me = Inbox(bob, "topic"), agent.local_participant
            info = await me.send_text("look", topic="topic", attachments=files)
            text = await inbox.one(info.stream_id)
            assert (text.content, text.info.attachments) == ("look", info.attachments)
            assert [(await inbox.one(each)).content for each in info.attachments] == [b"one", NOISE]
            with pytest.raises(FileNotFoundError):
                await me.send_text("gone", topic="topic", attachments=[tmp_path / "none"])
            # The server takes the name from the header alone; the rest is the stream's all the same.
            writer = await me.stream_text(topic="topic", sender_identity="carol")
            await writer.write("what carol ")
            await writer.write("said")
            await writer.aclose()
            said = await inbox.one(writer.info.stream_id)
            assert (said.content, said.sender, said.error) == ("what carol said", "carol", None)
            assert said.info.generated
            assert len(inbox.got) == 4
        finally:
            await bob.disconnect()
    finally:
        await agent.disconnect()
