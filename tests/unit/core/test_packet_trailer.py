"""What travels beside encoded pictures, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.packet_trailer import (
    MetadataWindow,
    add_trailer,
    check_metadata,
    take_trailer,
    trailer_of,
)
from aiolivekit.enums import FrameMetadataFeature
from aiolivekit.options import FrameMetadata

TIMESTAMP, FRAME_ID, USER_DATA = FrameMetadataFeature(0), FrameMetadataFeature(1), FrameMetadataFeature(2)

some = st.builds(
    FrameMetadata,
    user_timestamp=st.one_of(st.none(), st.integers(1, 2**64 - 1)),
    frame_id=st.one_of(st.none(), st.integers(1, 2**32 - 1)),
    user_data=st.one_of(st.none(), st.binary(min_size=1, max_size=200)),
)


def inverted(data: bytes) -> bytes:
    return bytes(each ^ 0xFF for each in data)


def test_the_bytes() -> None:
    metadata = FrameMetadata(user_timestamp=0x0102030405060708, frame_id=9, user_data=b"hi")
    fields = b"\x01\x08" + bytes(range(1, 9)) + b"\x02\x04\x00\x00\x00\x09" + b"\x03\x02hi"
    expected = inverted(fields + bytes([len(fields) + 5])) + b"LKTS"
    assert trailer_of(metadata) == (expected, True)
    assert add_trailer(b"picture", expected, is_av1=False) == b"picture" + expected
    assert take_trailer(b"picture" + expected, is_av1=False) == (b"picture", metadata)


@pytest.mark.parametrize(
    ("features", "found"),
    [
        ([TIMESTAMP], FrameMetadata(user_timestamp=5)),
        ([FRAME_ID], FrameMetadata(frame_id=6)),
        ([USER_DATA], FrameMetadata(user_data=b"seven")),
        ([TIMESTAMP, USER_DATA], FrameMetadata(user_timestamp=5, user_data=b"seven")),
    ],
)
def test_only_what_was_announced(features: list[int], found: FrameMetadata) -> None:
    trailer, _ = trailer_of(FrameMetadata(5, 6, b"seven"), features)
    assert take_trailer(trailer, is_av1=False) == (b"", found)


@pytest.mark.parametrize("metadata", [FrameMetadata(), FrameMetadata(0, 0, b"")])
def test_nothing_set_is_no_trailer(metadata: FrameMetadata) -> None:
    assert trailer_of(metadata) == (b"", True)


def test_user_data_that_find_no_room_are_left_out() -> None:
    assert trailer_of(FrameMetadata(user_data=bytes(248)))[1]
    assert trailer_of(FrameMetadata(user_data=bytes(249))) == (b"", False)
    assert trailer_of(FrameMetadata(1, 2, bytes(232)))[1]
    trailer, complete = trailer_of(FrameMetadata(1, 2, bytes(233)))
    assert not complete
    assert take_trailer(trailer, is_av1=False)[1] == FrameMetadata(1, 2)


@given(some, st.binary(max_size=60))
def test_there_and_back(metadata: FrameMetadata, picture: bytes) -> None:
    trailer, complete = trailer_of(metadata)
    assert complete
    sent = add_trailer(picture, trailer, is_av1=False)
    if trailer:
        assert take_trailer(sent, is_av1=False) == (picture, metadata)


def unit(kind: int, content: bytes, *, sized: bool = True, extension: bool = False) -> bytes:
    header = kind << 3 | (2 if sized else 0) | (4 if extension else 0)
    size = bytes([len(content) & 0x7F | 0x80, len(content) >> 7]) if sized else b""
    return bytes([header]) + (b"\x20" if extension else b"") + size + content


DELIMITER, SEQUENCE, FRAME = unit(2, b""), unit(1, b"sequence"), unit(6, b"a frame" * 30, extension=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (DELIMITER + SEQUENCE, FRAME),
        (b"", DELIMITER + FRAME),
        (b"", unit(6, b"the last one has no size", sized=False)),
        (b"", unit(1, b"a sequence without a size", sized=False)),
        (SEQUENCE, FRAME + FRAME),
        (b"", b""),
        (b"", b"\x80 no unit at all, since it is encrypted"),
        (b"", b"\x0a\xff cut off"),
    ],
)
def test_in_av1_it_is_a_unit_of_its_own(before: bytes, after: bytes) -> None:
    metadata = FrameMetadata(1, 2, b"three")
    trailer, _ = trailer_of(metadata)
    sent = add_trailer(before + after, trailer, is_av1=True)
    content = b"\x1f" + trailer
    assert sent == before + bytes([5 << 3 | 2, len(content)]) + content + after
    assert take_trailer(sent, is_av1=True) == (before + after, metadata)


@given(some, st.binary(max_size=60))
def test_there_and_back_in_av1(metadata: FrameMetadata, picture: bytes) -> None:
    trailer, _ = trailer_of(metadata)
    if trailer:
        assert take_trailer(add_trailer(picture, trailer, is_av1=True), is_av1=True) == (picture, metadata)


@pytest.mark.parametrize("is_av1", [False, True])
@given(picture=st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda data: data + b"LKTS")))
def test_whatever_arrives(is_av1: bool, picture: bytes) -> None:
    rest, metadata = take_trailer(picture, is_av1=is_av1)
    assert rest == picture if metadata is None else len(rest) < len(picture)


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        (FrameMetadata(user_timestamp=-1), ValueError),
        (FrameMetadata(user_timestamp=2**64), ValueError),
        (FrameMetadata(frame_id=2**32), ValueError),
        (FrameMetadata(frame_id=1.0), TypeError),  # type: ignore[arg-type]
        (FrameMetadata(frame_id=True), TypeError),
        (FrameMetadata(user_timestamp=float("nan")), TypeError),  # type: ignore[arg-type]
        (FrameMetadata(user_data="text"), TypeError),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_travel(metadata: FrameMetadata, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_metadata(metadata)


def test_a_window_keeps_the_newest() -> None:
    window = MetadataWindow()
    for time in range(302):
        window.put(time, FrameMetadata(frame_id=time))
    assert window.get(1) is None
    assert window.get(2) == FrameMetadata(frame_id=2)
    window.put(2, FrameMetadata(frame_id=99))
    window.put(302, FrameMetadata())
    assert window.get(2) == FrameMetadata(frame_id=99)
    assert window.get(3) is None
