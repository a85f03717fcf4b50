from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from aiolivekit.core.stream_join import StreamJoin
from aiolivekit.core.stream_table import RETURN_GRACE, Sender, StreamTable
from aiolivekit.errors import (
    StreamAbortedError,
    StreamDamagedError,
    StreamDisconnectedError,
    StreamTimeoutError,
    StreamTooLargeError,
)
from aiolivekit.options import DataStreamOptions


def stream(total: int | None = None) -> StreamJoin:
    return StreamJoin(total, compressed=False, max_bytes=10**9)


ALICE, BOB, EVE = Sender("alice", "PA_a"), Sender("bob", "PA_b"), Sender("eve", "PA_e")


def opened(table: StreamTable, sender: Sender, name: str, now: float = 0.0) -> StreamJoin:
    one = stream()
    assert table.open(sender, name, one, now)
    return one


def error_of(one: StreamJoin) -> type[BaseException] | None:
    while one.take() is not None:
        pass
    return type(one.error) if one.over and one.error is not None else None


def test_streams_belong_to_their_sender() -> None:
    table = StreamTable(DataStreamOptions())
    hers, his = opened(table, ALICE, "1"), opened(table, BOB, "1")
    table.chunk(ALICE, "1", 0, b"hers", 0)
    table.chunk(BOB, "1", 0, b"his", 0)
    # Nobody writes into, or ends, another's.
    assert table.chunk(EVE, "1", 1, b"x", 0) == []
    assert table.trailer(EVE, "1", "", {}) == []
    assert table.stray == 2
    assert (table.take(hers), table.take(his)) == (b"hers", b"his")


def test_only_so_many_are_open_of_one_sender() -> None:
    table = StreamTable(DataStreamOptions(max_open_streams=2))
    opened(table, ALICE, "1")
    opened(table, ALICE, "2")
    assert not table.open(ALICE, "3", stream(), 0)
    opened(table, BOB, "1")
    table.trailer(ALICE, "1", "", {})
    opened(table, ALICE, "3")
    assert table.refused == 1


def test_an_id_is_used_once_at_a_time() -> None:
    table = StreamTable(DataStreamOptions())
    first = opened(table, ALICE, "1")
    assert not table.open(ALICE, "1", stream(), 0)
    table.chunk(ALICE, "1", 0, b"a", 0)
    table.trailer(ALICE, "1", "", {"k": "v"})
    second = opened(table, ALICE, "1")
    table.chunk(ALICE, "1", 0, b"b", 0)
    assert (table.take(first), table.take(second)) == (b"a", b"b")
    assert (first.attributes, first.over, second.over) == ({"k": "v"}, True, False)


def test_agents_that_speak_for_others() -> None:
    table = StreamTable(DataStreamOptions())
    said = stream()
    # The server leaves the header in alice's name; the rest of it is in the agent's.
    assert table.open(Sender("alice", "PA_agent"), "1", said, 0, for_another=True)
    assert table.chunk(ALICE, "1", 0, b"not hers", 0) == []
    assert table.chunk(Sender("agent", "PA_agent"), "1", 0, b"said", 0) == [said]
    # She may leave; and the agent may come back with another session.
    assert table.left(ALICE, 0, returning=False) == []
    table.left(Sender("agent", "PA_agent"), 0, returning=True)
    assert table.chunk(Sender("agent", "PA_new"), "1", 1, b" so", 0) == [said]
    assert table.left(Sender("agent", "PA_new"), 0, returning=False) == [said]
    assert (table.take(said), table.take(said)) == (b"said", b" so")


def test_who_leaves_takes_its_open_streams_along() -> None:
    table = StreamTable(DataStreamOptions())
    whole, half, other = opened(table, ALICE, "1"), opened(table, ALICE, "2"), opened(table, BOB, "1")
    for name in ("1", "2"):
        table.chunk(ALICE, name, 0, b"a", 0)
    table.trailer(ALICE, "1", "", {})
    assert table.left(ALICE, 5, returning=False) == [half]
    assert (table.take(whole), table.take(half)) == (b"a", b"a")
    assert (error_of(whole), error_of(half), error_of(other)) == (None, StreamAbortedError, None)
    assert len(table) == 1


def test_a_sender_that_comes_back_may_go_on() -> None:
    table = StreamTable(DataStreamOptions(idle_timeout=None))
    goes_on, does_not = opened(table, ALICE, "1"), opened(table, ALICE, "2")
    assert table.deadline is None
    assert table.left(ALICE, 5, returning=True) == []
    assert table.deadline == 5 + RETURN_GRACE
    table.chunk(ALICE, "1", 0, b"a", 6)
    assert table.poll(5 + RETURN_GRACE - 0.1) == []
    assert table.poll(5 + RETURN_GRACE) == [does_not]
    assert (error_of(goes_on), error_of(does_not)) == (None, StreamTimeoutError)
    assert table.deadline is None


def test_our_own_new_session() -> None:
    table = StreamTable(DataStreamOptions(idle_timeout=None))
    here, gone = opened(table, ALICE, "1"), opened(table, BOB, "1")
    table.interrupted()
    # Everybody seems to leave.
    assert table.left(ALICE, 5, returning=False) == []
    assert table.left(BOB, 5, returning=False) == []
    assert table.recovered([ALICE], 6) == [gone]
    assert error_of(gone) is StreamAbortedError
    assert table.deadline == 6 + RETURN_GRACE
    table.chunk(ALICE, "1", 0, b"a", 7)
    assert (table.deadline, table.take(here), here.over) == (None, b"a", False)
    # And from now on it is true again.
    assert table.left(ALICE, 8, returning=False) == [here]


