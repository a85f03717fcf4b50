from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.retained import RetainedPackets


def test_what_the_server_has_is_forgotten_and_the_rest_comes_in_order() -> None:
    kept = RetainedPackets()
    for number in range(1, 6):
        kept.keep(number, b"%d" % number, 0, float(number))
    assert kept.after(3) == [b"4", b"5"]
    assert kept.after(0) == [b"4", b"5"]
    assert (len(kept), kept.size) == (2, 2)
    assert kept.after(9) == []
    assert kept.size == 0


def test_what_was_handed_over_lately_can_be_counted() -> None:
    kept = RetainedPackets()
    for number in range(1, 6):
        kept.keep(number, b"%d" % number, 0, float(number))
    assert [kept.count_since(moment) for moment in (0.0, 3.0, 3.5, 6.0)] == [5, 3, 2, 0]
    kept.after(4)
    assert kept.count_since(0.0) == 1


def test_the_newest_stays_however_large() -> None:
    kept = RetainedPackets(reserve=10)
    kept.keep(1, bytes(100), 0, 1.0)
    assert len(kept) == 1
    kept.keep(2, bytes(100), 0, 2.0)
    assert kept.after(0) == [bytes(100)]
    kept.clear()
    assert (len(kept), kept.size) == (0, 0)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 200)), max_size=60))
def test_what_is_kept_is_bounded_and_covers_buffer_and_reserve(packets: list[tuple[int, int]]) -> None:
    kept = RetainedPackets(reserve=64)
    sent: list[bytes] = []
    for number, (size, buffered) in enumerate(packets, 1):
        data = bytes([number % 251]) * size
        sent.append(data)
        kept.keep(number, data, buffered, 0.0)
        rest = kept.after(0)
        assert rest == sent[len(sent) - len(rest) :]
        assert kept.size == sum(map(len, rest))
        assert kept.size <= max(buffered + 64, size)


def test_what_is_still_buffered_has_not_left() -> None:
    kept = RetainedPackets()
    # Ten are handed over at once, and leave one by one, a second each.
    for number in range(1, 11):
        kept.keep(number, b"x", number, 0.0)
    for second in range(1, 11):
        kept.note_buffered(10 - second, float(second))
    assert [kept.count_since(moment) for moment in (0.5, 1.5, 5.5, 9.5, 10.5)] == [10, 9, 5, 1, 0]


def test_what_is_sent_again_does_not_unsay_what_had_left() -> None:
    kept = RetainedPackets()
    kept.keep(1, b"xx", 2, 0.0)
    kept.note_buffered(0, 1.0)
    kept.note_buffered(2, 2.0)
    kept.keep(2, b"xx", 4, 3.0)
    assert [kept.count_since(moment) for moment in (1.0, 1.5, 9.0)] == [2, 1, 1]
    kept.note_buffered(0, 4.0)
    assert kept.count_since(9.0) == 0
