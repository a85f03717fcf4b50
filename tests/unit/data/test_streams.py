from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.protocol import models

from aiolivekit.core.stream_header import byte_header, text_header
from aiolivekit.core.stream_split import CHUNK_SIZE, PACKET_LIMIT, Abilities
from aiolivekit.core.stream_table import Sender
from aiolivekit.errors import (
    ClosedError,
    DataTimeoutError,
    StreamAbortedError,
    StreamDamagedError,
    StreamDisconnectedError,
    StreamError,
    StreamTimeoutError,
    StreamTooLargeError,
)
from aiolivekit.options import DataStreamOptions
from aiolivekit.room.data_stream import ByteStreamWriter, TextStreamWriter, byte_info, text_info
from tests.suspensions import CancelAt

from .stream_sides import DEFLATE, V1, V2, Side, sides

ALICE = Sender("alice")
ABILITIES = [V1, V2, DEFLATE]
NOISE = random.Random(1).randbytes(200_000)
TEXT = "Grüße, 世界 🎉! " * 20_000


async def opened_text(side: Side, to: list[str] | None = None, **extra: Any) -> TextStreamWriter:
    header = text_header("id", 1, "topic", **extra)
    return TextStreamWriter(text_info(header), await side.streams.sender.open(header, to or []))


async def opened_bytes(side: Side, total: int | None = None) -> ByteStreamWriter:
    header = byte_header("id", 1, "topic", name="file", total=total)
    return ByteStreamWriter(byte_info(header), await side.streams.sender.open(header, []))


async def test_only_a_large_stream_yields_to_other_packets() -> None:
    async with sides() as (alice, bob):
        await alice.streams.sender.send_whole(byte_header("id", 1, "topic", name="small"), bytes(60_000), ["bob"])
        assert set(alice.bulk) == {False}
        alice.bulk.clear()
        await alice.streams.sender.send_whole(byte_header("id2", 1, "topic", name="large"), bytes(200_000), ["bob"])
        # Header and the first chunks go with all others; from then on, for the order, nothing overtakes itself.
        begin = alice.bulk.index(True)
        assert alice.bulk == [False] * begin + [True] * (len(alice.bulk) - begin)
        assert 4 <= begin <= 6
        assert await bob.readers[1].read_all() == bytes(200_000)


@pytest.mark.parametrize("abilities", ABILITIES)
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"x" * 15_000, b"x" * 40_000, NOISE[:100], NOISE[:14_000], NOISE, TEXT.encode()],
    ids=["empty", "x", "15k-x", "40k-x", "noise-100", "noise-14k", "noise", "text"],
)
async def test_whole_contents(abilities: Abilities, compress: bool, content: bytes) -> None:
    async with sides() as (alice, bob):
        alice.abilities = abilities
        header = byte_header("id", 1, "topic", name="file", attributes={"k": "v"})
        await alice.streams.sender.send_whole(header, content, ["bob"], compress=compress)
        [reader] = bob.readers
        assert await reader.read_all() == content
        assert reader.info.size == len(content)
        assert reader.info.attributes == {"k": "v"}
        assert reader.progress.fraction == 1.0
        assert all(list(packet.destination_identities) == ["bob"] for packet in alice.sent)
        assert all(packet.ByteSize() <= PACKET_LIMIT + 100 for packet in alice.sent)
        bare = models.DataStream.CompressionType.NONE
        packed = alice.sent[0].stream_header.compression != bare
        assert packed is (
            abilities.deflate and compress and len(content) > 1 and content not in (NOISE[:100], NOISE[:14_000], NOISE)
        )
        size = len(content) if not packed else 0
        assert (alice.kinds() == ["header"]) is (abilities.inline and size < 14_900)
        assert len(bob.streams.receiver.table) == 0


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=300),
    st.sampled_from([1, 1, 300]),
    st.sampled_from(ABILITIES),
    st.booleans(),
)
def test_whole_texts(text: str, times: int, abilities: Abilities, compress: bool) -> None:
    async def check() -> None:
        async with sides() as (alice, bob):
            alice.abilities = abilities
            header = text_header("id", 1, "topic")
            content = (text * times).encode()
            await alice.streams.sender.send_whole(header, content, [], is_text=True, compress=compress)
            [reader] = bob.readers
            assert await reader.read_all() == text * times
            for packet in alice.sent:
                if not packet.stream_header.compression and alice.sent[0].stream_header.compression == 0:
                    packet.stream_chunk.content.decode()

    with suppress(UnicodeEncodeError):
        text.encode()
        asyncio.run(check())


