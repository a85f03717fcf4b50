from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aiolivekit.core.negotiation import ANSWER_TIMEOUT, DEBOUNCE, MAX_DEBOUNCE, MakeOffer, Negotiation, TimedOut


def test_fast_offers_at_once_and_covers_later_requests_with_one_more() -> None:
    machine = Negotiation(fast=True)
    first, effects = machine.request(0.0)
    assert effects == [MakeOffer(1, ice_restart=False)]
    second, effects = machine.request(0.1)
    third, more = machine.request(0.2)
    assert effects == more == []
    assert machine.answered(0.3) == [MakeOffer(2, ice_restart=False)]
    assert machine.settled == first
    assert machine.answered(0.4) == []
    assert machine.settled == third > second


def test_an_offer_covers_what_was_asked_for_until_it_is_made() -> None:
    machine = Negotiation(fast=True)
    machine.request(0.0)
    second, _ = machine.request(0.1)
    machine.making(1)
    third, _ = machine.request(0.2)
    assert machine.answered(0.3) == [MakeOffer(2, ice_restart=False)]
    assert machine.settled == second
    # Too late for the first, and an ICE restart needs an offer that asks for it.
    fourth, _ = machine.request(0.4, ice_restart=True)
    machine.making(1)
    machine.making(2)
    assert machine.answered(0.5) == [MakeOffer(3, ice_restart=True)]
    assert machine.settled == third < fourth


def test_slow_waits_for_quiet_but_not_for_ever() -> None:
    machine = Negotiation(fast=False)
    now = 0.0
    _, effects = machine.request(now)
    assert effects == []
    while now < MAX_DEBOUNCE - DEBOUNCE:
        now += DEBOUNCE / 2
        assert machine.poll(now) == []
        machine.request(now)
    assert machine.deadline == MAX_DEBOUNCE
    assert machine.poll(MAX_DEBOUNCE) == [MakeOffer(1, ice_restart=False)]


def test_ice_restart_does_not_wait_and_is_asked_for_once() -> None:
    machine = Negotiation(fast=False)
    machine.request(0.0)
    _, effects = machine.request(0.0, ice_restart=True)
    assert effects == [MakeOffer(1, ice_restart=True)]
    machine.request(0.1)
    machine.answered(0.2)
    assert machine.poll(0.2 + DEBOUNCE) == [MakeOffer(2, ice_restart=False)]


def test_answers_by_id() -> None:
    machine = Negotiation(fast=True)
    assert not machine.accepts(0)
    machine.request(0.0)
    assert machine.accepts(1)
    assert machine.accepts(0)
    assert not machine.accepts(2)
    machine.answered(0.1)
    assert not machine.accepts(1)


def test_timeout_closes() -> None:
    machine = Negotiation(fast=True)
    machine.request(0.0)
    assert machine.poll(ANSWER_TIMEOUT - 0.01) == []
    assert machine.poll(ANSWER_TIMEOUT) == [TimedOut(1)]
    assert machine.closed
    assert machine.request(20.0)[1] == []


def test_an_offer_that_was_out_when_the_link_was_lost_is_made_again() -> None:
    machine = Negotiation(fast=True)
    ticket, _ = machine.request(0.0)
    machine.suspend()
    assert not machine.accepts(1)
    assert machine.poll(100.0) == []
    later, effects = machine.request(100.0)
    assert effects == []
    assert machine.resume(101.0, ice_restart=False) == (later, [MakeOffer(2, ice_restart=False)])
    machine.answered(102.0)
    assert machine.settled == later > ticket


def test_a_resume_restarts_ice_though_nothing_was_asked_for() -> None:
    machine = Negotiation(fast=False)
    machine.suspend()
    ticket, effects = machine.resume(1.0, ice_restart=True)
    assert effects == [MakeOffer(1, ice_restart=True)]
    machine.answered(2.0)
    assert machine.settled == ticket
    assert machine.resume(3.0, ice_restart=True) == (ticket, [])


def test_a_resume_without_need_makes_no_offer() -> None:
    machine = Negotiation(fast=True)
    machine.suspend()
    assert machine.resume(1.0, ice_restart=False) == (0, [])
    assert machine.request(2.0)[1] == [MakeOffer(1, ice_restart=False)]


class Machine(RuleBasedStateMachine):
    """Any order of requests, answers and time: one offer at a time, every ticket settled in the end."""

    @initialize(fast=st.booleans())
    def start(self, fast: bool) -> None:
        self.machine = Negotiation(fast=fast)
        self.now = 0.0
        self.outstanding: MakeOffer | None = None
        self.tickets: list[int] = []
        self.offers: list[int] = []

    def perform(self, effects: list[MakeOffer | TimedOut]) -> None:
        for effect in effects:
            if isinstance(effect, MakeOffer):
                assert self.outstanding is None
                self.outstanding = effect
                self.offers.append(effect.offer_id)
            else:
                self.outstanding = None

    @rule(ice_restart=st.booleans())
    def request(self, ice_restart: bool) -> None:
        ticket, effects = self.machine.request(self.now, ice_restart=ice_restart)
        self.tickets.append(ticket)
        self.perform(effects)

    @rule(late=st.integers(0, 3))
    def making(self, late: int) -> None:
        self.machine.making(max(self.offers, default=0) - late)

    @precondition(lambda self: self.outstanding is not None)
    @rule()
    def answer(self) -> None:
        assert self.outstanding is not None
        assert self.machine.accepts(self.outstanding.offer_id)
        self.outstanding = None
        self.perform(self.machine.answered(self.now))

    @rule(seconds=st.floats(0.01, 3))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.machine.poll(self.now))

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "machine"):
            return
        assert self.offers == sorted(set(self.offers))
        unsettled = [ticket for ticket in self.tickets if ticket > self.machine.settled]
        if not self.machine.closed:
            # Whoever waits has a deadline that will end the wait.
            assert (self.machine.deadline is not None) == bool(unsettled)


TestMachine = Machine.TestCase
