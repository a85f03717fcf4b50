"""Statistics of peer connections and tracks, as records with the official SDK's names.

Each record is an `RtcStats`; exactly one of its members is set, the one its kind is called by. As of a message, the
others are there too, with nothing in them:

```python
for record in await track.get_stats():
    if record.HasField("inbound_rtp"):
        print(record.inbound_rtp.received.packets_lost)
```

The values are those of the W3C's "Identifiers for WebRTC's Statistics API", in its units: seconds, bytes, bits per
second; timestamps are milliseconds since 1970 on records (`RtcStatsData`), as on the fields that say `timestamp`. What
libwebrtc does not tell is 0, empty or false.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any

__all__ = [
    "AudioPlayoutStats",
    "AudioSourceStats",
    "CandidatePair",
    "CandidatePairStats",
    "Certificate",
    "CertificateStats",
    "Codec",
    "CodecStats",
    "DataChannel",
    "DataChannelState",
    "DataChannelStats",
    "DtlsRole",
    "DtlsTransportState",
    "IceCandidatePairState",
    "IceCandidateStats",
    "IceCandidateType",
    "IceRole",
    "IceServerTransportProtocol",
    "IceTcpCandidateType",
    "IceTransportState",
    "InboundRtp",
    "InboundRtpStreamStats",
    "LocalCandidate",
    "MediaPlayout",
    "MediaSource",
    "MediaSourceStats",
    "OutboundRtp",
    "OutboundRtpStreamStats",
    "PeerConnection",
    "PeerConnectionStats",
    "QualityLimitationReason",
    "ReceivedRtpStreamStats",
    "RemoteCandidate",
    "RemoteInboundRtp",
    "RemoteInboundRtpStreamStats",
    "RemoteOutboundRtp",
    "RemoteOutboundRtpStreamStats",
    "RtcStats",
    "RtcStatsData",
    "RtpStreamStats",
    "SentRtpStreamStats",
    "Transport",
    "TransportStats",
    "VideoSourceStats",
]


class _Record:
    """Values with defaults: an instance holds those that were told.

    Dataclasses of this size would take a quarter of the package's time to import.
    """

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


class DataChannelState(IntEnum):
    """State of a data channel."""

    DC_CONNECTING = 0
    DC_OPEN = 1
    DC_CLOSING = 2
    DC_CLOSED = 3


class QualityLimitationReason(IntEnum):
    """Why pictures are smaller or fewer than they could be."""

    LIMITATION_NONE = 0
    LIMITATION_CPU = 1
    LIMITATION_BANDWIDTH = 2
    LIMITATION_OTHER = 3


class IceRole(IntEnum):
    """Who decides which path is taken."""

    ICE_UNKNOWN = 0
    ICE_CONTROLLING = 1
    ICE_CONTROLLED = 2


class DtlsTransportState(IntEnum):
    """State of the encryption of a path."""

    DTLS_TRANSPORT_NEW = 0
    DTLS_TRANSPORT_CONNECTING = 1
    DTLS_TRANSPORT_CONNECTED = 2
    DTLS_TRANSPORT_CLOSED = 3
    DTLS_TRANSPORT_FAILED = 4


class IceTransportState(IntEnum):
    """State of a path."""

    ICE_TRANSPORT_NEW = 0
    ICE_TRANSPORT_CHECKING = 1
    ICE_TRANSPORT_CONNECTED = 2
    ICE_TRANSPORT_COMPLETED = 3
    ICE_TRANSPORT_DISCONNECTED = 4
    ICE_TRANSPORT_FAILED = 5
    ICE_TRANSPORT_CLOSED = 6


class DtlsRole(IntEnum):
    """Who began the handshake."""

    DTLS_CLIENT = 0
    DTLS_SERVER = 1
    DTLS_UNKNOWN = 2


class IceCandidatePairState(IntEnum):
    """State of a pair."""

    PAIR_FROZEN = 0
    PAIR_WAITING = 1
    PAIR_IN_PROGRESS = 2
    PAIR_FAILED = 3
    PAIR_SUCCEEDED = 4


class IceCandidateType(IntEnum):
    """How a candidate was found."""

    HOST = 0
    SRFLX = 1
    PRFLX = 2
    RELAY = 3


class IceServerTransportProtocol(IntEnum):
    """How a relay is reached."""

    TRANSPORT_UDP = 0
    TRANSPORT_TCP = 1
    TRANSPORT_TLS = 2


class IceTcpCandidateType(IntEnum):
    """Who opens the connection."""

    CANDIDATE_ACTIVE = 0
    CANDIDATE_PASSIVE = 1
    CANDIDATE_SO = 2


class RtcStatsData(_Record):
    """Of every record: which, and when (milliseconds since 1970)."""

    id: str = ""
    timestamp: int = 0


class CodecStats(_Record):
    """A codec as it was negotiated."""

    payload_type: int = 0
    transport_id: str = ""
    mime_type: str = ""
    clock_rate: int = 0
    channels: int = 0
    sdp_fmtp_line: str = ""


class RtpStreamStats(_Record):
    """Of every RTP stream."""

    ssrc: int = 0
    kind: str = ""
    transport_id: str = ""
    codec_id: str = ""


class ReceivedRtpStreamStats(_Record):
    """Of every received stream; `jitter` in seconds."""

    packets_received: int = 0
    packets_lost: int = 0
    jitter: float = 0.0


class InboundRtpStreamStats(_Record):
    """A stream that we receive; members of the other kind of media are 0."""

    track_identifier: str = ""
    mid: str = ""
    remote_id: str = ""
    frames_decoded: int = 0
    key_frames_decoded: int = 0
    frames_rendered: int = 0
    frames_dropped: int = 0
    frame_width: int = 0
    frame_height: int = 0
    frames_per_second: float = 0.0
    qp_sum: int = 0
    total_decode_time: float = 0.0
    total_inter_frame_delay: float = 0.0
    total_squared_inter_frame_delay: float = 0.0
    pause_count: int = 0
    total_pause_duration: float = 0.0
    freeze_count: int = 0
    total_freeze_duration: float = 0.0
    last_packet_received_timestamp: float = 0.0
    header_bytes_received: int = 0
    packets_discarded: int = 0
    fec_bytes_received: int = 0
    fec_packets_received: int = 0
    fec_packets_discarded: int = 0
    bytes_received: int = 0
    nack_count: int = 0
    fir_count: int = 0
    pli_count: int = 0
    total_processing_delay: float = 0.0
    estimated_playout_timestamp: float = 0.0
    jitter_buffer_delay: float = 0.0
    jitter_buffer_target_delay: float = 0.0
    jitter_buffer_emitted_count: int = 0
    jitter_buffer_minimum_delay: float = 0.0
    total_samples_received: int = 0
    concealed_samples: int = 0
    silent_concealed_samples: int = 0
    concealment_events: int = 0
    inserted_samples_for_deceleration: int = 0
    removed_samples_for_acceleration: int = 0
    audio_level: float = 0.0
    total_audio_energy: float = 0.0
    total_samples_duration: float = 0.0
    frames_received: int = 0
    decoder_implementation: str = ""
    playout_id: str = ""
    power_efficient_decoder: bool = False
    frames_assembled_from_multiple_packets: int = 0
    total_assembly_time: float = 0.0
    retransmitted_packets_received: int = 0
    retransmitted_bytes_received: int = 0
    rtx_ssrc: int = 0
    fec_ssrc: int = 0


class SentRtpStreamStats(_Record):
    """Of every sent stream; bytes of payload."""

    packets_sent: int = 0
    bytes_sent: int = 0


class OutboundRtpStreamStats(_Record):
    """A stream that we send: one for each layer."""

    mid: str = ""
    media_source_id: str = ""
    remote_id: str = ""
    rid: str = ""
    header_bytes_sent: int = 0
    retransmitted_packets_sent: int = 0
    retransmitted_bytes_sent: int = 0
    rtx_ssrc: int = 0
    target_bitrate: float = 0.0
    total_encoded_bytes_target: int = 0
    frame_width: int = 0
    frame_height: int = 0
    frames_per_second: float = 0.0
    frames_sent: int = 0
    huge_frames_sent: int = 0
    frames_encoded: int = 0
    key_frames_encoded: int = 0
    qp_sum: int = 0
    total_encode_time: float = 0.0
    total_packet_send_delay: float = 0.0
    quality_limitation_reason: QualityLimitationReason = QualityLimitationReason.LIMITATION_NONE
    quality_limitation_durations: Mapping[str, float] = MappingProxyType({})
    quality_limitation_resolution_changes: int = 0
    nack_count: int = 0
    fir_count: int = 0
    pli_count: int = 0
    encoder_implementation: str = ""
    power_efficient_encoder: bool = False
    active: bool = False
    scalability_mode: str = ""


class RemoteInboundRtpStreamStats(_Record):
    """A stream of ours as its receiver reports it."""

    local_id: str = ""
    round_trip_time: float = 0.0
    total_round_trip_time: float = 0.0
    fraction_lost: float = 0.0
    round_trip_time_measurements: int = 0


class RemoteOutboundRtpStreamStats(_Record):
    """A stream that we receive as its sender reports it."""

    local_id: str = ""
    remote_timestamp: float = 0.0
    reports_sent: int = 0
    round_trip_time: float = 0.0
    total_round_trip_time: float = 0.0
    round_trip_time_measurements: int = 0


class MediaSourceStats(_Record):
    """What a sender sends from."""

    track_identifier: str = ""
    kind: str = ""


class AudioSourceStats(_Record):
    """Audio before it is encoded; levels from 0 to 1."""

    audio_level: float = 0.0
    total_audio_energy: float = 0.0
    total_samples_duration: float = 0.0
    echo_return_loss: float = 0.0
    echo_return_loss_enhancement: float = 0.0
    dropped_samples_duration: float = 0.0
    dropped_samples_events: int = 0
    total_capture_delay: float = 0.0
    total_samples_captured: int = 0


class VideoSourceStats(_Record):
    """Pictures before they are encoded."""

    width: int = 0
    height: int = 0
    frames: int = 0
    frames_per_second: float = 0.0


class AudioPlayoutStats(_Record):
    """Audio as it is played."""

    kind: str = ""
    synthesized_samples_duration: float = 0.0
    synthesized_samples_events: int = 0
    total_samples_duration: float = 0.0
    total_playout_delay: float = 0.0
    total_samples_count: int = 0


class PeerConnectionStats(_Record):
    """A peer connection."""

    data_channels_opened: int = 0
    data_channels_closed: int = 0


class DataChannelStats(_Record):
    """A data channel."""

    label: str = ""
    protocol: str = ""
    data_channel_identifier: int = 0
    state: DataChannelState = DataChannelState.DC_CONNECTING
    messages_sent: int = 0
    bytes_sent: int = 0
    messages_received: int = 0
    bytes_received: int = 0


class TransportStats(_Record):
    """A path to the server; `selected_candidate_pair_id` is the pair in use."""

    packets_sent: int = 0
    packets_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    ice_role: IceRole = IceRole.ICE_UNKNOWN
    ice_local_username_fragment: str = ""
    dtls_state: DtlsTransportState = DtlsTransportState.DTLS_TRANSPORT_NEW
    ice_state: IceTransportState = IceTransportState.ICE_TRANSPORT_NEW
    selected_candidate_pair_id: str = ""
    local_certificate_id: str = ""
    remote_certificate_id: str = ""
    tls_version: str = ""
    dtls_cipher: str = ""
    dtls_role: DtlsRole = DtlsRole.DTLS_CLIENT
    srtp_cipher: str = ""
    selected_candidate_pair_changes: int = 0


class CandidatePairStats(_Record):
    """A pair of candidates that was tried."""

    transport_id: str = ""
    local_candidate_id: str = ""
    remote_candidate_id: str = ""
    state: IceCandidatePairState = IceCandidatePairState.PAIR_FROZEN
    nominated: bool = False
    packets_sent: int = 0
    packets_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    last_packet_sent_timestamp: float = 0.0
    last_packet_received_timestamp: float = 0.0
    total_round_trip_time: float = 0.0
    current_round_trip_time: float = 0.0
    available_outgoing_bitrate: float = 0.0
    available_incoming_bitrate: float = 0.0
    requests_received: int = 0
    requests_sent: int = 0
    responses_received: int = 0
    responses_sent: int = 0
    consent_requests_sent: int = 0
    packets_discarded_on_send: int = 0
    bytes_discarded_on_send: int = 0


class IceCandidateStats(_Record):
    """A candidate."""

    transport_id: str = ""
    address: str = ""
    port: int = 0
    protocol: str = ""
    candidate_type: IceCandidateType = IceCandidateType.HOST
    priority: int = 0
    url: str = ""
    relay_protocol: IceServerTransportProtocol = IceServerTransportProtocol.TRANSPORT_UDP
    foundation: str = ""
    related_address: str = ""
    related_port: int = 0
    username_fragment: str = ""
    tcp_type: IceTcpCandidateType = IceTcpCandidateType.CANDIDATE_ACTIVE


class CertificateStats(_Record):
    """A certificate."""

    fingerprint: str = ""
    fingerprint_algorithm: str = ""
    base64_certificate: str = ""
    issuer_certificate_id: str = ""


class Codec(_Record):
    """A codec."""

    rtc: RtcStatsData = RtcStatsData()
    codec: CodecStats = CodecStats()


class InboundRtp(_Record):
    """A stream that we receive."""

    rtc: RtcStatsData = RtcStatsData()
    stream: RtpStreamStats = RtpStreamStats()
    received: ReceivedRtpStreamStats = ReceivedRtpStreamStats()
    inbound: InboundRtpStreamStats = InboundRtpStreamStats()


class OutboundRtp(_Record):
    """A stream that we send."""

    rtc: RtcStatsData = RtcStatsData()
    stream: RtpStreamStats = RtpStreamStats()
    sent: SentRtpStreamStats = SentRtpStreamStats()
    outbound: OutboundRtpStreamStats = OutboundRtpStreamStats()


class RemoteInboundRtp(_Record):
    """What the receiver of one of our streams reports."""

    rtc: RtcStatsData = RtcStatsData()
    stream: RtpStreamStats = RtpStreamStats()
    received: ReceivedRtpStreamStats = ReceivedRtpStreamStats()
    remote_inbound: RemoteInboundRtpStreamStats = RemoteInboundRtpStreamStats()


class RemoteOutboundRtp(_Record):
    """What the sender of a stream to us reports."""

    rtc: RtcStatsData = RtcStatsData()
    stream: RtpStreamStats = RtpStreamStats()
    sent: SentRtpStreamStats = SentRtpStreamStats()
    remote_outbound: RemoteOutboundRtpStreamStats = RemoteOutboundRtpStreamStats()


class MediaSource(_Record):
    """What we send from; `audio` or `video` has values, by `source.kind`."""

    rtc: RtcStatsData = RtcStatsData()
    source: MediaSourceStats = MediaSourceStats()
    audio: AudioSourceStats = AudioSourceStats()
    video: VideoSourceStats = VideoSourceStats()


class MediaPlayout(_Record):
    """What is played."""

    rtc: RtcStatsData = RtcStatsData()
    audio_playout: AudioPlayoutStats = AudioPlayoutStats()


class PeerConnection(_Record):
    """A peer connection."""

    rtc: RtcStatsData = RtcStatsData()
    pc: PeerConnectionStats = PeerConnectionStats()


class DataChannel(_Record):
    """A data channel."""

    rtc: RtcStatsData = RtcStatsData()
    dc: DataChannelStats = DataChannelStats()


class Transport(_Record):
    """A path to the server."""

    rtc: RtcStatsData = RtcStatsData()
    transport: TransportStats = TransportStats()


class CandidatePair(_Record):
    """A pair of candidates."""

    rtc: RtcStatsData = RtcStatsData()
    candidate_pair: CandidatePairStats = CandidatePairStats()


class LocalCandidate(_Record):
    """A candidate of ours."""

    rtc: RtcStatsData = RtcStatsData()
    candidate: IceCandidateStats = IceCandidateStats()


class RemoteCandidate(_Record):
    """A candidate of the server."""

    rtc: RtcStatsData = RtcStatsData()
    candidate: IceCandidateStats = IceCandidateStats()


class Certificate(_Record):
    """A certificate of either side."""

    rtc: RtcStatsData = RtcStatsData()
    certificate: CertificateStats = CertificateStats()


class RtcStats(_Record):
    """A record: the member its kind is called by is set, the others have no values (`HasField`)."""

    codec: Codec = Codec()
    inbound_rtp: InboundRtp = InboundRtp()
    outbound_rtp: OutboundRtp = OutboundRtp()
    remote_inbound_rtp: RemoteInboundRtp = RemoteInboundRtp()
    remote_outbound_rtp: RemoteOutboundRtp = RemoteOutboundRtp()
    media_source: MediaSource = MediaSource()
    media_playout: MediaPlayout = MediaPlayout()
    peer_connection: PeerConnection = PeerConnection()
    data_channel: DataChannel = DataChannel()
    transport: Transport = Transport()
    candidate_pair: CandidatePair = CandidatePair()
    local_candidate: LocalCandidate = LocalCandidate()
    remote_candidate: RemoteCandidate = RemoteCandidate()
    certificate: Certificate = Certificate()

    def WhichOneof(self, name: str = "stats") -> str | None:  # noqa: N802 - protobuf's spelling
        """Return which member is set, as a protobuf message does.

        Raises:
            ValueError: If `name` is not `stats`.
        """
        if name != "stats":
            raise ValueError(f"no such group of members: {name!r}")
        return next(iter(self.__dict__), None)

    def HasField(self, name: str) -> bool:  # noqa: N802 - protobuf's spelling
        """Whether a member is set; raises `ValueError` for a name that is no member."""
        if name not in RtcStats.__annotations__:
            raise ValueError(f"no such member: {name!r}")
        return name in self.__dict__
