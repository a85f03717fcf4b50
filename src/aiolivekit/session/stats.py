"""What stats can tell of the way to the server: whether it is there, and what must have arrived on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SessionStats", "sign_of_life", "surely_arrived_before"]

_MAX_SILENCE = 30.0
"""Seconds of silence assumed of a path of which nothing is known."""
_ACKNOWLEDGED_WITHIN = 0.5
"""Seconds: SCTP acknowledges within 0.2 s (RFC 9260, section 6.2), and the way there and back takes its time too."""


@dataclass(slots=True)
class SessionStats:
    """W3C stats of both peer connections; with a single one `subscriber` is empty."""

    publisher: list[dict[str, Any]] = field(default_factory=list)
    subscriber: list[dict[str, Any]] = field(default_factory=list)


def surely_arrived_before(stats: SessionStats) -> float:
    """Return before when (`time.monotonic`) a packet must have been handed over to have arrived for certain.

    The server acknowledges what it gets. So it has what was handed over a while before we last heard from it, unless
    the network loses packets for as long.
    """
    # With two peer connections, too, our packets go over the publisher.
    return time.monotonic() - _silence(stats.publisher) - _ACKNOWLEDGED_WITHIN


def sign_of_life(stats: Sequence[dict[str, Any]]) -> tuple[float, int]:
    """Return what grows as long as the server is heard on a peer connection.

    Returns:
        When the last packet came (by the clock of the stats), and how many connectivity checks were answered.
    """
    pairs = [each for each in stats if each.get("type") == "candidate-pair"]
    last = max((each.get("lastPacketReceivedTimestamp", 0.0) for each in pairs), default=0.0)
    return last, sum(each.get("responsesReceived", 0) for each in pairs)


def _silence(stats: Sequence[dict[str, Any]]) -> float:
    """Return for how many seconds nothing has come from the server on one peer connection."""
    pairs = [each for each in stats if each.get("type") == "candidate-pair" and "lastPacketReceivedTimestamp" in each]
    ages = [(pair["timestamp"] - pair["lastPacketReceivedTimestamp"]) / 1000 for pair in pairs]
    return max(0.0, min(ages, default=_MAX_SILENCE))
