"""Which bytes of a frame stay readable, and how the rest is packed."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiolivekit.core import encrypted_frame as layout

SPS, PPS = b"\0\0\0\1\x67\x42\xc0", b"\0\0\0\1\x68\xce"


@pytest.mark.parametrize(
    ("codec", "key_frame", "data", "size"),
    [
        ("vp8", True, b"", 10),
        ("vp8", False, b"", 3),
        ("vp9", True, b"x" * 50, 0),
        ("", True, b"x" * 50, 0),
        ("h264", True, SPS + PPS + b"\0\0\0\1\x65\x88\x84", 13 + 4 + 2),
        ("h264", False, b"\0\0\1\x41\x9a", 5),
        ("h264", False, b"\0\0\1\x01", 5),
        ("h264", False, SPS + PPS, 0),
        ("h264", False, b"\0\0\1", 0),
        ("h264", False, b"", 0),
    ],
)
def test_header_size(codec: str, key_frame: bool, data: bytes, size: int) -> None:
    assert layout.header_size(codec, key_frame, data) == size


@given(st.binary() | st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4])).map(bytes))
def test_what_is_escaped_begins_no_unit_and_comes_back(data: bytes) -> None:
    escaped = layout.escape(data)
    assert not any(escaped[at : at + 2] == b"\0\0" and escaped[at + 2] < 3 for at in range(len(escaped) - 2))
    assert layout.unescape(escaped) == data


@given(st.binary(min_size=1, max_size=70_000), st.booleans())
def test_av1_units(data: bytes, key_frame: bool) -> None:
    header = layout.av1_header(len(data), key_frame)
    assert layout.av1_header_size(header + data) == len(header)
    assert header.startswith(b"\x0a\0\x32") is key_frame
    # Neither more nor less.
    assert layout.av1_header_size(header + data + b"x") is None
    assert layout.av1_header_size((header + data)[:-1]) is None


@given(st.binary(max_size=40))
def test_what_is_no_av1_unit_of_ours_is_no_error(data: bytes) -> None:
    size = layout.av1_header_size(data)
    assert size is None or 0 < size <= len(data)


def test_a_length_of_av1_that_never_ends_is_none() -> None:
    assert layout.av1_header_size(b"\x32" + b"\xff" * 20) is None
    assert layout.av1_header_size(b"\x0a\0") is None


SILENCE = b"\xf8\xff\xfe" + bytes(77)
BLACK_UNITS = [
    bytes.fromhex("6742c01f0fd91f888884000003000400000300c83c60c920"),
    bytes.fromhex("6887cb83cb20"),
    bytes.fromhex("6588840af2628000a7be"),
]


def test_frames_the_server_makes_are_known() -> None:
    trailer = b"trailer of the room"
    start = b"\0\0\0\1"
    for payload in (SILENCE, start + start.join(BLACK_UNITS), start + BLACK_UNITS[2], BLACK_UNITS[0]):
        assert layout.injected_payload(payload + trailer, trailer) == payload
    assert hashlib.sha256(SILENCE).hexdigest() == layout._OPUS_SILENCE


@given(st.binary(max_size=200))
@example(b"")
@example(b"\0\0\1")
@example(b"\0\0\1\0\0\0\1")
def test_nothing_else_is_taken_for_one(data: bytes) -> None:
    assert layout.injected_payload(data + b"trailer", b"trailer") is None
    begun = b"\0\0\0\1" + BLACK_UNITS[0] + b"\0\0\0\1" + data
    # A start code with nothing after it is no unit, and harms no decoder.
    is_empty = not b"".join(data.replace(b"\0\0\0\1", b"").split(b"\0\0\1"))
    assert layout.injected_payload(begun + b"x", b"x") == (begun if is_empty else None)
