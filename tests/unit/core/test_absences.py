from __future__ import annotations

from aiolivekit.core.absences import HORIZON, Absences, Lost, SentLedger


def ledger(*, to_all: int = 10, began: float = 100.0) -> SentLedger:
    """Return one of a packet to everybody each second."""
    found = SentLedger()
    for number in range(to_all):
        found.note((), began + number)
    return found


def test_a_ledger_counts_what_was_for_somebody() -> None:
    found = ledger(to_all=6)
    found.note(("bob",), 105.05)
    found.note(("carol", "bob"), 105.06)
    found.note(("carol",), 105.07)
    assert found.count("bob", 100.0, 200.0) == 8
    assert found.count("carol", 105.0, 105.5) == 3
    assert found.count("dave", 103.5, 106.5) == 2
    assert found.count("dave", 150.0, 200.0) == 0


def test_a_ledger_forgets_and_stays_small() -> None:
    found = SentLedger()
    for number in range(10_000):
        found.note(("bob",), number / 100)
    for number in range(2_000):
        found.note((f"someone {number}",), 200.0)
    assert len(found._buckets) <= HORIZON * 10
    assert len(found._buckets[-1].named or ()) <= 1000
    # Rather too many than too few.
    assert found.count("bob", 200.0, 201.0) == 1000


def test_what_was_sent_behind_much_else_takes_longer() -> None:
    found = SentLedger()
    assert found.arrived_before(100.0) == 99.5
    found.note((), 98.0, 1000)
    assert found.arrived_before(100.0) == 99.5
    found.note((), 98.05, 1_000_000)
    assert found.arrived_before(100.0) == 95.0
    assert found.arrived_before(97.0) == 96.5
    assert found.arrived_before(104.0) == 103.5


def over(absences: Absences) -> list[Lost]:
    """Wait for the end of all absences."""
    lost = []
    while (moment := absences.next) is not None:
        assert absences.expire(moment - 0.01) == []
        lost += absences.expire(moment)
    return lost


def test_who_came_back_missed_what_was_sent_until_they_had_channels() -> None:
    absences = Absences(ledger())
    absences.left("bob", "PA_1", 102.5, 104.0, purposely=False)
    absences.joined("bob", "PA_2")
    absences.active("bob", 105.5)
    absences.active("bob", 106.5)
    assert over(absences) == [Lost("bob", 4, True)]


def test_who_was_never_away_missed_nothing() -> None:
    absences = Absences(ledger())
    absences.left("bob", "PA_1", 102.5, 104.0, purposely=False)
    absences.joined("bob", "PA_1")
    absences.active("bob", 106.0)
    assert over(absences) == []


def test_who_left_of_their_own_will_missed_only_what_came_after() -> None:
    absences = Absences(ledger())
    absences.left("bob", "PA_1", 100.0, 103.5, purposely=True)
    absences.active("bob", 105.5)
    absences.left("carol", "PA_2", 100.0, 103.5, purposely=True)
    assert over(absences) == [Lost("bob", 3, True)]


def test_who_does_not_come_back_missed_what_was_sent_before_it_was_known() -> None:
    absences = Absences(ledger())
    absences.left("bob", "PA_1", 101.5, 104.5, purposely=False)
    assert over(absences) == [Lost("bob", 3, False)]


def test_who_is_away_again_before_the_account_is_away_all_the_time() -> None:
    absences = Absences(ledger())
    absences.left("bob", "PA_1", 101.5, 104.5, purposely=False)
    absences.joined("bob", "PA_2")
    absences.active("bob", 105.0)
    # We joined anew: that is told as if everybody left.
    absences.left("bob", "PA_2", 105.5, 105.6, purposely=False)
    absences.joined("bob", "PA_2")
    absences.active("bob", 107.5)
    assert over(absences) == [Lost("bob", 7, True)]


def test_nothing_sent_nothing_lost() -> None:
    absences = Absences(SentLedger())
    absences.left("bob", "PA_1", 1.0, 2.0, purposely=False)
    absences.active("bob", 3.0)
    assert over(absences) == []
