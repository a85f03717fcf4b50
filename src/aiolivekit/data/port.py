"""What the drivers of this package know of the engine."""

from __future__ import annotations

from typing import Protocol

from livekit.protocol import models, rtc

__all__ = ["DataTrackPort", "PacketPort", "ReceivedPacket"]


class PacketPort(Protocol):
    """Sends data packets."""

    async def publish_data(self, packet: models.DataPacket) -> None:
        """Send a packet reliably; its place in the order is that of the call's first step.

        Raises:
            EngineError: If it cannot be sent; one of its kinds, by cause.
            ClosedError: If the connection ends first.
        """


class DataTrackPort(Protocol):
    """Sends requests to the server, and packets of data tracks."""

    def post_request(self, request: rtc.SignalRequest) -> None:
        """Send a request, in the order of the calls; one that cannot be sent any more is dropped."""

    def data_tracks_ready(self) -> bool:
        """Whether the channel takes a packet now; if not, it will be told when it does (`DataTrackReady`)."""

    def send_data_track_packet(self, packet: bytes) -> None:
        """Hand a packet to the channel, which takes one now."""


class ReceivedPacket(Protocol):
    """A `UserPacket` that was received."""

    participant_identity: str
    payload: bytes
    topic: str
    id: str
