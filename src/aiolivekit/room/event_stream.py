"""The events of a room as an async iterator."""

from __future__ import annotations

import asyncio
from collections import deque

from .events import EventsDropped, RoomEvent

__all__ = ["EventStream"]


class EventStream:
    """What happens in a room from now on, as an async iterator of typed events; made by `Room.events`.

    It holds a bounded number of events for a reader that falls behind. When it is full the oldest one is dropped, and
    the reader gets an `EventsDropped` with their number before what is left. It ends after `Disconnected`.

    Args:
        limit: How many events it holds.
    """

    def __init__(self, limit: int) -> None:
        self._limit = max(1, limit)
        self._events: deque[RoomEvent] = deque()
        self._dropped = 0
        self._ended = False
        self._arrived = asyncio.Event()

    def push(self, event: RoomEvent) -> None:
        """Take an event (for the room)."""
        if self._ended:
            return
        if len(self._events) >= self._limit:
            self._events.popleft()
            self._dropped += 1
        self._events.append(event)
        self._arrived.set()

    def end(self) -> None:
        """End the iteration after the events that are held."""
        self._ended = True
        self._arrived.set()

    async def aclose(self) -> None:
        """End the iteration now; what is held is forgotten."""
        self._events.clear()
        self._dropped = 0
        self.end()

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> RoomEvent | EventsDropped:
        while True:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                return EventsDropped(dropped)
            if self._events:
                return self._events.popleft()
            if self._ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
