"""Packets of data tracks as bytes; the vectors are those of rust-sdks' and livekit's own tests of the format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.data_track_packet import (
    MAX_FRAME_PACKETS,
    MTU,
    DataTrackPacket,
    FrameEncryption,
    MalformedPacketError,
    Packetizer,
    largest_payload,
)

U16 = st.integers(0, 0xFFFF)
ENCRYPTION = st.builds(FrameEncryption, st.integers(0, 255), st.binary(min_size=12, max_size=12))
PACKETS = st.builds(
    DataTrackPacket,
    st.booleans(),
    st.booleans(),
    st.integers(1, 0xFFFF),
    U16,
    U16,
    st.integers(0, 2**32 - 1),
    st.binary(max_size=200),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | ENCRYPTION,
)


def header(flags: int = 0, rest: bytes = b"") -> bytes:
    return bytes((flags, 0, 0, 1)) + bytes(8) + rest


@given(PACKETS)
def test_round_trip(packet: DataTrackPacket) -> None:
    assert DataTrackPacket.parse(packet.serialize()) == packet


def test_the_bytes_of_a_packet_with_everything() -> None:
    packet = DataTrackPacket(
        False,
        True,
        0x8811,
        0x4422,
        0x4411,
        0x44221188,
        b"\xfa" * 1024,
        0x4411221111118811,
        FrameEncryption(0xFA, b"\x3c" * 12),
    )
    data = packet.serialize()
    assert len(data) == 1064
    assert data[:14] == bytes.fromhex("0c00 8811 4422 4411 44221188 0006")
    assert data[14:29] == bytes.fromhex("01 0d fa") + b"\x3c" * 12
    assert data[29:40] == bytes.fromhex("02 08 4411221111118811 00")
    assert data[40:] == b"\xfa" * 1024


def test_the_bytes_of_a_plain_header() -> None:
    packet = DataTrackPacket.parse(bytes.fromhex("0800 8811 4422 4411 44221188"))
    assert packet == DataTrackPacket(False, True, 0x8811, 0x4422, 0x4411, 0x44221188, b"")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "shorter than a header"),
        (header()[:11], "shorter than a header"),
        (header(0x20), "later version"),
        (bytes(12), "without a handle"),
        (header(0x04), "length of its extensions"),
        (header(0x04, b"\0\1"), "shorter than its extensions"),
        (header(0x04, b"\0\1\7\xff" + bytes(4)), "longer than all of them"),
    ],
)
def test_what_is_no_packet(data: bytes, words: str) -> None:
    with pytest.raises(MalformedPacketError, match=words):
        DataTrackPacket.parse(data)


@pytest.mark.parametrize(
    ("block", "user_timestamp", "encryption"),
    [
        pytest.param(bytes(2), None, None, id="padding of one word"),
        pytest.param(bytes(98), None, None, id="much padding"),
        pytest.param(bytes.fromhex("0208 4411221111118811"), 0x4411221111118811, None, id="timestamp"),
        pytest.param(
            bytes.fromhex("01 0d fa") + b"\x3c" * 12 + bytes(3), None, FrameEncryption(0xFA, b"\x3c" * 12), id="e2ee"
        ),
        pytest.param(bytes.fromhex("020c 4411221111118811 ffffffff"), 0x4411221111118811, None, id="longer than known"),
        pytest.param(bytes.fromhex("0204 3c3c3c3c"), None, None, id="shorter than known"),
        pytest.param(bytes.fromhex("0806 111111111111 0000"), None, None, id="unknown"),
        pytest.param(bytes.fromhex("000000 0208 0000000000000007 00"), 7, None, id="padding before"),
        pytest.param(bytes.fromhex("0208 0000000000000007 0000000002 00"), 7, None, id="half an extension at the end"),
    ],
)
def test_extensions(block: bytes, user_timestamp: int | None, encryption: FrameEncryption | None) -> None:
    block = block.ljust((len(block) + 2 + 3) // 4 * 4 - 2, b"\0")
    words = (len(block) + 2) // 4 - 1
    packet = DataTrackPacket.parse(header(0x04, words.to_bytes(2, "big") + block + b"payload"))
    assert packet.payload == b"payload"
    assert packet.user_timestamp == user_timestamp
    assert packet.encryption == encryption


@given(st.binary(max_size=200) | st.binary(max_size=120).map(lambda rest: header(0x04, b"\0\5" + rest)))
def test_any_bytes_are_a_packet_or_malformed(data: bytes) -> None:
    try:
        packet = DataTrackPacket.parse(data)
    except MalformedPacketError:
        return
    assert data.endswith(packet.payload)
    assert DataTrackPacket.parse(packet.serialize()) == packet


def test_an_iv_is_not_shown() -> None:
    assert "secret" not in repr(FrameEncryption(1, b"secretsecret"))


@given(
    st.integers(0, 5 * MTU),
    U16,
    U16,
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | ENCRYPTION,
    st.integers(0, 2**40),
)
def test_a_frame_in_packets(
    size: int, sequence: int, frame: int, user_timestamp: int | None, encryption: FrameEncryption | None, ticks: int
) -> None:
    payload = bytes(index % 251 for index in range(size))
    packets = Packetizer(7, sequence, frame).packets(payload, ticks, user_timestamp, encryption)
    parsed = [DataTrackPacket.parse(each) for each in packets]
    assert b"".join(each.payload for each in parsed) == payload
    assert all(len(each) == MTU for each in packets[:-1])
    assert len(packets[-1]) <= MTU
    assert [each.sequence for each in parsed] == [(sequence + index) & 0xFFFF for index in range(len(parsed))]
    assert [each.start for each in parsed] == [True] + [False] * (len(parsed) - 1)
    assert [each.final for each in parsed] == [False] * (len(parsed) - 1) + [True]
    assert {(each.handle, each.frame, each.timestamp, each.user_timestamp) for each in parsed} == {
        (7, frame, ticks & 0xFFFFFFFF, user_timestamp)
    }
    assert all(each.encryption == encryption for each in parsed)


def test_numbers_go_on_and_come_round() -> None:
    packetizer = Packetizer(1, 0xFFFF, 0xFFFF)
    numbers = [
        (packet.sequence, packet.frame)
        for _ in range(3)
        for packet in map(DataTrackPacket.parse, packetizer.packets(bytes(MTU), 0))
    ]
    assert numbers == [(0xFFFF, 0xFFFF), (0, 0xFFFF), (1, 0), (2, 0), (3, 1), (4, 1)]


@pytest.mark.parametrize("user_timestamp", [None, 1])
def test_the_largest_frame_and_one_byte_more(user_timestamp: int | None) -> None:
    assert largest_payload(user_timestamp) == (15_988 if user_timestamp is None else 15_976)
    limit = MAX_FRAME_PACKETS * largest_payload(user_timestamp)
    packetizer = Packetizer(1)
    assert len(packetizer.packets(bytes(limit), 0, user_timestamp)) == MAX_FRAME_PACKETS
    with pytest.raises(ValueError, match=str(limit)):
        packetizer.packets(bytes(limit + 1), 0, user_timestamp)
    assert DataTrackPacket.parse(packetizer.packets(b"", 0)[0]).frame == 1
