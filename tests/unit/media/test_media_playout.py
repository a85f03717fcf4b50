"""The queue of an audio source, without a clock."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aiolivekit.media.playout import PlayoutQueue


def queue(limit: int = 100) -> PlayoutQueue[str]:
    return PlayoutQueue(chunk_size=10, limit=limit)


def test_frames_of_any_length_come_out_as_chunks_in_order() -> None:
    waiting = queue()
    for frame in (b"abc", b"defghijKLM", b"N", b"OPQRST", b"0123456789"):
        assert not waiting.push(frame)
    assert len(waiting) == 30
    assert [waiting.pop() for _ in range(4)] == [b"abcdefghij", b"KLMNOPQRST", b"0123456789", None]
    assert len(waiting) == 0


def test_several_chunks_come_out_in_one_piece_or_not_at_all() -> None:
    waiting = queue()
    for frame in (b"abc", b"defghijKLM", b"NOPQRST", b"0123456789" * 2, b"rest"):
        waiting.push(frame)
    assert waiting.pop(5) is None
    assert waiting.pop(2) == b"abcdefghijKLMNOPQRST"
    assert waiting.pop(1) == b"0123456789"
    assert waiting.pop(2) is None
    assert waiting.pop() == b"0123456789"
    assert len(waiting) == 4


def test_a_frame_of_one_chunk_is_not_copied() -> None:
    waiting = queue()
    frame = b"0123456789"
    waiting.push(frame)
    assert waiting.pop() is frame


def test_less_than_a_chunk_stays_until_the_rest_is_asked_for() -> None:
    waiting = queue()
    waiting.push(b"abc")
    assert waiting.pop() is None
    assert waiting.pop_rest() == b"abc" + bytes(7)
    assert waiting.pop_rest() is None
    assert len(waiting) == 0


def test_a_capture_waits_until_what_is_queued_up_to_its_end_fits() -> None:
    waiting = queue(limit=20)
    assert not waiting.push(bytes(20))
    assert waiting.push(bytes(10))
    waiting.wait("first")
    assert waiting.push(bytes(5))
    waiting.wait("second")
    assert waiting.released() == []
    waiting.pop()
    assert waiting.released() == ["first"]
    waiting.pop()
    assert waiting.released() == ["second"]
    assert waiting.released() == []


def test_a_frame_longer_than_the_queue_is_queued_whole() -> None:
    waiting = queue(limit=20)
    assert waiting.push(bytes(50))
    waiting.wait("long")
    for _ in range(2):
        waiting.pop()
        assert waiting.released() == []
    waiting.pop()
    assert waiting.released() == ["long"]


def test_a_retracted_frame_is_not_played_and_those_behind_it_move_up() -> None:
    waiting = queue(limit=10)
    waiting.push(b"a" * 10)
    waiting.push(b"b" * 10)
    second = waiting.wait("second")
    waiting.push(b"c" * 10)
    waiting.wait("third")
    waiting.retract(second)
    waiting.retract(second)
    assert len(waiting) == 20
    assert waiting.released() == []
    assert waiting.pop() == b"a" * 10
    assert waiting.released() == ["third"]
    assert waiting.pop() == b"c" * 10
    assert waiting.pop() is None


def test_of_a_long_frame_what_was_played_cannot_be_retracted() -> None:
    waiting = queue(limit=10)
    waiting.push(b"0123456789" * 4)
    pending = waiting.wait("long")
    waiting.push(b"next" * 5)
    waiting.wait("next")
    assert waiting.pop() == b"0123456789"
    waiting.retract(pending)
    assert len(waiting) == 20
    assert waiting.pop() == b"nextnextne"
    assert waiting.released() == ["next"]


def test_clearing_drops_everything_and_releases_everyone() -> None:
    waiting = queue(limit=10)
    waiting.push(bytes(15))
    waiting.wait("one")
    waiting.pop()
    waiting.push(bytes(15))
    waiting.wait("two")
    assert waiting.clear() == ["one", "two"]
    assert len(waiting) == 0
    assert waiting.pop() is None
    waiting.push(b"0123456789")
    assert waiting.pop() == b"0123456789"


def test_a_cleared_frame_is_not_retracted_again() -> None:
    waiting = queue(limit=0)
    waiting.push(b"a" * 10)
    pending = waiting.wait("a")
    waiting.clear()
    waiting.push(b"b" * 10)
    waiting.retract(pending)
    assert waiting.pop() == b"b" * 10


_ACTIONS = st.one_of(
    st.tuples(st.just("push"), st.integers(1, 45)),
    st.tuples(st.just("pop"), st.integers(1, 5)),
    st.tuples(st.just("pop a run"), st.integers(1, 5)),
    st.tuples(st.just("retract"), st.integers(0, 20)),
    st.tuples(st.just("clear"), st.just(0)),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(_ACTIONS, max_size=60), st.integers(0, 40))
def test_what_comes_out_is_what_was_kept_in_order(actions: list[tuple[str, int]], limit: int) -> None:
    """Against a model: one list of numbered bytes."""
    waiting: PlayoutQueue[int] = PlayoutQueue(chunk_size=10, limit=limit)
    model: list[tuple[int, int]] = []  # (frame number, byte)
    pending = {}
    number = 0
    for action, value in actions:
        if action == "push":
            number += 1
            frame = bytes((number + i) % 256 for i in range(value))
            model += [(number, byte) for byte in frame]
            must_wait = waiting.push(frame)
            assert must_wait == (len(model) > limit)
            if must_wait:
                pending[number] = waiting.wait(number)
        elif action == "pop":
            for _ in range(value):
                expected = bytes(byte for _, byte in model[:10]) if len(model) >= 10 else None
                assert waiting.pop() == expected
                if expected is not None:
                    del model[:10]
        elif action == "pop a run":
            length = 10 * value
            expected = bytes(byte for _, byte in model[:length]) if len(model) >= length else None
            assert waiting.pop(value) == expected
            if expected is not None:
                del model[:length]
        elif action == "retract" and pending:
            frame_number = sorted(pending)[value % len(pending)]
            waiting.retract(pending.pop(frame_number))
            model = [entry for entry in model if entry[0] != frame_number]
        elif action == "clear":
            assert waiting.clear() == sorted(pending)
            pending.clear()
            model.clear()
        assert len(waiting) == len(model)
        fit = []
        for frame_number in sorted(pending):
            ends = [index + 1 for index, entry in enumerate(model) if entry[0] == frame_number]
            if not ends or ends[-1] <= limit:
                fit.append(frame_number)
        assert waiting.released() == fit
        for frame_number in fit:
            del pending[frame_number]