async def test_written_piece_by_piece() -> None:
    async with sides() as (alice, bob):
        writer = await opened_text(alice, attributes={"a": "1", "b": "2"}, reply_to="before", attachments=["file"])
        [reader] = bob.readers
        assert reader.info.reply_to_id == "before"  # type: ignore[union-attr]
        assert reader.info.attachments == ["file"]  # type: ignore[union-attr]
        assert reader.info.size is None
        heard = []

        async def read() -> None:
            async for text in reader:
                heard.append(text)  # noqa: PERF401 - as it comes

        reading = asyncio.create_task(read())
        for piece in ("ä", "", "b", "🎉" * 5000):
            await writer.write(piece)
            await asyncio.sleep(0)
        await writer.aclose(attributes={"b": "3"})
        await reading
        assert heard[:2] == ["ä", "b"]
        assert "".join(heard) == "äb" + "🎉" * 5000
        assert reader.info.attributes == writer.info.attributes == {"a": "1", "b": "3"}
        assert reader.progress == type(reader.progress)(2 + 1 + 20_000, None)
        assert reader.progress.fraction is None
        with pytest.raises(ClosedError):
            await writer.write("more")
        with pytest.raises(RuntimeError):
            await writer.aclose()


async def test_writes_at_once_stay_in_order() -> None:
    async with sides() as (alice, bob):
        alice.turn = True
        writer = await opened_bytes(alice)
        pieces = [bytes([index]) * (CHUNK_SIZE + index) for index in range(20)]
        await asyncio.gather(*(writer.write(piece) for piece in pieces), writer.aclose())
        [reader] = bob.readers
        assert await reader.read_all() == b"".join(pieces)
        assert [each.stream_chunk.chunk_index for each in alice.sent[1:-1]] == list(range(39))


async def test_a_file(tmp_path: Path) -> None:
    for abilities in ABILITIES:
        for content in (b"", NOISE * 4, TEXT.encode() * 3):
            path = tmp_path / "notes.txt"
            path.write_bytes(content)
            async with sides() as (alice, bob):
                alice.abilities = abilities
                header = byte_header("id", 1, "topic", name=path.name)
                await alice.streams.sender.send_file(header, path, ["bob"])
                [reader] = bob.readers
                assert await reader.read_all() == content
                assert reader.info.size == len(content)
                assert alice.kinds()[0] == "header"
                assert alice.kinds()[-1] == "trailer"
    async with sides() as (alice, bob):
        header = byte_header("id", 1, "topic", name="none")
        with pytest.raises(FileNotFoundError):
            await alice.streams.sender.send_file(header, tmp_path / "none", [])
        assert alice.sent == []


async def test_a_file_that_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(1_000_000))
    async with sides() as (alice, bob):
        alice.gate = asyncio.Event()
        header = byte_header("id", 1, "topic", name=path.name)
        sending = asyncio.create_task(alice.streams.sender.send_file(header, path, []))
        while not header.total_length:
            await asyncio.sleep(0.001)
        path.write_bytes(b"")
        alice.gate.set()
        with pytest.raises(StreamAbortedError, match="shorter"):
            await sending
        await asyncio.sleep(0)
        with pytest.raises(StreamAbortedError, match="shorter"):
            await bob.readers[0].read_all()


