"""Whether packets are kept back, because the server may be gone and not the signalling link alone.

When the link is lost, nobody knows whether the server died or only the link. What is handed to a media path that is
dead is lost if the session is not taken up again, so it pays to look before one sends. For a moment all is kept back:
on most networks the first attempt to dial tells within it whether anybody is there. If nobody is (refused, for one),
packets go on waiting until the media path has shown that it works, which a live one does within a round trip. Without
a word either way they go on, as long as the path is heard now and then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["BRAKE", "SILENT", "PathDoubt"]

BRAKE = 0.05
"""Seconds after the loss for which packets are kept back whatever is known."""
SILENT = 1.0
"""Seconds without a sign of life after which they are kept back too: longer than any round trip."""


@dataclass(slots=True)
class PathDoubt:
    """What is known of the media path while signalling is down."""

    _since: float | None = None
    _refused: bool = False
    _sign: Any = None
    _heard: float | None = None

    def lost(self, now: float) -> None:
        """The link is lost; a loss of a link that is not back yet changes nothing."""
        if self._since is None:
            self._since, self._refused, self._sign, self._heard = now, False, None, None

    def refused(self) -> None:
        """An attempt to dial got no link."""
        self._refused = self._since is not None

    def looked(self, sign: Any, now: float) -> None:
        """The path was looked at; `sign` grows when something is heard on it (`session.stats.sign_of_life`)."""
        if self._sign is not None and sign > self._sign:
            self._heard = now
        if self._sign is None or sign > self._sign:
            self._sign = sign

    def back(self) -> None:
        """The link is back, or the session is given up: nothing is in doubt."""
        self._since = None

    @property
    def doubted(self) -> bool:
        """Whether the link is lost."""
        return self._since is not None

    @property
    def refuted(self) -> bool:
        """Whether nobody was there when we dialled, and nothing has been heard since the loss."""
        return self._since is not None and self._refused and self._heard is None

    def holds(self, now: float) -> bool:
        """Whether packets are kept back now."""
        if self._since is None:
            return False
        if self._heard is None and (self._refused or now < self._since + BRAKE):
            return True
        return now - (self._since if self._heard is None else self._heard) > SILENT
