"""The official SDK's messages, in a pool of their own."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor

from aiolivekit import enums, rtc
from aiolivekit.compat.proto import file_descriptor
from aiolivekit.rtc._proto import e2ee_pb2, participant_pb2, room_pb2, stats_pb2, track_pb2

MODULES = (
    "audio_frame_pb2",
    "capture_pb2",
    "data_stream_pb2",
    "data_track_pb2",
    "e2ee_pb2",
    "ffi_pb2",
    "handle_pb2",
    "participant_pb2",
    "room_pb2",
    "rpc_pb2",
    "stats_pb2",
    "track_pb2",
    "track_publication_pb2",
    "video_frame_pb2",
)
FILLED = frozenset({"AudioEncoding", "FrameMetadata", "IceServer", "ParticipantTrackPermission", "VideoEncoding"})


def test_a_message_is_made_read_and_serialized() -> None:
    participant = participant_pb2.ParticipantInfo(identity="ada", attributes={"mood": "good"})
    assert participant.HasField("identity")
    assert not participant.HasField("name")
    again = participant_pb2.ParticipantInfo()
    again.MergeFromString(participant.SerializePartialToString())
    assert again == participant
    owned = participant_pb2.OwnedParticipant()
    owned.info.CopyFrom(participant)
    assert owned.info.attributes == {"mood": "good"}
    stat = stats_pb2.RtcStats()
    stat.codec.codec.mime_type = "audio/opus"
    assert stat.WhichOneof("stats") == "codec"


def test_messages_can_be_pickled() -> None:
    event = room_pb2.Disconnected(reason=4)
    assert pickle.loads(pickle.dumps(event)) == event


def test_enums_have_their_methods_and_their_values_in_the_module() -> None:
    assert track_pb2.AudioTrackFeature.Name(6) == "TF_PRECONNECT_BUFFER"
    assert track_pb2.TF_PRECONNECT_BUFFER == track_pb2.AudioTrackFeature.Value("TF_PRECONNECT_BUFFER") == 6
    assert room_pb2.ConnectionQuality.QUALITY_LOST == 3


def test_what_rtc_offers_is_the_same_in_the_messages() -> None:
    assert track_pb2.TrackKind is rtc.TrackKind
    assert participant_pb2.DisconnectReason is rtc.DisconnectReason
    assert e2ee_pb2.EncryptionType is rtc.EncryptionType
    assert room_pb2.TrackPublishOptions is rtc.TrackPublishOptions
    assert rtc.room.proto_room is room_pb2


def test_every_enum_has_the_numbers_of_the_message() -> None:
    compared = 0
    for module in MODULES:
        for descriptor in file_descriptor(module.removesuffix("_pb2") + ".proto").enum_types_by_name.values():
            ours = getattr(enums, descriptor.name, None)
            if ours is not None and descriptor.name not in ("ConnectionQuality", "DegradationPreference"):
                assert dict(ours.items()) == {value.name: value.number for value in descriptor.values}, descriptor.name
                compared += 1
    assert compared >= 20


def test_every_options_record_has_the_fields_of_the_message() -> None:
    compared = set()
    for module in MODULES:
        for descriptor in file_descriptor(module.removesuffix("_pb2") + ".proto").message_types_by_name.values():
            if descriptor.name in FILLED | {"TrackPublishOptions"}:
                compared.add(descriptor.name)
                record = getattr(importlib.import_module(f"aiolivekit.rtc._proto.{module}"), descriptor.name)()
                for field in descriptor.fields:
                    assert not record.HasField(field.name) if not many(field) else getattr(record, field.name) == []
    assert compared == FILLED | {"TrackPublishOptions"}


def many(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_filled(module: str) -> None:
    filled = importlib.import_module(f"aiolivekit.rtc._proto.{module}")
    assert filled.DESCRIPTOR.name == module.removesuffix("_pb2") + ".proto"
    for name in filled.DESCRIPTOR.message_types_by_name:
        assert hasattr(filled, name)


def test_they_meet_nobody_elses_files() -> None:
    """The official package puts its files under the same names into the pool that all share."""
    assert room_pb2.DESCRIPTOR.pool is not descriptor_pool.Default()
    pytest.importorskip("livekit.rtc", reason="the official package is not installed (group `peers`)")
    for first, second in (("aiolivekit.rtc", "livekit.rtc"), ("livekit.rtc", "aiolivekit.rtc")):
        code = (
            f"import {first}._proto.ffi_pb2 as one, {second}._proto.ffi_pb2 as two\n"
            "assert one.FfiEvent is not two.FfiEvent and one.DESCRIPTOR.pool is not two.DESCRIPTOR.pool"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
