"""What was sent to people while they were out of the room: the protocol drops it, and we say so.

A server tells that somebody left, and that the same identity came back under another sid, but not what they got. So
what is counted is all that was for them from when they surely received for the last time until they could again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["HORIZON", "Absences", "Lost", "SentLedger"]

HORIZON = 40.0
"""Seconds for which is known when what was sent."""
_EXPECTED = 20.0
"""Seconds for which somebody who left is expected back."""
_OPENING = 1.0
"""Seconds after which somebody who is said to be able to receive has the channels to receive on."""
_BUCKET = 0.1
_SETTLING, _SETTLING_BEHIND_MUCH = 0.5, 5.0
"""Seconds a packet takes at most to everybody who is heard, and if it was handed over behind much else."""
_MUCH = 64 * 1024
_MAX_NAMED = 1000
_MAX_AWAY = 10_000


@dataclass(slots=True)
class _Bucket:
    began: float
    to_all: int = 0
    named: dict[str, int] | None = None
    rest: int = 0
    """Sent to some by name, when the names had become too many to keep."""
    behind: int = 0
    """Bytes that libwebrtc held when one of them was handed over, at most."""


class SentLedger:
    """How many reliable packets were sent to whom in the last seconds, to a tenth of a second."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: deque[_Bucket] = deque(maxlen=int(HORIZON / _BUCKET))

    def note(self, destinations: Sequence[str], now: float, behind: int = 0) -> None:
        """Take note of a packet.

        Args:
            destinations: The identities it is for; empty for everybody.
            now: When it is handed over.
            behind: Bytes that are handed over and have not left yet.
        """
        buckets = self._buckets
        if not buckets or now >= buckets[-1].began + _BUCKET:
            buckets.append(_Bucket(now))
        bucket = buckets[-1]
        if behind > bucket.behind:
            bucket.behind = behind
        if not destinations:
            bucket.to_all += 1
            return
        if bucket.named is None:
            bucket.named = {}
        for identity in destinations:
            if identity in bucket.named or len(bucket.named) < _MAX_NAMED:
                bucket.named[identity] = bucket.named.get(identity, 0) + 1
            else:
                bucket.rest += 1

    def arrived_before(self, heard: float) -> float:
        """Return before when a packet must have been sent to have arrived at somebody who was heard at a moment."""
        early = heard - _SETTLING_BEHIND_MUCH
        much = any(each.behind > _MUCH for each in self._buckets if early - _BUCKET < each.began <= heard)
        return early if much else heard - _SETTLING

    def count(self, identity: str, since: float, until: float) -> int:
        """Return how many were sent to somebody between two moments, or a few more."""
        return sum(
            each.to_all + each.rest + (0 if each.named is None else each.named.get(identity, 0))
            for each in self._buckets
            if each.began + _BUCKET > since and each.began <= until
        )


@dataclass(frozen=True, slots=True)
class Lost:
    """Up to `count` packets did not reach somebody, who came back, or has not."""

    identity: str
    count: int
    came_back: bool


@dataclass(slots=True)
class _Away:
    sid: str
    since: float
    left: float
    purposely: bool
    back: float | None = None
    """When they could receive again."""

    @property
    def over(self) -> float:
        """When the absence is over, one way or the other."""
        return self.left + _EXPECTED if self.back is None else self.back + _OPENING


class Absences:
    """Who is out of the room, and what they miss.

    Args:
        ledger: What is sent.
    """

    def __init__(self, ledger: SentLedger) -> None:
        self._ledger = ledger
        self._away: dict[str, _Away] = {}

    def left(self, identity: str, sid: str, received: float, now: float, *, purposely: bool) -> None:
        """Somebody is gone.

        Args:
            identity: Who.
            sid: Of the session that ended.
            received: Until when they surely received.
            now: The time.
            purposely: Whether they left of their own will, or were sent away: then what was sent before has its end.
        """
        known = self._away.get(identity)
        if known is not None:
            known.left, known.back = now, None
        elif len(self._away) < _MAX_AWAY:
            self._away[identity] = _Away(sid, now if purposely else min(received, now), now, purposely)

    def joined(self, identity: str, sid: str) -> None:
        """Somebody is in the room; if it is the same session, they were never out of it."""
        known = self._away.get(identity)
        if known is not None and known.sid == sid:
            del self._away[identity]

    def active(self, identity: str, now: float) -> None:
        """Somebody can receive, or is said to."""
        away = self._away.get(identity)
        if away is not None and away.back is None:
            away.back = now

    def expire(self, now: float) -> list[Lost]:
        """Return what was lost on those who are back, and on those who are not expected any more."""
        lost = []
        for identity in [identity for identity, away in self._away.items() if away.over <= now]:
            away = self._away.pop(identity)
            if away.back is not None:
                count = self._ledger.count(identity, away.since, away.over)
            else:
                count = 0 if away.purposely else self._ledger.count(identity, away.since, away.left)
            if count:
                lost.append(Lost(identity, count, away.back is not None))
        return lost

    @property
    def next(self) -> float | None:
        """When `expire` has something to do."""
        return min((away.over for away in self._away.values()), default=None)
