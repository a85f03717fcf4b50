"""Names in the official SDK's modules that it does not offer, but that programs reach for.

Why they are here: livekit-agents makes its mock of a room from `rtc.room.proto_room.RoomInfo`; tests of others read a
helper here and there. They are found when they are asked for, so that nobody else pays for loading messages.
"""

from __future__ import annotations

import importlib
from typing import Any

from ..enums import ConnectionQuality

__all__ = ["internal"]

# module of `rtc` -> name -> module of `rtc._proto`
_MESSAGES = {
    "room": {
        "proto_ffi": "ffi_pb2",
        "proto_participant": "participant_pb2",
        "proto_room": "room_pb2",
        "proto_stats": "stats_pb2",
    },
    "participant": {
        "proto_data_track": "data_track_pb2",
        "proto_ffi": "ffi_pb2",
        "proto_participant": "participant_pb2",
    },
    "track": {"proto_ffi": "ffi_pb2", "proto_stats": "stats_pb2", "proto_track": "track_pb2"},
    "e2ee": {"proto_e2ee": "e2ee_pb2", "proto_ffi": "ffi_pb2"},
}


def internal(module: str, name: str) -> Any:
    """Return what a name of a module of `rtc` stands for that the module does not have itself.

    Args:
        module: The module's `__name__`.
        name: What is asked for.

    Raises:
        AttributeError: If there is nothing of that name here either.
    """
    package, _, short = module.rpartition(".")
    messages = _MESSAGES.get(short, {}).get(name)
    if messages is not None:
        return importlib.import_module(f"{package}._proto.{messages}")
    if (short, name) == ("participant", "_connection_quality_from_proto"):
        return ConnectionQuality.of
    raise AttributeError(f"module {module!r} has no attribute {name!r}")
