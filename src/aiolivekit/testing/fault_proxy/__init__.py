"""A proxy between clients and a LiveKit server at which things go wrong on demand."""

from .faults import (
    Cut,
    FiredFault,
    HoldFault,
    MediaDirection,
    MediaFault,
    MediaTarget,
    ProxyFault,
    Sender,
)
from .front import RequestKind
from .proxy import FaultProxy

__all__ = [
    "Cut",
    "FaultProxy",
    "FiredFault",
    "HoldFault",
    "MediaDirection",
    "MediaFault",
    "MediaTarget",
    "ProxyFault",
    "RequestKind",
    "Sender",
]
