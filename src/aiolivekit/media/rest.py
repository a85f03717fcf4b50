"""How often a source must be played that nobody speaks into. Pure."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..core.dtx_rhythm import until_sent

__all__ = ["SETTLED_PERIODS", "UNWATCHED", "Rest", "RestWatch", "Resting"]

SETTLED_PERIODS = 100
"""Periods of silence after which Opus sends in its rhythm, whatever was before (see `core.dtx_rhythm`)."""

_USUAL_STRIDE = 2
"""Periods played in one turn of silence: half the turns, and Opus takes 20 ms anyway."""


class RestWatch(Protocol):
    """One who sends what a source plays, and can tell when packets leave."""

    dtx: bool
    """Whether silence is left out by Opus."""

    def silence_settled(self) -> None:
        """The source is silent and has been for a while; on the media thread, must not wait."""


class _Unwatched:
    dtx = False

    def silence_settled(self) -> None:
        pass


UNWATCHED: RestWatch = _Unwatched()
"""Sends it without telling when packets leave, such as what is only being published."""


class Resting(NamedTuple):
    """Where a silent source stands."""

    silence: int
    """Which of its silences it is."""
    periods: int
    """Periods of it that were played."""
    played_at: float
    """When the last of them was played (`time.monotonic`)."""


class Rest:
    """Counts the periods of a silence, and spares turns in which Opus would send nothing.

    The frames of a turn that is spared are played with the next, so what is encoded, and when its packets leave, is the
    same. Nobody else may listen to the source: it would hear its silence in lumps.
    """

    __slots__ = ("_phase", "_silence", "_watches", "overheard", "periods", "played_at", "stride")

    def __init__(self) -> None:
        self._silence = 0
        self._phase: int | None = None
        self._watches: tuple[RestWatch, ...] = ()
        self.periods = 0
        self.played_at = 0.0
        self.stride = _USUAL_STRIDE
        """Periods from the last turn to the next."""
        self.overheard = False
        """Whether somebody reads the source here, too, or has."""

    @property
    def is_sparse(self) -> bool:
        """Whether turns are spared."""
        return self.stride > _USUAL_STRIDE

    def join(self, watch: RestWatch) -> None:
        """Somebody sends the source."""
        self._watches = (*self._watches, watch)
        self.begin()

    def leave(self, watch: RestWatch) -> None:
        """Somebody sends it no more."""
        watches = list(self._watches)
        if watch in watches:
            watches.remove(watch)
            self._watches = tuple(watches)
            self.begin()

    def begin(self) -> None:
        """Another silence begins, or the same in other circumstances; what is owed of the last is played first."""
        self._silence += 1
        self._phase = None
        self.periods = 0

    def end(self) -> None:
        """Nothing is owed any more."""
        self.stride = _USUAL_STRIDE

    def follow(self, silence: int, phase: int | None) -> None:
        """Play only when something is sent, as long as this silence lasts; with `None`, as usual again."""
        if silence == self._silence and not self.overheard:
            self._phase = phase

    def played(self, periods: int, now: float) -> int:
        """So many periods were played; return after how many more the next turn is to be."""
        before = self.periods
        self.periods += periods
        self.played_at = now
        self.stride = _USUAL_STRIDE if self._phase is None else until_sent(self._phase, self.periods)
        if before < SETTLED_PERIODS <= self.periods and len(self._watches) == 1 and not self.overheard:
            watch = self._watches[0]
            if watch.dtx:
                watch.silence_settled()
        return self.stride

    def standing(self) -> Resting | None:
        """Return where it stands, or `None` while it has not been silent for long."""
        if self.periods < SETTLED_PERIODS:
            return None
        return Resting(self._silence, self.periods, self.played_at)
