"""Looks at the media path while signalling is down, and keeps packets back that would go nowhere."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from .._tasks import TaskScope
from ..core.flight import SILENT, FlightTap
from ..core.path_doubt import PathDoubt
from .channels import SessionChannels
from .peers import SessionPeers

__all__ = ["PathWatch"]

_SETTLED = 0.01
"""Seconds until what had arrived before the loss has been read: it is no sign of life."""
_LOOK, _LOOK_LATER = 0.055, 0.25
"""Seconds between two looks, in the first seconds and later; libwebrtc makes new stats every 50 ms."""
_MANY_LOOKS = 40
_STATS_TIMEOUT = 0.5


class PathWatch:
    """Carries out what `core.path_doubt` decides, for one session.

    Args:
        peers: Whose publisher is looked at.
        channels: Which keep packets back.
        scope: Owns the task that looks.
        flight: Where it is written down.
    """

    def __init__(
        self, peers: SessionPeers, channels: SessionChannels, scope: TaskScope, flight: FlightTap = SILENT
    ) -> None:
        self._peers = peers
        self._channels = channels
        self._scope = scope
        self._flight = flight
        self._doubt = PathDoubt()
        self._looking: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def refuted(self) -> bool:
        """Whether nobody was there when we dialled, and nothing has been heard on the path either."""
        return self._doubt.refuted

    def begin(self) -> None:
        """Signalling is lost."""
        if not self._doubt.doubted and self._peers.publisher_stands:
            self._doubt.lost(self._loop.time())
            self._looking = self._scope.spawn("path watch", self._look())
            self._apply()

    def refused(self) -> None:
        """An attempt to dial failed."""
        self._doubt.refused()
        self._apply()

    def end(self) -> None:
        """Signalling is back, or the session is over."""
        self._doubt.back()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self._apply()

    def _apply(self) -> None:
        held = self._doubt.holds(self._loop.time())
        if held is not self._channels.held("doubt"):
            self._flight.note("peers", "packets kept back" if held else "packets go on")
            if held:
                self._channels.hold("doubt")
            else:
                self._channels.release("doubt")

    async def _look(self) -> None:
        await asyncio.sleep(_SETTLED)
        looks = 0
        while self._doubt.doubted:
            with suppress(TimeoutError):
                async with asyncio.timeout(_STATS_TIMEOUT):
                    sign = await self._peers.publisher_sign()
                    self._doubt.looked(sign, self._loop.time())
            self._apply()
            # On a path that works SCTP acknowledges within a round trip.
            self._channels.probe()
            await asyncio.sleep(_LOOK if looks < _MANY_LOOKS else _LOOK_LATER)
            looks += 1
