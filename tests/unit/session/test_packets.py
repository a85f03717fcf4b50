from __future__ import annotations

import pytest
from livekit.protocol import metrics, models

from aiolivekit.enums import DataPacketKind
from aiolivekit.session import events
from aiolivekit.session.packets import decode_packet

RELIABLE = DataPacketKind.KIND_RELIABLE
Packet = models.DataPacket


@pytest.mark.parametrize(
    ("packet", "event"),
    [
        (
            Packet(
                participant_sid="PA_a",
                participant_identity="a",
                user=models.UserPacket(payload=b"x", topic="t"),
            ),
            events.DataReceived("PA_a", "a", b"x", "t", RELIABLE, 0),
        ),
        # Older servers name the sender in the user packet alone.
        (
            Packet(user=models.UserPacket(payload=b"x", participant_sid="PA_b", participant_identity="b")),
            events.DataReceived("PA_b", "b", b"x", "", RELIABLE, 0),
        ),
        (
            Packet(participant_identity="a", sip_dtmf=models.SipDTMF(code=5, digit="5")),
            events.SipDtmfReceived("a", 5, "5"),
        ),
        (
            Packet(
                participant_identity="a",
                rpc_request=models.RpcRequest(id="1", method="m", payload="p", response_timeout_ms=1500, version=1),
            ),
            events.RpcRequest("a", "1", "m", "p", 1.5, 1),
        ),
        (
            Packet(participant_identity="a", metrics=metrics.MetricsBatch(timestamp_ms=7)),
            events.MetricsReceived("a", metrics.MetricsBatch(timestamp_ms=7)),
        ),
        (
            Packet(participant_identity="a", rpc_response=models.RpcResponse(request_id="1", payload="")),
            events.RpcResponse("a", "1", "", None),
        ),
        (
            Packet(
                participant_identity="a",
                rpc_response=models.RpcResponse(request_id="1", error=models.RpcError(code=1500)),
            ),
            events.RpcResponse("a", "1", None, models.RpcError(code=1500)),
        ),
        (Packet(participant_identity="a", rpc_ack=models.RpcAck(request_id="1")), events.RpcAck("a", "1")),
        (
            Packet(participant_identity="a", chat_message=models.ChatMessage(message="hi")),
            events.ChatMessageReceived("a", models.ChatMessage(message="hi")),
        ),
        (
            Packet(
                participant_identity="agent",
                transcription=models.Transcription(
                    transcribed_participant_identity="a",
                    track_id="TR_x",
                    segments=[models.TranscriptionSegment(id="s", text="hello")],
                ),
            ),
            events.TranscriptionReceived("a", "TR_x", [models.TranscriptionSegment(id="s", text="hello")]),
        ),
        (
            Packet(participant_identity="a", stream_header=models.DataStream.Header(stream_id="s")),
            events.DataStreamHeader(models.DataStream.Header(stream_id="s"), "a", 0),
        ),
        (
            Packet(participant_identity="a", stream_chunk=models.DataStream.Chunk(stream_id="s", content=b"c")),
            events.DataStreamChunk(models.DataStream.Chunk(stream_id="s", content=b"c"), "a", 0),
        ),
        (
            Packet(participant_identity="a", stream_trailer=models.DataStream.Trailer(stream_id="s")),
            events.DataStreamTrailer(models.DataStream.Trailer(stream_id="s"), "a"),
        ),
        (Packet(), None),
    ],
)
def test_decode(packet: models.DataPacket, event: object) -> None:
    assert decode_packet(Packet.FromString(packet.SerializeToString()), RELIABLE) == event
