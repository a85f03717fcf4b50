"""`AudioFrame` and `VideoFrame`: what they take, refuse and give; against the official SDK where it has an answer."""

from __future__ import annotations

import array
import base64
import io
import json
import subprocess
import sys
import wave
from typing import Any

import numpy as np
import pytest

from aiolivekit.enums import VideoBufferType
from aiolivekit.media import AudioFrame, VideoFrame

T = VideoBufferType
RGB = (T.RGBA, T.BGRA, T.ARGB, T.ABGR, T.RGB24)


# Audio


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(16)),
        bytearray(range(16)),
        memoryview(bytes(range(16))),
        memoryview(bytes(range(16))).cast("h"),
        array.array("h", bytes(range(16))),
        np.frombuffer(bytes(range(16)), np.int16),
        np.frombuffer(bytes(range(16)), np.int16).reshape(4, 2),
        np.frombuffer(bytes(range(16)), np.uint8),
    ],
    ids=lambda data: type(data).__name__,
)
def test_any_buffer_of_samples_or_bytes_makes_a_frame(data: Any) -> None:
    frame = AudioFrame(data, 48_000, 2, 4)
    assert frame.data.format == "h"
    assert frame.data.tobytes() == bytes(range(16)) == frame.to_bytes()
    assert (frame.sample_rate, frame.num_channels, frame.samples_per_channel) == (48_000, 2, 4)
    assert frame.duration == 4 / 48_000
    assert frame.userdata == {}


@pytest.mark.parametrize(
    ("data", "numbers"),
    [
        (bytes(7), (48_000, 1, 4)),
        (bytes(9), (48_000, 1, 4)),
        (np.zeros(8, np.float32), (48_000, 1, 8)),
        (np.zeros(8, np.int32), (48_000, 1, 8)),
        (np.zeros((4, 4), np.int16)[:, ::2], (48_000, 1, 8)),
        (bytes(8), (0, 1, 4)),
        (bytes(8), (48_000, 0, 4)),
        (bytes(8), (48_000, 1, -4)),
        (bytes(8), (float("nan"), 1, 4)),
    ],
)
def test_data_that_are_no_frame_are_refused(data: Any, numbers: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"data|frame"):
        AudioFrame(data, *numbers)


def test_what_has_no_buffer_is_refused() -> None:
    with pytest.raises(TypeError):
        AudioFrame([0, 0], 48_000, 1, 2)  # type: ignore[arg-type]


def test_more_data_than_the_frame_needs() -> None:
    frame = AudioFrame(bytes(range(16)), 48_000, 1, 4)
    assert len(frame.data) == 8
    assert frame.to_bytes() == bytes(range(8))


def test_created_frames_are_silent_and_writable() -> None:
    frame = AudioFrame.create(24_000, 2, 240)
    assert len(frame.data) == 480
    assert not any(frame.data)
    frame.data[3] = -5
    assert frame.data[3] == -5
    assert AudioFrame(b"", 48_000, 1, 0).duration == 0
    assert AudioFrame(np.zeros((0, 2), np.int16), 48_000, 2, 0).to_bytes() == b""


def test_bytes_are_not_copied() -> None:
    samples = bytes(960)
    assert AudioFrame(samples, 48_000, 1, 480).to_bytes() is samples


def test_wav() -> None:
    frame = AudioFrame(bytes(range(16)), 44_100, 2, 4)
    with wave.open(io.BytesIO(frame.to_wav_bytes())) as reader:
        assert (reader.getnchannels(), reader.getframerate(), reader.getsampwidth()) == (2, 44_100, 2)
        assert reader.readframes(100) == bytes(range(16))


