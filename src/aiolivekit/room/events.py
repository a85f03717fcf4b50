"""The events of a room, each declared once.

`Room.events()` yields these objects. `Room.on(name, handler)` calls handlers with their fields, in the order in which
they are declared; names and arguments are those of `livekit.rtc`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..enums import ConnectionQuality, ConnectionState, DataPacketKind, DisconnectReason, EncryptionState, StreamState
from .event_names import EventTypes

if TYPE_CHECKING:
    from .chat import ChatMessage
    from .data_tracks import RemoteDataTrack
    from .metrics import MetricsBatch
    from .packets import DataPacket, SipDTMF, TranscriptionSegment
    from .participant import Participant, ParticipantPermission, RemoteParticipant
    from .report import ReconnectReport
    from .track import LocalTrack, RemoteTrack
    from .track_publication import LocalTrackPublication, RemoteTrackPublication, TrackPublication

__all__ = [
    "EVENTS",
    "ActiveSpeakersChanged",
    "ChatMessageReceived",
    "Connected",
    "ConnectionQualityChanged",
    "ConnectionStateChanged",
    "DataChannelBufferStatusChanged",
    "DataChannelBufferedAmountLowThresholdChanged",
    "DataMissed",
    "DataReceived",
    "DataTrackPublished",
    "DataTrackUnpublished",
    "DataUndelivered",
    "Disconnected",
    "E2eeStateChanged",
    "EventsDropped",
    "LocalTrackPublished",
    "LocalTrackRepublished",
    "LocalTrackSubscribed",
    "LocalTrackUnpublished",
    "MetricsReceived",
    "Moved",
    "ParticipantActive",
    "ParticipantAttributesChanged",
    "ParticipantConnected",
    "ParticipantDisconnected",
    "ParticipantEncryptionStatusChanged",
    "ParticipantMetadataChanged",
    "ParticipantNameChanged",
    "ParticipantPermissionsChanged",
    "ReconnectReported",
    "Reconnected",
    "Reconnecting",
    "RoomEvent",
    "RoomMetadataChanged",
    "RoomUpdated",
    "SipDtmfReceived",
    "TokenRefreshed",
    "TrackMuted",
    "TrackPublished",
    "TrackStreamStateChanged",
    "TrackSubscribed",
    "TrackSubscriptionFailed",
    "TrackSubscriptionPermissionChanged",
    "TrackUnmuted",
    "TrackUnpublished",
    "TrackUnsubscribed",
    "TranscriptionReceived",
]


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """Something that happened in a room.

    Attributes:
        name: What `Room.on` calls it.
    """

    name: ClassVar[EventTypes]
    __match_args__: ClassVar[tuple[str, ...]]

    @property
    def args(self) -> tuple[Any, ...]:
        """What handlers are called with."""
        return tuple([getattr(self, name) for name in self.__match_args__])


@dataclass(frozen=True, slots=True)
class ParticipantConnected(RoomEvent):
    """A participant joined. It may not be able to receive yet: see `ParticipantActive`."""

    name = "participant_connected"
    participant: RemoteParticipant


@dataclass(frozen=True, slots=True)
class ParticipantDisconnected(RoomEvent):
    """A participant left; its `disconnect_reason` says why."""

    name = "participant_disconnected"
    participant: RemoteParticipant


@dataclass(frozen=True, slots=True)
class ParticipantActive(RoomEvent):
    """A participant can receive data now."""

    name = "participant_active"
    participant: RemoteParticipant


@dataclass(frozen=True, slots=True)
class LocalTrackPublished(RoomEvent):
    """A track of ours is published."""

    name = "local_track_published"
    publication: LocalTrackPublication
    track: LocalTrack


@dataclass(frozen=True, slots=True)
class LocalTrackUnpublished(RoomEvent):
    """A track of ours is published no more, by us or by the server."""

    name = "local_track_unpublished"
    publication: LocalTrackPublication


@dataclass(frozen=True, slots=True)
class LocalTrackRepublished(RoomEvent):
    """A track of ours was published again, in a new session, and has another sid."""

    name = "local_track_republished"
    publication: LocalTrackPublication
    previous_sid: str


@dataclass(frozen=True, slots=True)
class LocalTrackSubscribed(RoomEvent):
    """Somebody subscribed to a track of ours, for the first time."""

    name = "local_track_subscribed"
    track: LocalTrack


@dataclass(frozen=True, slots=True)
class TrackPublished(RoomEvent):
    """A participant published a track after we joined."""

    name = "track_published"
    publication: RemoteTrackPublication
    participant: RemoteParticipant


@dataclass(frozen=True, slots=True)
class TrackUnpublished(RoomEvent):
    """A participant publishes a track no more."""

    name = "track_unpublished"
    publication: RemoteTrackPublication
    participant: RemoteParticipant


@dataclass(frozen=True, slots=True)
class TrackSubscribed(RoomEvent):
    """A remote track arrives."""

    name = "track_subscribed"
    track: RemoteTrack
    publication: RemoteTrackPublication
    participant: RemoteParticipant


@dataclass(frozen=True, slots=True)
class TrackUnsubscribed(RoomEvent):
    """A remote track arrives no more; its streams have ended."""

    name = "track_unsubscribed"
    track: RemoteTrack
    publication: RemoteTrackPublication
    participant: RemoteParticipant


@dataclass(frozen=True, slots=True)
class TrackSubscriptionFailed(RoomEvent):
    """A remote track will not arrive; `error` says why."""

    name = "track_subscription_failed"
    participant: RemoteParticipant
    track_sid: str
    error: str


@dataclass(frozen=True, slots=True)
class TrackSubscriptionPermissionChanged(RoomEvent):
    """A publisher takes the permission for one of its tracks away from us, or gives it back (not in `livekit.rtc`)."""

    name = "track_subscription_permission_changed"
    publication: RemoteTrackPublication
    allowed: bool
    participant: RemoteParticipant


@dataclass(frozen=True, slots=True)
class TrackStreamStateChanged(RoomEvent):
    """The server pauses a track for want of bandwidth, or sends it again (not in `livekit.rtc`)."""

    name = "track_stream_state_changed"
    publication: RemoteTrackPublication
    stream_state: StreamState
    participant: RemoteParticipant


@dataclass(frozen=True, slots=True)
class TrackMuted(RoomEvent):
    """A track, perhaps of ours, was muted."""

    name = "track_muted"
    participant: Participant
    publication: TrackPublication


@dataclass(frozen=True, slots=True)
class TrackUnmuted(RoomEvent):
    """A track, perhaps of ours, was unmuted."""

    name = "track_unmuted"
    participant: Participant
    publication: TrackPublication


@dataclass(frozen=True, slots=True)
class ActiveSpeakersChanged(RoomEvent):
    """Somebody began or ceased to speak, or speaks louder or softer; `speakers` are all who speak, loudest first."""

    name = "active_speakers_changed"
    speakers: list[Participant]


@dataclass(frozen=True, slots=True)
class RoomMetadataChanged(RoomEvent):
    """The room has other metadata."""

    name = "room_metadata_changed"
    old_metadata: str
    new_metadata: str


@dataclass(frozen=True, slots=True)
class ParticipantMetadataChanged(RoomEvent):
    """A participant, perhaps the local one, has other metadata."""

    name = "participant_metadata_changed"
    participant: Participant
    old_metadata: str
    new_metadata: str


@dataclass(frozen=True, slots=True)
class ParticipantNameChanged(RoomEvent):
    """A participant, perhaps the local one, has another name."""

    name = "participant_name_changed"
    participant: Participant
    old_name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class ParticipantAttributesChanged(RoomEvent):
    """Attributes of a participant changed; `changed_attributes` has only those, a removed one as an empty string."""

    name = "participant_attributes_changed"
    changed_attributes: dict[str, str]
    participant: Participant


@dataclass(frozen=True, slots=True)
class ConnectionQualityChanged(RoomEvent):
    """The connection of a participant, perhaps the local one, became better or worse."""

    name = "connection_quality_changed"
    participant: Participant
    quality: ConnectionQuality


@dataclass(frozen=True, slots=True)
class ParticipantEncryptionStatusChanged(RoomEvent):
    """Whether all tracks of a participant are encrypted changed."""

    name = "participant_encryption_status_changed"
    participant: Participant
    is_encrypted: bool


@dataclass(frozen=True, slots=True)
class ParticipantPermissionsChanged(RoomEvent):
    """A participant, perhaps the local one, may do other things than before."""

    name = "participant_permissions_changed"
    participant: Participant
    permissions: ParticipantPermission


@dataclass(frozen=True, slots=True)
class DataReceived(RoomEvent):
    """A data packet arrived."""

    name = "data_received"
    data_packet: DataPacket


@dataclass(frozen=True, slots=True)
class SipDtmfReceived(RoomEvent):
    """A telephone key was pressed."""

    name = "sip_dtmf_received"
    sip_dtmf: SipDTMF


@dataclass(frozen=True, slots=True)
class TranscriptionReceived(RoomEvent):
    """Somebody's words arrived as text; `participant` is who spoke, when still known."""

    name = "transcription_received"
    segments: list[TranscriptionSegment]
    participant: Participant | None
    publication: TrackPublication | None


