from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.outbox import MAX_BULK_HIGH, MIN_BULK_HIGH, SHARE, Outbox
from aiolivekit.core.reliable import ReceiveState, SendSequence


class Packet:
    def __init__(self, number: int) -> None:
        self.number = number


def test_nobody_overtakes() -> None:
    outbox: Outbox[Packet] = Outbox(high=100)
    assert outbox.goes_at_once(100)
    assert not outbox.goes_at_once(101)
    first, second = Packet(1), Packet(2)
    outbox.wait(first)
    assert not outbox.goes_at_once(0)
    outbox.wait(second)
    assert outbox.next(101) is None
    assert outbox.next(100) is first
    assert outbox.next(0) is second
    assert outbox.next(0) is None
    assert outbox.goes_at_once(0)


def test_bulk_waits_at_a_lower_mark_and_lets_others_pass() -> None:
    outbox: Outbox[Packet] = Outbox(high=100, bulk_high=10)
    assert outbox.goes_at_once(10, bulk=True)
    assert not outbox.goes_at_once(11, bulk=True)
    chunk, packet, later = Packet(1), Packet(2), Packet(3)
    outbox.wait(chunk, bulk=True)
    assert outbox.goes_at_once(100), "a packet does not wait for bulk packets"
    assert not outbox.goes_at_once(0, bulk=True), "bulk packets do not overtake each other"
    outbox.wait(packet)
    outbox.wait(later, bulk=True)
    assert not outbox.goes_at_once(0)
    assert (outbox.plain_waits, outbox.bulk_waits, len(outbox)) == (True, True, 3)
    assert outbox.next(101) is None
    assert outbox.next(100) is packet
    assert outbox.next(11) is None
    assert outbox.next(10) is chunk
    assert outbox.clear() == [later]


def test_the_mark_for_bulk_follows_the_speed_of_the_path() -> None:
    outbox: Outbox[Packet] = Outbox(high=2**22)
    marks = []
    for seconds in (0.01, 0.001, 0.001, 0.001, 0.01, 0.1, 2.0, 2.0):
        outbox.emptied(seconds)
        marks.append(outbox.bulk_high // 1024)
    assert marks == [64, 128, 256, 256, 256, 128, 64, 64]
    assert outbox.bulk_low == MIN_BULK_HIGH // 2
    assert MAX_BULK_HIGH == 256 * 1024


def test_bulk_has_its_share() -> None:
    outbox: Outbox[Packet] = Outbox(high=100, bulk_high=10)
    outbox.passed(SHARE)
    chunk, second = Packet(1), Packet(2)
    outbox.wait(chunk, bulk=True)
    outbox.wait(second, bulk=True)
    assert not outbox.bulk_is_due, "what went before it waited did not overtake it"
    outbox.passed(SHARE - 1)
    outbox.wait(packet := Packet(3))
    assert outbox.next(50) is packet
    outbox.passed(1)
    outbox.wait(Packet(4))
    assert outbox.bulk_is_due
    assert outbox.next(101) is None
    assert outbox.next(100) is chunk
    assert not outbox.bulk_is_due
    assert outbox.next(0) is not second


@given(
    st.lists(st.tuples(st.sampled_from(["wait", "withdraw", "next", "full", "passed"]), st.booleans()), max_size=80),
    st.randoms(),
)
def test_order_with_withdrawals(steps: list[tuple[str, bool]], random) -> None:  # type: ignore[no-untyped-def]
    outbox: Outbox[Packet] = Outbox(high=10, bulk_high=5)
    waiting: dict[bool, list[Packet]] = {False: [], True: []}
    made = 0
    for step, bulk in steps:
        mine = waiting[bulk]
        if step == "wait":
            made += 1
            packet = Packet(made)
            outbox.wait(packet, bulk=bulk)
            mine.append(packet)
        elif step == "withdraw" and mine:
            outbox.withdraw(mine.pop(random.randrange(len(mine))))
            outbox.withdraw(Packet(0))
        elif step == "passed":
            outbox.passed(SHARE // 3)
        elif step == "next":
            due = outbox.bulk_is_due
            found = outbox.next(0 if bulk else 6)
            if waiting[False] and not due:
                assert found is waiting[False].pop(0)
            else:
                assert found is (waiting[True].pop(0) if waiting[True] and (bulk or due) else None)
        elif step == "full":
            assert outbox.next(11) is None
        assert len(outbox) == len(waiting[False]) + len(waiting[True])
        assert outbox.first(bulk=bulk) is (mine[0] if mine else None)
    assert outbox.clear() == waiting[False] + waiting[True]
    assert len(outbox) == 0


def test_sequence_counts_from_one() -> None:
    sequence = SendSequence()
    assert sequence.last == 0
    assert [sequence.next(), sequence.next()] == [1, 2]
    assert sequence.last == 2


def test_receive_state_drops_what_was_seen() -> None:
    state = ReceiveState(ttl=30)
    assert state.accept("PA_a", 1, now=0)
    assert state.accept("PA_a", 3, now=1)
    assert not state.accept("PA_a", 3, now=2)
    assert not state.accept("PA_a", 2, now=2)
    assert state.accept("PA_b", 2, now=2)
    assert state.accept("PA_a", 0, now=2)
    assert state.accept("", 1, now=2)
    assert state.duplicates == 2
    assert state.snapshot(2) == {"PA_a": 3, "PA_b": 2}
    # After a silence longer than the ttl the publisher is another one as far as we know.
    assert state.accept("PA_a", 1, now=100)


def test_receive_state_is_bounded() -> None:
    state = ReceiveState(capacity=2)
    for sid in ("PA_a", "PA_b", "PA_c"):
        state.accept(sid, 5, now=0)
    assert set(state.snapshot(0)) == {"PA_b", "PA_c"}
