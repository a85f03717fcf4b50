"""The private members of wrtc that the media paths use. If one of these fails, wrtc has changed under us."""

from __future__ import annotations

import asyncio
import importlib.metadata
from typing import Any

import pytest
import webrtc
import wrtc

DEADLINE = 10.0


def test_the_version_is_the_one_they_were_read_from() -> None:
    assert importlib.metadata.version("wrtc") == "0.1.0"


def test_audio_is_written_past_the_stream() -> None:
    generator = webrtc.MediaStreamTrackGenerator("audio")
    native = generator._generator
    assert isinstance(native, wrtc.TrackGenerator)
    assert native.writeAudio(bytes(960), 48_000, 1, 480) is None
    assert native.writeAudio(bytes(2 * 3840 * 2), 384_000, 2, 3840) is None
    assert native.writeAudio(bytes(160), 8_000, 1, 80) is None
    with pytest.raises(ValueError, match="isn't supported"):
        native.writeAudio(bytes(158), 7_900, 1, 79)
    with pytest.raises(ValueError, match="number of frames"):
        native.writeAudio(bytes(958), 48_000, 1, 480)
    native.close()
    native.close()
    assert native.writeAudio(bytes(960), 48_000, 1, 480) is None


def test_video_is_written_past_the_stream() -> None:
    generator = webrtc.VideoTrackGenerator()
    native = generator._native
    assert isinstance(native, wrtc.TrackGenerator)
    picture = wrtc.VideoFrameBuffer.fromData("I420", 2, 2, bytes(6), [(0, 2), (4, 1), (5, 1)])
    assert native.writeVideo(picture, 0, 90) is None
    native.close()
    native.close()
    assert native.writeVideo(picture, 0, 90) is None


class Processor(webrtc.MediaStreamTrackProcessor):
    __slots__ = ("ready",)

    def _on_event(self, name: str, *_: object) -> None:
        assert name == "_ready"
        self._native_obj._ackWakeup()
        self.ready.set()


async def test_media_are_read_past_the_stream() -> None:
    generator = webrtc.MediaStreamTrackGenerator("audio")
    processor = Processor(webrtc.MediaStreamTrackProcessorInit(generator, 2))
    processor.ready = asyncio.Event()
    native = processor._native_obj
    for value in range(4):
        generator._generator.writeAudio(bytes([value, 0] * 480), 48_000, 1, 480)
    await asyncio.wait_for(processor.ready.wait(), DEADLINE)
    items: list[Any] = [native.read(), native.read()]
    assert [(item[0][0], *item[1:5]) for item in items] == [(2, 16, 48_000, 1, 480), (3, 16, 48_000, 1, 480)]
    assert isinstance(items[0][0], bytes)
    assert isinstance(items[0][5], int)
    assert native.read() is None
    assert (native.totalFrames, native.discardedFrames, native.ended) == (4, 2, False)
    processor.ready.clear()
    generator._generator.close()
    await asyncio.wait_for(processor.ready.wait(), DEADLINE)
    assert native.ended
    native.cancel()
    native.cancel()


def test_another_processor_class_does_not_take_over() -> None:
    assert type(webrtc.MediaStreamTrackProcessor._wrap(wrtc.MediaStreamTrackProcessor(_track(), 1))) is (
        webrtc.MediaStreamTrackProcessor
    )


def _track() -> Any:
    return wrtc.TrackGenerator("audio").track


def test_rgb_is_converted_to_i420_before_a_write_returns() -> None:
    generator = wrtc.TrackGenerator("video")
    processor = wrtc.MediaStreamTrackProcessor(generator.track, 1)
    generator.writeVideo(wrtc.VideoFrameBuffer.fromData("RGBA", 2, 2, bytes([255] * 16), [(0, 8)]), 0, 0)
    item = processor.read()
    assert item is not None
    picture, timestamp, rotation, rtp_timestamp = item
    assert (picture.format, picture.width, picture.height) == ("I420", 2, 2)
    assert (timestamp, rotation, rtp_timestamp) == (0, 0, 0)
    pixels = bytearray(6)
    picture.copyPlanes(pixels, [(0, 0, 2, 2, 0, 2), (0, 0, 1, 1, 4, 1), (0, 0, 1, 1, 5, 1)])
    assert list(pixels) == [235, 235, 235, 235, 128, 128]


def test_pictures_are_converted_to_rgb() -> None:
    picture = wrtc.VideoFrameBuffer.fromData("NV12", 2, 2, bytes([81] * 4 + [90, 240]), [(0, 2), (4, 2)])
    assert picture.format == "NV12"
    pixels = bytearray(16)
    picture.convertTo(pixels, "BGRA", 0, 0, 2, 2, 0, 8, "smpte170m", False)
    assert list(pixels[:4]) == [0, 0, 254, 255]
