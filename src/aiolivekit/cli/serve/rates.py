"""How much flows: the difference of two overviews over the time between them."""

from __future__ import annotations

from dataclasses import dataclass, field

from .overview import Overview

__all__ = ["Rate", "Rates", "rates_between"]


@dataclass(frozen=True, slots=True)
class Rate:
    """What a track sends.

    Attributes:
        packets: Packets a second.
        kbit: Kilobits a second; `None` where bytes are not counted.
    """

    packets: float
    kbit: float | None


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates by sid; what has no counter, or has only just appeared, is missing.

    Attributes:
        tracks: Of each track.
        messages: Data messages a second, of each participant.
    """

    tracks: dict[str, Rate] = field(default_factory=dict)
    messages: dict[str, float] = field(default_factory=dict)


def rates_between(before: Overview, after: Overview, seconds: float) -> Rates:
    """Return what flowed between two overviews that are so many seconds apart."""
    if seconds <= 0:
        return Rates()
    rates = Rates()
    earlier = {person.sid: person for room in before.rooms for person in room.participants}
    counted = {track.sid: track.counts for person in earlier.values() for track in person.tracks}
    for room in after.rooms:
        for person in room.participants:
            was = earlier.get(person.sid)
            if was is not None and was.data_packets is not None and person.data_packets is not None:
                rates.messages[person.sid] = max(0, person.data_packets - was.data_packets) / seconds
            for track in person.tracks:
                old, new = counted.get(track.sid), track.counts
                if old is None or new is None:
                    continue
                kbit = None
                if old.octets is not None and new.octets is not None:
                    kbit = max(0, new.octets - old.octets) * 8 / 1000 / seconds
                rates.tracks[track.sid] = Rate(max(0, new.packets - old.packets) / seconds, kbit)
    return rates
