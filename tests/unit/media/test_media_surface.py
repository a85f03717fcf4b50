"""The classes for frames: names, parameters and defaults are the official SDK's; what cannot be had says so."""

from __future__ import annotations

import dataclasses
import inspect
import math
from typing import Any

import pytest

import aiolivekit
from aiolivekit import (
    AudioFilter,
    EncodedFrameType,
    EncodedRateControl,
    EncodedVideoFrame,
    EncodedVideoSource,
    EncodedVideoSourceFeedback,
    MediaError,
    UnsupportedError,
    VideoCodec,
)

# What we leave out, or have besides: of a class, members; of a member, parameters.
NOT_OURS: dict[str, set[str]] = {
    # It has no task: what is recorded reaches the source on PortAudio's thread.
    "InputCapture": {"task"},
}
CLASSES = [
    "AVSynchronizer",
    "AudioFrame",
    "AudioMixer",
    "AudioProcessingModule",
    "AudioResampler",
    "AudioSource",
    "AudioStream",
    "EncodedVideoSource",
    "FrameProcessor",
    "MediaDevices",
    "PlatformAudio",
    "PlatformAudioSource",
    "VideoFrame",
    "VideoSource",
    "VideoStream",
]
# Hooks between their own classes, and of protobuf.
PRIVATE_HOOKS = {"_process", "_close", "_on_stream_info_updated", "_on_stream_info_cleared"}


def plain(value: Any) -> Any:
    """Return a default so that theirs and ours compare: enums as their values."""
    return getattr(value, "value", value)


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, plain(each.default)) for each in found]


@pytest.mark.peer
@pytest.mark.parametrize("name", CLASSES)
def test_classes_have_the_official_members(official: Any, name: str) -> None:
    theirs, ours = getattr(official, name), getattr(aiolivekit, name)
    assert parameters(ours.__init__) == parameters(theirs.__init__) or name == "PlatformAudioSource"
    for member, their_value in vars(theirs).items():
        if (member.startswith("_") and member not in PRIVATE_HOOKS) or member in NOT_OURS.get(name, set()):
            continue
        our_value = inspect.getattr_static(ours, member)
        assert isinstance(their_value, property) == isinstance(our_value, property), member
        if inspect.isfunction(their_value):
            # More may be offered, behind what there is.
            wanted = parameters(their_value)
            assert parameters(our_value)[: len(wanted)] == wanted, member
            assert inspect.iscoroutinefunction(their_value) == inspect.iscoroutinefunction(our_value), member


@pytest.mark.peer
@pytest.mark.parametrize(
    "name",
    [
        "AudioDeviceInfo",
        "AudioFrameEvent",
        "EncodedRateControl",
        "EncodedVideoFrame",
        "EncodedVideoSourceFeedback",
        "NoiseCancellationOptions",
        "PlatformAudioOptions",
        "VideoFrameEvent",
    ],
)
def test_records_have_the_official_fields(official: Any, name: str) -> None:
    theirs, ours = dataclasses.fields(getattr(official, name)), dataclasses.fields(getattr(aiolivekit, name))
    assert [field.name for field in ours] == [field.name for field in theirs]
    for their_field, our_field in zip(theirs, ours, strict=True):
        if their_field.default is not dataclasses.MISSING:
            assert our_field.default == their_field.default


@pytest.mark.peer
def test_functions_and_enums(official: Any) -> None:
    from livekit.rtc.utils import sine_wave_generator

    assert parameters(aiolivekit.combine_audio_frames) == parameters(official.combine_audio_frames)
    assert parameters(aiolivekit.sine_wave_generator) == parameters(sine_wave_generator)
    qualities = [(each.name, each.value) for each in official.AudioResamplerQuality]
    assert [(each.name, each.value) for each in aiolivekit.AudioResamplerQuality] == qualities


def test_native_audio_filters_cannot_be_loaded() -> None:
    with pytest.raises(UnsupportedError, match="FrameProcessor") as caught:
        AudioFilter("noise", "libnoise.so", ["libother.so"])
    assert isinstance(caught.value, MediaError)
    assert isinstance(caught.value, NotImplementedError)


def test_encoded_video_cannot_be_sent() -> None:
    with pytest.raises(UnsupportedError, match="VideoSource"):
        EncodedVideoSource(640, 480)
    for size in ((0, 480), (640, -1), (math.nan, 1)):
        with pytest.raises(ValueError, match="dimensions"):
            EncodedVideoSource(*size)  # type: ignore[arg-type]


def test_encoded_frames() -> None:
    frame = EncodedVideoFrame(b"\0", 640, 480, VideoCodec.VP8, EncodedFrameType.ENCODED_FRAME_KEY, 0)
    assert frame.metadata is None
    assert EncodedVideoSourceFeedback(True, EncodedRateControl(100_000, 30.0)).rate_control is not None


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"data": bytearray(1)}, TypeError),
        ({"data": b""}, ValueError),
        ({"width": 0}, ValueError),
        ({"height": -1}, ValueError),
        ({"codec": 77}, ValueError),
        ({"frame_type": 77}, ValueError),
        ({"timestamp_us": -1}, ValueError),
        ({"timestamp_us": math.nan}, ValueError),
    ],
)
def test_encoded_frames_that_are_none(changes: dict[str, Any], error: type[Exception]) -> None:
    fields = {"data": b"\0", "width": 640, "height": 480, "codec": 0, "frame_type": 0, "timestamp_us": 0}
    with pytest.raises(error):
        EncodedVideoFrame(**(fields | changes))  # type: ignore[arg-type]
