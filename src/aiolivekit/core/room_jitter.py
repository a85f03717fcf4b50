"""Chance for the delays between attempts, the same for all who are in a room.

What is sent to somebody who is not back yet is lost, so those who were in a room together and lose it together (the
server dies) had better come back together. Jitter is there to keep a server's clients from coming back all at once: it
is enough that rooms come at different times, as long as they are small. In a large one everybody has a part of their
own.
"""

from __future__ import annotations

from random import Random

__all__ = ["RoomJitter"]

_LARGE = 50
"""People in a room from which on nothing is shared."""


class RoomJitter(Random):
    """A `Random` that draws what the others of the room draw too.

    Args:
        own: Where the part that is not shared comes from.
    """

    def __init__(self, own: Random | None = None) -> None:
        self._own = own or Random()  # noqa: S311 - jitter, no secret
        self._shared = Random(self._own.random())  # noqa: S311
        self._share = 1.0
        super().__init__()

    def regard(self, room: str, people: int) -> None:
        """Take note which room it is, and how many people are in it; the next draws are those of all of them.

        Args:
            room: Its sid.
            people: How many, ourselves included.
        """
        self._shared.seed(room)
        self._share = min(1.0, (people - 1) / _LARGE)

    def random(self) -> float:
        """Return a number from 0 up to, but without, 1."""
        return (1.0 - self._share) * self._shared.random() + self._share * self._own.random()
