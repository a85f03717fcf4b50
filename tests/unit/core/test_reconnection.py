from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aiolivekit.core.reconnect_table import TABLE, Do, Input, State
from aiolivekit.core.reconnection import (
    Announce,
    Attempt,
    CancelAttempt,
    Cause,
    Effect,
    End,
    Episode,
    Failure,
    Mode,
    Reconnection,
    Recovered,
    Wish,
)
from aiolivekit.enums import DisconnectReason
from aiolivekit.options import BackoffPolicy

SIGNAL = Cause("signal", DisconnectReason.SIGNAL_CLOSE, "closed")
PEER = Cause("publisher", DisconnectReason.CONNECTION_TIMEOUT, "failed")
LEAVE = Cause("leave", DisconnectReason.SERVER_SHUTDOWN)
REMOVED = Cause("leave", DisconnectReason.PARTICIPANT_REMOVED)
CLOSE = Cause("application", DisconnectReason.CLIENT_INITIATED)
REFUSED = Cause("attempt", DisconnectReason.UNKNOWN_REASON, "refused")


class Once:
    """A policy of fixed delays."""

    def __init__(self, *delays: float) -> None:
        self.delays = delays

    def delay(self, attempt: int, elapsed: float, rng: Random) -> float | None:
        return self.delays[attempt - 1] if attempt <= len(self.delays) else None


def machine(*delays: float) -> Reconnection:
    return Reconnection(Once(*delays) if delays else BackoffPolicy(), Random(1))


# -- the table --


def test_every_state_has_its_row_and_closed_has_no_way_out() -> None:
    assert set(TABLE) == set(State)
    assert TABLE[State.CLOSED] == {}


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
@pytest.mark.parametrize("happening", [Input.REVOKED, Input.CLOSE])
def test_revoked_and_close_end_every_state(state: State, happening: Input) -> None:
    target, does = TABLE[state][happening]
    assert target is State.CLOSED
    assert does == ((Do.CANCEL, Do.END) if state.attempting else (Do.END,))


def test_no_way_leads_from_restart_back_to_resume() -> None:
    for state in (State.RESTART_DUE, State.RESTARTING):
        assert not {target for target, _ in TABLE[state].values()} & {State.RESUME_DUE, State.RESUMING}


def test_waiting_always_leads_to_a_due_state_and_only_there() -> None:
    for row in TABLE.values():
        for target, does in row.values():
            assert (Do.WAIT in does) == (target in (State.RESUME_DUE, State.RESTART_DUE))


# -- episodes --


def test_a_lost_link_is_resumed() -> None:
    m = machine(0.2)
    assert m.lost(SIGNAL, Wish.RESUME, 10.0) == [Announce(Mode.RESUME, SIGNAL)]
    assert m.deadline == 10.2
    assert m.poll(10.1) == []
    assert m.poll(10.2) == [Attempt(Mode.RESUME, 1, SIGNAL)]
    assert m.deadline is None
    assert m.succeeded(10.5) == [Recovered(Mode.RESUME, SIGNAL, 1, 0.5, (Mode.RESUME,))]
    assert (m.state, m.mode, m.cause) == (State.CONNECTED, None, None)


def test_no_word_resumes_again_while_media_lives() -> None:
    m = machine(0.0, 1.0, 2.0)
    m.lost(SIGNAL, Wish.RESUME, 0.0)
    m.poll(0.0)
    assert m.failed(Failure.NO_WORD, REFUSED, 0.5) == []
    assert (m.state, m.deadline) == (State.RESUME_DUE, 1.5)
    assert m.poll(1.5) == [Attempt(Mode.RESUME, 2, SIGNAL)]


@pytest.mark.parametrize(("failed", "due"), [(0.05, 1.0), (0.2, 1.2)])
def test_a_delay_counts_from_when_the_attempt_was_due_if_it_failed_at_once(failed: float, due: float) -> None:
    m = machine(0.0, 1.0)
    m.lost(SIGNAL, Wish.RESUME, 0.0)
    m.poll(0.02)
    m.failed(Failure.NO_WORD, REFUSED, failed)
    assert m.deadline == due


