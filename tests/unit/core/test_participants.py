from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from livekit.protocol import models

from aiolivekit.core.participants import (
    AttributesChanged,
    Change,
    LocalFields,
    MetadataChanged,
    NameChanged,
    ParticipantActivated,
    ParticipantChanged,
    ParticipantJoined,
    ParticipantLeft,
    PermissionsChanged,
    Roster,
    TrackChanged,
    TrackMuteChanged,
    TrackPublished,
    TrackUnpublished,
)

JOINING, JOINED, ACTIVE, DISCONNECTED = models.ParticipantInfo.State.values()
REMOVED = models.DisconnectReason.PARTICIPANT_REMOVED


def track(sid: str, **fields: Any) -> models.TrackInfo:
    return models.TrackInfo(sid=sid, **fields)


def info(identity: str = "ann", sid: str = "PA_ann", version: int = 1, **fields: Any) -> models.ParticipantInfo:
    fields.setdefault("state", JOINED)
    fields.setdefault("joined_at_ms", 1000)
    return models.ParticipantInfo(identity=identity, sid=sid, version=version, **fields)


@pytest.fixture
def roster() -> Roster:
    return Roster(info("me", "PA_me"))


def told(changes: list[Change]) -> list[Change]:
    """The changes without the plain word that something changed."""
    return [change for change in changes if not isinstance(change, ParticipantChanged)]


def test_somebody_joins(roster: Roster) -> None:
    ann = info(tracks=[track("TR_1"), track("TR_2")])
    assert roster.apply([ann]) == [
        ParticipantJoined(ann),
        TrackPublished("ann", track("TR_1")),
        TrackPublished("ann", track("TR_2")),
    ]
    assert roster.identity_of("PA_ann") == "ann"


def test_somebody_is_active_when_first_seen(roster: Roster) -> None:
    ann = info(state=ACTIVE, tracks=[track("TR_1")])
    assert roster.apply([ann]) == [
        ParticipantJoined(ann),
        ParticipantActivated("ann"),
        TrackPublished("ann", track("TR_1")),
    ]


def test_somebody_who_is_still_joining_is_there(roster: Roster) -> None:
    ann = info(state=JOINING)
    assert roster.apply([ann]) == [ParticipantJoined(ann)]
    assert told(roster.apply([info(version=2, state=JOINED)])) == []
    assert told(roster.apply([info(version=3, state=ACTIVE)])) == [ParticipantActivated("ann")]
    assert told(roster.apply([info(version=4, state=ACTIVE)])) == []


def test_somebody_leaves(roster: Roster) -> None:
    roster.apply([info(tracks=[track("TR_1"), track("TR_2")])])
    assert roster.apply([info(version=2, state=DISCONNECTED, disconnect_reason=REMOVED)]) == [
        TrackUnpublished("ann", "TR_1"),
        TrackUnpublished("ann", "TR_2"),
        ParticipantLeft("ann", "PA_ann", REMOVED),
    ]
    assert roster.identity_of("PA_ann") is None


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({"name": "Ann"}, {"name": "Anne"}, NameChanged("ann", "Ann", "Anne")),
        ({"metadata": "a"}, {"metadata": ""}, MetadataChanged("ann", "a", "")),
        ({}, {"attributes": {"k": "v"}}, AttributesChanged("ann", {"k": "v"})),
        (
            {"attributes": {"stays": "1", "goes": "2", "changes": "3"}},
            {"attributes": {"stays": "1", "comes": "5", "changes": "4"}},
            AttributesChanged("ann", {"changes": "4", "comes": "5", "goes": ""}),
        ),
        (
            {"permission": models.ParticipantPermission(can_publish=True)},
            {"permission": models.ParticipantPermission(can_publish=False)},
            PermissionsChanged("ann"),
        ),
        ({"tracks": []}, {"tracks": [track("TR_1")]}, TrackPublished("ann", track("TR_1"))),
        ({"tracks": [track("TR_1")]}, {"tracks": []}, TrackUnpublished("ann", "TR_1")),
        (
            {"tracks": [track("TR_1")]},
            {"tracks": [track("TR_1", muted=True)]},
            TrackMuteChanged("ann", track("TR_1", muted=True)),
        ),
        (
            {"tracks": [track("TR_1")]},
            {"tracks": [track("TR_1", mime_type="audio/opus")]},
            TrackChanged("ann", track("TR_1", mime_type="audio/opus")),
        ),
        ({"name": "Ann"}, {"name": "Ann"}, None),
    ],
)
def test_one_difference_is_one_change(
    roster: Roster, before: dict[str, Any], after: dict[str, Any], change: Change | None
) -> None:
    roster.apply([info(**before)])
    new = info(version=2, **after)
    changes = roster.apply([new])
    assert changes[0] == ParticipantChanged("ann", new)
    assert told(changes) == ([] if change is None else [change])


