"""The public enumerations, with the names and values of `livekit.rtc`.

They are real Python enums. `Name`, `Value`, `keys`, `values` and `items` are there because the official SDK
exposes protobuf enum wrappers, and programs call these on them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Self, TypeAlias

__all__ = [
    "BackupCodecPolicy",
    "ConnectionQuality",
    "ConnectionState",
    "ContinualGatheringPolicy",
    "DataPacketKind",
    "DegradationPreference",
    "DisconnectReason",
    "EncodedFrameType",
    "EncryptionState",
    "EncryptionType",
    "FrameMetadataFeature",
    "IceTransportType",
    "KeyDerivationFunction",
    "ParticipantKind",
    "ParticipantKindDetail",
    "ParticipantState",
    "SimulateScenarioKind",
    "StreamState",
    "TrackKind",
    "TrackSource",
    "VideoBufferType",
    "VideoCodec",
    "VideoEncoderBackend",
    "VideoQuality",
    "VideoRotation",
]


class ProtoEnum(IntEnum):
    """An `IntEnum` with the class methods of a protobuf enum wrapper.

    `ValueType`, which annotations name there, is the enum itself.
    """

    if not TYPE_CHECKING:

        def __init_subclass__(cls, **arguments: Any) -> None:
            super().__init_subclass__(**arguments)
            cls.ValueType = cls

    @classmethod
    def Name(cls, number: int) -> str:  # noqa: N802 - protobuf's spelling
        """Return the name of a value; raises `ValueError` for a number the enum does not have."""
        return cls(number).name

    @classmethod
    def Value(cls, name: str) -> Self:  # noqa: N802 - protobuf's spelling
        """Return the member of a name; raises `ValueError` for a name the enum does not have."""
        try:
            return cls[name]
        except KeyError:
            raise ValueError(f"enum {cls.__name__} has no value named {name!r}") from None

    @classmethod
    def keys(cls) -> list[str]:
        """Return the names, in the order of declaration."""
        return [member.name for member in cls]

    @classmethod
    def values(cls) -> list[int]:
        """Return the numbers, in the order of declaration."""
        return [member.value for member in cls]

    @classmethod
    def items(cls) -> list[tuple[str, int]]:
        """Return the pairs of name and number, in the order of declaration."""
        return [(member.name, member.value) for member in cls]

    @classmethod
    def of(cls, number: int) -> Self:
        """Return the member of a number from the network, or the first member for one that is newer than us."""
        try:
            return cls(number)
        except ValueError:
            return next(iter(cls))


class ConnectionQuality(ProtoEnum):
    """How good the connection of a participant is."""

    QUALITY_UNKNOWN = -1
    QUALITY_POOR = 0
    QUALITY_GOOD = 1
    QUALITY_EXCELLENT = 2
    QUALITY_LOST = 3

    if TYPE_CHECKING:
        ValueType: TypeAlias = "ConnectionQuality"


class ConnectionState(ProtoEnum):
    """Whether the room is connected (`livekit.rtc.ConnectionState`)."""

    CONN_DISCONNECTED = 0
    CONN_CONNECTED = 1
    CONN_RECONNECTING = 2

    if TYPE_CHECKING:
        ValueType: TypeAlias = "ConnectionState"


class ContinualGatheringPolicy(ProtoEnum):
    """Whether ICE candidates are gathered once or for as long as the connection lives."""

    GATHER_ONCE = 0
    GATHER_CONTINUALLY = 1

    if TYPE_CHECKING:
        ValueType: TypeAlias = "ContinualGatheringPolicy"


class DataPacketKind(ProtoEnum):
    """How a data packet travels: ordered and retransmitted, or neither."""

    KIND_LOSSY = 0
    KIND_RELIABLE = 1

    if TYPE_CHECKING:
        ValueType: TypeAlias = "DataPacketKind"


class DegradationPreference(ProtoEnum):
    """What an encoder gives up first when it is short of bandwidth or CPU."""

    BALANCED = 0
    MAINTAIN_FRAMERATE = 1
    MAINTAIN_RESOLUTION = 2
    MAINTAIN_FRAMERATE_AND_RESOLUTION = 4

    if TYPE_CHECKING:
        ValueType: TypeAlias = "DegradationPreference"


class DisconnectReason(ProtoEnum):
    """Why a room or a participant was disconnected (`livekit.DisconnectReason`)."""

    UNKNOWN_REASON = 0
    CLIENT_INITIATED = 1
    DUPLICATE_IDENTITY = 2
    SERVER_SHUTDOWN = 3
    PARTICIPANT_REMOVED = 4
    ROOM_DELETED = 5
    STATE_MISMATCH = 6
    JOIN_FAILURE = 7
    MIGRATION = 8
    SIGNAL_CLOSE = 9
    ROOM_CLOSED = 10
    USER_UNAVAILABLE = 11
    USER_REJECTED = 12
    SIP_TRUNK_FAILURE = 13
    CONNECTION_TIMEOUT = 14
    MEDIA_FAILURE = 15
    AGENT_ERROR = 16

    if TYPE_CHECKING:
        ValueType: TypeAlias = "DisconnectReason"


class EncodedFrameType(ProtoEnum):
    """Whether an encoded frame can be decoded by itself."""

    ENCODED_FRAME_KEY = 0
    ENCODED_FRAME_DELTA = 1

    if TYPE_CHECKING:
        ValueType: TypeAlias = "EncodedFrameType"


class EncryptionState(ProtoEnum):
    """What a frame cryptor last did."""

    NEW = 0
    OK = 1
    ENCRYPTION_FAILED = 2
    DECRYPTION_FAILED = 3
    MISSING_KEY = 4
    KEY_RATCHETED = 5
    INTERNAL_ERROR = 6

    if TYPE_CHECKING:
        ValueType: TypeAlias = "EncryptionState"


class EncryptionType(ProtoEnum):
    """How a track or a data packet is encrypted (`livekit.Encryption.Type`)."""

    NONE = 0
    GCM = 1
    CUSTOM = 2

    if TYPE_CHECKING:
        ValueType: TypeAlias = "EncryptionType"


class FrameMetadataFeature(ProtoEnum):
    """What a video track carries beside each frame."""

    FMF_USER_TIMESTAMP = 0
    FMF_FRAME_ID = 1
    FMF_USER_DATA = 2

    if TYPE_CHECKING:
        ValueType: TypeAlias = "FrameMetadataFeature"


class IceTransportType(ProtoEnum):
    """Which ICE candidates may be used."""

    TRANSPORT_RELAY = 0
    TRANSPORT_NOHOST = 1
    TRANSPORT_ALL = 2

    if TYPE_CHECKING:
        ValueType: TypeAlias = "IceTransportType"


class KeyDerivationFunction(ProtoEnum):
    """How a frame key is derived from the key material."""

    PBKDF2 = 0
    HKDF = 1

    if TYPE_CHECKING:
        ValueType: TypeAlias = "KeyDerivationFunction"


class ParticipantKind(ProtoEnum):
    """What a participant is (`livekit.ParticipantInfo.Kind`)."""

    PARTICIPANT_KIND_STANDARD = 0
    PARTICIPANT_KIND_INGRESS = 1
    PARTICIPANT_KIND_EGRESS = 2
    PARTICIPANT_KIND_SIP = 3
    PARTICIPANT_KIND_AGENT = 4
    PARTICIPANT_KIND_CONNECTOR = 5
    PARTICIPANT_KIND_BRIDGE = 6

    if TYPE_CHECKING:
        ValueType: TypeAlias = "ParticipantKind"


class ParticipantKindDetail(ProtoEnum):
    """More about what a participant is (`livekit.ParticipantInfo.KindDetail`)."""

    PARTICIPANT_KIND_DETAIL_CLOUD_AGENT = 0
    PARTICIPANT_KIND_DETAIL_FORWARDED = 1
    PARTICIPANT_KIND_DETAIL_CONNECTOR_WHATSAPP = 2
    PARTICIPANT_KIND_DETAIL_CONNECTOR_TWILIO = 3
    PARTICIPANT_KIND_DETAIL_BRIDGE_RTSP = 4
    PARTICIPANT_KIND_DETAIL_SIMULATION = 5

    if TYPE_CHECKING:
        ValueType: TypeAlias = "ParticipantKindDetail"


class ParticipantState(ProtoEnum):
    """How far a participant has come in joining (`livekit.ParticipantInfo.State`)."""

    PARTICIPANT_STATE_JOINING = 0
    PARTICIPANT_STATE_JOINED = 1
    PARTICIPANT_STATE_ACTIVE = 2
    PARTICIPANT_STATE_DISCONNECTED = 3

    if TYPE_CHECKING:
        ValueType: TypeAlias = "ParticipantState"


class SimulateScenarioKind(ProtoEnum):
    """What `Room.simulate_scenario` provokes."""

    SIMULATE_SIGNAL_RECONNECT = 0
    SIMULATE_SPEAKER = 1
    SIMULATE_NODE_FAILURE = 2
    SIMULATE_SERVER_LEAVE = 3
    SIMULATE_MIGRATION = 4
    SIMULATE_FORCE_TCP = 5
    SIMULATE_FORCE_TLS = 6
    SIMULATE_FULL_RECONNECT = 7
    SIMULATE_DISCONNECT_SIGNAL_ON_RESUME = 8

    if TYPE_CHECKING:
        ValueType: TypeAlias = "SimulateScenarioKind"


class StreamState(ProtoEnum):
    """Whether the server is sending a subscribed track."""

    STATE_UNKNOWN = 0
    STATE_ACTIVE = 1
    STATE_PAUSED = 2

    if TYPE_CHECKING:
        ValueType: TypeAlias = "StreamState"


class TrackKind(ProtoEnum):
    """Audio or video."""

    KIND_UNKNOWN = 0
    KIND_AUDIO = 1
    KIND_VIDEO = 2

    if TYPE_CHECKING:
        ValueType: TypeAlias = "TrackKind"


class TrackSource(ProtoEnum):
    """Where a track comes from."""

    SOURCE_UNKNOWN = 0
    SOURCE_CAMERA = 1
    SOURCE_MICROPHONE = 2
    SOURCE_SCREENSHARE = 3
    SOURCE_SCREENSHARE_AUDIO = 4

    if TYPE_CHECKING:
        ValueType: TypeAlias = "TrackSource"


class VideoBufferType(ProtoEnum):
    """The pixel format of a `VideoFrame`."""

    RGBA = 0
    ABGR = 1
    ARGB = 2
    BGRA = 3
    RGB24 = 4
    I420 = 5
    I420A = 6
    I422 = 7
    I444 = 8
    I010 = 9
    NV12 = 10

    if TYPE_CHECKING:
        ValueType: TypeAlias = "VideoBufferType"


class VideoCodec(ProtoEnum):
    """A video codec."""

    VP8 = 0
    H264 = 1
    AV1 = 2
    VP9 = 3
    H265 = 4

    if TYPE_CHECKING:
        ValueType: TypeAlias = "VideoCodec"


class BackupCodecPolicy(ProtoEnum):
    """What becomes of a track's first codec when its backup codec is wanted (`livekit.BackupCodecPolicy`)."""

    PREFER_REGRESSION = 0
    """It ends if the server thinks so."""
    SIMULCAST = 1
    """Both are sent, each for those who watch it."""
    REGRESSION = 2
    """It ends: everybody gets the backup codec."""

    if TYPE_CHECKING:
        ValueType: TypeAlias = "BackupCodecPolicy"