@pytest.mark.parametrize("failure", [Failure.MISMATCH, Failure.MEDIA])
def test_what_refutes_a_resume_escalates_and_announces_once(failure: Failure) -> None:
    m = machine(0.0, 0.0, 0.0)
    m.lost(SIGNAL, Wish.RESUME, 0.0)
    m.poll(0.0)
    assert m.failed(failure, REFUSED, 0.1) == [Announce(Mode.RESTART, REFUSED)]
    assert m.poll(0.1) == [Attempt(Mode.RESTART, 2, SIGNAL)]
    assert m.failed(Failure.NO_WORD, REFUSED, 0.2) == []
    assert m.poll(0.2) == [Attempt(Mode.RESTART, 3, SIGNAL)]
    assert m.succeeded(0.3) == [Recovered(Mode.RESTART, SIGNAL, 3, 0.3, (Mode.RESUME, Mode.RESTART))]


def test_no_word_with_a_dead_media_path_escalates() -> None:
    m = machine(0.0, 0.0)
    m.lost(SIGNAL, Wish.RESUME, 0.0)
    m.poll(0.0)
    assert m.lost(PEER, Wish.RESUME, 0.1, media=True) == []
    assert m.failed(Failure.NO_WORD, REFUSED, 0.2) == [Announce(Mode.RESTART, REFUSED)]


def test_a_restart_asked_for_during_a_resume_stops_it() -> None:
    m = machine(0.0, 5.0)
    m.lost(SIGNAL, Wish.RESUME, 0.0)
    m.poll(0.0)
    assert m.lost(LEAVE, Wish.RESTART, 0.1, hurry=True) == [
        CancelAttempt(1),
        Announce(Mode.RESTART, LEAVE),
        Attempt(Mode.RESTART, 2, SIGNAL),
    ]


def test_the_server_hurries_but_not_for_ever() -> None:
    m = machine(*[9.0] * 9)
    assert m.lost(LEAVE, Wish.RESTART, 0.0, hurry=True) == [
        Announce(Mode.RESTART, LEAVE),
        Attempt(Mode.RESTART, 1, LEAVE),
    ]
    assert m.failed(Failure.MISMATCH, LEAVE, 0.0, hurry=True) == [Attempt(Mode.RESTART, 2, LEAVE)]
    assert m.failed(Failure.MISMATCH, LEAVE, 0.0, hurry=True) == [Attempt(Mode.RESTART, 3, LEAVE)]
    assert m.failed(Failure.MISMATCH, LEAVE, 0.0, hurry=True) == []
    assert m.deadline == 9.0


def test_retry_now_collapses_the_wait() -> None:
    m = machine(9.0, 9.0)
    assert m.retry_now(0.0) == []
    m.lost(SIGNAL, Wish.RESUME, 0.0)
    assert m.retry_now(1.0) == [Attempt(Mode.RESUME, 1, SIGNAL)]
    assert m.retry_now(1.0) == []


def test_leave_with_disconnect_ends_with_its_reason_at_any_time() -> None:
    m = machine(0.0)
    m.lost(SIGNAL, Wish.RESUME, 0.0)
    m.poll(0.0)
    tried = Episode(Mode.RESUME, SIGNAL, 1, 0.1, (Mode.RESUME,))
    assert m.lost(REMOVED, Wish.DISCONNECT, 0.1) == [CancelAttempt(1), End(REMOVED, tried)]
    assert m.revoked
    assert m.lost(SIGNAL, Wish.RESUME, 0.2) == m.retry_now(0.2) == m.succeeded(0.2) == []


def test_a_refused_token_ends_without_cancelling_what_is_over() -> None:
    m = machine(0.0, 0.0)
    m.lost(SIGNAL, Wish.RESUME, 0.0)
    m.poll(0.0)
    tried = Episode(Mode.RESUME, SIGNAL, 1, 0.1, (Mode.RESUME,))
    assert m.failed(Failure.REVOKED, REFUSED, 0.1) == [End(REFUSED, tried)]
    assert m.revoked


def test_exhaustion_names_what_began_the_episode() -> None:
    m = machine(0.0, 0.0)
    m.lost(SIGNAL, Wish.RESUME, 0.0)
    m.poll(0.0)
    m.failed(Failure.MISMATCH, REFUSED, 1.0)
    m.poll(1.0)
    tried = Episode(Mode.RESTART, SIGNAL, 2, 2.0, (Mode.RESUME, Mode.RESTART))
    assert m.failed(Failure.NO_WORD, REFUSED, 2.0) == [End(SIGNAL, tried)]
    assert not m.revoked


