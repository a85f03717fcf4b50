"""What the drivers of this package know of the engine."""

from __future__ import annotations

from typing import Protocol

from livekit.protocol import models

__all__ = ["PacketPort", "ReceivedPacket"]


class PacketPort(Protocol):
    """Sends data packets."""

    async def publish_data(self, packet: models.DataPacket) -> None:
        """Send a packet reliably; its place in the order is that of the call's first step.

        Raises:
            EngineError: If it cannot be sent; one of its kinds, by cause.
            ClosedError: If the connection ends first.
        """


class ReceivedPacket(Protocol):
    """A `UserPacket` that was received."""

    participant_identity: str
    payload: bytes
    topic: str
    id: str
