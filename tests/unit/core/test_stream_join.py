from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiolivekit.core.stream_join import PIECE, STREAM_OVERHEAD, StreamJoin
from aiolivekit.errors import StreamAbortedError, StreamDamagedError, StreamError, StreamTooLargeError

LARGE = 10**9


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


def read(stream: StreamJoin) -> bytes:
    pieces = []
    while (piece := stream.take()) is not None:
        assert len(piece) > 0
        pieces.append(piece)
    return b"".join(pieces)


@given(st.binary(max_size=5000), st.integers(1, 700), st.booleans(), st.booleans(), st.booleans())
def test_what_was_cut_is_whole_again(content: bytes, size: int, compressed: bool, known: bool, at_once: bool) -> None:
    stream = StreamJoin(len(content) if known else None, compressed=compressed, max_bytes=LARGE)
    got = b""
    for index, chunk in enumerate(cut(deflated(content) if compressed else content, size)):
        stream.chunk(index, chunk)
        if not at_once:
            got += read(stream)
    assert not stream.ended
    stream.end()
    got += read(stream)
    assert (got, stream.over, stream.error) == (content, True, None)
    assert stream.processed == len(content)
    assert stream.held == 0
    assert stream.take() is None


def test_chunks_are_given_out_as_they_were_sent() -> None:
    stream = StreamJoin(None, compressed=False, max_bytes=LARGE)
    for index, chunk in enumerate([b"one", b"", b"two"]):
        stream.chunk(index, chunk)
    assert [stream.take(), stream.take(), stream.take()] == [b"one", b"two", None]
    assert not stream.over


def test_a_gap_ends_the_stream_behind_what_came_before() -> None:
    stream = StreamJoin(None, compressed=False, max_bytes=LARGE)
    stream.chunk(0, b"a")
    stream.chunk(2, b"c")
    stream.chunk(1, b"b")
    assert not stream.over
    assert read(stream) == b"a"
    assert stream.over
    assert isinstance(stream.error, StreamDamagedError)
    assert "chunk 1 of the stream is missing, 2 came" in str(stream.error)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_chunk_that_comes_again_is_dropped(compressed: bool) -> None:
    content = random.Random(2).randbytes(3000)
    stream = StreamJoin(len(content), compressed=compressed, max_bytes=LARGE)
    chunks = cut(deflated(content) if compressed else content, 1000)
    for index, chunk in enumerate(chunks):
        stream.chunk(index, chunk)
        stream.chunk(index, chunk)
        stream.chunk(0, b"something else")
    stream.end()
    assert (read(stream), stream.error, stream.duplicates) == (content, None, 2 * len(chunks))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("total", [0, 999, 1001])
def test_totals_are_checked(compressed: bool, total: int) -> None:
    content = b"x" * 1000
    stream = StreamJoin(total, compressed=compressed, max_bytes=LARGE)
    stream.chunk(0, deflated(content) if compressed else content)
    stream.end()
    read(stream)
    assert stream.over
    assert isinstance(stream.error, StreamDamagedError)


