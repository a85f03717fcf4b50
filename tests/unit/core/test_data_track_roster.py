from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import models

from aiolivekit.core.data_track_roster import (
    DataTrackRoster,
    Entry,
    Published,
    RosterChange,
    SubscriptionWish,
    Unpublished,
)


def told(sid: str, handle: int = 1, name: str = "", **fields: int) -> models.DataTrackInfo:
    return models.DataTrackInfo(sid=sid, pub_handle=handle, name=name or f"track {handle}", **fields)  # type: ignore[arg-type]


def summary(changes: list[RosterChange]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for change in changes:
        match change:
            case Published(entry):
                found.append(("published", entry.identity, entry.info.sid))
            case Unpublished(entry, sid):
                found.append(("unpublished", entry.identity, sid))
            case SubscriptionWish(entry):
                found.append(("subscribe" if entry.wanted else "unsubscribe", entry.info.sid))
    return found


def entry_of(roster: DataTrackRoster, sid: str) -> Entry:
    return next(entry for entry in roster if entry.info.sid == sid)


def test_what_a_participant_publishes_is_compared_with_what_was_known() -> None:
    roster = DataTrackRoster()
    assert summary(roster.update("ann", [told("A"), told("B", 2)])) == [
        ("published", "ann", "A"),
        ("published", "ann", "B"),
    ]
    assert roster.update("ann", [told("A"), told("B", 2)]) == []
    assert roster.update("bob", []) == []
    first = entry_of(roster, "A")
    assert summary(roster.update("ann", [told("B", 2), told("C", 3)])) == [
        ("published", "ann", "C"),
        ("unpublished", "ann", "A"),
    ]
    assert not first.published
    assert summary(roster.replace({"bob": [told("D")]})) == [
        ("unpublished", "ann", "B"),
        ("unpublished", "ann", "C"),
        ("published", "bob", "D"),
    ]
    assert [entry.info.sid for entry in roster] == ["D"]


def test_nonsense_is_counted() -> None:
    roster = DataTrackRoster()
    roster.update("ann", [told("A")])
    assert summary(
        roster.update("bob", [told(""), told("B", 0), told("C", 70_000), told("A"), told("D"), told("D")])
    ) == [("published", "bob", "D")]
    assert roster.malformed == 5


def test_the_same_track_under_another_sid() -> None:
    roster = DataTrackRoster()
    roster.update("ann", [told("A", 1), told("B", 2)])
    mine = entry_of(roster, "A")
    assert summary(roster.want(mine)) == [("subscribe", "A")]
    assert roster.want(mine) == []
    assert roster.handles({7: "A"}) == [mine]
    assert roster.by_handle(7) is mine
    # The publisher has joined anew. The server carries no subscription over.
    assert summary(roster.update("ann", [told("A2", 1), told("B2", 2)])) == [("subscribe", "A2")]
    assert (mine.info.sid, mine.published, mine.handle) == ("A2", True, None)
    assert roster.by_handle(7) is None
    assert roster.handles({8: "A2"}) == [mine]


def test_another_track_under_the_same_handle_is_another() -> None:
    roster = DataTrackRoster()
    roster.update("ann", [told("A", 1, "one")])
    assert summary(roster.update("ann", [told("B", 1, "two")])) == [
        ("published", "ann", "B"),
        ("unpublished", "ann", "A"),
    ]
    assert summary(roster.update("ann", [told("C", 1, "two", encryption=1)])) == [
        ("published", "ann", "C"),
        ("unpublished", "ann", "B"),
    ]


def test_handles_are_all_there_are() -> None:
    roster = DataTrackRoster()
    roster.update("ann", [told("A", 1), told("B", 2)])
    one, two = roster
    roster.want(one)
    roster.want(two)
    assert roster.handles({1: "A", 2: "B", 4: "nobody's", 0: "A", 99_999: "B"}) == [one, two]
    assert roster.handles({5: "A", 2: "B"}) == [one]
    assert roster.by_handle(1) is None
    assert roster.by_handle(5) is one
    # Taken away, and given back.
    assert roster.handles({5: "A"}) == []
    assert two.handle is None
    assert roster.unanswered() == [two]
    assert roster.handles({5: "A", 6: "B"}) == [two]
    # One track has one.
    assert roster.handles({5: "A", 6: "B", 7: "B"}) == []
    assert roster.by_handle(7) is None
    assert roster.malformed == 1


def test_who_unsubscribes_and_subscribes_again_at_once_keeps_the_handle() -> None:
    roster = DataTrackRoster()
    roster.update("ann", [told("A", 1)])
    (one,) = roster
    roster.want(one)
    roster.handles({5: "A"})
    assert summary(roster.unwant(one)) == [("unsubscribe", "A")]
    assert roster.unwant(one) == []
    assert summary(roster.want(one)) == [("subscribe", "A")]
    assert roster.by_handle(5) is one
    assert roster.unanswered() == []
    # Or the server was quicker.
    roster.handles({})
    assert roster.unanswered() == [one]
    assert roster.handles({6: "A"}) == [one]


def test_handles_may_change_places() -> None:
    roster = DataTrackRoster()
    roster.update("ann", [told("A", 1), told("B", 2)])
    one, two = roster
    roster.want(one)
    roster.want(two)
    roster.handles({1: "A", 2: "B"})
    roster.handles({2: "A", 1: "B"})
    assert (roster.by_handle(2), roster.by_handle(1)) == (one, two)
    assert (one.handle, two.handle) == (2, 1)


def test_a_new_session_is_told_all_wishes() -> None:
    roster = DataTrackRoster()
    roster.update("ann", [told("A", 1), told("B", 2)])
    one, _ = roster
    roster.want(one)
    roster.handles({1: "A"})
    assert summary(roster.restarted()) == [("subscribe", "A")]
    assert roster.by_handle(1) is None
    assert roster.unanswered() == [one]


def test_what_is_gone_is_not_wanted() -> None:
    roster = DataTrackRoster()
    roster.update("ann", [told("A", 1)])
    (one,) = roster
    roster.want(one)
    roster.handles({1: "A"})
    roster.update("ann", [])
    assert not one.wanted
    assert roster.by_handle(1) is None
    assert roster.want(one) == []
    assert roster.unwant(one) == []
    assert roster.restarted() == []


INFOS = st.lists(st.builds(told, st.sampled_from("ABCDE"), st.integers(0, 4), st.sampled_from(["n", "m"])), max_size=5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("update"), st.sampled_from(["ann", "bob"]), INFOS),
        st.tuples(st.just("replace"), st.dictionaries(st.sampled_from(["ann", "bob", "cid"]), INFOS)),
        st.tuples(st.just("handles"), st.dictionaries(st.integers(0, 5), st.sampled_from("ABCDE"))),
        st.tuples(st.just("want"), st.integers(0, 10)),
        st.tuples(st.just("unwant"), st.integers(0, 10)),
        st.tuples(st.just("restarted")),
    ),
    max_size=30,
)


@given(STEPS)
def test_any_order_of_events(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    roster = DataTrackRoster()
    seen: list[Entry] = []
    for name, *arguments in steps:
        if name in ("want", "unwant"):
            if not seen:
                continue
            arguments = [seen[arguments[0] % len(seen)]]
        found = getattr(roster, name)(*arguments)
        if name != "handles":
            seen += [change.entry for change in found if isinstance(change, Published)]
        there = list(roster)
        assert {id(entry) for entry in there} == {id(entry) for entry in seen if entry.published}
        sids = [entry.info.sid for entry in there]
        assert len(set(sids)) == len(sids)
        for entry in seen:
            assert not (entry.wanted and not entry.published)
            assert entry.handle is None or (entry.published and roster.by_handle(entry.handle) is entry)
        for handle in range(7):
            holder = roster.by_handle(handle)
            assert holder is None or holder.handle == handle
