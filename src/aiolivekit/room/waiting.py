"""Those who wait for something of a room, and are told when it will not come any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from ..errors import ClosedError

if TYPE_CHECKING:
    from .participant import RemoteParticipant
    from .room import Room

__all__ = ["Waiters", "wait_for_participant"]

T = TypeVar("T")


class Waiters(Generic[T]):
    """Those who wait for one kind of thing."""

    def __init__(self) -> None:
        self._futures: set[asyncio.Future[T]] = set()

    def __len__(self) -> int:
        return len(self._futures)

    @contextmanager
    def one(self) -> Iterator[asyncio.Future[T]]:
        """Be one of them for a while, and await what is given."""
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._futures.add(waiter)
        try:
            yield waiter
        finally:
            self._futures.discard(waiter)

    def tell(self, value: T) -> None:
        """It is there."""
        for waiter in self._futures:
            if not waiter.done():
                waiter.set_result(value)

    def fail(self, why: str) -> None:
        """It will not come any more; those who wait get a `ClosedError`."""
        for waiter in self._futures:
            if not waiter.done():
                waiter.set_exception(ClosedError(why))


async def wait_for_participant(
    room: Room, waiters: Waiters[RemoteParticipant], identity: str | None, timeout: float | None
) -> RemoteParticipant:
    """Return a remote participant, waiting for it if it is not here yet (see `Room.wait_for_participant`).

    Raises:
        TimeoutError: If nobody came in time.
        ClosedError: If the room is disconnected meanwhile.
    """
    with waiters.one() as waiter:

        def consider(participant: RemoteParticipant) -> None:
            if identity in (None, participant.identity) and not waiter.done():
                waiter.set_result(participant)

        def look_around() -> None:
            for participant in room.remote_participants.values():
                consider(participant)

        room.on("participant_connected", consider)
        room.on("connected", look_around)
        try:
            if room.isconnected():
                look_around()
            async with asyncio.timeout(timeout):
                return await waiter
        finally:
            room.off("participant_connected", consider)
            room.off("connected", look_around)
