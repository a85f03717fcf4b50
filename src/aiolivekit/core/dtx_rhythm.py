"""When Opus sends in silence. Pure.

With DTX (RFC 6716, section 2.1.9) an encoder that hears nothing sends two frames of 20 ms and then leaves out twenty
less one, over and over. Which frames those are depends on what it has taken for speech before, which nobody tells us;
but libwebrtc counts the packets, so a few looks at that count, at moments chosen well, leave one possibility.
"""

from __future__ import annotations

__all__ = ["CONFIRMED", "CYCLE", "DtxRhythm", "until_sent"]

CYCLE = 42
"""Periods of 10 ms from one refresh to the next: two frames that are sent, and nineteen that are not."""

_SECOND = 2
"""Periods after the first frame of a pair at which the second is complete; it says that nothing follows."""

CONFIRMED = 2
"""Looks between the two packets of a pair that must have found the first and not the second.

One count that lags behind its turn, as on a busy machine, can leave a wrong possibility; it does not pass this.
"""

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
        self._last: tuple[int, int] | None = None
        self.confirmed = 0
        """How often the one possibility that is left has stood the test since."""

    def observe(self, periods: int, packets: int) -> None:
        """So many periods of the silence had been played when so many packets had been sent."""
        last, self._last = self._last, (periods, packets)
        if last is None:
            return
        since, before = last
        likely = self._likely
        sent = packets - before
        self._possible = [each for each in self._possible if _expected(each, since, periods) == sent]
        if likely is not None and _is_between(likely, periods) and not _is_between(likely, since):
            self.confirmed += 1

    @property
    def failed(self) -> bool:
        """Whether it is no rhythm of DTX: packets were sent or lost otherwise."""
        return not self._possible

    @property
    def phase(self) -> int | None:
        """The period, modulo `CYCLE`, with which a refresh is sent; `None` while it is not known for certain.

        Looks that are an even number of periods apart leave two, of which this is the later: a frame that was complete
        a period before is late by that, as it is when silence is played two periods at a time.
        """
        return self._likely if self.confirmed >= CONFIRMED else None

    @property
    def _likely(self) -> int | None:
        possible = self._possible
        if len(possible) == 1:
            return possible[0]
        if len(possible) == 2 and (possible[0] + 1) % CYCLE == possible[1] % CYCLE:
            return possible[1]
        if possible == [0, CYCLE - 1]:
            return 0
        return None

    def next_look(self) -> int:
        """Return how many periods should have been played at the next look, so that it tells the most."""
        since = 0 if self._last is None else self._last[0]
        likely = self._likely
        if likely is not None:
            if _is_between(likely, since):
                return since + _SECOND
            ahead = (likely + 1 - since) % CYCLE
            return since + (ahead if ahead >= _EARLIEST else ahead + CYCLE)
        candidates = range(since + _EARLIEST, since + _LATEST, 2)
        return min(candidates, key=lambda periods: (self._most_left(since, periods), periods))

    def _most_left(self, since: int, periods: int) -> int:
        left: dict[int, int] = {}
        for each in self._possible:
            sent = _expected(each, since, periods)
            left[sent] = left.get(sent, 0) + 1
        return max(left.values(), default=0)


def _is_between(phase: int, periods: int) -> bool:
    """Whether, with so many periods played, the first of a pair has been sent and the second has not."""
    return 0 <= (periods - phase - 1) % CYCLE < _SECOND


def _expected(phase: int, since: int, periods: int) -> int:
    """How many packets leave with the periods from `since` to before `periods`."""
    return sum(_passed(offset, since, periods) for offset in (phase, phase + _SECOND))


def _passed(offset: int, since: int, periods: int) -> int:
    return (periods - offset + CYCLE - 1) // CYCLE - (since - offset + CYCLE - 1) // CYCLE
