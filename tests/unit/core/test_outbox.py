from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.outbox import Outbox
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


@given(st.lists(st.sampled_from(["wait", "withdraw", "next", "full"]), max_size=60), st.randoms())
def test_order_with_withdrawals(steps: list[str], random) -> None:  # type: ignore[no-untyped-def]
    outbox: Outbox[Packet] = Outbox(high=10)
    model: list[Packet] = []
    made = 0
    for step in steps:
        if step == "wait":
            made += 1
            packet = Packet(made)
            outbox.wait(packet)
            model.append(packet)
        elif step == "withdraw" and model:
            outbox.withdraw(model.pop(random.randrange(len(model))))
            outbox.withdraw(Packet(0))
        elif step == "next":
            assert outbox.next(0) is (model.pop(0) if model else None)
        elif step == "full":
            assert outbox.next(11) is None
        assert len(outbox) == len(model)
    assert outbox.clear() == model
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