class VideoEncoderBackend(ProtoEnum):
    """Which encoder is asked for."""

    ENCODER_BACKEND_AUTO = 0
    ENCODER_BACKEND_SOFTWARE = 1
    ENCODER_BACKEND_HARDWARE = 2
    ENCODER_BACKEND_NVENC = 3
    ENCODER_BACKEND_VAAPI = 4
    ENCODER_BACKEND_VIDEOTOOLBOX = 5
    ENCODER_BACKEND_PRE_ENCODED = 6

    if TYPE_CHECKING:
        ValueType: TypeAlias = "VideoEncoderBackend"


class VideoQuality(ProtoEnum):
    """A simulcast layer by quality."""

    VIDEO_QUALITY_LOW = 0
    VIDEO_QUALITY_MEDIUM = 1
    VIDEO_QUALITY_HIGH = 2

    if TYPE_CHECKING:
        ValueType: TypeAlias = "VideoQuality"


class VideoRotation(ProtoEnum):
    """How a frame is to be turned clockwise before it is shown."""

    VIDEO_ROTATION_0 = 0
    VIDEO_ROTATION_90 = 1
    VIDEO_ROTATION_180 = 2
    VIDEO_ROTATION_270 = 3

    if TYPE_CHECKING:
        ValueType: TypeAlias = "VideoRotation"
