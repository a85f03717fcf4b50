"""Public helpers for tests and first steps: tokens, and LiveKit servers on loopback, embedded and real.

The pytest plugin is `aiolivekit.testing.plugin`; docs/testing.md shows how to use it.

The names are imported when first used: the embedded server needs the extra `testing`, pytest loads this package at
every start, and `python -m aiolivekit.testing.real_server` must not find its module imported already.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.access_token import access_token
    from .cluster import LiveKitCluster, RedisUnavailableError
    from .embedded import EmbeddedServer
    from .fault_control import FaultControl, FaultHandle, HoldHandle
    from .fault_proxy import Cut, FaultProxy, FiredFault, HoldFault, MediaFault, ProxyFault
    from .real_server import RealServer, ServerStartError
    from .server_binary import ServerUnavailableError, find_server
    from .server_under_test import LiveKitServer
    from .snapshots import ParticipantSnapshot, RoomSnapshot, TrackSnapshot

__all__ = [
    "Cut",
    "EmbeddedServer",
    "FaultControl",
    "FaultHandle",
    "FaultProxy",
    "FiredFault",
    "HoldFault",
    "HoldHandle",
    "LiveKitCluster",
    "LiveKitServer",
    "MediaFault",
    "ParticipantSnapshot",
    "ProxyFault",
    "RealServer",
    "RedisUnavailableError",
    "RoomSnapshot",
    "ServerStartError",
    "ServerUnavailableError",
    "TrackSnapshot",
    "access_token",
    "find_server",
]

_MODULES = {
    "Cut": "testing.fault_proxy",
    "EmbeddedServer": "testing.embedded",
    "FaultControl": "testing.fault_control",
    "FaultHandle": "testing.fault_control",
    "FaultProxy": "testing.fault_proxy",
    "FiredFault": "testing.fault_proxy",
    "HoldFault": "testing.fault_proxy",
    "HoldHandle": "testing.fault_control",
    "LiveKitCluster": "testing.cluster",
    "LiveKitServer": "testing.server_under_test",
    "MediaFault": "testing.fault_proxy",
    "ParticipantSnapshot": "testing.snapshots",
    "ProxyFault": "testing.fault_proxy",
    "RealServer": "testing.real_server",
    "RedisUnavailableError": "testing.cluster",
    "RoomSnapshot": "testing.snapshots",
    "ServerStartError": "testing.real_server",
    "ServerUnavailableError": "testing.server_binary",
    "TrackSnapshot": "testing.snapshots",
    "access_token": "core.access_token",
    "find_server": "testing.server_binary",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"aiolivekit.{_MODULES[name]}"), name)
