"""Under the drivers of data tracks in their tests: a port that records."""

from __future__ import annotations

from typing import Any

from livekit.protocol import rtc

from aiolivekit.core.data_track_packet import DataTrackPacket

__all__ = ["Port"]


class Port:
    """Records what is sent; `room` is how many packets its channel takes."""

    def __init__(self) -> None:
        self.requests: list[rtc.SignalRequest] = []
        self.packets: list[DataTrackPacket] = []
        self.room = 1_000

    def post_request(self, request: rtc.SignalRequest) -> None:
        self.requests.append(rtc.SignalRequest.FromString(request.SerializeToString()))

    def data_tracks_ready(self) -> bool:
        return self.room > 0

    def send_data_track_packet(self, packet: bytes) -> None:
        assert self.room > 0
        self.room -= 1
        self.packets.append(DataTrackPacket.parse(packet))

    def take(self) -> list[tuple[str, Any]]:
        """Return the requests since the last call: which, and about what."""
        found: list[tuple[str, Any]] = []
        for request in self.requests:
            match request.WhichOneof("message"):
                case "publish_data_track_request":
                    found.append(("publish", request.publish_data_track_request.pub_handle))
                case "unpublish_data_track_request":
                    found.append(("unpublish", request.unpublish_data_track_request.pub_handle))
                case "update_data_subscription":
                    (update,) = request.update_data_subscription.updates
                    found.append(("subscribe" if update.subscribe else "unsubscribe", update.track_sid))
        self.requests.clear()
        return found
