"""When to ping the server, when to give the link up, and how long a round trip takes.

Any message from the server counts as life. The numbers are the server's (`JoinResponse.ping_interval` and
`ping_timeout`), bent where they could not work: a link that is pinged less often than it must show life would be
given up while idle, and proxies on the way drop what is quiet for a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

__all__ = ["Due", "Keepalive"]

_MAX_INTERVAL = 30.0
_MAX_TIMEOUT = 300.0
_OVERSLEPT = 1.0
"""Seconds past its deadline after which a wake-up says more about this process than about the server."""
_DOUBT = 3.0
_DOUBT_ROUND_TRIPS = 4
"""Seconds, and round trips, the server has to answer when there is reason to doubt that it can be reached."""
_PINGS_REMEMBERED = 8


class Due(Enum):
    """What is to be done now."""

    NOTHING = auto()
    PING = auto()
    GIVE_UP = auto()


@dataclass(slots=True)
class Keepalive:
    """The state of one link. Tell it what is heard, wake it at `deadline`, do what `wake` returns.

    Args:
        interval: Seconds between pings as the server wants it; 0 if it does not say.
        timeout: Seconds of silence after which the link is lost; 0 if the server does not say: then it never is.
        now: Seconds on a monotonic clock; all other times are on the same one.
    """

    interval: float
    timeout: float
    now: float
    rtt: float | None = None
    """Seconds the last answered ping took, there and back."""
    _heard: float = field(init=False)
    _next_ping: float = field(init=False)
    _doubt_ends: float | None = field(init=False, default=None)
    _sent: dict[int, float] = field(init=False, default_factory=dict)
    _last_stamp: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.timeout = min(max(self.timeout, 0.0), _MAX_TIMEOUT)
        interval = self.interval if self.interval > 0 else self.timeout / 3
        if self.timeout:
            interval = min(interval, self.timeout / 2)
        self.interval = min(interval, _MAX_INTERVAL)
        self._heard = self.now
        self._next_ping = self.now + self.interval

    @property
    def deadline(self) -> float | None:
        """When to call `wake` next; `None` when the server wants neither pings nor a timeout."""
        if not self.interval:
            return None
        deadline = min(self._next_ping, self._heard + self.timeout) if self.timeout else self._next_ping
        return deadline if self._doubt_ends is None else min(deadline, self._doubt_ends)

    @property
    def patience(self) -> float:
        """Seconds the server has to answer once there is doubt."""
        return max(_DOUBT, _DOUBT_ROUND_TRIPS * (self.rtt or 0.0))

    @property
    def doubted(self) -> bool:
        """Whether there is doubt, and nothing was heard since."""
        return self._doubt_ends is not None

    def doubt(self, now: float) -> None:
        """Something else says that the server may be out of reach: it is asked at once, and has to answer soon.

        Without it, a network that is gone would be noticed at the end of `timeout`. Where the server wants no timeout
        its silence means nothing.
        """
        if self.timeout and self._doubt_ends is None:
            self._next_ping = now
            self._doubt_ends = now + self.patience

    def heard(self, now: float) -> None:
        """A message came from the server."""
        self._heard = now
        self._doubt_ends = None

    def wake(self, now: float) -> Due:
        """Say what is due; a `PING` is to be sent at once, and the next one becomes due an interval later."""
        if not self.interval:
            return Due.NOTHING
        if self._doubt_ends is not None and now >= self._doubt_ends:
            if now < self._doubt_ends + _OVERSLEPT:
                return Due.GIVE_UP
            # As below: ask again.
            self._doubt_ends = now + self.patience
            self._heard = max(self._heard, now - self.timeout + self.patience)
            self._next_ping = now
        gives_up_at = self._heard + self.timeout
        if self.timeout and now >= gives_up_at:
            if now < max(gives_up_at, self._next_ping) + _OVERSLEPT:
                return Due.GIVE_UP
            # The program was suspended or blocked its event loop. What the server said meanwhile may still wait to
            # be read, so its silence proves nothing yet: ask, and allow one interval for an answer.
            self._heard = now - self.timeout + self.interval
            self._next_ping = now
        if now >= self._next_ping:
            self._next_ping = now + self.interval
            return Due.PING
        return Due.NOTHING

    def ping(self, now: float, wall_clock: float) -> tuple[int, int]:
        """Make the two numbers of a `Ping`: a timestamp in ms since 1970, unlike any before, and the RTT in ms."""
        stamp = max(int(wall_clock * 1000), self._last_stamp + 1)
        self._last_stamp = stamp
        self._sent[stamp] = now
        if len(self._sent) > _PINGS_REMEMBERED:
            del self._sent[next(iter(self._sent))]
        return stamp, round((self.rtt or 0.0) * 1000)

    def pong(self, stamp: int, now: float) -> bool:
        """Take an answer; returns whether it belongs to a ping of ours."""
        sent = self._sent.pop(stamp, None)
        if sent is None:
            return False
        self.rtt = now - sent
        return True
