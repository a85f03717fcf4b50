"""What travels as data packets: to the user as objects, to the engine as `livekit.DataPacket`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from livekit.protocol import models

from ..enums import DataPacketKind

if TYPE_CHECKING:
    from .participant import RemoteParticipant

__all__ = [
    "DataPacket",
    "SipDTMF",
    "Transcription",
    "TranscriptionSegment",
    "dtmf_packet",
    "segments_of",
    "transcription_packet",
    "user_packet",
]

_Packet = models.DataPacket


@dataclass(slots=True)
class DataPacket:
    """A received data packet.

    Args:
        data: Its payload.
        kind: How it travelled.
        participant: Who sent it; `None` when a server did, or a participant that is hidden. The server announces a
            participant that publishes nothing some time after it joined: until then the object has its sid and
            identity alone, and is not among `Room.remote_participants` yet.
        topic: What the sender called it, or an empty string.
    """

    data: bytes
    kind: DataPacketKind
    participant: RemoteParticipant | None
    topic: str | None = None


@dataclass(slots=True)
class SipDTMF:
    """A telephone key.

    Args:
        code: Its number.
        digit: What is printed on it.
        participant: Who pressed it; `None` when a server sent it.
    """

    code: int
    digit: str
    participant: RemoteParticipant | None = None


@dataclass
class TranscriptionSegment:
    """A part of somebody's words as text.

    Args:
        id: Names the segment; a later one with the same id replaces it.
        text: The words.
        start_time: When they began.
        end_time: When they ended.
        language: Their language.
        final: Whether no other segment with this id follows.
    """

    id: str
    text: str
    start_time: int
    end_time: int
    language: str
    final: bool


@dataclass
class Transcription:
    """Somebody's words as text.

    Args:
        participant_identity: Who spoke.
        track_sid: In which track.
        segments: The words.
    """

    participant_identity: str
    track_sid: str
    segments: list[TranscriptionSegment]


def user_packet(payload: bytes | str, topic: str, destination_identities: Sequence[str]) -> _Packet:
    """Return the packet of `publish_data`.

    Raises:
        TypeError: If the payload is neither bytes nor text.
    """
    if not isinstance(payload, bytes):
        if isinstance(payload, str):
            payload = payload.encode()
        elif isinstance(payload, bytearray | memoryview):
            payload = bytes(payload)
        else:
            raise TypeError(f"a payload is bytes or str, not {type(payload).__name__}")
    # Setting fields costs half of what passing them to the constructors does.
    packet = _Packet()
    user = packet.user
    user.payload = payload
    if topic:
        user.topic = topic
    if destination_identities:
        packet.destination_identities.extend(destination_identities)
    return packet


def dtmf_packet(code: int, digit: str) -> _Packet:
    """Return the packet of `publish_dtmf`."""
    return _Packet(sip_dtmf=models.SipDTMF(code=code, digit=digit))


def transcription_packet(transcription: Transcription) -> _Packet:
    """Return the packet of `publish_transcription`."""
    return _Packet(
        transcription=models.Transcription(
            transcribed_participant_identity=transcription.participant_identity,
            track_id=transcription.track_sid,
            segments=[
                models.TranscriptionSegment(
                    id=segment.id,
                    text=segment.text,
                    start_time=segment.start_time,
                    end_time=segment.end_time,
                    language=segment.language,
                    final=segment.final,
                )
                for segment in transcription.segments
            ],
        )
    )


def segments_of(segments: Sequence[models.TranscriptionSegment]) -> list[TranscriptionSegment]:
    """Return received segments as objects."""
    return [
        TranscriptionSegment(
            id=segment.id,
            text=segment.text,
            start_time=segment.start_time,
            end_time=segment.end_time,
            language=segment.language,
            final=segment.final,
        )
        for segment in segments
    ]
