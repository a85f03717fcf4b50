"""When Opus sends in silence. Pure.

With DTX (RFC 6716, section 2.1.9) an encoder that hears nothing sends two frames of 20 ms and then leaves out twenty
less one, over and over. Which frames those are depends on what it has taken for speech before, which nobody tells us;
but libwebrtc counts the packets, so a few looks at that count, at moments chosen well, leave one possibility.
"""

from __future__ import annotations

__all__ = ["CYCLE", "DtxRhythm", "until_sent"]

CYCLE = 42
"""Periods of 10 ms from one refresh to the next: one frame that is sent, and twenty that are taken for silence."""

_SECOND = 2
"""Periods after the first frame of a pair at which the second is complete; it says that nothing follows."""

_WATCHED = 3 * CYCLE
"""Periods that must have been watched: one possibility is left as well when two looks contradict all others."""

_EARLIEST, _LATEST = 6, CYCLE + 6
"""How many periods lie between two looks; libwebrtc counts anew after 50 ms."""


def until_sent(phase: int, periods: int) -> int:
    """Return how many more periods are to be played until one of the pair is sent.

    Args:
        phase: See `DtxRhythm.phase`.
        periods: Periods of silence that were played.
    """
    first = (phase + 1 - periods) % CYCLE or CYCLE
    second = (phase + 1 + _SECOND - periods) % CYCLE or CYCLE
    return min(first, second)


class DtxRhythm:
    """Finds the rhythm of one silence.

    Periods are counted from any one on, and are 10 ms; a frame of 20 ms is sent with the second of its two.
    """

    def __init__(self) -> None:
        self._possible = list(range(CYCLE))
        self._first: int | None = None
        self._last = (0, 0)

    def observe(self, periods: int, packets: int) -> None:
        """So many periods of the silence had been played when so many packets had been sent."""
        if self._first is None:
            self._first = periods
        else:
            since, before = self._last
            sent = packets - before
            self._possible = [each for each in self._possible if _expected(each, since, periods) == sent]
        self._last = (periods, packets)

    @property
    def failed(self) -> bool:
        """Whether it is no rhythm of DTX: packets were sent or lost otherwise."""
        return not self._possible

    @property
    def phase(self) -> int | None:
        """The period, modulo `CYCLE`, with which a refresh is sent; `None` while it is not known.

        Looks that are an even number of periods apart leave two, of which this is the later: a frame that was complete
        a period before is late by that, as it is when silence is played two periods at a time.
        """
        possible = self._possible
        if self._first is None or not possible or self._last[0] - self._first < _WATCHED:
            return None
        if len(possible) == 1:
            return possible[0]
        if len(possible) == 2 and (possible[0] + 1) % CYCLE == possible[1] % CYCLE:
            return possible[1]
        if possible == [0, CYCLE - 1]:
            return 0
        return None

    def next_look(self) -> int:
        """Return how many periods should have been played at the next look, so that it leaves the fewest."""
        since = self._last[0]
        if len(self._possible) <= 2:
            return since + _LATEST  # what is left is only to be confirmed
        candidates = range(since + _EARLIEST, since + _LATEST, 2)
        return min(candidates, key=lambda periods: (self._most_left(since, periods), periods))

    def _most_left(self, since: int, periods: int) -> int:
        left: dict[int, int] = {}
        for each in self._possible:
            sent = _expected(each, since, periods)
            left[sent] = left.get(sent, 0) + 1
        return max(left.values(), default=0)


def _expected(phase: int, since: int, periods: int) -> int:
    """How many packets leave with the periods from `since` to before `periods`."""
    return sum(_passed(offset, since, periods) for offset in (phase, phase + _SECOND))


def _passed(offset: int, since: int, periods: int) -> int:
    return (periods - offset + CYCLE - 1) // CYCLE - (since - offset + CYCLE - 1) // CYCLE