def test_a_policy_may_refuse_to_reconnect_at_all() -> None:
    m = Reconnection(Once(), Random(1))
    assert m.lost(SIGNAL, Wish.RESUME, 0.0) == [End(SIGNAL)]


def test_a_new_episode_starts_from_the_beginning() -> None:
    m = machine(0.0, 0.0)
    m.lost(SIGNAL, Wish.RESTART, 0.0)
    m.poll(0.0)
    m.succeeded(1.0)
    assert m.lost(PEER, Wish.RESUME, 2.0, media=True) == [Announce(Mode.RESUME, PEER)]
    assert m.poll(2.0) == [Attempt(Mode.RESUME, 1, PEER)]
    assert m.attempts == 1


# -- the policy --


def test_backoff_doubles_its_bound_up_to_the_cap() -> None:
    class Most(Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    bounds = [BackoffPolicy().delay(attempt, 0.0, Most()) for attempt in range(1, 11)]
    assert bounds == [0.02, 0.3, 0.6, 1.2, 2.4, 4.8, 7.0, 7.0, 7.0, 7.0]


def test_backoff_gives_up_after_both_attempts_and_time() -> None:
    policy, rng = BackoffPolicy(), Random(1)
    assert policy.delay(10, 500.0, rng) is not None
    assert policy.delay(11, 45.0, rng) is None
    late = policy.delay(11, 44.9, rng)
    assert late is not None
    assert late >= 3.5
    assert policy.delay(10**9, 0.0, rng) is not None


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"duration": -1.0}, {"base": -1.0}, {"cap": 0.0}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="policy"):
        BackoffPolicy(**wrong)  # type: ignore[arg-type]


def test_losses_close_upon_recoveries_are_met_with_longer_and_longer_delays() -> None:
    class Most(Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    machine, now = Reconnection(BackoffPolicy(), Most()), 100.0
    waited = []
    for pause in (1.0, 1.0, 1.0, 9.0, 60.0, 1.0):
        machine.lost(SIGNAL, Wish.RESUME, now)
        assert machine.deadline is not None
        waited.append(round(machine.deadline - now, 3))
        now = machine.deadline
        machine.poll(now)
        machine.succeeded(now)
        now += pause
    assert waited == [0.02, 0.3, 0.6, 1.2, 2.4, 0.02]


def test_a_server_that_flaps_is_not_hurried_back_to_for_ever() -> None:
    machine, now = Reconnection(BackoffPolicy(), Random(1)), 100.0
    at_once = 0
    for _ in range(10):
        effects = machine.lost(SIGNAL, Wish.RESTART, now, hurry=True)
        at_once += any(isinstance(effect, Attempt) for effect in effects)
        now = machine.deadline or now
        machine.poll(now)
        machine.succeeded(now)
    assert at_once == 3


# -- any order --


class Watch:
    """Follows a machine and checks what must always hold."""

    def __init__(self, rng: Random | None = None) -> None:
        self.machine = Reconnection(BackoffPolicy(), rng or Random(7))
        self.now = 0.0
        self.announced: list[Mode] = []
        self.running: Attempt | None = None
        self.ended = False
        self.pushed = 0

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            assert not self.ended, "nothing comes after the end"
            match effect:
                case Announce(mode):
                    assert mode not in self.announced, "each mode is announced once"
                    assert self.running is None
                    self.announced.append(mode)
                case Attempt(mode):
                    assert self.running is None, "one attempt at a time"
                    assert self.announced[-1] is mode, "what is attempted was announced last"
                    self.running = effect
                case CancelAttempt(number):
                    assert self.running is not None
                    assert self.running.number == number
                    self.running = None
                case Recovered(mode, _, attempts, duration):
                    assert self.announced[-1] is mode
                    assert attempts >= 1
                    assert duration >= 0
                    self.announced, self.running, self.pushed = [], None, 0
                case End():
                    assert self.running is None
                    self.ended = True
        self.check()

    def check(self) -> None:
        m = self.machine
        assert self.announced in ([], [Mode.RESUME], [Mode.RESTART], [Mode.RESUME, Mode.RESTART]), "never back"
        assert self.ended == (m.state is State.CLOSED)
        assert not m.revoked or m.state is State.CLOSED, "revoked implies closed"
        assert (self.running is not None) == m.state.attempting
        # While reconnecting either an attempt runs (its driver has its own deadline) or the next one has its time.
        assert (m.deadline is not None) == (m.state in (State.RESUME_DUE, State.RESTART_DUE))
        if m.state.reconnecting:
            # Ten, then one at least every half cap until the duration is over, and those somebody asked for.
            assert m.attempts <= 10 + 14 + self.pushed

    def lost(self, cause: Cause, wish: Wish, *, hurry: bool, media: bool) -> None:
        self.pushed += hurry
        self.take(self.machine.lost(cause, wish, self.now, hurry=hurry, media=media))

    def fail(self, failure: Failure, *, hurry: bool) -> None:
        if self.running is not None:
            self.pushed += hurry
            self.running = None
        self.take(self.machine.failed(failure, REFUSED, self.now, hurry=hurry))

    def succeed(self) -> None:
        self.take(self.machine.succeeded(self.now))

    def retry(self) -> None:
        self.pushed += 1
        self.take(self.machine.retry_now(self.now))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.machine.poll(self.now))

    def wait(self) -> None:
        if self.machine.deadline is not None:
            self.sleep(max(0.0, self.machine.deadline - self.now))


