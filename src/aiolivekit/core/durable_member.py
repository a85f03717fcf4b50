"""What a sender of durable messages knows of one receiver (docs/durable.md)."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

__all__ = ["NEVER", "Entry", "Member", "ReplayRange"]

NEVER = math.inf
"""As the first number of a receiver: broadcasts are not for it."""
_MAX_RANGES = 64


@dataclass(slots=True, eq=False)
class Entry:
    """A message that is kept.

    Args:
        number: In the stream.
        payload: Of the call.
        topic: Of the call.
        size: What it counts towards the bounds, in bytes.
        sent_at: When.
        waiting: Who has not acknowledged it; `None` for a broadcast.
    """

    number: int
    payload: bytes
    topic: str
    size: int
    sent_at: float
    waiting: set[str] | None


@dataclass(slots=True)
class ReplayRange:
    """What is being sent again: numbers above `cursor` up to `end`.

    Args:
        cursor: What the receiver has, or will have, in its place.
        end: Where the live messages that it holds begin, or the last number there is.
        plain: Whether the receiver may be of another kind, and gets no control packets.
    """

    cursor: int
    end: int
    plain: bool = False


@dataclass(slots=True, eq=False)
class Member:
    """One receiver.

    Attributes:
        present: Whether it is in the room, as the server told last.
        ours: Whether it has acknowledged anything.
        claims: Whether messages are kept for it.
        since: Broadcasts with higher numbers are for it.
        acked: It has everything up to this number.
        absent_from: The last number before it left, or before it was first heard of.
        here_from: The last number before it came; what it was named in between was sent while it was not here.
        due_until: What it lacks above this number is not reported: it left of its own will.
        targeted: Numbers of messages to it by name that it has not acknowledged.
        lost: Ranges of numbers in which messages for it are lost, with how many.
    """

    identity: str
    since: float
    present: bool
    left_at: float
    absent_from: int
    here_from: int = 0
    ours: bool = False
    claims: bool = True
    acked: int = 0
    due_until: float = NEVER
    asked_at: float | None = None
    watched: bool = False
    seen: int = 0
    progress_at: float = 0.0
    probe_at: float = 0.0
    probe_after: float = 0.0
    targeted: deque[int] = field(default_factory=deque)
    lost: list[tuple[int, int, int]] = field(default_factory=list)
    replay: ReplayRange | None = None

    @property
    def base(self) -> float:
        """Broadcasts with higher numbers are for it and not acknowledged."""
        return max(self.since, self.acked)

    def is_due(self, entry: Entry) -> bool:
        """Whether it is reported when the member does not get a message that is for it."""
        return entry.waiting is not None or (self.ours and entry.number <= self.due_until)

    def lose(self, first: int, last: int, count: int = 1) -> None:
        """Messages for it in a range are lost; ranges come in ascending order, mostly one behind the other."""
        if self.lost and (len(self.lost) >= _MAX_RANGES or first <= self.lost[-1][1] + 1):
            low, high, before = self.lost[-1]
            self.lost[-1] = (min(low, first), max(high, last), before + count)
        else:
            self.lost.append((first, last, count))

    def missed(self, above: int, up_to: int) -> int:
        """Return how many messages are lost in a range, at least."""
        if above >= up_to:
            return 0
        return sum(
            min(count, min(high, up_to) - above) for low, high, count in self.lost if low <= up_to and high > above
        )

    def forget_lost(self, up_to: int) -> None:
        """It has everything up to a number."""
        if self.lost and self.lost[0][0] <= up_to:
            self.lost = [each for each in self.lost if each[1] > up_to]
