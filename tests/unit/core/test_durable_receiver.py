"""The receiver of durable messages: order, gaps, duplicates, bounds."""

from __future__ import annotations

from typing import Any

from aiolivekit.core.durable_receiver import ACK_DELAY, ACK_EVERY, GIVE_UP, Deliver, DurableReceiver, Missed
from aiolivekit.core.durable_wire import (
    Ack,
    Gone,
    MessageId,
    Probe,
    SendControl,
    Skip,
    Sync,
)

# -- the wire ---------------------------------------------------------------------------------------


class Listener:
    """A receiver of one stream of `bob`'s."""

    def __init__(self, max_bytes: int = 1000, max_messages: int = 100) -> None:
        self.durable: DurableReceiver[int] = DurableReceiver(max_bytes, max_messages)

    def get(self, number: int, previous: int, now: float = 0.0, stream: str = "s") -> list[Any]:
        return self.durable.message("bob", MessageId(stream, number, previous), number, 1, now)


def tell(control: Any) -> SendControl:
    return SendControl("bob", control)


def test_messages_in_order_are_delivered_and_acknowledged_together() -> None:
    ann = Listener()
    # The first is acknowledged at once: it is how the sender learns what we are.
    assert ann.get(1, 0) == [Deliver(1), tell(Ack("s", 1))]
    assert ann.durable.deadline is None
    assert ann.get(2, 1, 1.0) == [Deliver(2)]
    assert ann.get(5, 2, 1.01) == [Deliver(5)]
    assert ann.durable.deadline == 1.0 + ACK_DELAY
    assert ann.durable.poll(1.0) == []
    assert ann.durable.poll(1.0 + ACK_DELAY) == [tell(Ack("s", 5))]
    assert ann.durable.deadline is None


def test_many_messages_are_acknowledged_without_waiting() -> None:
    ann = Listener()
    effects = [effect for number in range(1, 2 * ACK_EVERY + 2) for effect in ann.get(number, number - 1)]
    assert [each for each in effects if isinstance(each, SendControl)] == [
        tell(Ack("s", number)) for number in (1, ACK_EVERY + 1, 2 * ACK_EVERY + 1)
    ]


def test_a_duplicate_is_dropped_and_acknowledged_again() -> None:
    ann = Listener()
    ann.get(1, 0)
    assert ann.get(1, 0, 3.0) == []
    assert ann.durable.duplicates == 1
    assert ann.durable.poll(3.0 + ACK_DELAY) == [tell(Ack("s", 1))]


def test_what_comes_after_a_gap_is_held_until_the_gap_is_filled() -> None:
    ann = Listener()
    ann.get(1, 0)
    assert ann.get(4, 3) == [tell(Sync("s", 1, 4))]
    assert ann.get(5, 4) == []
    assert ann.get(4, 3) == []
    assert ann.durable.held == 2
    assert ann.get(2, 1) == [Deliver(2)]
    assert ann.get(3, 2) == [Deliver(3), Deliver(4), Deliver(5)]
    assert ann.durable.held == 0
    assert ann.durable.poll(9.0) == [tell(Ack("s", 5))]
    assert ann.durable.deadline is None


def test_a_second_gap_is_asked_for_when_the_first_is_filled() -> None:
    ann = Listener()
    assert ann.get(3, 2) == [tell(Sync("s", 0, 3))]
    assert ann.get(6, 5) == []
    assert ann.durable.skip("bob", Skip("s", 0, 2, 0), 0.0) == [Deliver(3), tell(Ack("s", 3)), tell(Sync("s", 3, 6))]


def test_what_is_held_and_comes_again_is_delivered_once() -> None:
    ann = Listener()
    ann.get(1, 0)
    ann.get(4, 3)
    ann.get(5, 4)
    assert ann.get(4, 1) == [Deliver(4), Deliver(5)]
    assert (ann.durable.held, ann.durable.duplicates) == (0, 1)


def test_a_gap_is_asked_for_again_and_given_up_at_last() -> None:
    ann = Listener()
    ann.get(1, 0, 10.0)
    ann.get(4, 3, 10.0)
    asked = []
    effects: list[Any] = []
    while not effects:
        now = ann.durable.deadline
        assert now is not None
        effects = ann.durable.poll(now)
        if effects == [tell(Sync("s", 1, 4))]:
            asked.append(now)
            effects = []
    assert asked == [10.0 + second for second in range(1, 30)]
    assert now == 10.0 + GIVE_UP
    assert effects == [Missed("bob", 1), Deliver(4)]
    # What was missing comes too late now: it has been reported.
    assert ann.get(2, 1, now) == []
    assert ann.get(3, 2, now) == []


