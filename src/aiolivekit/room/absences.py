"""Tells the sender what was sent to people while they were out of the room."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

from ..core.absences import Absences
from ..enums import DisconnectReason
from . import events

if TYPE_CHECKING:
    from .visit import Visit

__all__ = ["PURPOSELY", "RoomAbsences", "tell_absence"]

PURPOSELY = frozenset(
    {
        DisconnectReason.CLIENT_INITIATED,
        DisconnectReason.PARTICIPANT_REMOVED,
        DisconnectReason.ROOM_DELETED,
        DisconnectReason.ROOM_CLOSED,
    }
)
"""Reasons for which somebody leaves who is not on the way back."""

_DEAD_FOR = 20.0
"""Seconds for which a server may take somebody's dead media path for a live one."""


class RoomAbsences:
    """The absences of a visit.

    Args:
        visit: Whose participants come and go, and whose room is told.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._engine = visit.engine
        self._absences = Absences(visit.engine.sent)
        self._timer: asyncio.TimerHandle | None = None

    def left(self, identity: str, sid: str, *, purposely: bool) -> None:
        """Somebody left, or is not here since we join anew."""
        now = time.monotonic()
        heard = self._engine.last_heard(sid)
        received = now - _DEAD_FOR
        if heard is not None:
            received = max(received, self._engine.sent.arrived_before(heard))
        self._absences.left(identity, sid, received, now, purposely=purposely)
        self._arm()

    def joined(self, identity: str, sid: str) -> None:
        """Somebody is here."""
        self._absences.joined(identity, sid)

    def active(self, identity: str) -> None:
        """Somebody can receive."""
        self._absences.active(identity, time.monotonic())
        self._arm()

    def close(self) -> None:
        """Nobody is expected any more: tell what is known."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell(math.inf)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (moment := self._absences.next) is not None:
            pause = max(0.0, moment - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(pause, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._tell(time.monotonic())
        self._arm()

    def _tell(self, now: float) -> None:
        for lost in self._absences.expire(now):
            words = "was out of the room" if lost.came_back else "was lost to the room"
            self._visit.announce(events.DataUndelivered(lost.count, f"{lost.identity} {words}"))


def tell_absence(absences: RoomAbsences, event: events.RoomEvent) -> None:
    """Tell who comes and goes from an event of a participant."""
    match event:
        case events.ParticipantConnected(participant):
            absences.joined(participant.identity, participant.sid)
        case events.ParticipantActive(participant):
            absences.active(participant.identity)
        case events.ParticipantDisconnected(participant):
            purposely = participant.disconnect_reason in PURPOSELY
            absences.left(participant.identity, participant.sid, purposely=purposely)