def test_several_differences_come_in_a_fixed_order(roster: Roster) -> None:
    roster.apply([info(name="a", tracks=[track("TR_1"), track("TR_2")])])
    after = info(
        version=2,
        state=ACTIVE,
        name="b",
        metadata="m",
        attributes={"k": "v"},
        permission=models.ParticipantPermission(hidden=True),
        tracks=[track("TR_3"), track("TR_2", muted=True)],
    )
    assert [type(change) for change in roster.apply([after])] == [
        ParticipantChanged,
        ParticipantActivated,
        NameChanged,
        MetadataChanged,
        AttributesChanged,
        PermissionsChanged,
        TrackUnpublished,
        TrackPublished,
        TrackMuteChanged,
    ]


def test_an_older_update_is_dropped(roster: Roster) -> None:
    roster.apply([info(version=5, name="new")])
    assert roster.apply([info(version=4, name="old")]) == []
    assert roster.dropped == 1
    assert told(roster.apply([info(version=5, name="same version")])) == [NameChanged("ann", "new", "same version")]


def test_without_versions_every_update_counts(roster: Roster) -> None:
    roster.apply([info(version=0, name="a")])
    assert told(roster.apply([info(version=0, name="b")])) == [NameChanged("ann", "a", "b")]


PUBLISHED, UNPUBLISHED = TrackPublished("ann", track("TR_1")), TrackUnpublished("ann", "TR_1")


@pytest.mark.parametrize(
    "updates",
    [
        # The version and the tracks of an update, and what is told of them.
        [(5, ["TR_1"], None), (5, [], None), (5, ["TR_1"], None), (6, [], UNPUBLISHED)],
        [(5, ["TR_1"], None), (6, [], UNPUBLISHED), (5, ["TR_1"], None), (7, ["TR_1"], PUBLISHED)],
        [(5, ["TR_1"], None), (5, [], None), (5, [], None), (6, ["TR_1"], None)],
        [(5, [], None), (5, ["TR_1"], PUBLISHED), (5, [], None), (6, ["TR_1"], None), (7, [], UNPUBLISHED)],
        [(5, ["TR_1"], None), (5, ["TR_2"], TrackPublished("ann", track("TR_2"))), (6, ["TR_2"], UNPUBLISHED)],
        [(0, ["TR_1"], None), (0, [], UNPUBLISHED), (0, ["TR_1"], PUBLISHED), (0, [], UNPUBLISHED)],
    ],
)
def test_a_track_is_there_until_a_later_version_is_without_it(
    roster: Roster, updates: list[tuple[int, list[str], Change | None]]
) -> None:
    (version, sids, _), *others = updates
    roster.apply([info(version=version, tracks=map(track, sids))])
    for version, sids, change in others:
        assert told(roster.apply([info(version=version, tracks=map(track, sids))])) == ([change] if change else [])


def test_the_rest_of_an_update_without_a_track_counts(roster: Roster) -> None:
    roster.apply([info(version=5, tracks=[track("TR_1"), track("TR_2")])])
    changes = roster.apply([info(version=5, name="Ann", tracks=[track("TR_2", muted=True)])])
    assert changes == [
        ParticipantChanged("ann", info(version=5, name="Ann", tracks=[track("TR_2", muted=True), track("TR_1")])),
        NameChanged("ann", "", "Ann"),
        TrackMuteChanged("ann", track("TR_2", muted=True)),
    ]
    assert roster.dropped == 0