WISHES = (Wish.RESUME, Wish.RESUME, Wish.RESUME, Wish.RESTART)
CAUSES = (SIGNAL, PEER, LEAVE)


class AnyOrder(RuleBasedStateMachine):
    """The same by hypothesis, which makes a failure small."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = Watch()

    @rule(cause=st.sampled_from(CAUSES), wish=st.sampled_from(Wish), hurry=st.booleans(), media=st.booleans())
    def lost(self, cause: Cause, wish: Wish, hurry: bool, media: bool) -> None:
        self.watch.lost(cause, wish, hurry=hurry, media=media)

    @rule(failure=st.sampled_from(Failure), hurry=st.booleans())
    def failed(self, failure: Failure, hurry: bool) -> None:
        self.watch.fail(failure, hurry=hurry)

    @precondition(lambda self: self.watch.running)
    @rule()
    def succeeded(self) -> None:
        self.watch.succeed()

    @rule()
    def retry(self) -> None:
        self.watch.retry()

    @rule(seconds=st.floats(0, 60))
    def sleep(self, seconds: float) -> None:
        self.watch.sleep(seconds)

    @rule()
    def wait(self) -> None:
        self.watch.wait()

    @rule()
    def close(self) -> None:
        self.watch.take(self.watch.machine.close(CLOSE, self.watch.now))

    @invariant()
    def holds(self) -> None:
        self.watch.check()


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase

WALKS, STEPS = 200, 1_000


@settings(max_examples=WALKS, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_two_hundred_thousand_steps(seed: int) -> None:
    """Long walks that seldom end: hypothesis' own steps are too dear for so many."""
    rng = Random(seed)
    watch = Watch(rng)
    for _ in range(STEPS):
        choice = rng.random()
        if choice < 0.20:
            watch.lost(rng.choice(CAUSES), rng.choice(WISHES), hurry=rng.random() < 0.3, media=rng.random() < 0.3)
        elif choice < 0.45:
            failure = rng.choice((Failure.NO_WORD, Failure.NO_WORD, Failure.MISMATCH, Failure.MEDIA))
            watch.fail(failure, hurry=rng.random() < 0.1)
        elif choice < 0.55:
            if watch.running is not None:
                watch.succeed()
        elif choice < 0.58:
            watch.retry()
        elif choice < 0.75:
            watch.sleep(rng.expovariate(0.2))
        elif choice < 0.998:
            watch.wait()
        elif choice < 0.999:
            watch.lost(REMOVED, Wish.DISCONNECT, hurry=False, media=False)
        else:
            watch.take(watch.machine.close(CLOSE, watch.now))
        if watch.ended:
            watch = Watch(rng)


def test_every_way_ends_by_itself_when_nothing_helps() -> None:
    for seed in range(200):
        watch = Watch(Random(seed))
        watch.lost(SIGNAL, Wish.RESUME, hurry=False, media=False)
        while not watch.ended:
            watch.wait()
            watch.sleep(0.05)
            watch.fail(Failure.NO_WORD, hurry=False)
        assert 45.0 <= watch.now <= 45.0 + 7.1 + 60.0