def test_arrays_are_views() -> None:
    samples = bytearray(range(16))
    frame = AudioFrame(samples, 48_000, 2, 3)
    array = frame.as_array()
    assert (array.shape, array.dtype) == ((3, 2), np.int16)
    array[0, 1] = -1
    assert samples[2:4] == b"\xff\xff"
    assert not AudioFrame(bytes(16), 48_000, 2, 4).as_array().flags.writeable
    assert AudioFrame(b"", 48_000, 2, 0).as_array().shape == (0, 2)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_remixing_and_resampling_one_frame(rate: int, channels: int) -> None:
    time = np.arange(4_800) / 48_000
    tones = np.stack([8_000 * np.sin(2 * np.pi * frequency * time) for frequency in (500, 500)], axis=1)
    frame = AudioFrame(tones.astype(np.int16), 48_000, 2, 4_800, userdata={"kept": True})
    changed = frame.remix_and_resample(rate, channels)
    assert (changed.sample_rate, changed.num_channels) == (rate, channels)
    assert changed.samples_per_channel == pytest.approx(rate // 10, abs=1)
    assert changed.userdata == {"kept": True}
    expected = 8_000 * np.sin(2 * np.pi * 500 * np.arange(changed.samples_per_channel) / rate)
    middle = slice(rate // 50, -rate // 50)
    for channel in changed.as_array().T:
        assert np.abs(channel[middle] - expected[middle]).max() < 80
    assert frame.remix_and_resample(48_000, 2).to_bytes() == frame.to_bytes()
    for numbers in ((0, 1), (48_000, 0), (float("nan"), 1)):
        with pytest.raises(ValueError, match="positive"):
            frame.remix_and_resample(*numbers)  # type: ignore[arg-type]


def test_repr_and_userdata() -> None:
    frame = AudioFrame(bytes(960), 48_000, 1, 480, userdata={"speaker": "a"})
    assert frame.userdata == {"speaker": "a"}
    assert repr(frame) == "AudioFrame(sample_rate=48000, num_channels=1, samples_per_channel=480, duration=0.010)"


# Video


def picture(buffer_type: VideoBufferType, width: int = 4, height: int = 2) -> VideoFrame:
    """A red picture."""
    y, u, v = 81, 90, 240  # red by BT.601 in its limited range
    chroma = ((width + 1) // 2) * ((height + 1) // 2)
    i420 = VideoFrame(width, height, T.I420, bytes([y]) * (width * height) + bytes([u]) * chroma + bytes([v]) * chroma)
    return i420 if buffer_type == T.I420 else i420.convert(buffer_type)


# The bytes of its first pixel.
RED = {
    T.RGBA: (254, 0, 0, 255),
    T.BGRA: (0, 0, 254, 255),
    T.ARGB: (255, 254, 0, 0),
    T.ABGR: (255, 0, 0, 254),
    T.RGB24: (254, 0, 0),
}


@pytest.mark.parametrize("buffer_type", RGB, ids=lambda each: each.name)
def test_i420_to_rgb(buffer_type: VideoBufferType) -> None:
    frame = picture(buffer_type)
    assert (frame.width, frame.height, frame.type) == (4, 2, buffer_type)
    assert tuple(frame.data[: len(RED[buffer_type])]) == pytest.approx(RED[buffer_type], abs=1)
    assert bytes(frame.data) == bytes(frame.data[: len(RED[buffer_type])]) * 8


@pytest.mark.parametrize("source", [*RGB, T.I420, T.NV12], ids=lambda each: each.name)
@pytest.mark.parametrize("target", [*RGB, T.I420, T.NV12], ids=lambda each: each.name)
def test_a_colour_survives_every_conversion(source: VideoBufferType, target: VideoBufferType) -> None:
    for width, height in ((4, 2), (5, 3)):
        frame = picture(source, width, height).convert(target)
        assert (frame.width, frame.height, frame.type) == (width, height, target)
        as_rgb = np.frombuffer(frame.convert(T.RGB24).data, np.uint8).reshape(height, width, 3).astype(int)
        assert np.abs(as_rgb - (254, 0, 0)).max() <= 3


@pytest.mark.parametrize("buffer_type", [T.I420A, T.I422, T.I444, T.I010], ids=lambda each: each.name)
def test_other_formats_can_be_converted_from(buffer_type: VideoBufferType) -> None:
    luma, chroma_size = 8, {T.I420A: 2, T.I422: 4, T.I444: 8, T.I010: 2}[buffer_type]
    planes = [[81] * luma, [90] * chroma_size, [240] * chroma_size]
    if buffer_type == T.I420A:
        planes.append([255] * luma)
    kind, shift = (np.uint16, 2) if buffer_type == T.I010 else (np.uint8, 0)
    data = np.concatenate([np.array(plane, kind) << shift for plane in planes])
    frame = VideoFrame(4, 2, buffer_type, data)
    assert tuple(frame.convert(T.RGBA).data[:4]) == pytest.approx((254, 0, 0, 255), abs=2)
    i420 = frame.convert(T.I420)
    assert [i420.data[0], i420.data[8], i420.data[10]] == pytest.approx([81, 90, 240], abs=2)
    assert bytes(i420.convert(buffer_type).convert(T.I420).data) == bytes(i420.data)


def test_rgb_is_the_same_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    frame = VideoFrame(6, 4, T.RGB24, rng.integers(0, 256, 72, np.uint8))
    with_numpy = frame.convert(T.BGRA)
    monkeypatch.delitem(sys.modules, "numpy")
    without = frame.convert(T.BGRA)
    assert bytes(without.data) == bytes(with_numpy.data)
    assert bytes(without.convert(T.RGB24).data) == bytes(frame.data)


def test_planes_tell_their_channels_apart() -> None:
    i420 = VideoFrame(5, 3, T.I420, bytes(range(15 + 6 + 6)))
    assert [bytes(plane) for plane in map(i420.get_plane, range(3)) if plane is not None] == [
        bytes(range(15)),
        bytes(range(15, 21)),
        bytes(range(21, 27)),
    ]
    assert i420.get_plane(3) is None
    assert i420.get_plane(-1) is None
    nv12 = i420.convert(T.NV12)
    chroma = nv12.get_plane(1)
    assert chroma is not None
    assert bytes(chroma) == bytes(x for pair in zip(range(15, 21), range(21, 27), strict=True) for x in pair)
    assert bytes(nv12.convert(T.I420).data) == bytes(range(27))
    assert picture(T.RGBA).get_plane(0) is None


def test_planes_are_views() -> None:
    data = bytearray(12)
    frame = VideoFrame(4, 2, T.I420, data)
    plane = frame.get_plane(1)
    assert plane is not None
    plane[0] = 7
    assert data[8] == 7


def test_flipping() -> None:
    frame = VideoFrame(2, 4, T.I420, bytes([1, 1, 2, 2, 3, 3, 4, 4, 10, 20, 30, 40]))
    flipped = frame.convert(T.I420, flip_y=True)
    assert bytes(flipped.data) == bytes([4, 4, 3, 3, 2, 2, 1, 1, 20, 10, 40, 30])
    assert bytes(frame.convert(T.I420).data) == bytes(frame.data)


@pytest.mark.parametrize(
    "arguments",
    [
        (0, 2, T.RGBA, bytes(16)),
        (2, -2, T.RGBA, bytes(16)),
        (16_385, 1, T.RGBA, bytes(16)),
        (2, 2, T.RGBA, bytes(15)),
        (3, 3, T.I420, bytes(16)),
        (2, 2, 99, bytes(16)),
        (4, 4, T.RGBA, np.zeros((8, 8, 4), np.uint8)[:4, :4]),
        (float("nan"), 2, T.RGBA, bytes(16)),
    ],
)
def test_pictures_that_are_none_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"picture|pixels|contiguous|99"):
        VideoFrame(*arguments)


def test_numpy_pictures_are_taken_as_they_are() -> None:
    image = np.zeros((2, 4, 4), np.uint8)
    image[..., 0] = 200
    frame = VideoFrame(4, 2, T.RGBA, image)
    image[..., 0] = 100
    assert frame.data[0] == 100
    assert repr(frame) == "VideoFrame(width=4, height=2, type=RGBA)"


OFFICIAL = """
import json, sys
from livekit import rtc
print(json.dumps([
    rtc.VideoFrame(6, 4, source, bytes.fromhex(data)).convert(target).data.hex()
    for source, data, target in json.load(sys.stdin)
]))
"""


@pytest.mark.peer
def test_the_official_sdk_agrees(official: object) -> None:
    """In a process of its own: its library starts threads."""
    rng = np.random.default_rng(2)
    i420 = rng.integers(16, 235, 6 * 4 * 3 // 2, np.uint8).tobytes()
    rgba = rng.integers(0, 256, 6 * 4 * 4, np.uint8).tobytes()
    wanted = [(T.I420, i420, target) for target in RGB] + [(T.RGBA, rgba, T.I420), (T.RGBA, rgba, T.BGRA)]
    question = json.dumps([(int(source), data.hex(), int(target)) for source, data, target in wanted])
    answer = subprocess.run(
        [sys.executable, "-c", OFFICIAL], input=question, capture_output=True, text=True, check=True, timeout=60
    )
    for (source, data, target), theirs in zip(wanted, json.loads(answer.stdout), strict=True):
        ours = np.frombuffer(VideoFrame(6, 4, source, data).convert(target).data, np.uint8)
        difference = np.frombuffer(bytes.fromhex(theirs), np.uint8).astype(int) - ours
        assert np.abs(difference).max() <= 1, (source, target)


# Pydantic


def test_frames_in_pydantic_models() -> None:
    pydantic = pytest.importorskip("pydantic")
    audio = AudioFrame(bytes(range(16)), 44_100, 2, 4)
    video = VideoFrame(2, 2, T.I420, bytes(range(6)))

    class Model(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        audio: AudioFrame
        video: VideoFrame

    model = Model(audio=audio, video=video)
    assert model.audio is audio
    dumped = model.model_dump()
    assert dumped == {
        "audio": {
            "data": base64.b64encode(bytes(range(16))).decode(),
            "sample_rate": 44_100,
            "num_channels": 2,
            "samples_per_channel": 4,
        },
        "video": {"width": 2, "height": 2, "type": "I420", "data": base64.b64encode(bytes(range(6))).decode()},
    }
    for again in (Model.model_validate_json(model.model_dump_json()), Model.model_validate(dumped)):
        assert again.audio.to_bytes() == audio.to_bytes()
        assert (again.video.type, bytes(again.video.data)) == (T.I420, bytes(range(6)))
    for bad in (3, {"data": "AAAA"}, {**dumped["audio"], "data": "?"}, {**dumped["audio"], "sample_rate": 0}):
        with pytest.raises(pydantic.ValidationError):
            Model.model_validate({**dumped, "audio": bad})


def test_neither_numpy_nor_pydantic_is_imported_along() -> None:
    code = "import sys, aiolivekit.media; print({'numpy', 'pydantic_core', 'soxr'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "set()"
