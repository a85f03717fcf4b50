"""What a data track is, and what it carries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from livekit.protocol import models

from ..errors import PublishDataTrackError

__all__ = [
    "DataTrackFrame",
    "DataTrackFrameEncoding",
    "DataTrackInfo",
    "DataTrackSchemaEncoding",
    "DataTrackSchemaId",
    "info_of",
    "set_schema",
]


class DataTrackFrameEncoding(IntEnum):
    """How frames are encoded (`livekit.DataTrackFrameEncoding`); one that is not listed is said as a string."""

    OTHER = 0
    ROS1 = 1
    CDR = 2
    PROTOBUF = 3
    FLATBUFFER = 4
    CBOR = 5
    MSGPACK = 6
    JSON = 7


class DataTrackSchemaEncoding(IntEnum):
    """How a schema is written (`livekit.DataTrackSchemaEncoding`); one that is not listed is said as a string."""

    OTHER = 0
    PROTOBUF = 1
    FLATBUFFER = 2
    ROS1_MSG = 3
    ROS2_MSG = 4
    ROS2_IDL = 5
    OMG_IDL = 6
    JSON_SCHEMA = 7


@dataclass(frozen=True, slots=True)
class DataTrackSchemaId:
    """Names the schema that describes the frames of a track.

    Args:
        name: Of the schema.
        encoding: How it is written; a string for one that is the application's own.
    """

    name: str
    encoding: DataTrackSchemaEncoding | str


@dataclass(slots=True)
class DataTrackInfo:
    """A published data track.

    Args:
        sid: The server's id (`DTR_…`). It changes when the publisher has to join anew; the name stays.
        name: What the publisher calls it; one track of a publisher has it at a time.
        uses_e2ee: Whether its frames are encrypted end to end.
        frame_encoding: How frames are encoded, if the publisher says so (not in `livekit.rtc`).
        schema: What describes frames, if the publisher says so (not in `livekit.rtc`).
    """

    sid: str
    name: str
    uses_e2ee: bool
    frame_encoding: DataTrackFrameEncoding | str | None = None
    schema: DataTrackSchemaId | None = None


@dataclass(slots=True)
class DataTrackFrame:
    """A frame of a data track.

    Args:
        payload: Its bytes: some 2 MB at most (`LocalDataTrack.try_push`).
        user_timestamp: What the application says of its time; 64 bits without a sign.
    """

    payload: bytes
    user_timestamp: int | None = None


_DESCRIBED_BY: dict[int, frozenset[int]] = {
    DataTrackFrameEncoding.ROS1: frozenset({DataTrackSchemaEncoding.ROS1_MSG}),
    DataTrackFrameEncoding.CDR: frozenset(
        {DataTrackSchemaEncoding.ROS2_MSG, DataTrackSchemaEncoding.ROS2_IDL, DataTrackSchemaEncoding.OMG_IDL}
    ),
    DataTrackFrameEncoding.PROTOBUF: frozenset({DataTrackSchemaEncoding.PROTOBUF}),
    DataTrackFrameEncoding.FLATBUFFER: frozenset({DataTrackSchemaEncoding.FLATBUFFER}),
    DataTrackFrameEncoding.CBOR: frozenset(),
    DataTrackFrameEncoding.MSGPACK: frozenset(),
    DataTrackFrameEncoding.JSON: frozenset({DataTrackSchemaEncoding.JSON_SCHEMA}),
}
_SELF_DESCRIBING = {DataTrackFrameEncoding.CBOR, DataTrackFrameEncoding.MSGPACK, DataTrackFrameEncoding.JSON}


def set_schema(
    message: models.DataTrackInfo,
    frame_encoding: DataTrackFrameEncoding | str | None,
    schema: DataTrackSchemaId | None,
) -> None:
    """Put into a message how frames are encoded and what describes them.

    Raises:
        PublishDataTrackError: If the two contradict each other, or one is missing (the rules are those of
            `livekit-datatrack/src/schema.rs`).
    """
    if frame_encoding is None:
        if schema is not None:
            raise PublishDataTrackError("a schema needs the encoding of the frames it describes")
        return
    if isinstance(frame_encoding, str):
        message.frame_encoding.custom = frame_encoding
    else:
        message.frame_encoding.well_known = int(frame_encoding)  # type: ignore[assignment]
    if schema is None:
        if frame_encoding in _DESCRIBED_BY and frame_encoding not in _SELF_DESCRIBING:
            raise PublishDataTrackError("frames of that encoding need a schema")
        return
    if frame_encoding in _DESCRIBED_BY and schema.encoding not in _DESCRIBED_BY[frame_encoding]:
        raise PublishDataTrackError("a schema of that encoding cannot describe frames of that encoding")
    message.schema.name = schema.name
    if isinstance(schema.encoding, str):
        message.schema.encoding.custom = schema.encoding
    else:
        message.schema.encoding.well_known = int(schema.encoding)  # type: ignore[assignment]


def info_of(info: models.DataTrackInfo) -> DataTrackInfo:
    """Return what the server says of a track as the Room API has it."""
    frame_encoding: DataTrackFrameEncoding | str | None = None
    if info.HasField("frame_encoding"):
        frames = info.frame_encoding
        frame_encoding = (
            frames.custom if frames.WhichOneof("value") == "custom" else _frame_encoding(int(frames.well_known))
        )
    schema: DataTrackSchemaId | None = None
    if info.HasField("schema"):
        encoding = info.schema.encoding
        schema = DataTrackSchemaId(
            info.schema.name,
            encoding.custom if encoding.WhichOneof("value") == "custom" else _schema_encoding(int(encoding.well_known)),
        )
    return DataTrackInfo(info.sid, info.name, info.encryption != models.Encryption.NONE, frame_encoding, schema)


def _frame_encoding(value: int) -> DataTrackFrameEncoding:
    try:
        return DataTrackFrameEncoding(value)
    except ValueError:
        return DataTrackFrameEncoding.OTHER


def _schema_encoding(value: int) -> DataTrackSchemaEncoding:
    try:
        return DataTrackSchemaEncoding(value)
    except ValueError:
        return DataTrackSchemaEncoding.OTHER
