"""What a session tells the layers above, each event declared here once and passed up as it is.

Protobuf messages (`livekit.protocol`) are carried unchanged; the Room API turns them into its own objects.
The names follow the seed's `EngineEvent`; those below `SubscribedQualityUpdate` carry server messages that the
reference engine drops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from livekit.protocol import metrics, models, rtc

from ..enums import DataPacketKind, DisconnectReason

if TYPE_CHECKING:
    from ..peer.tracks import RemoteMedia

__all__ = [
    "ChatMessageReceived",
    "ConnectionQualityUpdate",
    "DataChannelBufferStatusChanged",
    "DataChannelBufferedAmountLowThresholdChanged",
    "DataReceived",
    "DataStreamChunk",
    "DataStreamHeader",
    "DataStreamTrailer",
    "DataTrackPacketReceived",
    "DataTrackReady",
    "DataTrackSignal",
    "LocalTrackSubscribed",
    "LocalTrackUnpublished",
    "MediaTrackAdded",
    "MediaTrackRemoved",
    "MetricsReceived",
    "ParticipantUpdate",
    "RefreshToken",
    "RoomMoved",
    "RoomUpdate",
    "RpcAck",
    "RpcRequest",
    "RpcResponse",
    "SessionClosed",
    "SessionEvent",
    "SipDtmfReceived",
    "SpeakersChanged",
    "StreamStateUpdate",
    "SubscribedAudioCodecUpdate",
    "SubscribedQualityUpdate",
    "SubscriptionPermissionUpdate",
    "SubscriptionResponse",
    "TrackMuted",
    "TranscriptionReceived",
]


@dataclass(slots=True)
class ParticipantUpdate:
    """`SignalResponse.update`: participants that joined, changed or left, us among them."""

    updates: list[models.ParticipantInfo]


@dataclass(slots=True)
class MediaTrackAdded:
    """A remote track is being received: a media section of ours now carries it.

    Args:
        media: The native side of the track.
        participant_sid: Whose track it is (`PA_…`), from the stream id.
        track_sid: Which track it is (`TR_…`).
    """

    media: RemoteMedia
    participant_sid: str
    track_sid: str


@dataclass(slots=True)
class MediaTrackRemoved:
    """A media section stopped carrying a remote track (unsubscribed, unpublished, or replaced by another)."""

    participant_sid: str
    track_sid: str


@dataclass(slots=True)
class DataReceived:
    """A `UserPacket` of a participant, or of the server when both sender fields are empty."""

    participant_sid: str
    participant_identity: str
    payload: bytes
    topic: str
    kind: DataPacketKind
    encryption_type: int
    id: str = ""


@dataclass(slots=True)
class ChatMessageReceived:
    """`DataPacket.chat_message`."""

    participant_identity: str
    message: models.ChatMessage


@dataclass(slots=True)
class TranscriptionReceived:
    """`DataPacket.transcription`."""

    participant_identity: str
    track_sid: str
    segments: list[models.TranscriptionSegment]


@dataclass(slots=True)
class MetricsReceived:
    """`DataPacket.metrics`."""

    participant_identity: str
    batch: metrics.MetricsBatch


@dataclass(slots=True)
class SipDtmfReceived:
    """`DataPacket.sip_dtmf`."""

    participant_identity: str
    code: int
    digit: str


@dataclass(slots=True)
class RpcRequest:
    """`DataPacket.rpc_request`; `response_timeout` in seconds."""

    caller_identity: str
    request_id: str
    method: str
    payload: str
    response_timeout: float
    version: int


@dataclass(slots=True)
class RpcResponse:
    """`DataPacket.rpc_response`: either `payload` or `error` is set."""

    participant_identity: str
    request_id: str
    payload: str | None
    error: models.RpcError | None


@dataclass(slots=True)
class RpcAck:
    """`DataPacket.rpc_ack`."""

    participant_identity: str
    request_id: str


@dataclass(slots=True)
class DataStreamHeader:
    """`DataPacket.stream_header`."""

    header: models.DataStream.Header
    participant_identity: str
    encryption_type: int
    participant_sid: str = ""


@dataclass(slots=True)
class DataStreamChunk:
    """`DataPacket.stream_chunk`."""

    chunk: models.DataStream.Chunk
    participant_identity: str
    encryption_type: int
    participant_sid: str = ""


@dataclass(slots=True)
class DataStreamTrailer:
    """`DataPacket.stream_trailer`."""

    trailer: models.DataStream.Trailer
    participant_identity: str
    participant_sid: str = ""


@dataclass(slots=True)
class DataTrackPacketReceived:
    """A message of the channel `_data_track`."""

    data: bytes


@dataclass(slots=True)
class DataTrackReady:
    """The channel `_data_track` takes packets again."""


@dataclass(slots=True)
class DataTrackSignal:
    """What the server says of data tracks: that one is published, refused or unpublished, or our handles of others'."""

    message: rtc.SignalResponse


