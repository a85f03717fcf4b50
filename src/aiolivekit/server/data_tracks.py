"""Data tracks: announced like tracks, sent like lossy packets, forwarded with the subscriber's handle in the header."""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import pack_into
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from aiolivekit.server.ids import new_id

if TYPE_CHECKING:
    from aiolivekit.server.participant import Participant

__all__ = ["DATA_TRACK", "DataTracks", "PublishedDataTrack"]

DATA_TRACK = "_data_track"
"""The label of the channel."""

HEADER_SIZE = 12
MAX_NAME = 256
MAX_ENCODING = 32


@dataclass
class PublishedDataTrack:
    """A data track as the server forwards it."""

    publisher: Participant
    info: models.DataTrackInfo
    subscribers: dict[str, int] = field(default_factory=dict)
    packets: int = 0


class DataTracks:
    """The data tracks one participant publishes and subscribes to."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant
        self.published: dict[int, PublishedDataTrack] = {}
        self._wished: set[str] = set()
        self._next_handle = 0
        self.malformed = 0

    def infos(self) -> list[models.DataTrackInfo]:
        """Return the descriptions of what it publishes."""
        return [track.info for track in self.published.values()]

    # publishing

    def publish(self, request: rtc.PublishDataTrackRequest) -> None:
        """Take a new data track, or refuse it."""
        participant = self._participant
        reasons = rtc.RequestResponse.Reason
        refusal = self._refusal(request)
        if refusal is not None:
            reason, message = refusal
            participant.send_request_response(
                rtc.RequestResponse(reason=reason, message=message, publish_data_track=request)
            )
            return
        info = models.DataTrackInfo(
            pub_handle=request.pub_handle,
            sid=new_id("DTR_"),
            name=request.name,
            encryption=request.encryption,
        )
        if request.HasField("frame_encoding"):
            info.frame_encoding.CopyFrom(request.frame_encoding)
        if request.HasField("schema"):
            info.schema.CopyFrom(request.schema)
        assert reasons.OK == 0
        track = PublishedDataTrack(participant, info)
        self.published[request.pub_handle] = track
        participant.send(rtc.SignalResponse(publish_data_track_response=rtc.PublishDataTrackResponse(info=info)))
        participant.room.on_data_track_published(track)

    def _refusal(self, request: rtc.PublishDataTrackRequest) -> tuple[rtc.RequestResponse.Reason, str] | None:
        reasons = rtc.RequestResponse.Reason
        if not self._participant.grants.can_publish_data:
            return reasons.NOT_ALLOWED, "does not have permission to publish data"
        if not 0 < request.pub_handle < 65536:
            return reasons.INVALID_HANDLE, "handle should be > 0 AND < 65536"
        if not 0 < len(request.name.encode()) <= MAX_NAME:
            return reasons.INVALID_NAME, "name should not be empty and should not exceed 256 characters"
        for encoding in (request.frame_encoding, request.schema.encoding):
            if encoding.WhichOneof("value") == "custom" and not 0 < len(encoding.custom) <= MAX_ENCODING:
                return reasons.INVALID_REQUEST, "encoding identifier is empty or exceeds the maximum length"
        if request.pub_handle in self.published:
            return reasons.DUPLICATE_HANDLE, "a data track with same handle already exists"
        if any(track.info.name == request.name for track in self.published.values()):
            return reasons.DUPLICATE_NAME, "a data track with same name already exists"
        return None

    def unpublish(self, request: rtc.UnpublishDataTrackRequest) -> None:
        """End a data track, or say that there is none."""
        track = self.published.get(request.pub_handle)
        if track is None:
            self._participant.send_request_response(
                rtc.RequestResponse(reason=rtc.RequestResponse.Reason.NOT_FOUND, unpublish_data_track=request)
            )
            return
        self._end(track)
        self._participant.send(
            rtc.SignalResponse(unpublish_data_track_response=rtc.UnpublishDataTrackResponse(info=track.info))
        )

    def unpublish_all(self) -> None:
        """End all data tracks, because they are no longer allowed."""
        for track in list(self.published.values()):
            self._end(track)

    def _end(self, track: PublishedDataTrack) -> None:
        self.published.pop(track.info.pub_handle, None)
        self._participant.room.on_data_track_unpublished(track)

    def receive(self, data: bytes) -> None:
        """Forward a packet: only the handle in its header changes."""
        if len(data) < HEADER_SIZE or data[0] >> 5:
            self.malformed += 1
            return
        track = self.published.get(data[2] << 8 | data[3])
        if track is None:
            return
        track.packets += 1
        room = self._participant.room
        for identity, handle in track.subscribers.items():
            subscriber = room.participants.get(identity)
            if subscriber is not None:
                packet = bytearray(data)
                pack_into("!H", packet, 2, handle)
                subscriber.send_data(DATA_TRACK, bytes(packet), "", 0)

    # subscribing

    def update(self, request: rtc.UpdateDataSubscription) -> None:
        """Take which data tracks it wants."""
        for update in request.updates:
            if update.subscribe:
                self.subscribe(update.track_sid)
            else:
                self._wished.discard(update.track_sid)
        self.reconcile()

    def subscribe(self, sid: str) -> None:
        """Wish for a data track."""
        if len(self._wished) < 4096:
            self._wished.add(sid)

    def reconcile(self) -> None:
        """Bring the subscriptions in line with wishes and permissions, and tell the client its handles."""
        participant = self._participant
        changed = False
        for track in participant.room.data_tracks():
            sid = track.info.sid
            may = sid in self._wished and participant.grants.can_subscribe and track.publisher.permits(sid, participant)
            if may and participant.identity not in track.subscribers:
                self._next_handle = self._next_handle % 0xFFFF + 1
                track.subscribers[participant.identity] = self._next_handle
                changed = True
            elif not may and track.subscribers.pop(participant.identity, None) is not None:
                changed = True
        if changed:
            self.send_handles()

    def send_handles(self) -> None:
        """Tell the client which handle stands for which data track."""
        response = rtc.DataTrackSubscriberHandles()
        for track in self._participant.room.data_tracks():
            handle = track.subscribers.get(self._participant.identity)
            if handle is not None:
                entry = response.sub_handles[handle]
                entry.publisher_identity = track.publisher.identity
                entry.publisher_sid = track.publisher.sid
                entry.track_sid = track.info.sid
        self._participant.send(rtc.SignalResponse(data_track_subscriber_handles=response))
