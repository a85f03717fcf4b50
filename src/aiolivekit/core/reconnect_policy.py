"""How long to wait before an attempt to reconnect, and when to give up."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Protocol

__all__ = ["BackoffPolicy", "ReconnectPolicy"]


class ReconnectPolicy(Protocol):
    """The delays of an episode; users may give their own.

    An episode begins with the loss of a connection and ends when the room is connected again or given up.
    """

    def delay(self, attempt: int, elapsed: float, rng: Random) -> float | None:
        """Return the seconds to wait before an attempt, or `None` to give up.

        Args:
            attempt: Which attempt of the episode this would be, from 1.
            elapsed: Seconds since the episode began.
            rng: Where chance comes from.
        """


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Full jitter: a random share of a bound that doubles with each attempt up to a cap.

    Given up is when both `attempts` have been made and `duration` has passed. With full jitter alone ten attempts
    may be over within a few seconds; those after the tenth wait at least half the cap, so that their number stays
    bounded too.

    Args:
        attempts: Made at least, however long they take.
        duration: Seconds to go on trying at least.
        base: Seconds that bound the first delay.
        cap: Seconds that bound every delay.
    """

    attempts: int = 10
    duration: float = 45.0
    base: float = 0.3
    cap: float = 7.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.duration < 0 or self.base < 0 or self.cap <= 0:
            raise ValueError("a policy makes at least one attempt, and its times are not negative (the cap: positive)")

    def delay(self, attempt: int, elapsed: float, rng: Random) -> float | None:
        """See `ReconnectPolicy`."""
        if attempt > self.attempts:
            if elapsed >= self.duration:
                return None
            return rng.uniform(self.cap / 2, self.cap)
        # Past 2**32 the cap rules anyway, and floats stay finite.
        return rng.uniform(0.0, min(self.cap, self.base * 2.0 ** min(attempt - 1, 32)))