@dataclass(frozen=True, slots=True)
class MetricsReceived(RoomEvent):
    """Somebody tells what it measured; `participant` is `None` when a server does."""

    name = "metrics_received"
    metrics: MetricsBatch
    participant: RemoteParticipant | None


@dataclass(frozen=True, slots=True)
class E2eeStateChanged(RoomEvent):
    """The encryption of a participant's tracks began to work, or failed."""

    name = "e2ee_state_changed"
    participant: Participant
    state: EncryptionState


@dataclass(frozen=True, slots=True)
class ConnectionStateChanged(RoomEvent):
    """The room is connected, reconnecting or disconnected."""

    name = "connection_state_changed"
    connection_state: ConnectionState


@dataclass(frozen=True, slots=True)
class Connected(RoomEvent):
    """We are in the room."""

    name = "connected"


@dataclass(frozen=True, slots=True)
class Disconnected(RoomEvent):
    """We are in the room no more; the last event of a connection."""

    name = "disconnected"
    reason: DisconnectReason


@dataclass(frozen=True, slots=True)
class Reconnecting(RoomEvent):
    """The connection was lost and is being restored."""

    name = "reconnecting"


@dataclass(frozen=True, slots=True)
class Reconnected(RoomEvent):
    """The connection is restored."""

    name = "reconnected"