def test_the_sender_says_what_is_lost() -> None:
    ann = Listener()
    ann.get(1, 0)
    ann.get(9, 8)
    assert ann.durable.skip("bob", Skip("s", 1, 5, 3), 0.0) == [Missed("bob", 3)]
    assert ann.get(6, 5) == [Deliver(6)]
    assert ann.get(8, 6) == [Deliver(8), Deliver(9)]


def test_a_skip_whose_predecessor_is_missing_does_not_count() -> None:
    ann = Listener()
    ann.get(1, 0)
    ann.get(9, 8)
    assert ann.durable.skip("bob", Skip("s", 4, 8, 0), 0.0) == []
    assert ann.durable.held == 1
    assert ann.durable.skip("bob", Skip("s", 0, 1, 5), 0.0) == []


def test_a_probe_is_answered() -> None:
    ann = Listener()
    ann.get(1, 0)
    assert ann.durable.probe("bob", Probe("s", 1), 0.0) == [tell(Ack("s", 1))]
    assert ann.durable.probe("bob", Probe("s", 3), 0.0) == [tell(Sync("s", 1, 0))]
    assert ann.get(2, 1) == [Deliver(2)]
    assert ann.durable.deadline is not None
    assert ann.get(3, 2) == [Deliver(3)]
    ann.durable.poll(1.0)
    assert ann.durable.deadline is None


def test_more_than_the_bound_is_let_go_and_asked_for_later() -> None:
    ann = Listener(max_messages=2)
    ann.get(1, 0)
    for number in range(3, 7):
        ann.get(number, number - 1)
    assert (ann.durable.held, ann.durable.let_go) == (2, 2)
    # 5 and 6 were let go; they are asked for by the next message.
    assert ann.get(2, 1) == [Deliver(2), Deliver(3), Deliver(4)]
    assert ann.get(7, 6) == [tell(Sync("s", 4, 7))]


def test_after_a_loss_of_connection_both_sides_compare() -> None:
    ann = Listener()
    ann.get(1, 0, stream="s")
    ann.get(1, 0, stream="t")
    ann.get(3, 2, stream="t")
    ann.durable.disconnected()
    assert ann.durable.deadline is None
    assert ann.durable.poll(1000.0) == []
    assert ann.durable.connected(2000.0) == [tell(Ack("s", 1, ask=True)), tell(Sync("t", 1, 3))]


def test_a_sender_that_left_for_good_is_not_waited_for() -> None:
    ann = Listener()
    ann.get(1, 0, stream="old")
    ann.get(4, 3, stream="old")
    ann.get(7, 6, stream="new")
    ann.durable.departed("bob", 0.0)
    # Of a stream we know nothing of, something may or may not be missing: we came in the middle.
    assert ann.durable.poll(2.0) == [Missed("bob", 1), Deliver(4), Deliver(7), tell(Ack("new", 7))]


def test_a_stream_the_sender_has_forgotten_is_waited_for_no_longer() -> None:
    ann = Listener()
    ann.get(1, 0)
    ann.get(4, 3)
    assert ann.durable.gone("bob", Gone("s"), 0.0) == [Missed("bob", 1), Deliver(4)]
    assert ann.durable.gone("bob", Gone("u"), 0.0) == []


def test_streams_are_their_senders_own() -> None:
    ann = Listener()
    ann.get(1, 0)
    assert ann.durable.message("eve", MessageId("s", 2, 1), 2, 1, 0.0) == [SendControl("eve", Sync("s", 0, 2))]
    assert ann.get(2, 1) == [Deliver(2)]


def test_the_number_of_streams_is_bounded() -> None:
    ann = Listener(max_bytes=10_000, max_messages=10_000)
    delivered = []
    for number in range(3000):
        effects = ann.get(9, 8, stream=f"s{number}")
        delivered += [each for each in effects if isinstance(each, Deliver)]
    assert ann.durable.held <= 1024
    assert len(delivered) == 3000 - ann.durable.held