@pytest.mark.parametrize("abilities", ABILITIES)
async def test_sending_is_cancelled_at_every_await(abilities: Abilities) -> None:
    content = (NOISE * 2)[:300_000] + bytes(600_000)
    suspensions = 1
    at = 0
    while at < suspensions:
        at += 1
        async with sides() as (alice, bob):
            alice.turn, alice.abilities = True, abilities
            header = byte_header("id", 1, "topic", name="file")
            sending: CancelAt[None] = CancelAt(alice.streams.sender.send_whole(header, content, []), at)

            async def send(what: CancelAt[None] = sending) -> None:
                await what

            task = asyncio.create_task(send())
            await asyncio.wait([task])
            suspensions = max(suspensions, sending.suspensions + (0 if not task.cancelled() else 1))
            if not bob.readers:
                assert task.cancelled()
                await asyncio.sleep(0.005)
                # Not even the header went out, so what follows is of no stream.
                assert "chunk" not in alice.kinds()
                continue
            if task.cancelled():
                with suppress(StreamAbortedError):
                    # Unless all was sent but for the trailer, which is sent all the same.
                    assert await asyncio.wait_for(bob.readers[0].read_all(), 5) == content
            else:
                assert await bob.readers[0].read_all() == content


async def test_a_cancelled_write_is_sent_all_the_same() -> None:
    async with sides() as (alice, bob):
        writer = await opened_text(alice)
        alice.gate = asyncio.Event()
        for text in ("one ", "two "):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(writer.write(text), 0.001)
        ending = asyncio.create_task(writer.aclose())
        await asyncio.sleep(0)
        ending.cancel()
        alice.gate.set()
        assert await bob.readers[0].read_all() == "one two "


async def test_what_cannot_be_sent_ends_the_stream() -> None:
    async with sides() as (alice, bob):
        writer = await opened_text(alice)
        await writer.write("so far")
        alice.refusals = [DataTimeoutError("the connection did not come back")]
        with pytest.raises(StreamError, match="did not come back") as raised:
            await writer.write("so good")
        assert isinstance(raised.value.__cause__, DataTimeoutError)
        with pytest.raises(StreamError, match="did not come back"):
            await writer.write("more")
        await asyncio.sleep(0)
        with pytest.raises(StreamError):
            await bob.readers[0].read_all()


async def test_a_writer_that_is_dropped_or_left_with_an_error() -> None:
    async with sides() as (alice, bob):
        writer = await opened_text(alice)
        await writer.write("beginning")
        del writer
        gc.collect()
        await asyncio.sleep(0.01)
        assert await anext(bob.readers[0]) == "beginning"
        with pytest.raises(StreamAbortedError, match="abandoned"):
            await anext(bob.readers[0])
        with suppress(ZeroDivisionError):
            async with await opened_text(alice) as writer:
                await writer.write("beginning")
                _ = 1 / 0
        await asyncio.sleep(0.01)
        with pytest.raises(StreamAbortedError):
            await bob.readers[1].read_all()
        async with await opened_text(alice) as writer:
            await writer.write("all")
        assert await bob.readers[2].read_all() == "all"


async def test_recipients_that_leave() -> None:
    async with sides() as (alice, bob):
        targeted = await opened_text(alice, ["bob", "carol"])
        everybody = await opened_text(alice)
        alice.streams.left(Sender("carol"), returning=False)
        await targeted.write("still bob")
        alice.streams.left(Sender("bob"), returning=True)
        with pytest.raises(StreamAbortedError, match="have left"):
            await targeted.write("nobody")
        await everybody.write("whoever comes")
        # Through a restart of ours everybody seems to leave.
        alice.present = [Sender("dave"), Sender("erin")]
        through = await opened_text(alice, ["dave"])
        lost = await opened_text(alice, ["erin"])
        alice.streams.interrupted()
        for participant in alice.present:
            alice.streams.left(participant, returning=False)
        alice.present = [Sender("dave")]
        alice.streams.recovered()
        await through.write("there you are")
        with pytest.raises(StreamAbortedError, match="have left"):
            await lost.write("gone")
        alice.streams.undelivered()
        with pytest.raises(StreamAbortedError, match="may be lost"):
            await through.write("perhaps")
        del bob


async def test_readers_and_their_ends() -> None:
    async with sides() as (alice, bob):
        writer = await opened_text(alice)
        [reader] = bob.readers
        waiting = [asyncio.create_task(reader.read_all()) for _ in range(2)]
        await asyncio.sleep(0)
        reader.close()
        reader.close()
        assert [await each for each in waiting] == ["", ""]
        await writer.write("nobody reads")
        assert bob.streams.receiver.table.stray == 1
        assert await reader.read_all() == ""
        # One that nobody holds is closed by itself.
        bob.readers.clear()
        await writer.aclose()
        writer = await opened_text(alice)
        bob.readers.clear()
        del reader, waiting
        gc.collect()
        await writer.write("nobody is there")
        assert len(bob.streams.receiver.table) == 0
        await writer.aclose()


