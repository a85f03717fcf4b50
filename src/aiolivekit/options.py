"""The options users pass, as dataclasses with the names of `livekit.rtc`.

Where the official SDK has a protobuf message, `HasField` tells whether a field was set; an unset field is `None`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from ._fields import Fields
from .enums import (
    BackupCodecPolicy,
    ContinualGatheringPolicy,
    DegradationPreference,
    FrameMetadataFeature,
    IceTransportType,
    TrackSource,
    VideoCodec,
    VideoEncoderBackend,
)

if TYPE_CHECKING:
    import aiohttp

__all__ = [
    "AudioEncoding",
    "BackoffPolicy",
    "DataStreamOptions",
    "DurableOptions",
    "EngineOptions",
    "FrameMetadata",
    "IceServer",
    "Outage",
    "ParticipantTrackPermission",
    "ReconnectPolicy",
    "RoomOptions",
    "RtcConfiguration",
    "SignalOptions",
    "TokenNeed",
    "TokenSource",
    "TrackPublishOptions",
    "VideoEncoding",
]


@dataclass
class IceServer(Fields):
    """A STUN or TURN server."""

    urls: list[str] = field(default_factory=list)
    username: str | None = None
    password: str | None = field(default=None, repr=False)


Priority = Literal["very-low", "low", "medium", "high"]
"""The share of bandwidth and time a track gets among those that we send (W3C's `RTCPriorityType`; `low` by default)."""


@dataclass
class VideoEncoding(Fields):
    """Bounds of a video encoder: bits a second, frames a second; and its priority (not in `livekit.rtc`)."""

    max_bitrate: int | None = None
    max_framerate: float | None = None
    priority: Priority | None = None


@dataclass
class AudioEncoding(Fields):
    """Bounds of an audio encoder: bits a second; and its priority (not in `livekit.rtc`)."""

    max_bitrate: int | None = None
    priority: Priority | None = None


@dataclass
class FrameMetadata(Fields):
    """What travels beside a video frame: capture time in microseconds, a number, bytes of the application's."""

    user_timestamp: int | None = None
    frame_id: int | None = None
    user_data: bytes | None = None


@dataclass
class ParticipantTrackPermission(Fields):
    """Which of our tracks a participant may subscribe to."""

    participant_identity: str | None = None
    allow_all: bool | None = None
    allowed_track_sids: list[str] = field(default_factory=list)


@dataclass
class TrackPublishOptions(Fields):
    """How a local track is published; what is left unset takes LiveKit's defaults.

    Args:
        video_encoding: Bounds of the full picture.
        audio_encoding: Bounds of the sound; 48 kbit/s by default.
        video_codec: VP8 by default.
        dtx: Whether silence is not sent; yes by default.
        red: Whether sound is sent redundantly; yes by default.
        simulcast: Whether a picture is sent in layers; yes by default, where it is large enough.
        source: Where the track comes from.
        stream: The name of a group of tracks that are played in step.
        preconnect_buffer: Send to the room's agent what was played before it listened, from when the track is being
            published, or from `AudioSource.start_preconnect_buffer`.
        frame_metadata_features: What of the metadata of captured pictures travels beside them (`FrameMetadata`); not
            with H.264 (`UnsupportedError`).
        scalability_mode: Layers inside an encoding, such as `L3T3_KEY`; the picture is then sent in one encoding.
        video_encoder: There are software encoders only; anything else is not supported (`UnsupportedError`).
        degradation_preference: What of a picture is given up first when bandwidth or time is short.
        backup_codec: A second codec, sent once somebody subscribes who cannot receive the first (not in
            `livekit.rtc`). Layers of such a track that nobody watches are not sent, whatever `RoomOptions.dynacast`.
        backup_codec_policy: Whether the first codec is sent beside it then (not in `livekit.rtc`).
    """

    _kinds: ClassVar = {
        "video_encoding": VideoEncoding.of,
        "audio_encoding": AudioEncoding.of,
        "video_codec": VideoCodec,
        "source": TrackSource,
        "video_encoder": VideoEncoderBackend,
        "degradation_preference": DegradationPreference,
        "backup_codec": VideoCodec,
        "backup_codec_policy": BackupCodecPolicy,
    }

    video_encoding: VideoEncoding = field(default_factory=VideoEncoding)
    audio_encoding: AudioEncoding = field(default_factory=AudioEncoding)
    video_codec: VideoCodec | None = None
    dtx: bool | None = None
    red: bool | None = None
    simulcast: bool | None = None
    source: TrackSource | None = None
    stream: str | None = None
    preconnect_buffer: bool | None = None
    frame_metadata_features: list[FrameMetadataFeature] = field(default_factory=list)
    scalability_mode: str | None = None
    video_encoder: VideoEncoderBackend | None = None
    degradation_preference: DegradationPreference | None = None
    backup_codec: VideoCodec | None = None
    backup_codec_policy: BackupCodecPolicy | None = None


@dataclass
class RtcConfiguration:
    """ICE settings. With `ice_servers` empty, those of the join response are used."""

    ice_transport_type: IceTransportType = IceTransportType.TRANSPORT_ALL
    continual_gathering_policy: ContinualGatheringPolicy = ContinualGatheringPolicy.GATHER_CONTINUALLY
    ice_servers: list[IceServer] = field(default_factory=list)


@dataclass
class DataStreamOptions:
    """Limits on incoming data streams (text and bytes).

    Args:
        max_payload_byte_length: Bytes of one stream, decompressed, above which it is ended with `StreamTooLargeError`
            (`None`: 5,000,000,000, as in LiveKit's own SDKs).
        max_unread_byte_length: Bytes that may have arrived and not been read, of all streams together. Above, the
            sender with the most of them loses its largest stream.
        max_open_streams: How many streams one sender may have open; more are not taken.
        idle_timeout: Seconds after which a stream of which nothing more arrives is ended with `StreamTimeoutError`;
            `None`: never. A stream whose sender leaves is ended at once, whatever this says.
    """

    max_payload_byte_length: int | None = None
    max_unread_byte_length: int = 512 * 1024 * 1024
    max_open_streams: int = 1024
    idle_timeout: float | None = 600.0

    def __post_init__(self) -> None:
        limits = (self.max_unread_byte_length, self.max_open_streams, self.max_payload_byte_length)
        if any(limit is not None and limit < 0 for limit in limits):
            raise ValueError("limits are not negative")
        if self.idle_timeout is not None and self.idle_timeout <= 0:
            raise ValueError("a timeout is positive")


@dataclass
class SignalOptions:
    """How the signalling connection is made.

    Args:
        auto_subscribe: Ask the server to subscribe us to every track.
        adaptive_stream: Tell the server that we will pause and scale tracks by need.
        single_peer_connection: Use one peer connection for both directions where the server allows it.
        connect_timeout: Seconds for the WebSocket handshake.
        join_timeout: Seconds for the first message after it.
        validate_timeout: Seconds for finding out why a connect failed.
        proxy: URL of an HTTP proxy; `None` uses the environment's (`HTTP_PROXY`, …).
        ssl_context: TLS settings; `None` uses the system's certificates.
        session: An HTTP session to use instead of one of our own; it is not closed by us.
        sdk_name: The `sdk` field of `ClientInfo`, by its protobuf name.
        has_regions: Whether a host has a list of regions to fall back to (`/settings/regions`); `None`: those of
            LiveKit Cloud have.
    """

    auto_subscribe: bool = True
    adaptive_stream: bool = False
    single_peer_connection: bool = True
    connect_timeout: float = 5.0
    join_timeout: float = 5.0
    validate_timeout: float = 3.0
    proxy: str | None = None
    ssl_context: ssl.SSLContext | None = None
    session: aiohttp.ClientSession | None = None
    sdk_name: str = "PYTHON"
    has_regions: Callable[[str], bool] | None = None


TokenNeed = Literal["expired", "reconnect"]
"""Why a token is needed: the one there is has expired, or the server refuses it now that we come back."""

TokenSource = Callable[[TokenNeed], Awaitable[str]]
"""Returns a fresh token for the same participant and room. It is asked when the server, asked for its reason
(`validate`), refuses the newest token there is, at most once for each attempt to join or come back."""


class ReconnectPolicy(Protocol):
    """The delays of an episode; users may give their own.

    An episode begins with the loss of a connection and ends when the room is connected again or given up.
    """

    def delay(self, attempt: int, elapsed: float, rng: Random) -> float | None:
        """Return the seconds to wait before an attempt, or `None` to give up.

        Args:
            attempt: Which attempt of the episode this would be, from 1; episodes close upon one another count as well.
            elapsed: Seconds since the episode began.
            rng: Where chance comes from.
        """


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Full jitter: a random share of a bound that doubles with each attempt up to a cap.

    Given up is when both `attempts` have been made and `duration` has passed. With full jitter alone ten attempts
    may be over within a few seconds; those after the tenth wait at least half the cap, so that their number stays
    bounded too.

    Args:
        attempts: Made at least, however long they take.
        duration: Seconds to go on trying at least.
        first: Seconds that bound the delay before the first attempt; short, since nothing has failed yet, but not
            nothing, since a server that dies loses all its clients at once.
        base: Seconds that bound the delay before the second.
        cap: Seconds that bound every delay.
    """

    attempts: int = 10
    duration: float = 45.0
    first: float = 0.02
    base: float = 0.3
    cap: float = 7.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or min(self.duration, self.first, self.base) < 0 or self.cap <= 0:
            raise ValueError("a policy makes at least one attempt, and its times are not negative (the cap: positive)")

    def delay(self, attempt: int, elapsed: float, rng: Random) -> float | None:
        """See `ReconnectPolicy`."""
        if attempt > self.attempts:
            if elapsed >= self.duration:
                return None
            return rng.uniform(self.cap / 2, self.cap)
        # Past 2**32 the cap rules anyway, and floats stay finite.
        bound = self.first if attempt == 1 else self.base * 2.0 ** min(attempt - 2, 32)
        return rng.uniform(0.0, min(self.cap, bound))


@dataclass(frozen=True)
class Outage:
    """What happens to data packets while there is no connection to send them on.

    Reliable packets wait for it to come back, lossy ones are dropped: by then they would be old news.

    Args:
        max_packets: How many may wait; `publish_data` raises `OutboxFullError` at the next.
        deadline: Seconds one may wait; then its `publish_data` raises `DataTimeoutError`.
    """

    max_packets: int = 20_000
    deadline: float = 30.0


@dataclass(frozen=True)
class DurableOptions:
    """What is kept of durable messages (`publish_data(..., durable=True)`), until receivers have acknowledged them.

    Args:
        max_bytes: Bytes kept at most, 256 for each message included. A receiver holds as much while something is
            missing.
        max_messages: Messages kept at most.
        keep_for: Seconds for which a receiver that left is waited for.
        deadline: Seconds for which `publish_data` waits when that much is kept for receivers that are present; then it
            raises `OutboxFullError`.
    """

    max_bytes: int = 16 * 1024 * 1024
    max_messages: int = 20_000
    keep_for: float = 60.0
    deadline: float = 30.0

    def __post_init__(self) -> None:
        if self.max_bytes < 1 or self.max_messages < 1 or self.keep_for < 0 or self.deadline < 0:
            raise ValueError("at least one byte and one message are kept, and times are not negative")


@dataclass
class EngineOptions:
    """Options of `RtcEngine.connect` (the seed's `EngineOptions`).

    Args:
        rtc_config: ICE settings.
        signal: Signalling settings; its `single_peer_connection` is the one that counts.
        join_retries: How often a failed join is tried again; each try has its own time limits.
        peer_timeout: Seconds for the peer connections to come up.
        publish_timeout: Seconds for the server to answer a publish request.
        buffered_amount_high: Bytes queued in libwebrtc above which `publish_data` waits, until the low threshold
            is reached again. The distance between the two is what is handed over in one go.
        slow_handler: Seconds after which an event handler still running is reported in the log.
        reconnect_policy: When to try to reconnect, and when to give up.
        outage: What happens to data packets meanwhile.
        token_source: Asked for a fresh token when the server refuses the newest there is; without one that ends the
            room.
        token_timeout: Seconds it may take.
    """

    rtc_config: RtcConfiguration = field(default_factory=RtcConfiguration)
    signal: SignalOptions = field(default_factory=SignalOptions)
    join_retries: int = 3
    peer_timeout: float = 15.0
    publish_timeout: float = 10.0
    buffered_amount_high: int = 4 * 1024 * 1024
    slow_handler: float = 10.0
    reconnect_policy: ReconnectPolicy = field(default_factory=BackoffPolicy)
    outage: Outage = field(default_factory=Outage)
    token_source: TokenSource | None = None
    token_timeout: float = 10.0


@dataclass
class RoomOptions:
    """Options of `Room.connect`.

    Args:
        auto_subscribe: Subscribe to tracks as they are published.
        dynacast: Stop sending simulcast layers nobody watches.
        adaptive_stream: Be sent each video track as large as its `VideoStream`s need it (`VideoStream.wanted_size`),
            and not at all while it has none, or all are hidden (not in `livekit.rtc`). What is said of a publication by
            `set_enabled`, `set_video_quality`, `set_video_dimensions` counts instead.
        e2ee: The older name of `encryption`; encrypts media only.
        encryption: End-to-end encryption of media and data.
        rtc_config: ICE settings.
        connect_timeout: Seconds for each signalling attempt (5 when `None`).
        single_peer_connection: One peer connection for both directions where the server allows it (`None`: yes).
        data_stream: Limits on incoming data streams.
        join_retries: How often a failed join is tried again.
        proxy: URL of an HTTP proxy.
        ssl_context: TLS settings.
        http_session: An HTTP session to use; it is not closed by us.
        event_queue_size: How many events `Room.events()` holds before it drops the oldest and says so.
        reconnect_policy: When to try to reconnect, and when to give up (`None`: ten attempts and 45 s).
        outage: How long, and how many, data packets wait meanwhile (`None`: 30 s, 20,000).
        durable: What is kept of durable messages, and how long (`None`: 16 MiB, 20,000 messages, 60 s).
        token_source: Asked for a fresh token, with the reason (`expired` or `reconnect`), when the server refuses the
            newest there is; without one that ends the room.
        flight_log: A directory for the flight record (JSON lines and an HTML page) of a connection that could not be
            made, or that was lost for good; `None` writes none.
        flight_records: How many records the flight recorder holds; 0 switches it off.
    """

    auto_subscribe: bool = True
    dynacast: bool = False
    e2ee: Any | None = None
    encryption: Any | None = None
    rtc_config: RtcConfiguration | None = None
    connect_timeout: float | None = None
    single_peer_connection: bool | None = None
    data_stream: DataStreamOptions | None = None
    # What is above are the official SDK's, in its order.
    adaptive_stream: bool = False
    join_retries: int = 3
    proxy: str | None = None
    ssl_context: ssl.SSLContext | None = None
    http_session: aiohttp.ClientSession | None = None
    event_queue_size: int = 1024
    reconnect_policy: ReconnectPolicy | None = None
    outage: Outage | None = None
    token_source: TokenSource | None = None
    durable: DurableOptions | None = None
    flight_log: str | os.PathLike[str] | None = None
    flight_records: int = 8192
