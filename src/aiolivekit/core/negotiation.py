"""When the publisher sends an offer, and which answer belongs to which request.

The rules (LiveKit's `JoinResponse.fast_publish`): with fast publish an offer goes out at once, one at a time, and
requests made meanwhile are covered by one more offer after the answer. Without it, offers wait until requests have
been quiet for 150 ms, but never longer than a second.

Every request gets a ticket. An offer covers the tickets drawn before it was made, which may be a while after it was
decided on; a ticket is settled when the answer to an offer that covers it has been applied. So a caller can wait for
its own change and no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

__all__ = ["ANSWER_TIMEOUT", "DEBOUNCE", "MAX_DEBOUNCE", "MakeOffer", "Negotiation", "TimedOut"]

DEBOUNCE = 0.150
"""Seconds without a further request before an offer is made."""
MAX_DEBOUNCE = 1.0
"""Seconds after which an offer is made though requests keep coming."""
ANSWER_TIMEOUT = 10.0
"""Seconds the server has for its answer."""


@dataclass(frozen=True, slots=True)
class MakeOffer:
    """Make an offer and send it under this id."""

    offer_id: int
    ice_restart: bool


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The answer did not come in time; the negotiation is closed."""

    offer_id: int


Effect = MakeOffer | TimedOut


class _State(Enum):
    IDLE = auto()
    WAITING = auto()
    OFFERED = auto()
    SUSPENDED = auto()
    CLOSED = auto()


@dataclass(slots=True)
class Negotiation:
    """The publisher's side of offer and answer.

    Feed it requests, answers and the time; do what it returns; wake it at `deadline`.
    """

    fast: bool
    state: _State = _State.IDLE
    deadline: float | None = None
    offer_id: int = 0
    settled: int = 0
    _ticket: int = 0
    _covered: int = 0
    _first_request: float = 0.0
    _ice_restart: bool = field(default=False)

    def request(self, now: float, *, ice_restart: bool = False) -> tuple[int, list[Effect]]:
        """Ask for an offer; return the ticket to wait for, and what to do."""
        self._ticket += 1
        self._ice_restart |= ice_restart
        effects: list[Effect] = []
        if self.state is _State.IDLE:
            self._first_request = now
            self.state = _State.WAITING
        if self.state is _State.WAITING:
            if self.fast or self._ice_restart:
                effects.append(self._make_offer(now))
            else:
                self.deadline = min(now + DEBOUNCE, self._first_request + MAX_DEBOUNCE)
        return self._ticket, effects

    def making(self, offer_id: int) -> None:
        """Note that an offer is made only now: it covers what has been asked for since, but for an ICE restart."""
        if self.state is _State.OFFERED and offer_id == self.offer_id and not self._ice_restart:
            self._covered = self._ticket

    def poll(self, now: float) -> list[Effect]:
        """Look at the clock; return what to do."""
        if self.deadline is None or now < self.deadline:
            return []
        if self.state is _State.WAITING:
            return [self._make_offer(now)]
        offer_id = self.offer_id
        self.close()
        return [TimedOut(offer_id)]

    def accepts(self, answer_id: int) -> bool:
        """Whether an answer belongs to the offer that is out; servers before offer ids answer with 0."""
        return self.state is _State.OFFERED and answer_id in (0, self.offer_id)

    def answered(self, now: float) -> list[Effect]:
        """Note that the answer to the offer that is out has been applied; return what to do."""
        if self.state is not _State.OFFERED:
            return []
        self.settled = self._covered
        self.deadline = None
        self.state = _State.IDLE
        if self._covered < self._ticket:
            self._first_request = now
            self.state = _State.WAITING
            if self.fast or self._ice_restart:
                return [self._make_offer(now)]
            self.deadline = now + DEBOUNCE
        return []

    def adopt(self, now: float) -> int:
        """Note an offer that went out on another way (inside the join request); return its ticket."""
        self._ticket += 1
        self._make_offer(now)
        return self._ticket

    def suspend(self) -> None:
        """Make no offers until `resume`: the link is lost. What the offer that is out covers will be asked again."""
        if self.state is not _State.CLOSED:
            self._covered = self.settled
            self.state = _State.SUSPENDED
            self.deadline = None

    def resume(self, now: float, *, ice_restart: bool) -> tuple[int, list[Effect]]:
        """Go on after `suspend`; return the ticket that covers everything so far, and what to do."""
        if self.state is not _State.SUSPENDED:
            return self._ticket, []
        self._ice_restart |= ice_restart
        if ice_restart:
            self._ticket += 1
        if self._covered == self._ticket:
            self.state = _State.IDLE
            return self._ticket, []
        return self._ticket, [self._make_offer(now)]

    def close(self) -> None:
        """Make no more offers; unsettled tickets will not be settled."""
        self.state = _State.CLOSED
        self.deadline = None

    @property
    def closed(self) -> bool:
        """Whether it has been closed or has timed out."""
        return self.state is _State.CLOSED

    def _make_offer(self, now: float) -> MakeOffer:
        self.state = _State.OFFERED
        self.offer_id += 1
        self._covered = self._ticket
        self.deadline = now + ANSWER_TIMEOUT
        ice_restart, self._ice_restart = self._ice_restart, False
        return MakeOffer(self.offer_id, ice_restart)
