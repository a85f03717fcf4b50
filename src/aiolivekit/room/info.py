"""What the server says of a room."""

from __future__ import annotations

import datetime as dt
from typing import Any

from livekit.protocol import models

from .moment import moment

__all__ = ["RoomInfo"]


class RoomInfo:
    """The part of `Room` that the server tells from time to time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._info = models.Room()

    @property
    def name(self) -> str:
        """The name of the room."""
        return self._info.name

    @property
    def metadata(self) -> str:
        """What the application stores with it."""
        return self._info.metadata

    @property
    def num_participants(self) -> int:
        """How many participants there are, as the server told last; it does so from time to time."""
        return self._info.num_participants

    @property
    def num_publishers(self) -> int:
        """How many of them publish tracks, as the server told last."""
        return self._info.num_publishers

    @property
    def creation_time(self) -> dt.datetime:
        """When the room was made."""
        return moment(self._info.creation_time_ms or self._info.creation_time * 1000)

    @property
    def is_recording(self) -> bool:
        """Whether the room is being recorded."""
        return self._info.active_recording

    @property
    def departure_timeout(self) -> float:
        """Seconds for which the room stays open after the last participant left."""
        return float(self._info.departure_timeout)

    @property
    def empty_timeout(self) -> float:
        """Seconds for which the room stays open if nobody joins."""
        return float(self._info.empty_timeout)
