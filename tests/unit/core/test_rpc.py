"""What callers wait for, and what callees take on."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aiolivekit.core.rpc import RpcCallee, RpcCaller, handler_time, seconds_of
from aiolivekit.core.rpc_error import RpcError

CODE = RpcError.ErrorCode


@pytest.mark.parametrize(
    ("response_timeout", "ack_timeout", "time"),
    [(15, 7, 8), (8, 7, 1), (7.5, 7, 1), (0.1, 7, 1), (15, 1, 14), (100, 200, 1)],
)
def test_time_of_the_handler(response_timeout: float, ack_timeout: float, time: float) -> None:
    assert handler_time(response_timeout, ack_timeout) == time


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_times_that_are_none(value: float) -> None:
    with pytest.raises(ValueError, match="response_timeout must be a positive number"):
        seconds_of("response_timeout", value, 15)


def test_default_times() -> None:
    assert seconds_of("response_timeout", None, 15) == 15
    assert seconds_of("response_timeout", 0.5, 15) == 0.5


def test_a_call_that_is_acknowledged_and_answered() -> None:
    calls: RpcCaller[str] = RpcCaller("p-")
    first, second = calls.begin("bob", 15, "one"), calls.begin("bob", 15, "two")
    assert (first, second) == ("p-1", "p-2")
    assert calls.deadline is None
    calls.sent(first, 7)
    assert calls.deadline == 7
    assert calls.acknowledged(first, "bob", 2) == 17
    assert calls.acknowledged(first, "bob", 5) is None
    assert calls.deadline == 17
    assert calls.answered(first, "bob") == "one"
    assert calls.deadline is None
    assert calls.answered(first, "bob") is None
    assert (len(calls), calls.stray) == (1, 1)


def test_an_answer_before_its_acknowledgement_counts() -> None:
    calls: RpcCaller[str] = RpcCaller("")
    call_id = calls.begin("bob", 15, "one")
    assert calls.answered(call_id, "bob") == "one"
    calls.sent(call_id, 7)
    assert calls.deadline is None
    assert calls.acknowledged(call_id, "bob", 1) is None


def test_acknowledged_while_it_is_being_sent() -> None:
    calls: RpcCaller[str] = RpcCaller("")
    call_id = calls.begin("bob", 15, "one")
    assert calls.acknowledged(call_id, "bob", 1) == 16
    calls.sent(call_id, 9)
    assert calls.deadline == 16


def test_others_cannot_answer() -> None:
    calls: RpcCaller[str] = RpcCaller("")
    call_id = calls.begin("bob", 15, "one")
    assert calls.acknowledged(call_id, "eve", 1) is None
    assert calls.answered(call_id, "eve") is None
    assert calls.answered("unknown", "bob") is None
    assert calls.stray == 3
    assert calls.answered(call_id, "bob") == "one"


def test_expiry_says_what_was_missing() -> None:
    calls: RpcCaller[str] = RpcCaller("")
    unheard, unanswered = calls.begin("bob", 3, "unheard"), calls.begin("bob", 3, "unanswered")
    calls.sent(unheard, 7)
    calls.sent(unanswered, 7)
    calls.acknowledged(unanswered, "bob", 1)
    assert calls.expire(3.9) == []
    assert calls.expire(4) == [("unanswered", CODE.RESPONSE_TIMEOUT)]
    assert calls.expire(7) == [("unheard", CODE.CONNECTION_TIMEOUT)]
    assert len(calls) == 0


def test_who_leaves_and_who_closes() -> None:
    calls: RpcCaller[str] = RpcCaller("")
    for number, who in enumerate(("bob", "carol", "bob")):
        calls.sent(calls.begin(who, 15, f"{who} {number}"), 7)
    assert calls.left(["bob", "dave"]) == ["bob 0", "bob 2"]
    assert calls.close() == ["carol 1"]
    assert (len(calls), calls.deadline) == (0, None)


class Calls(RuleBasedStateMachine):
    """Every call ends exactly once, whatever comes in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: RpcCaller[int] = RpcCaller("")
        self.now = 0.0
        self.open: dict[str, tuple[str, int]] = {}
        self.made = 0

    def ended(self, number: int) -> str:
        [call_id] = [call_id for call_id, (_, each) in self.open.items() if each == number]
        return self.open.pop(call_id)[0]

    @rule(who=st.sampled_from("abc"), timeout=st.sampled_from([0.5, 5, 15]))
    def begin(self, who: str, timeout: float) -> None:
        self.made += 1
        call_id = self.calls.begin(who, timeout, self.made)
        assert call_id not in self.open
        self.open[call_id] = (who, self.made)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), who=st.sampled_from("abc"), what=st.sampled_from(["sent", "ack", "answer", "drop"]))
    def happens(self, data: st.DataObject, who: str, what: str) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.open)))
        match what:
            case "sent":
                self.calls.sent(call_id, self.now + 7)
            case "ack":
                self.calls.acknowledged(call_id, who, self.now)
            case "answer":
                number = self.calls.answered(call_id, who)
                assert (number is not None) == (self.open[call_id][0] == who)
                if number is not None:
                    self.ended(number)
            case "drop":
                self.calls.drop(call_id)
                del self.open[call_id]

    @rule(pause=st.floats(0, 10))
    def wait(self, pause: float) -> None:
        self.now += pause
        for number, code in self.calls.expire(self.now):
            assert code in (CODE.RESPONSE_TIMEOUT, CODE.CONNECTION_TIMEOUT)
            self.ended(number)

    @rule(who=st.sets(st.sampled_from("abc")))
    def leave(self, who: set[str]) -> None:
        expected = {number for whose, number in self.open.values() if whose in who}
        assert {number for number in self.calls.left(who) if self.ended(number) in who} == expected

    @invariant()
    def consistent(self) -> None:
        assert len(self.calls) == len(self.open)
        assert self.calls.deadline is None or self.calls.deadline > self.now
        assert len(self.calls._deadlines) <= len(self.open)

    def teardown(self) -> None:
        assert sorted(self.calls.close()) == sorted(number for _, number in self.open.values())


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_request_is_answered_once() -> None:
    callee: RpcCallee[str] = RpcCallee()
    assert callee.begin("bob", "1", 10, until=5)
    assert callee.is_duplicate("bob", "1")
    assert not callee.is_duplicate("carol", "1")
    assert callee.duplicates == 1
    assert callee.deadline == 5
    assert callee.answers("bob", "1")
    assert not callee.answers("bob", "1")
    assert callee.deadline is None
    assert len(callee) == 1
    callee.end("bob", "1")
    callee.end("bob", "1")
    assert len(callee) == 0
    assert not callee.answers("bob", "1")


