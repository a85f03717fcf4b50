"""Public helpers for tests and first steps: tokens, and LiveKit servers on loopback, embedded and real.

The pytest plugin is `aiolivekit.testing.plugin`.

The names are imported when first used: `access_token` needs PyJWT (the extra `cli`), and
`python -m aiolivekit.testing.real_server` must not find its module imported already.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .embedded import EmbeddedServer
    from .fault_control import FaultControl, FaultHandle
    from .real_server import RealServer, ServerStartError
    from .server_binary import ServerUnavailableError, find_server
    from .snapshots import ParticipantSnapshot, RoomSnapshot, TrackSnapshot
    from .tokens import access_token

__all__ = [
    "EmbeddedServer",
    "FaultControl",
    "FaultHandle",
    "ParticipantSnapshot",
    "RealServer",
    "RoomSnapshot",
    "ServerStartError",
    "ServerUnavailableError",
    "TrackSnapshot",
    "access_token",
    "find_server",
]

_MODULES = {
    "EmbeddedServer": "embedded",
    "FaultControl": "fault_control",
    "FaultHandle": "fault_control",
    "ParticipantSnapshot": "snapshots",
    "RoomSnapshot": "snapshots",
    "TrackSnapshot": "snapshots",
    "RealServer": "real_server",
    "ServerStartError": "real_server",
    "ServerUnavailableError": "server_binary",
    "access_token": "tokens",
    "find_server": "server_binary",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
