"""The room."""

from __future__ import annotations

from typing import Any

from ..compat.internals import internal
from ..errors import ConnectError
from ..options import DataStreamOptions, RoomOptions, RtcConfiguration
from ..room.event_names import EventTypes
from ..room.packets import DataPacket, SipDTMF
from ..room.room import Room
from ..room.stats import RtcStats

__all__ = [
    "ConnectError",
    "DataPacket",
    "DataStreamOptions",
    "EventTypes",
    "Room",
    "RoomOptions",
    "RtcConfiguration",
    "RtcStats",
    "SipDTMF",
]


def __getattr__(name: str) -> Any:
    return internal(__name__, name)
