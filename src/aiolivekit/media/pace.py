"""How much audio may be played when: in real time, without delaying what comes in real time by itself. Pure."""

from __future__ import annotations

__all__ = ["GAP_PERIODS", "LEAD_PERIODS", "Pace"]

GAP_PERIODS = 2
"""Periods of 10 ms that audio may be late before silence is played.

A frame that comes a little late is no hole yet: the receiver's jitter buffer spans it, whereas silence put in its place
would be heard, and would delay everything after it.
"""

LEAD_PERIODS = 3
"""Periods that may be played before they are due.

Whoever captures in real time is then played at once, however his steps and the clock's lie to each other; waiting for
the clock cost him 5 ms on average, and 10 more for ever after the first step that came late.
"""

_SILENCE_AT_ONCE = 2


class Pace:
    """Compares what was played with the time that has passed."""

    __slots__ = ("lead", "silent")

    def __init__(self) -> None:
        self.lead = 0
        """Periods played so far that are not over yet; below zero, those that are late."""
        self.silent = True
        """Whether nothing is captured for the time being: what is missing is silence, and nobody is late."""

    @property
    def may_lead(self) -> bool:
        """Whether a period may be played now, whatever the clock says."""
        return self.lead < LEAD_PERIODS

    def captured(self) -> None:
        """There is something to play."""
        if self.silent:
            self.silent = False
            self.lead = 0

    def played(self) -> None:
        """A period was played at once."""
        self.lead += 1

    def passed(self, periods: int, played: int, at_once: int = _SILENCE_AT_ONCE) -> int:
        """So many periods have passed, and so many were played for them; return how many of silence are missing.

        Args:
            periods: Those that have passed.
            played: Those that were played.
            at_once: Periods of silence played in one step at most: what was missed while the clock was late is not made
                up for.
        """
        self.lead += played - periods
        if not self.silent:
            if played or self.lead >= -GAP_PERIODS:
                return 0
            self.silent = True
        self.lead = 0
        return min(periods, at_once)
