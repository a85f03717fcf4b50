"""Every pixel format to every other one, against the formulas of BT.601 written in numpy."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiolivekit import MediaError, VideoBufferType, VideoFrame
from aiolivekit.peer.chroma import PLANAR_TYPES
from aiolivekit.peer.pixels import RGB_TYPES, frame_size

T = VideoBufferType

# Where red, green, blue and alpha are in a pixel.
ORDERS = {T.RGBA: (0, 1, 2, 3), T.BGRA: (2, 1, 0, 3), T.ARGB: (1, 2, 3, 0), T.ABGR: (3, 2, 1, 0), T.RGB24: (0, 1, 2)}
# By what chroma is smaller than luma: columns, rows.
STEPS = {T.I420: (2, 2), T.I420A: (2, 2), T.NV12: (2, 2), T.I010: (2, 2), T.I422: (2, 1), T.I444: (1, 1)}

TO_Y = np.array([65.738, 129.057, 25.064]) / 256
TO_U = np.array([-37.945, -74.494, 112.439]) / 256
TO_V = np.array([112.439, -94.154, -18.285]) / 256


@dataclass
class Picture:
    """What a picture shows, as numbers: RGB, or luma and chroma; and alpha if it has any."""

    rgb: Any = None
    y: Any = None
    chroma: Any = None  # U and V, on a grid of their own
    alpha: Any = None


def average(plane: Any, columns: int, rows: int) -> Any:
    """Return the averages of blocks; at an odd edge, of what is there."""
    height, width = plane.shape[:2]
    padding = [(0, -height % rows), (0, -width % columns)] + [(0, 0)] * (plane.ndim - 2)
    padded = np.pad(plane, padding, mode="edge")
    shape = (padded.shape[0] // rows, rows, padded.shape[1] // columns, columns, *plane.shape[2:])
    return padded.reshape(shape).mean(axis=(1, 3))


def repeat(plane: Any, columns: int, rows: int, width: int, height: int) -> Any:
    return plane.repeat(rows, axis=0).repeat(columns, axis=1)[:height, :width]


def read(frame: VideoFrame) -> Picture:
    arrays = [array.astype(float) for array in frame.as_arrays()]
    if frame.type in RGB_TYPES:
        order = ORDERS[frame.type]
        pixels = arrays[0][..., list(order)]
        return Picture(rgb=pixels[..., :3], alpha=pixels[..., 3] if len(order) == 4 else None)
    if frame.type == T.I010:
        arrays = [array / 4 for array in arrays]
    if frame.type == T.NV12:
        arrays = [arrays[0], arrays[1][..., 0], arrays[1][..., 1]]
    return Picture(y=arrays[0], chroma=arrays[1:3], alpha=arrays[3] if frame.type == T.I420A else None)


def expected(source: VideoFrame, target: VideoBufferType) -> Picture:
    """Return what the picture is in another format, by the formulas."""
    picture = read(source)
    width, height = source.width, source.height
    if target in RGB_TYPES:
        if picture.rgb is None:
            columns, rows = STEPS[source.type]
            u, v = (repeat(plane, columns, rows, width, height) - 128 for plane in picture.chroma)
            luma = 1.164 * (picture.y - 16)
            rgb = np.stack([luma + 1.596 * v, luma - 0.391 * u - 0.813 * v, luma + 2.018 * u], axis=-1)
            picture.rgb = np.clip(rgb, 0, 255)
        return picture
    columns, rows = STEPS[target]
    if picture.y is None:
        picture.y = 16 + picture.rgb @ TO_Y
        averaged = average(picture.rgb, columns, rows)
        picture.chroma = [128 + averaged @ TO_U, 128 + averaged @ TO_V]
    else:
        own_columns, own_rows = STEPS[source.type]
        fit_width, fit_height = -(-width // columns), -(-height // rows)
        down = max(columns // own_columns, 1), max(rows // own_rows, 1)
        up = max(own_columns // columns, 1), max(own_rows // rows, 1)
        picture.chroma = [repeat(average(plane, *down), *up, fit_width, fit_height) for plane in picture.chroma]
    return picture


def some_picture(buffer_type: VideoBufferType, width: int, height: int, seed: int = 1) -> VideoFrame:
    """Return random pixels. Those of YUV are colours that RGB has, since libwebrtc would cut off others."""
    rng = np.random.default_rng(seed)
    size = frame_size(buffer_type, width, height)
    if buffer_type in RGB_TYPES:
        return VideoFrame(width, height, buffer_type, rng.integers(0, 256, size, np.uint8))
    if buffer_type == T.I010:
        return VideoFrame(width, height, buffer_type, rng.integers(400, 620, size // 2).astype(np.uint16))
    return VideoFrame(width, height, buffer_type, rng.integers(100, 155, size, np.uint8))


@pytest.mark.parametrize("target", list(T), ids=lambda each: each.name)
@pytest.mark.parametrize("source", list(T), ids=lambda each: each.name)
def test_every_conversion(source: VideoBufferType, target: VideoBufferType) -> None:
    for width, height in ((16, 8), (9, 7), (1, 1), (2, 3)):
        frame = some_picture(source, width, height)
        converted = frame.convert(target)
        assert (converted.width, converted.height, converted.type) == (width, height, target)
        assert len(converted.data) == frame_size(target, width, height)
        got, wanted = read(converted), expected(frame, target)
        if target in RGB_TYPES:
            # libwebrtc cuts ten bits down to eight first.
            assert np.abs(got.rgb - wanted.rgb).max() <= (4 if source == T.I010 else 2)
        else:
            assert np.abs(got.y - wanted.y).max() <= 2
            for mine, theirs in zip(got.chroma, wanted.chroma, strict=True):
                assert mine.shape == theirs.shape
                assert np.abs(mine - theirs).max() <= 2
        if got.alpha is not None:
            opaque = np.full_like(got.alpha, 255)
            assert np.array_equal(got.alpha, opaque if wanted.alpha is None else wanted.alpha)


@pytest.mark.parametrize("target", sorted(PLANAR_TYPES), ids=lambda each: T(each).name)
@pytest.mark.parametrize("source", sorted(PLANAR_TYPES), ids=lambda each: T(each).name)
def test_between_formats_of_yuv_no_colour_is_lost(source: VideoBufferType, target: VideoBufferType) -> None:
    """Also such as RGB does not have: luma is kept to the bit, chroma averaged to the nearest number."""
    rng = np.random.default_rng(3)
    width, height = 11, 5
    size = frame_size(source, width, height)
    ten_bits = source == T.I010
    data = rng.integers(0, 1024, size // 2).astype(np.uint16) if ten_bits else rng.integers(0, 256, size, np.uint8)
    frame = VideoFrame(width, height, source, data)
    got, wanted = read(frame.convert(target)), expected(frame, target)
    tolerance = 1.0 if ten_bits else 0.0  # two bits are cut off
    assert np.abs(got.y - wanted.y).max() <= tolerance
    for mine, theirs in zip(got.chroma, wanted.chroma, strict=True):
        assert np.abs(mine - theirs).max() <= tolerance + 0.5


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(PLANAR_TYPES)), st.sampled_from(sorted(PLANAR_TYPES)), st.integers(1, 20), st.integers(1, 20)
)
def test_one_colour_stays_one_colour(source: int, target: int, width: int, height: int) -> None:
    grey = VideoFrame(width, height, T.I444, bytes([90]) * (width * height) + bytes([77]) * (2 * width * height))
    frame = grey.convert(source).convert(target).convert(T.I444)
    assert bytes(frame.data) == bytes(grey.data)


def test_more_data_than_the_picture_needs_are_left_out() -> None:
    for source in T:
        exact = some_picture(source, 6, 4)
        longer = VideoFrame(6, 4, source, bytes(exact.data) + b"\x7f" * 13)
        for target in T:
            assert bytes(longer.convert(target).data) == bytes(exact.convert(target).data), (source, target)


@pytest.mark.parametrize("buffer_type", list(T), ids=lambda each: each.name)
def test_flipping_turns_every_plane_upside_down(buffer_type: VideoBufferType) -> None:
    frame = some_picture(buffer_type, 6, 4)
    flipped = frame.convert(buffer_type, flip_y=True)
    for before, after in zip(frame.as_arrays(), flipped.as_arrays(), strict=True):
        assert np.array_equal(before[::-1], after)
    assert bytes(flipped.convert(buffer_type, flip_y=True).data) == bytes(frame.data)


SHAPES = {
    T.RGBA: [(3, 5, 4)],
    T.ABGR: [(3, 5, 4)],
    T.ARGB: [(3, 5, 4)],
    T.BGRA: [(3, 5, 4)],
    T.RGB24: [(3, 5, 3)],
    T.I420: [(3, 5), (2, 3), (2, 3)],
    T.I420A: [(3, 5), (2, 3), (2, 3), (3, 5)],
    T.I422: [(3, 5), (3, 3), (3, 3)],
    T.I444: [(3, 5), (3, 5), (3, 5)],
    T.I010: [(3, 5), (2, 3), (2, 3)],
    T.NV12: [(3, 5), (2, 3, 2)],
}


@pytest.mark.parametrize("buffer_type", list(T), ids=lambda each: each.name)
def test_arrays_and_planes_are_views(buffer_type: VideoBufferType) -> None:
    data = bytearray(frame_size(buffer_type, 5, 3))
    frame = VideoFrame(5, 3, buffer_type, data)
    arrays = frame.as_arrays()
    assert [array.shape for array in arrays] == SHAPES[buffer_type]
    assert {array.dtype for array in arrays} == {np.dtype(np.uint16 if buffer_type == T.I010 else np.uint8)}
    for array in arrays:
        array[...] = 1
    assert set(data) == ({0, 1} if buffer_type == T.I010 else {1})
    assert not VideoFrame(5, 3, buffer_type, bytes(data)).as_arrays()[0].flags.writeable
    planes = [plane for plane in map(frame.get_plane, range(5)) if plane is not None]
    if buffer_type in RGB_TYPES:
        assert planes == []  # as in the official SDK
    else:
        assert [plane.nbytes for plane in planes] == [array.nbytes for array in arrays]
        planes[-1][0] = 99
        assert data[len(data) - planes[-1].nbytes] == 99


def test_arrays_need_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    frame = VideoFrame(2, 2, T.RGBA, bytes(16))
    with pytest.raises(MediaError, match="numpy"):
        frame.as_arrays()


def test_conversions_do_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [some_picture(source, 6, 4) for source in T]
    with_numpy = [bytes(frame.convert(target).data) for frame in frames for target in T]
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert [bytes(frame.convert(target).data) for frame in frames for target in T] == with_numpy
