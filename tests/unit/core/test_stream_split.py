from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import models

from aiolivekit.core.stream_header import byte_header, text_header
from aiolivekit.core.stream_split import (
    CHUNK_SIZE,
    PACKET_LIMIT,
    Abilities,
    Deflater,
    StreamSplit,
    is_worth_deflating,
    utf8_chunks,
)
from aiolivekit.errors import StreamTooLargeError

WIDE = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), max_size=200)


@given(WIDE, st.integers(4, 40))
def test_utf8_is_never_cut_within_a_character(text: str, size: int) -> None:
    chunks = list(utf8_chunks(text.encode(), size))
    assert b"".join(chunks) == text.encode()
    assert "".join(chunk.decode() for chunk in chunks) == text
    assert all(0 < len(chunk) <= size for chunk in chunks)
    # None is shorter than it must be.
    assert all(len(chunk) > size - 4 for chunk in chunks[:-1])


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE])
def test_chunks_are_as_large_as_they_may_be(size: int) -> None:
    assert [len(chunk) for chunk in utf8_chunks(b"x" * size)] == [
        min(CHUNK_SIZE, size - at) for at in range(0, size, CHUNK_SIZE)
    ]


def test_every_packet_is_for_the_destinations_alone() -> None:
    split = StreamSplit(text_header("id", 1, "topic"), ["bob", "carol"], "agent")
    packets = [split.header(), split.chunk(b"a"), split.chunk(b"b"), split.trailer("", {"k": "v"})]
    assert [list(packet.destination_identities) for packet in packets] == [["bob", "carol"]] * 4
    assert [packet.participant_identity for packet in packets] == ["agent"] * 4
    assert [packet.stream_chunk.chunk_index for packet in packets[1:3]] == [0, 1]
    assert {packet.stream_chunk.stream_id for packet in packets[1:3]} == {"id"}
    assert dict(packets[3].stream_trailer.attributes) == {"k": "v"}
    inline = StreamSplit(text_header("id", 1, "topic"), ["bob"]).inline(b"", compressed=False)
    assert inline is not None
    assert list(inline.destination_identities) == ["bob"]
    assert inline.stream_header.HasField("inline_content")


def test_the_header_must_fit_into_a_packet() -> None:
    fits = StreamSplit(byte_header("id", 1, "", name="", attributes={"a": "x" * 14_900}), [])
    assert fits.header().ByteSize() <= PACKET_LIMIT
    with pytest.raises(StreamTooLargeError, match="header of the stream has 15"):
        StreamSplit(byte_header("id", 1, "", name="", attributes={"a": "x" * 15_000}), []).header()
    with pytest.raises(StreamTooLargeError, match="header"):
        StreamSplit(text_header("id", 1, ""), ["x" * 100] * 200).header()
    with pytest.raises(StreamTooLargeError, match="trailer"):
        StreamSplit(text_header("id", 1, ""), []).trailer("", {"a": "x" * 15_000})
    crowded = StreamSplit(text_header("id", 1, ""), ["x" * 995] * 15)
    assert crowded.header().ByteSize() > PACKET_LIMIT - 100
    assert crowded.abort("no").stream_trailer.reason == "no"
    assert crowded.abort("no" * 100).stream_trailer.reason == "aborted"


@given(st.integers(PACKET_LIMIT - 200, PACKET_LIMIT + 10))
def test_content_is_inline_if_the_packet_fits(size: int) -> None:
    split = StreamSplit(text_header("id", 1, "topic"), ["bob"])
    packet = split.inline(bytes(size), compressed=False)
    bare = split.header().ByteSize()
    if packet is not None:
        assert packet.ByteSize() <= PACKET_LIMIT
    else:
        # Some bytes go for the lengths of what the content is in.
        assert bare + size + 10 > PACKET_LIMIT


CAPABILITY = int(models.ClientInfo.Capability.CAP_COMPRESSION_DEFLATE_RAW)
OTHER = int(models.ClientInfo.Capability.CAP_PACKET_TRAILER)


@pytest.mark.parametrize(
    ("recipients", "abilities"),
    [
        ([], (False, False)),
        ([(0, [])], (False, False)),
        ([(1, [CAPABILITY])], (False, False)),
        ([(2, [])], (True, False)),
        ([(2, [CAPABILITY])], (True, True)),
        ([(3, [OTHER, CAPABILITY]), (2, [CAPABILITY])], (True, True)),
        ([(2, [CAPABILITY]), (2, [OTHER])], (True, False)),
        ([(2, [CAPABILITY]), (1, [CAPABILITY])], (False, False)),
    ],
)
def test_abilities_are_those_that_all_have(
    recipients: list[tuple[int, list[int]]], abilities: tuple[bool, bool]
) -> None:
    common = Abilities.common(recipients)
    assert (common.inline, common.deflate) == abilities


@given(st.binary(max_size=3000), st.integers(1, 100))
def test_deflating_is_raw_and_whole(data: bytes, repeat: int) -> None:
    content = data * repeat
    packed = b"".join(Deflater.all_of(content))
    assert zlib.decompress(packed, -zlib.MAX_WBITS) == content


def test_what_is_large_is_compressed_if_it_shrinks() -> None:
    assert not is_worth_deflating(b"")
    assert not is_worth_deflating(b"x" * 255)
    assert is_worth_deflating(b"x" * 256)
    assert is_worth_deflating(b"some text or other. " * 10_000)
    assert not is_worth_deflating(random.Random(1).randbytes(200_000))