@dataclass(frozen=True, slots=True)
class RoomUpdated(RoomEvent):
    """Something about the room changed: its metadata, how many are in it, whether it is recorded."""

    name = "room_updated"


@dataclass(frozen=True, slots=True)
class Moved(RoomEvent):
    """The server moved us to another room."""

    name = "moved"


@dataclass(frozen=True, slots=True)
class TokenRefreshed(RoomEvent):
    """The server gave us a new token to reconnect with."""

    name = "token_refreshed"


@dataclass(frozen=True, slots=True)
class DataTrackPublished(RoomEvent):
    """A participant published a data track."""

    name = "data_track_published"
    track: RemoteDataTrack


@dataclass(frozen=True, slots=True)
class DataTrackUnpublished(RoomEvent):
    """A participant publishes a data track no more."""

    name = "data_track_unpublished"
    sid: str


@dataclass(frozen=True, slots=True)
class DataUndelivered(RoomEvent):
    """Reliable packets of ours may not have arrived; `reason` says in words why (not in `livekit.rtc`)."""

    name = "data_undelivered"
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class DataMissed(RoomEvent):
    """At least `count` durable messages for us are lost, between those before and after (not in `livekit.rtc`)."""

    name = "data_missed"
    participant: RemoteParticipant
    count: int


@dataclass(frozen=True, slots=True)
class DataChannelBufferStatusChanged(RoomEvent):
    """The buffer of a data channel rose above its low threshold, or fell to it (not in `livekit.rtc`)."""

    name = "data_channel_buffer_status_changed"
    is_low: bool
    kind: DataPacketKind


@dataclass(frozen=True, slots=True)
class DataChannelBufferedAmountLowThresholdChanged(RoomEvent):
    """The low threshold of a data channel was set, in bytes (not in `livekit.rtc`)."""

    name = "data_channel_buffered_amount_low_threshold_changed"
    kind: DataPacketKind
    threshold: int


@dataclass(frozen=True, slots=True)
class ChatMessageReceived(RoomEvent):
    """Somebody wrote, or edited what was written (not in `livekit.rtc`).

    Text streams of the topic `lk.chat` are told of here unless they have a handler of their own.
    """

    name = "chat_message_received"
    message: ChatMessage
    participant: RemoteParticipant | None


@dataclass(frozen=True, slots=True)
class ReconnectReported(RoomEvent):
    """An episode of reconnecting is over: told behind `Reconnected` or before `Disconnected` (not in `livekit.rtc`)."""

    name = "reconnect_reported"
    report: ReconnectReport


@dataclass(frozen=True, slots=True)
class EventsDropped:
    """In `Room.events()` only: the reader fell behind, and the `count` oldest events were dropped before this one."""

    count: int


EVENTS: dict[str, type[RoomEvent]] = {
    event.name: event
    for event in list(globals().values())
    if isinstance(event, type) and issubclass(event, RoomEvent) and event is not RoomEvent
}
"""The events by the names `Room.on` takes."""
