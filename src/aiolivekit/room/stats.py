"""Stats of the connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["RtcStats"]


@dataclass
class RtcStats:
    """W3C stats of the peer connections; with a single one all of them are the publisher's."""

    publisher_stats: list[dict[str, Any]] = field(default_factory=list)
    subscriber_stats: list[dict[str, Any]] = field(default_factory=list)