@dataclass(slots=True)
class SpeakersChanged:
    """`SignalResponse.speakers_changed`: only the speakers whose state changed (a delta)."""

    speakers: list[models.SpeakerInfo]


@dataclass(slots=True)
class ConnectionQualityUpdate:
    """`SignalResponse.connection_quality`."""

    updates: list[rtc.ConnectionQualityInfo]


@dataclass(slots=True)
class RoomUpdate:
    """`SignalResponse.room_update`."""

    room: models.Room


@dataclass(slots=True)
class RoomMoved:
    """`SignalResponse.room_moved`: we are in another room now, with another sid and token."""

    moved: rtc.RoomMovedResponse


@dataclass(slots=True)
class LocalTrackSubscribed:
    """`SignalResponse.track_subscribed`: somebody subscribed to a track of ours for the first time."""

    track_sid: str


@dataclass(slots=True)
class LocalTrackUnpublished:
    """`SignalResponse.track_unpublished`: the server ended a track of ours."""

    track_sid: str


@dataclass(slots=True)
class TrackMuted:
    """`SignalResponse.mute`: the server mutes or unmutes a track of ours."""

    sid: str
    muted: bool


@dataclass(slots=True)
class RefreshToken:
    """`SignalResponse.refresh_token`: the token to reconnect with from now on."""

    url: str
    token: str

    def __repr__(self) -> str:
        """Leave the token and the address out."""
        return "RefreshToken()"


@dataclass(slots=True)
class DataChannelBufferedAmountLowThresholdChanged:
    """The low threshold of a data channel was set; in bytes."""

    kind: DataPacketKind
    threshold: int


@dataclass(slots=True)
class DataChannelBufferStatusChanged:
    """The buffered amount of a data channel rose above its low threshold, or fell to it."""

    is_low: bool
    kind: DataPacketKind


@dataclass(slots=True)
class SubscribedQualityUpdate:
    """`SignalResponse.subscribed_quality_update`: which layers of a track of ours are watched (dynacast)."""

    update: rtc.SubscribedQualityUpdate


@dataclass(slots=True)
class SubscribedAudioCodecUpdate:
    """`SignalResponse.subscribed_audio_codec_update`: which audio codecs of a track of ours are wanted."""

    update: rtc.SubscribedAudioCodecUpdate


@dataclass(slots=True)
class StreamStateUpdate:
    """`SignalResponse.stream_state_update`: remote tracks the server pauses or resumes for lack of bandwidth."""

    states: list[rtc.StreamStateInfo]


@dataclass(slots=True)
class SubscriptionPermissionUpdate:
    """`SignalResponse.subscription_permission_update`: a publisher allows us a track, or no longer does."""

    participant_sid: str
    track_sid: str
    allowed: bool


@dataclass(slots=True)
class SubscriptionResponse:
    """`SignalResponse.subscription_response`: a subscription failed, with a `models.SubscriptionError`."""

    track_sid: str
    error: int


@dataclass(slots=True)
class SessionClosed:
    """The session lost a link it needs, or the server asked it to leave; the engine decides what follows.

    Args:
        source: Which part reported it.
        reason: The server's reason, or what fits a local cause.
        action: What the server asked for (`LeaveRequest.Action`); a lost link asks for a resume.
        retry_now: Whether the next attempt should not wait.
        detail: For the log and the user; holds no address.
        regions: Where to join instead, if the server says so; the nearest first.
    """

    source: Literal["signal", "publisher", "subscriber", "leave", "negotiation", "channel", "internal"]
    reason: DisconnectReason
    action: rtc.LeaveRequest.Action
    retry_now: bool = False
    detail: str = ""
    regions: tuple[str, ...] = ()


SessionEvent = (
    ParticipantUpdate
    | MediaTrackAdded
    | MediaTrackRemoved
    | DataReceived
    | ChatMessageReceived
    | TranscriptionReceived
    | SipDtmfReceived
    | MetricsReceived
    | RpcRequest
    | RpcResponse
    | RpcAck
    | DataStreamHeader
    | DataStreamChunk
    | DataStreamTrailer
    | DataTrackPacketReceived
    | DataTrackReady
    | DataTrackSignal
    | SpeakersChanged
    | ConnectionQualityUpdate
    | RoomUpdate
    | RoomMoved
    | LocalTrackSubscribed
    | LocalTrackUnpublished
    | TrackMuted
    | RefreshToken
    | DataChannelBufferStatusChanged
    | DataChannelBufferedAmountLowThresholdChanged
    | SubscribedQualityUpdate
    | SubscribedAudioCodecUpdate
    | StreamStateUpdate
    | SubscriptionPermissionUpdate
    | SubscriptionResponse
    | SessionClosed
)
