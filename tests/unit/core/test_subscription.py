from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aiolivekit.core.subscription import MediaExpired, MediaMatcher, MediaSubscribed, MediaUnsubscribed


def test_publication_then_media() -> None:
    matcher: MediaMatcher[str] = MediaMatcher()
    assert matcher.published("PA_a", "TR_1") == []
    assert matcher.media_added("PA_a", "TR_1", "media", 0.0) == [MediaSubscribed("TR_1", "media")]
    assert matcher.deadline is None


def test_media_then_publication() -> None:
    matcher: MediaMatcher[str] = MediaMatcher()
    assert matcher.media_added("PA_a", "TR_1", "media", 5.0) == []
    assert matcher.deadline == 15.0
    assert matcher.published("PA_a", "TR_1") == [MediaSubscribed("TR_1", "media")]
    assert matcher.deadline is None
    assert matcher.expire(100.0) == []


def test_media_that_wait_too_long_are_given_up() -> None:
    matcher: MediaMatcher[str] = MediaMatcher()
    matcher.media_added("PA_a", "TR_1", "media", 0.0)
    matcher.media_added("PA_b", "TR_2", "media", 1.0)
    assert matcher.expire(9.9) == []
    assert matcher.expire(10.0) == [MediaExpired("PA_a", "TR_1")]
    assert matcher.deadline == 11.0
    assert matcher.published("PA_a", "TR_1") == []
    assert matcher.media_removed("TR_1") == []


def test_the_first_arrival_sets_the_deadline() -> None:
    matcher: MediaMatcher[str] = MediaMatcher()
    matcher.media_added("PA_a", "TR_1", "one", 0.0)
    matcher.media_added("PA_a", "TR_1", "two", 9.0)
    assert matcher.deadline == 10.0
    assert matcher.published("PA_a", "TR_1") == [MediaSubscribed("TR_1", "two")]


def test_the_same_media_twice_is_once() -> None:
    matcher: MediaMatcher[str] = MediaMatcher()
    matcher.published("PA_a", "TR_1")
    matcher.media_added("PA_a", "TR_1", "media", 0.0)
    assert matcher.media_added("PA_a", "TR_1", "media", 1.0) == []


def test_other_media_take_the_place_of_the_first() -> None:
    matcher: MediaMatcher[str] = MediaMatcher()
    matcher.published("PA_a", "TR_1")
    matcher.media_added("PA_a", "TR_1", "one", 0.0)
    assert matcher.media_added("PA_a", "TR_1", "two", 1.0) == [
        MediaUnsubscribed("TR_1"),
        MediaSubscribed("TR_1", "two"),
    ]


def test_unsubscribed_and_subscribed_again() -> None:
    matcher: MediaMatcher[str] = MediaMatcher()
    matcher.published("PA_a", "TR_1")
    matcher.media_added("PA_a", "TR_1", "one", 0.0)
    assert matcher.media_removed("TR_1") == [MediaUnsubscribed("TR_1")]
    assert matcher.media_removed("TR_1") == []
    assert matcher.media_added("PA_a", "TR_1", "two", 1.0) == [MediaSubscribed("TR_1", "two")]


def test_unpublished_while_subscribed() -> None:
    matcher: MediaMatcher[str] = MediaMatcher()
    matcher.published("PA_a", "TR_1")
    matcher.media_added("PA_a", "TR_1", "one", 0.0)
    assert matcher.unpublished("TR_1") == [MediaUnsubscribed("TR_1")]
    assert matcher.unpublished("TR_1") == []
    # The section still carries it: nothing would tell us of the media again.
    assert matcher.deadline is None
    assert matcher.published("PA_a", "TR_1") == [MediaSubscribed("TR_1", "one")]


def test_the_end_of_a_session() -> None:
    matcher: MediaMatcher[str] = MediaMatcher()
    matcher.published("PA_a", "TR_1")
    matcher.media_added("PA_a", "TR_1", "one", 0.0)
    matcher.media_added("PA_a", "TR_2", "early", 0.0)
    matcher.published("PA_a", "TR_3")
    assert matcher.clear() == [MediaUnsubscribed("TR_1")]
    assert matcher.deadline is None


SIDS = st.sampled_from(["TR_1", "TR_2", "TR_3"])


class Matching(RuleBasedStateMachine):
    """Subscribed means: published, and media there that were not given up; told once each time it changes."""

    def __init__(self) -> None:
        super().__init__()
        self.matcher: MediaMatcher[int] = MediaMatcher()
        self.now = 0.0
        self.numbers = 0
        self.published: set[str] = set()
        self.media: dict[str, int] = {}
        self.waiting: dict[str, float] = {}
        self.subscribed: dict[str, int] = {}

    def hear(self, effects: list[object]) -> None:
        for effect in effects:
            if isinstance(effect, MediaSubscribed):
                assert effect.track_sid not in self.subscribed
                self.subscribed[effect.track_sid] = effect.media
            elif isinstance(effect, MediaUnsubscribed):
                assert effect.track_sid in self.subscribed
                del self.subscribed[effect.track_sid]

    @rule(sid=SIDS)
    def publish(self, sid: str) -> None:
        self.hear([*self.matcher.published("PA_a", sid)])
        self.published.add(sid)
        self.waiting.pop(sid, None)

    @rule(sid=SIDS)
    def unpublish(self, sid: str) -> None:
        self.hear([*self.matcher.unpublished(sid)])
        self.published.discard(sid)

    @rule(sid=SIDS)
    def add_media(self, sid: str) -> None:
        self.numbers += 1
        if sid not in self.published and sid not in self.media:
            self.waiting[sid] = self.now + 10
        self.media[sid] = self.numbers
        self.hear([*self.matcher.media_added("PA_a", sid, self.numbers, self.now)])

    @rule(sid=SIDS)
    def remove_media(self, sid: str) -> None:
        self.media.pop(sid, None)
        self.waiting.pop(sid, None)
        self.hear([*self.matcher.media_removed(sid)])

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        expired = {item.track_sid for item in self.matcher.expire(self.now)}
        assert expired == {sid for sid, deadline in self.waiting.items() if deadline <= self.now}
        for sid in expired:
            del self.media[sid]
            del self.waiting[sid]

    @invariant()
    def subscribed_is_published_with_media(self) -> None:
        assert self.subscribed == {sid: media for sid, media in self.media.items() if sid in self.published}

    @invariant()
    def the_next_deadline_is_known(self) -> None:
        assert self.matcher.deadline == min(self.waiting.values(), default=None)


Matching.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestMatching = Matching.TestCase