class Updates(RuleBasedStateMachine):
    """In whatever order updates come, what is told adds up to what is stored, and no track goes within a version."""

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster(info("me", "PA_me"))
        self.visit = 0
        self.version = -1
        self.published: set[str] = set()
        self.stored: models.ParticipantInfo | None = None

    @rule(ahead=st.sampled_from([-1, 0, 0, 0, 1]), sids=st.sets(st.sampled_from(["TR_1", "TR_2", "TR_3"])))
    def update(self, ahead: int, sids: set[str]) -> None:
        version = max(self.version + ahead, 0)
        tracks = [track(sid) for sid in sorted(sids)]
        new = info(sid=f"PA_{self.visit}", version=version, joined_at_ms=self.visit, tracks=tracks)
        changes = self.roster.apply([new])
        if version < self.version:
            assert changes == []
            return
        there = sids | self.published if version == self.version and version else sids
        self.check(changes, there)
        self.version, self.published = version, there
        [self.stored] = [
            change.info for change in changes if isinstance(change, ParticipantJoined | ParticipantChanged)
        ]

    @precondition(lambda self: self.stored is not None)
    @rule(how=st.sampled_from(["leaves", "is missing", "is in another room"]))
    def leave(self, how: str) -> None:
        if how == "leaves":
            changes = self.roster.apply([info(sid=f"PA_{self.visit}", version=self.version, state=DISCONNECTED)])
        elif how == "is missing":
            changes = self.roster.reconcile([])
        else:
            changes = self.roster.replace(self.roster.local, [])
        self.check(changes, set())
        if how != "is in another room":  # There, the same sid may be met again, with any version.
            self.visit += 1
        self.version, self.published, self.stored = -1, set(), None

    def check(self, changes: list[Change], there: set[str]) -> None:
        published = [change.track.sid for change in changes if isinstance(change, TrackPublished)]
        unpublished = [change.track_sid for change in changes if isinstance(change, TrackUnpublished)]
        assert sorted(published) == sorted(there - self.published)
        assert sorted(unpublished) == sorted(self.published - there)

    @invariant()
    def books(self) -> None:
        assert self.roster._remote.get("ann") is self.stored
        assert {each.sid for each in (self.stored.tracks if self.stored else ())} == self.published
        assert set(self.roster._owners) == self.published


Updates.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestUpdates = Updates.TestCase


def test_an_update_of_one_who_left_does_not_bring_them_back(roster: Roster) -> None:
    roster.apply([info(version=2)])
    roster.apply([info(version=3, state=DISCONNECTED)])
    assert roster.apply([info(version=2)]) == []
    assert roster.apply([info(version=3)]) == []
    # Somebody who was hidden for a while keeps the sid, and comes with a later version.
    assert [type(change) for change in roster.apply([info(version=4)])] == [ParticipantJoined]


def test_one_who_was_never_seen_leaves_unnoticed_and_stays_away(roster: Roster) -> None:
    assert roster.apply([info(version=2, state=DISCONNECTED)]) == []
    assert roster.apply([info(version=1)]) == []
    assert roster.dropped == 2


def test_another_sid_is_another_visit(roster: Roster) -> None:
    roster.apply([info(tracks=[track("TR_1")])])
    again = info(sid="PA_again", joined_at_ms=2000)
    assert roster.apply([again]) == [
        TrackUnpublished("ann", "TR_1"),
        ParticipantLeft("ann", "PA_ann", models.DisconnectReason.DUPLICATE_IDENTITY),
        ParticipantJoined(again),
    ]
    assert roster.identity_of("PA_ann") is None
    assert roster.identity_of("PA_again") == "ann"


def test_the_end_of_an_earlier_visit_does_not_end_the_later_one(roster: Roster) -> None:
    roster.apply([info(), info(sid="PA_again", joined_at_ms=2000)])
    assert roster.apply([info(version=9, state=DISCONNECTED)]) == []
    assert roster.identity_of("PA_again") == "ann"


def test_an_update_of_an_earlier_visit_does_not_end_the_later_one(roster: Roster) -> None:
    roster.apply([info(sid="PA_again", joined_at_ms=2000)])
    assert roster.apply([info(version=9)]) == []
    roster.apply([info(sid="PA_third", joined_at_ms=2000)])  # joined in the same millisecond
    assert roster.identity_of("PA_third") == "ann"
    assert roster.apply([info(sid="PA_again", version=9, joined_at_ms=2000)]) == []


def test_seconds_stand_in_for_milliseconds(roster: Roster) -> None:
    roster.apply([info(joined_at_ms=0, joined_at=7)])
    assert roster.apply([info(sid="PA_before", joined_at_ms=6999)]) == []