async def test_a_reader_that_is_waited_for_is_kept() -> None:
    async with sides() as (alice, bob):
        writer = await opened_text(alice)
        result: list[str] = []

        async def read(reader: Any) -> None:
            result.append(await reader.read_all())

        # Like a handler that starts a task and forgets it.
        asyncio.get_running_loop().create_task(read(bob.readers.pop()))
        await asyncio.sleep(0)
        gc.collect()
        await writer.write("text")
        await writer.aclose()
        await asyncio.sleep(0)
        assert result == ["text"]


async def test_the_room_is_disconnected() -> None:
    async with sides() as (alice, bob):
        writer = await opened_text(alice)
        await writer.write("some")
        [reader] = bob.readers
        assert await anext(reader) == "some"
        waiting = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        bob.streams.close()
        with pytest.raises(StreamDisconnectedError):
            await waiting
        alice.refusal = ClosedError("the engine is closed")
        with pytest.raises(StreamDisconnectedError):
            await writer.write("more")
        alice.streams.close()
        for call in (writer.write("x"), writer.aclose(), opened_text(alice)):
            with pytest.raises(ClosedError):
                await call
        header = text_header("id2", 1, "topic")
        bob.streams.receiver.header(header, ALICE)
        assert len(bob.readers) == 1


async def test_a_write_that_waits_when_the_room_is_disconnected() -> None:
    async with sides() as (alice, _bob):
        writer = await opened_text(alice)
        alice.gate = asyncio.Event()
        writing = asyncio.create_task(writer.write("x"))
        await asyncio.sleep(0)
        alice.streams.close()
        await alice.streams.aclose()
        with pytest.raises(StreamDisconnectedError):
            await writing


async def test_a_sender_that_leaves_and_one_that_stands_still() -> None:
    async with sides(DataStreamOptions(idle_timeout=0.05)) as (alice, bob):
        writer = await opened_text(alice)
        await writer.write("some")
        bob.streams.left(Sender("alice"), returning=False)
        assert await anext(bob.readers[0]) == "some"
        with pytest.raises(StreamAbortedError, match="left"):
            await anext(bob.readers[0])
        again = await opened_text(alice)
        with pytest.raises(StreamTimeoutError):
            await bob.readers[1].read_all()
        del again


async def test_text_that_others_cut_within_characters_or_that_is_none() -> None:
    async with sides() as (_alice, bob):
        receiver = bob.streams.receiver
        encoded = "aé🎉".encode()
        for name, pieces in (
            ("good", [encoded[at : at + 1] for at in range(len(encoded))]),
            ("bad", [b"ab\xff", b"c"]),
        ):
            receiver.header(text_header(name, 1, "topic"), ALICE)
            for index, piece in enumerate(pieces):
                receiver.chunk(models.DataStream.Chunk(stream_id=name, chunk_index=index, content=piece), ALICE)
            receiver.trailer(models.DataStream.Trailer(stream_id=name), ALICE)
        receiver.header(text_header("half", 1, "topic"), ALICE)
        receiver.chunk(models.DataStream.Chunk(stream_id="half", content=encoded[:-1]), ALICE)
        receiver.trailer(models.DataStream.Trailer(stream_id="half"), ALICE)
        good, bad, half = bob.readers
        assert await good.read_all() == "aé🎉"
        for reader in (bad, half):
            with pytest.raises(StreamDamagedError, match="not UTF-8"):
                await reader.read_all()


async def test_headers_that_make_no_sense_and_topics_that_nobody_wants() -> None:
    async with sides() as (_alice, bob):
        bob.wanted = {"topic"}
        receiver = bob.streams.receiver
        receiver.header(models.DataStream.Header(stream_id="1", topic="topic"), ALICE)
        strange = text_header("2", 1, "topic")
        strange.compression = 7  # type: ignore[assignment]
        receiver.header(strange, ALICE)
        receiver.header(text_header("3", 1, "other"), ALICE)
        assert (receiver.malformed, receiver.unwanted, bob.readers) == (2, 1, [])


