from __future__ import annotations

from aiolivekit.core.path_doubt import BRAKE, SILENT, PathDoubt


def lost() -> PathDoubt:
    doubt = PathDoubt()
    doubt.lost(10.0)
    doubt.looked((5.0, 1), 10.01)
    return doubt


def test_nothing_is_kept_back_while_signalling_is_there() -> None:
    doubt = PathDoubt()
    doubt.refused()
    assert not doubt.holds(0.0)
    assert not doubt.doubted
    assert not doubt.refuted


def test_for_a_moment_after_a_loss_all_is_kept_back() -> None:
    doubt = lost()
    assert doubt.holds(10.0)
    assert doubt.holds(10.0 + BRAKE / 2)
    assert not doubt.holds(10.0 + BRAKE)


def test_a_sign_of_life_lets_packets_go_on() -> None:
    doubt = lost()
    doubt.looked((5.0, 1), 10.02)
    assert doubt.holds(10.02)
    doubt.looked((6.0, 1), 10.03)
    assert not doubt.holds(10.03)
    doubt.refused()
    assert not doubt.holds(10.03)
    assert not doubt.refuted


def test_when_nobody_is_there_packets_wait_until_the_path_is_heard() -> None:
    doubt = lost()
    doubt.refused()
    assert doubt.refuted
    assert doubt.holds(10.0 + 2 * BRAKE)
    doubt.looked((5.0, 2), 10.2)
    assert not doubt.holds(10.2)


def test_a_path_that_falls_silent_is_doubted_again() -> None:
    doubt = lost()
    assert not doubt.holds(10.0 + SILENT)
    assert doubt.holds(10.0 + SILENT + 0.01)
    doubt.looked((7.0, 2), 12.0)
    assert not doubt.holds(12.0 + SILENT)
    assert doubt.holds(12.0 + SILENT + 0.01)


def test_another_loss_of_what_is_lost_changes_nothing_and_all_is_well_once_it_is_back() -> None:
    doubt = lost()
    doubt.refused()
    doubt.lost(10.5)
    assert doubt.refuted
    doubt.back()
    assert not doubt.holds(10.5)
    doubt.lost(20.0)
    assert not doubt.refuted
    # What was heard of the path before says nothing.
    doubt.looked((9.0, 9), 20.01)
    assert doubt.holds(20.01)
