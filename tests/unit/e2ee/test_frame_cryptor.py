"""What becomes of frames: with the right key, a wrong one, none, and of frames that are no frames."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiolivekit.core.encrypted_frame import MIN_SEALED
from aiolivekit.e2ee.frame_cryptor import Nonces
from aiolivekit.enums import EncryptionState

from .frames import Side, provider

S = EncryptionState
H264 = b"\0\0\0\1\x67\x42\0\0\0\1\x68\xce\0\0\0\1\x65\x88" + bytes(90) + b"\1\2\3" * 20
FRAMES = [
    ("audio", "opus", False, b"\xf8" + b"sound" * 20),
    ("audio", "opus", False, b"\xf8"),
    ("video", "vp8", True, b"0123456789" + b"picture" * 100),
    ("video", "vp8", False, b"012" + b"picture" * 20),
    ("video", "vp9", True, b"picture" * 50),
    ("video", "av1", True, b"picture" * 50),
    ("video", "av1", False, b"p"),
    ("video", "h264", True, H264),
]


@pytest.mark.parametrize(("kind", "codec", "key_frame", "data"), FRAMES)
def test_there_and_back(kind: str, codec: str, key_frame: bool, data: bytes) -> None:
    sending, receiving = Side(provider(), outgoing=True), Side(provider(), outgoing=False)
    sealed = [sending(data, kind, codec, key_frame=key_frame) for _ in range(3)]
    assert len(set(sealed)) == 3
    for each in sealed:
        assert each is not None
        assert data[20:] not in each or len(data) < 30
        assert receiving(each, kind, codec, key_frame=key_frame) == data
    assert (sending.states, receiving.states) == ([S.OK], [S.OK])
    assert sending.cryptor.frames == receiving.cryptor.frames == 3


def test_the_readable_header_is_what_it_was_and_cannot_be_changed() -> None:
    sending, receiving = Side(provider(), outgoing=True), Side(provider(), outgoing=False)
    sealed = sending(b"0123456789" + bytes(50), "video", "vp8", key_frame=True)
    assert sealed is not None
    assert sealed.startswith(b"0123456789")
    assert sealed[-2:] == b"\x0c\0"
    assert receiving(b"1" + sealed[1:], "video", "vp8", key_frame=True) is None
    assert receiving.states == [S.DECRYPTION_FAILED]


def test_empty_frames_pass_and_disabled_ones_too() -> None:
    sending, receiving = Side(provider(None), outgoing=True), Side(provider(None), outgoing=False)
    assert sending(b"") == receiving(b"") == b""
    for side in (sending, receiving):
        side.cryptor.set_enabled(False)
        assert side(b"in the clear") == b"in the clear"
        assert side.states == []


def test_without_a_key_nothing_is_sent() -> None:
    keys = provider(None)
    sending = Side(keys, outgoing=True)
    assert sending(b"sound") is None
    assert sending.states == [S.MISSING_KEY]
    keys.set_key("alice", b"now there is one", 0)
    assert sending(b"sound") is not None
    sending.cryptor.set_key_index(7)
    assert sending(b"sound") is None
    assert sending.states == [S.MISSING_KEY, S.OK, S.MISSING_KEY]
    assert sending.cryptor.dropped == {"missing key": 2}
    for index in (-1, 16):
        with pytest.raises(ValueError, match="index"):
            sending.cryptor.set_key_index(index)


def test_a_frame_that_is_shorter_than_its_header_is_not_sent() -> None:
    sending = Side(provider(), outgoing=True)
    assert sending(b"12", "video", "vp8", key_frame=True) is None
    assert sending.states == [S.ENCRYPTION_FAILED]


def test_a_wrong_key_is_said_once_and_a_right_one_mends_it() -> None:
    wrong = provider(b"wrong")
    sending, receiving = Side(provider(b"right"), outgoing=True), Side(wrong, outgoing=False, kind="video")

    def send(key_frame: bool) -> bytes | None:
        sealed = sending(b"0123456789" + bytes(50), "video", "vp8", key_frame=key_frame)
        assert sealed is not None
        return receiving(sealed, "video", "vp8", key_frame=key_frame)

    assert [send(True), send(False), send(False)] == [None] * 3
    assert receiving.states == [S.DECRYPTION_FAILED]
    assert receiving.cryptor.dropped == {"wrong key": 3}
    wrong.set_shared_key(b"right", 0)
    assert send(False) is not None
    assert receiving.states == [S.DECRYPTION_FAILED, S.OK]
    # What was lost is asked for, but not with every frame.
    assert send(False) is not None
    assert receiving.chain.key_frames_asked == 1
    receiving.cryptor._asked_at = 0.0
    assert send(False) is not None
    assert receiving.chain.key_frames_asked == 2
    assert send(True) is not None
    receiving.cryptor._asked_at = 0.0
    assert send(False) is not None
    assert receiving.chain.key_frames_asked == 2


def test_a_key_that_fails_too_often_is_given_up_until_it_is_set_anew() -> None:
    wrong = provider(b"wrong", failure_tolerance=2)
    sending, receiving = Side(provider(b"right"), outgoing=True), Side(wrong, outgoing=False)
    for _ in range(5):
        assert receiving(sending(b"sound" * 9) or b"") is None
    assert receiving.cryptor.dropped == {"wrong key": 3, "key given up": 2}
    wrong.set_shared_key(b"right", 0)
    assert receiving(sending(b"sound" * 9) or b"") == b"sound" * 9


def test_a_ratchet_is_followed_and_what_was_on_its_way_is_not_lost() -> None:
    ours, theirs = provider(), provider()
    sending, receiving = Side(ours, outgoing=True), Side(theirs, outgoing=False)
    late = sending(b"late" * 9)
    assert late is not None
    for _ in range(3):
        ours.ratchet_shared_key(0)
    assert receiving(sending(b"sound" * 9) or b"") == b"sound" * 9
    assert receiving.states == [S.KEY_RATCHETED, S.OK]
    assert receiving(late) == b"late" * 9
    assert theirs.export_key("alice", 0) == ours.export_shared_key(0)
    on_its_way = sending(b"on its way" * 9)
    ours.ratchet_shared_key(0)
    assert receiving(sending(b"after" * 9) or b"") == b"after" * 9
    assert receiving(on_its_way or b"") == b"on its way" * 9
    assert receiving(late) is None, "only one that was in force before is kept"


def test_a_sender_further_ahead_than_the_window_is_not_followed() -> None:
    ours, theirs = provider(), provider(ratchet_window_size=2)
    sending, receiving = Side(ours, outgoing=True), Side(theirs, outgoing=False)
    for _ in range(3):
        ours.ratchet_shared_key(0)
    assert receiving(sending(b"sound" * 9) or b"") is None
    assert receiving.states == [S.DECRYPTION_FAILED]


def test_frames_the_server_makes_pass_and_others_with_its_trailer_do_not() -> None:
    trailer = b"the trailer"
    receiving = Side(provider(), outgoing=False, sif_trailer=trailer)
    silence = b"\xf8\xff\xfe" + bytes(77)
    assert receiving(silence + trailer) == silence
    assert receiving(b"a frame of somebody" + trailer) is None
    assert receiving.cryptor.dropped == {"injected": 1}
    assert receiving.states == []


def test_nonces_never_repeat() -> None:
    first, second = Nonces(), Nonces()
    found = [nonces.next() for nonces in (first, second) for _ in range(1000)]
    assert len(set(found)) == 2000
    assert {len(nonce) for nonce in found} == {12}
    before = first.next()
    first._count = 0x1_0000_0000
    after = first.next()
    assert before[:8] != after[:8]
    assert first._count == 1


def test_nonces_need_no_escaping() -> None:
    nonces = Nonces()
    nonces._mask = 0x01000001
    found = [nonces.next() for _ in range(0x20000)]
    assert len(set(found)) == 0x20000
    assert not any(b"\0\0" in nonce or nonce[0] == 0 for nonce in found)


KINDS = st.sampled_from([("audio", "opus"), ("video", "vp8"), ("video", "vp9"), ("video", "av1"), ("video", "h264")])
FUZZED, FUZZ_SOURCE = Side(provider(), outgoing=False, sif_trailer=b"SIF"), Side(provider(), outgoing=True)


@settings(max_examples=300)
@given(KINDS, st.booleans(), st.binary(max_size=200), st.data())
def test_mangled_frames_are_dropped_and_counted(
    kind: tuple[str, str], key_frame: bool, content: bytes, data: st.DataObject
) -> None:
    plain = H264[:20] + content if kind[1] == "h264" else b"0123456789" + content
    sealed = FUZZ_SOURCE(plain, *kind, key_frame=key_frame)
    assert sealed is not None
    how = data.draw(st.sampled_from(["truncated", "flipped", "trailer", "longer", "noise"]))
    if how == "truncated":
        mangled = sealed[: data.draw(st.integers(1, len(sealed) - 1))]
    elif how == "flipped":
        at = data.draw(st.integers(0, len(sealed) - 1))
        mangled = sealed[:at] + bytes((sealed[at] ^ data.draw(st.integers(1, 255)),)) + sealed[at + 1 :]
    elif how == "trailer":
        mangled = sealed[:-2] + data.draw(st.binary(min_size=2, max_size=2))
    elif how == "longer":
        mangled = sealed + data.draw(st.binary(min_size=1, max_size=40))
    else:
        mangled = data.draw(st.binary(min_size=1, max_size=80))
    if mangled == sealed:
        return
    before = FUZZED.cryptor.dropped.total()
    assert FUZZED(mangled, *kind, key_frame=key_frame) is None
    assert FUZZED.cryptor.dropped.total() == before + 1
    # One that is replayed is decrypted again: what is too old is for the jitter buffer to say.
    assert FUZZED(sealed, *kind, key_frame=key_frame) == plain
    assert FUZZED(sealed, *kind, key_frame=key_frame) == plain


@given(st.integers(0, MIN_SEALED))
def test_frames_too_short_to_be_encrypted_are_malformed(size: int) -> None:
    receiving = Side(provider(), outgoing=False)
    assert receiving(b"x" * size) == (b"" if not size else None)
