"""Options have the manners of protobuf messages."""

from __future__ import annotations

import copy
import pickle

import pytest

from aiolivekit import FrameMetadata, IceServer, TrackPublishOptions, TrackSource, VideoCodec, VideoEncoding
from aiolivekit.rtc._proto import room_pb2, video_frame_pb2


def test_what_is_set_and_what_is_not() -> None:
    options = TrackPublishOptions(source=TrackSource.SOURCE_CAMERA)
    assert options.HasField("source")
    assert not options.HasField("dtx")
    assert not options.HasField("video_encoding")
    options.video_encoding.max_bitrate = 1
    assert options.HasField("video_encoding")
    options.ClearField("video_encoding")
    assert not options.HasField("video_encoding")
    options.Clear()
    assert options == TrackPublishOptions()
    for method in (options.HasField, options.ClearField):
        with pytest.raises(ValueError, match="no field 'bitrate'"):
            method("bitrate")


def test_numbers_and_mappings_are_taken_for_what_they_stand_for() -> None:
    options = TrackPublishOptions(source=2, video_codec=3, video_encoding={"max_bitrate": 5})  # type: ignore[arg-type]
    assert options.source is TrackSource.SOURCE_MICROPHONE
    assert options.video_codec is VideoCodec.VP9
    assert options.video_encoding == VideoEncoding(max_bitrate=5)
    options.source = 1  # type: ignore[assignment]
    assert options.source is TrackSource.SOURCE_CAMERA
    with pytest.raises(ValueError, match="99"):
        options.source = 99  # type: ignore[assignment]
    with pytest.raises(TypeError, match="no VideoEncoding"):
        options.video_encoding = 7  # type: ignore[assignment]


def test_a_message_is_taken_for_a_record() -> None:
    """As programs have them that import the generated messages; ours replace these, so theirs are made here."""
    fields = room_pb2.DESCRIPTOR.message_types_by_name["VideoEncoding"]._concrete_class
    assert VideoEncoding.of(fields(max_bitrate=7, max_framerate=15.0)) == VideoEncoding(7, 15.0)
    metadata = video_frame_pb2.DESCRIPTOR.message_types_by_name["FrameMetadata"]._concrete_class
    assert FrameMetadata.of(metadata(frame_id=3)) == FrameMetadata(frame_id=3)
    same = FrameMetadata(frame_id=4)
    assert FrameMetadata.of(same) is same


def test_copied_and_merged() -> None:
    first = TrackPublishOptions(dtx=False, video_encoding=VideoEncoding(max_bitrate=1))
    second = TrackPublishOptions(red=False, video_encoding=VideoEncoding(max_framerate=15.0))
    merged = TrackPublishOptions()
    merged.CopyFrom(first)
    assert merged == first
    merged.MergeFrom(second)
    assert (merged.dtx, merged.red, merged.video_encoding) == (False, False, VideoEncoding(1, 15.0))
    assert first.video_encoding == VideoEncoding(max_bitrate=1), "a copy, not the same"
    merged.CopyFrom(merged)
    assert merged.dtx is False
    merged.CopyFrom(second)
    assert merged == second
    with pytest.raises(TypeError, match="no TrackPublishOptions"):
        merged.MergeFrom(VideoEncoding())  # type: ignore[arg-type]

    servers = IceServer(urls=["a"])
    servers.MergeFrom(IceServer(urls=["b"], username="ada"))
    assert servers == IceServer(["a", "b"], "ada")


def test_copied_and_pickled_as_any_object() -> None:
    options = TrackPublishOptions(source=TrackSource.SOURCE_CAMERA, video_encoding=VideoEncoding(1))
    for again in (copy.deepcopy(options), pickle.loads(pickle.dumps(options))):
        assert again == options
        assert again.video_encoding is not options.video_encoding
