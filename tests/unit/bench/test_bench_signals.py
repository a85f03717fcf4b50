from __future__ import annotations

import numpy as np
import pytest
from bench.drivers.base import VIDEO_HEIGHT, VIDEO_WIDTH
from bench.signals import Camera, OnsetDetector, audio_frame, is_onset, read_barcode


@pytest.mark.parametrize("index", [0, 1, 2, 89, 90, 0x5555, 0xAAAA, 0xFFFF])
def test_a_frame_carries_its_index(index: int) -> None:
    frame = Camera().frame(index)
    assert len(frame) == VIDEO_WIDTH * VIDEO_HEIGHT * 3 // 2
    assert read_barcode(VIDEO_WIDTH, VIDEO_HEIGHT, frame) == index


def test_the_index_survives_scaling() -> None:
    luma = np.frombuffer(Camera().frame(1234), np.uint8, VIDEO_WIDTH * VIDEO_HEIGHT).reshape(VIDEO_HEIGHT, -1)
    assert read_barcode(VIDEO_WIDTH // 2, VIDEO_HEIGHT // 2, luma[::2, ::2].tobytes()) == 1234


def test_the_picture_moves() -> None:
    camera = Camera()
    assert camera.frame(0)[VIDEO_WIDTH * 40 :] != camera.frame(1)[VIDEO_WIDTH * 40 :]


def test_each_burst_is_heard_once_and_where_it_begins() -> None:
    detector = OnsetDetector()
    # The first burst has no silence before it.
    heard = [index for index in range(200) if detector.push(audio_frame(index))]
    assert heard == [50, 100, 150]
    assert all(is_onset(index) for index in heard)


def test_a_click_shorter_than_the_silence_before_it_is_one_onset() -> None:
    detector = OnsetDetector()
    quiet, loud = bytes(960), audio_frame(0)
    assert [detector.push(frame) for frame in [quiet] * 5 + [loud, quiet, loud]] == [False] * 5 + [True, False, False]