def test_a_compressed_stream_that_is_cut_off() -> None:
    packed = deflated(random.Random(1).randbytes(1000))
    for total in (None, 1000):
        stream = StreamJoin(total, compressed=True, max_bytes=LARGE)
        stream.chunk(0, packed[: len(packed) // 2])
        stream.end()
        read(stream)
        assert isinstance(stream.error, StreamDamagedError)


@pytest.mark.parametrize("packed", [b"\xff\xff\xff", deflated(b"x") + b"more", b"\x00" * 100])
def test_what_cannot_be_decompressed(packed: bytes) -> None:
    for size in (1, 1000):
        stream = StreamJoin(None, compressed=True, max_bytes=LARGE)
        for index, chunk in enumerate(cut(packed, size)):
            stream.chunk(index, chunk)
        stream.end()
        read(stream)
        assert stream.over
        assert isinstance(stream.error, StreamDamagedError)
        assert stream.held == 0


def test_the_sender_gives_it_up() -> None:
    stream = StreamJoin(100, compressed=False, max_bytes=LARGE)
    stream.chunk(0, b"beginning")
    stream.end("no more paper")
    assert read(stream) == b"beginning"
    assert isinstance(stream.error, StreamAbortedError)
    assert "no more paper" in str(stream.error)
    # What comes then changes nothing.
    stream.chunk(1, b"more")
    stream.end()
    stream.fail(StreamError("late"))
    assert isinstance(stream.error, StreamAbortedError)


def test_limits() -> None:
    announced = StreamJoin(101, compressed=False, max_bytes=100)
    assert isinstance(announced.error, StreamTooLargeError)
    grown = StreamJoin(None, compressed=False, max_bytes=100)
    grown.chunk(0, bytes(60))
    grown.chunk(1, bytes(60))
    assert read(grown) == bytes(60)
    assert isinstance(grown.error, StreamTooLargeError)
    exact = StreamJoin(100, compressed=False, max_bytes=100)
    exact.inline(bytes(100))
    assert (read(exact), exact.error) == (bytes(100), None)


def test_a_bomb_is_not_inflated_before_it_is_read_nor_beyond_the_limit() -> None:
    bomb = deflated(bytes(50_000_000))
    stream = StreamJoin(None, compressed=True, max_bytes=1_000_000)
    for index, chunk in enumerate(cut(bomb, 15_000)):
        stream.chunk(index, chunk)
    assert stream.held < 2 * len(bomb) + 100_000
    total = 0
    while (piece := stream.take()) is not None:
        assert len(piece) <= PIECE
        total += len(piece)
    assert total <= 1_000_000
    assert isinstance(stream.error, StreamTooLargeError)
    assert stream.held == 0


def test_compressed_bytes_that_are_no_less_than_the_limit_allows() -> None:
    stream = StreamJoin(None, compressed=True, max_bytes=1000)
    for index in range(200):
        stream.chunk(index, bytes(1000))
    assert stream.over
    assert isinstance(stream.error, StreamTooLargeError)


def test_dropping_forgets_what_was_not_read_even_if_it_is_whole() -> None:
    stream = StreamJoin(3, compressed=False, max_bytes=LARGE, overhead=10)
    stream.inline(b"abc")
    assert stream.held > STREAM_OVERHEAD + 10
    stream.fail(StreamTooLargeError("too much"), drop=True)
    assert (stream.take(), stream.over, stream.held) == (None, True, 0)
    assert isinstance(stream.error, StreamTooLargeError)


@st.composite
def packets(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, bytes]], int | None, bool]:
    """A stream's content, its chunks as they arrive after the world has had its way, its total and compression."""
    compressed = draw(st.booleans())
    content = draw(st.binary(max_size=400)) * draw(st.sampled_from([1, 1, 50]))
    chunks = list(enumerate(cut(deflated(content) if compressed else content, draw(st.integers(1, 300)))))
    for _ in range(draw(st.integers(0, 3))):
        if not chunks:
            break
        at = draw(st.integers(0, len(chunks) - 1))
        what = draw(st.sampled_from(["drop", "repeat", "swap", "flip", "cut", "index"]))
        index, chunk = chunks[at]
        if what == "drop":
            del chunks[at]
        elif what == "repeat":
            chunks.insert(draw(st.integers(0, len(chunks))), chunks[at])
        elif what == "swap":
            other = draw(st.integers(0, len(chunks) - 1))
            chunks[at], chunks[other] = chunks[other], chunks[at]
        elif what == "flip" and chunk:
            position = draw(st.integers(0, len(chunk) - 1))
            flipped = bytearray(chunk)
            flipped[position] ^= 1 << draw(st.integers(0, 7))
            chunks[at] = (index, bytes(flipped))
        elif what == "cut":
            chunks[at] = (index, chunk[: draw(st.integers(0, len(chunk)))])
        elif what == "index":
            chunks[at] = (draw(st.integers(0, 2**64 - 1)), chunk)
    total = draw(st.sampled_from([None, len(content), len(content), draw(st.integers(0, 2**64 - 1))]))
    return content, chunks, total, compressed


@settings(max_examples=400)
@given(packets(), st.integers(0, 30_000), st.data())
def test_whatever_arrives_it_ends_and_holds_little(
    arrived: tuple[bytes, list[tuple[int, bytes]], int | None, bool], limit: int, data: st.DataObject
) -> None:
    content, chunks, total, compressed = arrived
    stream = StreamJoin(total, compressed=compressed, max_bytes=limit)
    got = b""
    sent = 0
    for index, chunk in chunks:
        stream.chunk(index, chunk)
        sent += len(chunk)
        assert 0 <= stream.held <= STREAM_OVERHEAD + 48 * 1024 + sent + 64 * len(chunks)
        if data.draw(st.booleans()):
            got += read(stream)
    stream.end()
    got += read(stream)
    assert stream.over
    assert stream.held == 0
    assert len(got) <= limit
    if stream.error is None:
        assert total is None or len(got) == total
    untouched = chunks == list(enumerate(cut(deflated(content) if compressed else content, 10**6)))
    if untouched and total in (None, len(content)) and len(content) <= limit:
        assert (got, stream.error) == (content, None)
