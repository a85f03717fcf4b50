"""Data packets as events (`livekit.DataPacket`)."""

from __future__ import annotations

from collections.abc import Callable

from livekit.protocol import models

from ..enums import DataPacketKind
from .events import (
    ChatMessageReceived,
    DataReceived,
    DataStreamChunk,
    DataStreamHeader,
    DataStreamTrailer,
    MetricsReceived,
    RpcAck,
    RpcRequest,
    RpcResponse,
    SessionEvent,
    SipDtmfReceived,
    TranscriptionReceived,
)

__all__ = ["DATA_TRACK_LABEL", "LOSSY_LABEL", "RELIABLE_LABEL", "decode_packet", "is_durable"]

RELIABLE_LABEL = "_reliable"
LOSSY_LABEL = "_lossy"
DATA_TRACK_LABEL = "_data_track"

_Packet = models.DataPacket
_UNSUPPORTED_VERSION = 1404
DURABLE_PREFIX = "aio1"
"""Ids of durable messages, and of their bookkeeping, begin with this (docs/durable.md)."""


def decode_packet(packet: models.DataPacket, kind: DataPacketKind, encryption_type: int = 0) -> SessionEvent | None:
    """Return the event of a packet, or `None` for a kind of packet that is not known here."""
    value = packet.WhichOneof("value")
    if value == "user":
        user = packet.user
        return DataReceived(
            packet.participant_sid or user.participant_sid,
            packet.participant_identity or user.participant_identity,
            user.payload,
            user.topic,
            kind,
            encryption_type,
            user.id,
        )
    decoder = _DECODERS.get(value) if value is not None else None
    return decoder(packet, encryption_type) if decoder is not None else None


def is_durable(packet: models.DataPacket) -> bool:
    """Whether a packet is a durable message or part of their bookkeeping (docs/durable.md)."""
    return packet.user.id.startswith(DURABLE_PREFIX)


def _chat(packet: _Packet, _encryption: int) -> SessionEvent:
    return ChatMessageReceived(packet.participant_identity, packet.chat_message)


def _transcription(packet: _Packet, _encryption: int) -> SessionEvent:
    transcription = packet.transcription
    identity = transcription.transcribed_participant_identity or packet.participant_identity
    return TranscriptionReceived(identity, transcription.track_id, list(transcription.segments))


def _metrics(packet: _Packet, _encryption: int) -> SessionEvent:
    return MetricsReceived(packet.participant_identity, packet.metrics)


def _sip_dtmf(packet: _Packet, _encryption: int) -> SessionEvent:
    return SipDtmfReceived(packet.participant_identity, packet.sip_dtmf.code, packet.sip_dtmf.digit)


def _rpc_request(packet: _Packet, _encryption: int) -> SessionEvent:
    request = packet.rpc_request
    # Nobody sends compressed payloads to who does not say that it understands them; an empty one in its place would be
    # the wrong one.
    version = 0 if request.compressed_payload else request.version
    return RpcRequest(
        packet.participant_identity,
        request.id,
        request.method,
        request.payload,
        request.response_timeout_ms / 1000,
        version,
    )


def _rpc_response(packet: _Packet, _encryption: int) -> SessionEvent:
    response = packet.rpc_response
    error: models.RpcError | None = None
    match response.WhichOneof("value"):
        case "error":
            error = response.error
        case "compressed_payload":
            error = models.RpcError(code=_UNSUPPORTED_VERSION, message="Unsupported RPC version", data="compressed")
    payload = response.payload if error is None else None
    return RpcResponse(packet.participant_identity, response.request_id, payload, error)


def _rpc_ack(packet: _Packet, _encryption: int) -> SessionEvent:
    return RpcAck(packet.participant_identity, packet.rpc_ack.request_id)


def _stream_header(packet: _Packet, encryption: int) -> SessionEvent:
    return DataStreamHeader(packet.stream_header, packet.participant_identity, encryption, packet.participant_sid)


def _stream_chunk(packet: _Packet, encryption: int) -> SessionEvent:
    return DataStreamChunk(packet.stream_chunk, packet.participant_identity, encryption, packet.participant_sid)


def _stream_trailer(packet: _Packet, _encryption: int) -> SessionEvent:
    return DataStreamTrailer(packet.stream_trailer, packet.participant_identity, packet.participant_sid)


_DECODERS: dict[str, Callable[[_Packet, int], SessionEvent]] = {
    "chat_message": _chat,
    "transcription": _transcription,
    "metrics": _metrics,
    "sip_dtmf": _sip_dtmf,
    "rpc_request": _rpc_request,
    "rpc_response": _rpc_response,
    "rpc_ack": _rpc_ack,
    "stream_header": _stream_header,
    "stream_chunk": _stream_chunk,
    "stream_trailer": _stream_trailer,
}
