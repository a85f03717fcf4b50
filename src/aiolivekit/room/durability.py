"""How the durable messages of a room hang together with its participants and events."""

# ruff: noqa: SLF001 - the classes of this package belong together

from __future__ import annotations

from typing import TYPE_CHECKING

from ..data.durable import Durable, DurableEvents
from ..options import DurableOptions
from ..session.events import DataReceived
from . import events
from .absences import PURPOSELY

if TYPE_CHECKING:
    from .visit import Visit

__all__ = ["durable_messages", "tell_presence"]


def durable_messages(visit: Visit, options: DurableOptions) -> Durable[DataReceived]:
    """Return what sends and receives the durable messages of a visit."""
    members = visit.members

    def deliver(event: DataReceived) -> None:
        # From here on it is a packet like others.
        event.id = ""
        visit._data_received(event)

    def undelivered(count: int, reason: str) -> None:
        visit.announce(events.DataUndelivered(count, reason))

    def missed(identity: str, count: int) -> None:
        participant = members.sender(identity, "")
        if participant is not None:
            visit.announce(events.DataMissed(participant, count))

    return Durable(
        visit.engine,
        members.local.identity,
        options,
        DurableEvents(deliver, undelivered, missed),
        present=lambda: list(members.remote),
        may_answer=lambda: members.local._info.permission.can_publish_data,
    )


def tell_presence(durable: Durable[DataReceived], event: events.RoomEvent) -> None:
    """Tell who is here from an event of a participant."""
    match event:
        case events.ParticipantConnected(participant):
            durable.joined(participant.identity)
        case events.ParticipantActive(participant):
            durable.active(participant.identity)
        case events.ParticipantDisconnected(participant):
            durable.left(participant.identity, purposely=participant.disconnect_reason in PURPOSELY)