@pytest.mark.parametrize("nobody", [info(identity="", sid="PA_x"), info(sid="")])
def test_an_update_about_nobody_is_dropped(roster: Roster, nobody: models.ParticipantInfo) -> None:
    assert roster.apply([nobody]) == []
    assert roster.dropped == 1


def test_a_known_sid_is_enough(roster: Roster) -> None:
    roster.apply([info()])
    changes = roster.apply([info(identity="", version=2, name="Ann")])
    assert told(changes) == [NameChanged("ann", "", "Ann")]
    [changed] = [change for change in changes if isinstance(change, ParticipantChanged)]
    assert changed.info.identity == "ann"


def test_a_track_belongs_to_one_participant(roster: Roster) -> None:
    roster.apply([info(tracks=[track("TR_1"), track("TR_1", muted=True)])])
    bob = info("bob", "PA_bob", tracks=[track("TR_1"), track("TR_2")])
    assert roster.apply([bob]) == [ParticipantJoined(bob), TrackPublished("bob", track("TR_2"))]
    assert roster.apply([info("bob", "PA_bob", 2, state=DISCONNECTED)]) == [
        TrackUnpublished("bob", "TR_2"),
        ParticipantLeft("bob", "PA_bob", 0),
    ]
    assert roster.apply([info(version=2, state=DISCONNECTED)])[0] == TrackUnpublished("ann", "TR_1")


def test_a_track_without_a_sid_is_none(roster: Roster) -> None:
    ann = info(tracks=[track("")])
    assert roster.apply([ann]) == [ParticipantJoined(ann)]


# -- ourselves ------------------------------------------------------------------------------------------


def test_updates_about_us(roster: Roster) -> None:
    new = info("me", "PA_me", 2, name="Me", tracks=[track("TR_mine")])
    assert roster.apply([new]) == [
        ParticipantChanged("me", new),
        NameChanged("me", "", "Me"),
        TrackChanged("me", track("TR_mine")),
    ]
    assert roster.local is new


def test_another_session_under_our_identity_is_none_of_ours(roster: Roster) -> None:
    assert roster.apply([info("me", "PA_other", 9, name="other")]) == []
    assert roster.apply([info("me", "PA_other", 10, state=DISCONNECTED)]) == []
    assert roster.identity_of("PA_me") == "me"


def test_an_older_update_about_us_is_dropped(roster: Roster) -> None:
    roster.apply([info("me", "PA_me", 5, name="new")])
    assert roster.apply([info("me", "PA_me", 4, name="old")]) == []


def test_what_the_server_accepted_counts_before_its_update(roster: Roster) -> None:
    roster.apply([info("me", "PA_me", 2, attributes={"stays": "1", "goes": "2"})])
    fields = LocalFields(name="Me", metadata="m", attributes={"goes": "", "comes": "3", "never": ""})
    assert told(roster.amend(fields)) == [
        NameChanged("me", "", "Me"),
        MetadataChanged("me", "", "m"),
        AttributesChanged("me", {"comes": "3", "goes": ""}),
    ]
    update = info("me", "PA_me", 3, name="Me", metadata="m", attributes={"stays": "1", "comes": "3"})
    assert told(roster.apply([update])) == []


def test_amending_nothing_changes_nothing(roster: Roster) -> None:
    assert told(roster.amend(LocalFields())) == []


# -- another room ---------------------------------------------------------------------------------------


def test_moving_to_another_room(roster: Roster) -> None:
    roster.apply([info(tracks=[track("TR_1")]), info("bob", "PA_bob")])
    local = info("me", "PA_moved", 1, name="there")
    cid = info("cid", "PA_cid")
    assert roster.replace(local, [cid]) == [
        TrackUnpublished("ann", "TR_1"),
        ParticipantLeft("ann", "PA_ann", 0),
        ParticipantLeft("bob", "PA_bob", 0),
        ParticipantChanged("me", local),
        NameChanged("me", "", "there"),
        ParticipantJoined(cid),
    ]
    assert roster.identity_of("PA_moved") == "me"
    assert roster.identity_of("PA_me") is None


def test_the_memory_of_those_who_left_is_bounded(roster: Roster) -> None:
    for number in range(2000):
        sid = f"PA_{number}"
        roster.apply([info(sid=sid, joined_at_ms=number), info(sid=sid, version=2, state=DISCONNECTED)])
    assert len(roster._gone) <= 512