def test_a_request_whose_time_is_over_counts_until_its_handler_has_ended() -> None:
    callee: RpcCallee[str] = RpcCallee(max_invocations=1)
    assert callee.begin("bob", "1", 10, until=5)
    callee.attach("bob", "1", "handle")
    callee.attach("bob", "2", "nobody's")
    assert callee.expire(4.9) == []
    assert callee.expire(5) == [("bob", "1", "handle")]
    assert callee.expire(6) == []
    assert not callee.answers("bob", "1")
    assert not callee.begin("bob", "2", 10, until=9)
    callee.end("bob", "1")
    assert callee.begin("bob", "2", 10, until=9)


def test_limits() -> None:
    callee: RpcCallee[str] = RpcCallee(max_invocations=3, max_of_one=2, max_bytes=10_000)
    assert callee.begin("bob", "1", 0, until=5)
    assert callee.begin("bob", "2", 0, until=5)
    assert not callee.begin("bob", "3", 0, until=5)
    assert not callee.begin("carol", "1", 8_000, until=5)
    assert callee.begin("carol", "1", 5_000, until=5)
    assert not callee.begin("dave", "1", 0, until=5)
    for caller, call_id in (("bob", "1"), ("bob", "2"), ("carol", "1")):
        callee.end(caller, call_id)
    assert callee.begin("dave", "1", 8_000, until=5)
    assert callee._of_caller == {"dave": 1}