def test_a_stream_that_stands_still_ends() -> None:
    table = StreamTable(DataStreamOptions(idle_timeout=10))
    first, second = opened(table, ALICE, "1", 0), opened(table, ALICE, "2", 3)
    table.chunk(ALICE, "1", 0, b"a", 8)
    assert table.deadline == 13
    assert table.poll(13) == [second]
    assert error_of(second) is StreamTimeoutError
    assert table.deadline == 18
    assert not first.over


def test_closing_ends_them_behind_what_has_arrived() -> None:
    table = StreamTable(DataStreamOptions())
    one = opened(table, ALICE, "1")
    table.chunk(ALICE, "1", 0, b"a", 0)
    assert table.close(StreamDisconnectedError("the room is gone")) == [one]
    assert table.take(one) == b"a"
    assert error_of(one) is StreamDisconnectedError
    assert (len(table), table.held) == (0, 0)


def test_other_encryption_than_at_the_beginning() -> None:
    table = StreamTable(DataStreamOptions())
    one = stream()
    table.open(ALICE, "1", one, 0, encryption=1)
    table.chunk(ALICE, "1", 0, b"secret", 0, 1)
    table.chunk(ALICE, "1", 1, b"slipped in", 0)
    assert table.take(one) == b"secret"
    assert error_of(one) is StreamDamagedError


def test_who_holds_most_loses_the_largest() -> None:
    table = StreamTable(DataStreamOptions(max_unread_byte_length=100_000))
    honest, small, large = (opened(table, who, name) for who, name in ((BOB, "1"), (EVE, "1"), (EVE, "2")))
    table.chunk(BOB, "1", 0, bytes(30_000), 0)
    table.chunk(EVE, "1", 0, bytes(20_000), 0)
    table.chunk(EVE, "2", 0, bytes(40_000), 0)
    # It is the honest one whose packet is too much; it is not the one to pay for it.
    assert table.chunk(BOB, "1", 1, bytes(5_000), 0) == [honest, large]
    assert error_of(large) is StreamTooLargeError
    assert table.held < 100_000
    assert not honest.ended
    assert not small.ended
    # Even what has arrived whole counts until it is read, or dropped by its reader.
    table.trailer(EVE, "1", "", {})
    before = table.held
    table.release(small)
    assert table.held == before - small.held
    assert table.stray == 0


SENDERS = st.sampled_from([ALICE, BOB])
NAMES = st.sampled_from(["1", "2", "3"])


class Tables(RuleBasedStateMachine):
    """Whatever happens, the books are right."""

    streams: Bundle[StreamJoin] = Bundle("streams")

    def __init__(self) -> None:
        super().__init__()
        self.table = StreamTable(DataStreamOptions(max_unread_byte_length=120_000, max_open_streams=2, idle_timeout=10))
        self.all: set[StreamJoin] = set()
        self.released: set[StreamJoin] = set()
        self.now = 0.0

    @rule(target=streams, sender=SENDERS, name=NAMES, total=st.sampled_from([None, 0, 10]), compressed=st.booleans())
    def open(self, sender: Sender, name: str, total: int | None, compressed: bool) -> StreamJoin:
        one = StreamJoin(total, compressed=compressed, max_bytes=20_000)
        if self.table.open(sender, name, one, self.now):
            self.all.add(one)
            self.table.relieve()
        return one

    @rule(sender=SENDERS, name=NAMES, index=st.integers(0, 3), size=st.sampled_from([0, 1, 9_000]))
    def chunk(self, sender: Sender, name: str, index: int, size: int) -> None:
        self.table.chunk(sender, name, index, bytes(size), self.now)

    @rule(sender=SENDERS, name=NAMES, reason=st.sampled_from(["", "why"]))
    def trailer(self, sender: Sender, name: str, reason: str) -> None:
        self.table.trailer(sender, name, reason, {})

    @rule(one=streams)
    def take(self, one: StreamJoin) -> None:
        self.table.take(one)

    @rule(one=streams)
    def release(self, one: StreamJoin) -> None:
        self.table.release(one)
        self.released.add(one)

    @rule(sender=SENDERS, returning=st.booleans())
    def left(self, sender: Sender, returning: bool) -> None:
        self.table.left(sender, self.now, returning=returning)

    @rule(present=st.sets(SENDERS))
    def restart(self, present: set[Sender]) -> None:
        self.table.interrupted()
        self.table.recovered(present, self.now)

    @rule(seconds=st.floats(0, 50))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.table.poll(self.now)
        assert self.table.deadline is None or self.table.deadline > self.now

    @invariant()
    def books(self) -> None:
        live = {one for one in self.all - self.released if not one.over}
        assert self.table.held == sum(one.held for one in live)
        assert self.table.held <= 120_000
        assert len(self.table) == len(live)
        assert all(count <= 2 for count in self.table._counts.values())
        assert sum(self.table._counts.values()) == len(self.table._all_open())
        assert all(one in live and not one.ended for one in self.table._all_open())

    def teardown(self) -> None:
        self.table.close(StreamDisconnectedError("over"))
        assert self.table._open == {}


Tables.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTables = Tables.TestCase


def test_options_that_make_no_sense() -> None:
    for wrong in ({"max_open_streams": -1}, {"idle_timeout": 0}, {"max_payload_byte_length": -5}):
        with pytest.raises(ValueError, match="are not negative|positive"):
            DataStreamOptions(**wrong)  # type: ignore[arg-type]