async def test_whole_texts_for_another_part_of_the_package() -> None:
    async with sides() as (alice, bob):
        bob.wanted = {"chat"}
        taken: list[tuple[str, dict[str, str], str]] = []

        def take(sender: str, attributes: Mapping[str, str], text: str) -> None:
            taken.append((sender, dict(attributes), text))
            if text == "raise":
                raise ZeroDivisionError

        bob.streams.on_text("rpc", take, 20_000)
        for abilities in ABILITIES:
            alice.abilities = abilities
            for text in ("", "short", "é" * 10_000, "x" * 20_001, "raise"):
                await alice.streams.send_text(text, topic="rpc", attributes={"id": "1"}, destination="bob")
        assert taken == [("alice", {"id": "1"}, text) for text in ("", "short", "é" * 10_000, "raise")] * 3
        assert bob.streams.receiver.texts_dropped == {"rpc": 3}
        assert bob.readers == []
        # A part that leaves the first say to the application.
        bob.streams.receiver.on_text("chat", lambda *_: pytest.fail("not ours"), 100, rest=True)
        await alice.streams.send_text("hi", topic="chat", attributes={}, destination="bob")
        assert len(bob.readers) == 1
        assert len(bob.streams.receiver.table) == 1


async def test_limits_of_what_is_received() -> None:
    async with sides(DataStreamOptions(max_payload_byte_length=1000, max_open_streams=1)) as (alice, bob):
        alice.abilities = DEFLATE
        for content in (bytes(1000), bytes(1001), bytes(10_000_000)):
            header = byte_header("id", 1, "topic", name="file")
            await alice.streams.sender.send_whole(header, content, [])
        good, *bad = bob.readers
        assert await good.read_all() == bytes(1000)
        for reader in bad:
            with pytest.raises(StreamTooLargeError):
                await reader.read_all()
        writers = [await opened_text(alice), await opened_bytes(alice)]
        assert len(bob.readers) == 4
        assert bob.streams.receiver.table.refused == 1
        for writer in writers:
            await writer.aclose()


SENDERS = st.sampled_from([Sender("eve", "PA_e"), Sender("bob", "PA_b")])
HEADERS = st.builds(
    models.DataStream.Header,
    stream_id=st.sampled_from(["1", "2"]),
    topic=st.sampled_from(["topic", "rpc"]),
    total_length=st.one_of(st.none(), st.integers(0, 2**64 - 1)),
    attributes=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    text_header=st.one_of(st.none(), st.just(models.DataStream.TextHeader())),
    inline_content=st.one_of(st.none(), st.binary(max_size=50)),
    compression=st.sampled_from([0, 1, 2]),
)
CHUNKS = st.builds(
    models.DataStream.Chunk,
    stream_id=st.sampled_from(["1", "2"]),
    chunk_index=st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1)),
    content=st.binary(max_size=50),
)
TRAILERS = st.builds(
    models.DataStream.Trailer, stream_id=st.sampled_from(["1", "2"]), reason=st.sampled_from(["", "x"])
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(SENDERS, st.one_of(HEADERS, CHUNKS, TRAILERS)),
        max_size=40,
    )
)
def test_whatever_strangers_send(packets: list[tuple[Sender, Any]]) -> None:
    async def check() -> None:
        side = Side("me", DataStreamOptions(max_unread_byte_length=20_000))
        receiver = side.streams.receiver
        side.streams.on_text("rpc", lambda *_: None, 30)
        for sender, packet in packets:
            if isinstance(packet, models.DataStream.Header):
                receiver.header(packet, sender)
            elif isinstance(packet, models.DataStream.Chunk):
                receiver.chunk(packet, sender)
            else:
                receiver.trailer(packet, sender)
            assert receiver.table.held <= 20_000
        side.streams.close()
        for reader in side.readers:
            with suppress(StreamError):
                await asyncio.wait_for(reader.read_all(), 5)
        assert receiver.table.held == 0
        await side.streams.aclose()

    asyncio.run(check())
