from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.encodings import (
    Encoding,
    VideoLayer,
    audio_encodings,
    degradation,
    resized_encodings,
    start_bitrate,
    video_encodings,
    video_layers,
)
from aiolivekit.enums import DegradationPreference, TrackSource, VideoCodec, VideoQuality
from aiolivekit.options import AudioEncoding, TrackPublishOptions, VideoEncoding

LOW, MEDIUM, HIGH = VideoQuality


def options(simulcast: bool | None = False, **fields: object) -> TrackPublishOptions:
    return TrackPublishOptions(simulcast=simulcast, **fields)  # type: ignore[arg-type]


def test_audio_has_one_encoding_of_48_kbit() -> None:
    assert audio_encodings(options()) == [Encoding(max_bitrate=48_000)]


def test_the_audio_bitrate_can_be_chosen() -> None:
    chosen = options(audio_encoding=AudioEncoding(max_bitrate=24_000))
    assert audio_encodings(chosen) == [Encoding(max_bitrate=24_000)]


@pytest.mark.parametrize(
    ("width", "height", "bitrate"),
    [
        (160, 90, 90_000),
        (320, 180, 160_000),
        (640, 360, 450_000),
        (1280, 720, 1_700_000),
        (720, 1280, 1_700_000),  # upright is the same picture
        (1281, 720, 3_000_000),  # above a preset, the next one
        (1920, 1080, 3_000_000),
        (7680, 4320, 8_000_000),  # above all of them, the last
        (640, 480, 300_000),  # 4:3 has presets of its own
        (960, 720, 1_500_000),
        (2, 2, 80_000),
    ],
)
def test_camera_presets(width: int, height: int, bitrate: int) -> None:
    assert video_encodings(width, height, options()) == [Encoding(max_bitrate=bitrate)]


@pytest.mark.parametrize(
    ("codec", "bitrate"),
    [(None, 1_700_000), (VideoCodec.VP8, 1_700_000), (VideoCodec.VP9, 1_445_000), (VideoCodec.AV1, 1_190_000)],
)
def test_better_codecs_need_less(codec: VideoCodec | None, bitrate: int) -> None:
    [encoding] = video_encodings(1280, 720, options(video_codec=codec))
    assert encoding.max_bitrate == bitrate


def test_a_screen_by_source_or_by_option() -> None:
    screen = Encoding(max_bitrate=3_000_000)
    assert video_encodings(1920, 1080, options(), screencast=True) == [screen]
    assert video_encodings(1920, 1080, options(source=TrackSource.SOURCE_SCREENSHARE)) == [screen]
    assert video_encodings(640, 360, options(), screencast=True) == [Encoding(max_bitrate=200_000)]


def test_asked_bounds_take_the_place_of_the_preset_one_by_one() -> None:
    only_bitrate = options(video_encoding=VideoEncoding(max_bitrate=123_456))
    assert video_encodings(1280, 720, only_bitrate) == [Encoding(max_bitrate=123_456)]
    only_framerate = options(video_encoding=VideoEncoding(max_framerate=12.5))
    assert video_encodings(1280, 720, only_framerate) == [Encoding(max_bitrate=1_700_000, max_framerate=12.5)]


def test_a_scalability_mode_is_passed_on() -> None:
    [encoding] = video_encodings(1280, 720, options(video_codec=VideoCodec.VP9, scalability_mode="L3T3_KEY"))
    assert encoding.scalability_mode == "L3T3_KEY"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: video_encodings(0, 720, options()),
        lambda: video_encodings(1280, -1, options()),
        lambda: video_encodings(1280, 720, options(video_encoding=VideoEncoding(max_bitrate=0))),
        lambda: video_encodings(1280, 720, options(video_encoding=VideoEncoding(max_framerate=-1.0))),
        lambda: video_encodings(1280, 720, options(video_encoding=VideoEncoding(max_framerate=float("nan")))),
        lambda: audio_encodings(options(audio_encoding=AudioEncoding(max_bitrate=-5))),
    ],
)
def test_what_is_not_positive_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError):
        wrong()  # type: ignore[operator]


def test_one_encoding_is_one_layer_of_high_quality() -> None:
    encodings = video_encodings(1280, 720, options())
    assert video_layers(1280, 720, encodings) == [VideoLayer(HIGH, 1280, 720, 1_700_000)]


def test_a_camera_is_sent_in_layers_unless_told_otherwise() -> None:
    assert video_encodings(1280, 720, options(None)) == [
        Encoding(rid="q", max_bitrate=160_000, max_framerate=15.0, scale_resolution_down_by=4.0),
        Encoding(rid="h", max_bitrate=450_000, max_framerate=20.0, scale_resolution_down_by=2.0),
        Encoding(rid="f", max_bitrate=1_700_000, scale_resolution_down_by=1.0),
    ]
    assert [each.rid for each in video_encodings(720, 1280, options(True))] == ["q", "h", "f"]


@pytest.mark.parametrize(
    ("width", "height", "layers"),
    [
        (320, 180, [None]),
        (479, 270, [None]),
        (480, 270, [("q", 160_000, 1.5), ("h", 450_000, 1.0)]),
        (640, 480, [("q", 100_000, 480 / 180), ("h", 300_000, 1.0)]),
        (960, 720, [("q", 100_000, 4.0), ("h", 225_000, 2.0), ("f", 1_500_000, 1.0)]),
        (1920, 1080, [("q", 160_000, 6.0), ("h", 450_000, 3.0), ("f", 3_000_000, 1.0)]),
    ],
)
def test_how_many_layers_a_size_is_worth(width: int, height: int, layers: list[tuple[str, int, float] | None]) -> None:
    found = [
        None if each.rid is None else (each.rid, each.max_bitrate, each.scale_resolution_down_by)
        for each in video_encodings(width, height, options(True))
    ]
    assert found == layers


def test_a_screen_has_one_slow_layer_of_half_its_size() -> None:
    small, full = video_encodings(1920, 1080, options(True), screencast=True)
    assert full == Encoding(rid="h", max_bitrate=3_000_000, scale_resolution_down_by=1.0)
    assert small == Encoding(rid="q", max_bitrate=150_000, max_framerate=3.0, scale_resolution_down_by=2.0)
    slow = options(True, video_encoding=VideoEncoding(max_framerate=3.0))
    assert video_encodings(1920, 1080, slow, screencast=True)[0].max_bitrate == 750_000


@pytest.mark.parametrize("codec", [VideoCodec.VP9, VideoCodec.AV1])
@pytest.mark.parametrize(
    ("width", "height", "screen", "mode"),
    [
        (1280, 720, False, "L3T3_KEY"),
        (640, 360, False, "L2T3_KEY"),
        (320, 180, False, "L1T3"),
        (1920, 1080, True, "L1T3"),
    ],
)
def test_codecs_with_layers_inside_have_one_encoding(
    codec: VideoCodec, width: int, height: int, screen: bool, mode: str
) -> None:
    [encoding] = video_encodings(width, height, options(None, video_codec=codec), screencast=screen)
    assert (encoding.rid, encoding.scalability_mode) == (None, mode)
    [plain] = video_encodings(width, height, options(False, video_codec=codec), screencast=screen)
    assert plain.scalability_mode is None


def test_a_camera_gives_up_pixels_and_a_screen_pictures_unless_told_otherwise() -> None:
    assert degradation(options()) is DegradationPreference.MAINTAIN_FRAMERATE
    assert degradation(options(), screencast=True) is DegradationPreference.MAINTAIN_RESOLUTION
    assert degradation(options(source=TrackSource.SOURCE_SCREENSHARE)) is DegradationPreference.MAINTAIN_RESOLUTION
    chosen = options(degradation_preference=0, source=TrackSource.SOURCE_SCREENSHARE)
    assert degradation(chosen) is DegradationPreference.BALANCED
    with pytest.raises(ValueError):
        degradation(options(degradation_preference=3))


@given(st.integers(1, 8000), st.integers(1, 8000), st.booleans(), st.sampled_from([None, *VideoCodec]))
def test_any_size_gives_encodings_that_fit_their_layers(
    width: int, height: int, screen: bool, codec: VideoCodec | None
) -> None:
    encodings = video_encodings(width, height, options(None, video_codec=codec), screencast=screen)
    scales = [each.scale_resolution_down_by or 1.0 for each in encodings]
    assert scales == sorted(scales, reverse=True)
    assert scales[-1] == 1.0
    assert min(scales) >= 1.0
    layers = video_layers(width, height, encodings)
    qualities = [each.quality for each in layers]
    assert qualities == sorted(set(qualities))
    assert (layers[-1].width, layers[-1].height) == (width, height)


def test_simulcast_encodings_are_layers_by_rid() -> None:
    encodings = [
        Encoding(rid="q", max_bitrate=160_000, scale_resolution_down_by=4.0),
        Encoding(rid="h", max_bitrate=450_000, scale_resolution_down_by=2.0),
        Encoding(rid="f", max_bitrate=1_700_000, scale_resolution_down_by=1.0),
    ]
    assert video_layers(1280, 720, encodings) == [
        VideoLayer(LOW, 320, 180, 160_000, "q"),
        VideoLayer(MEDIUM, 640, 360, 450_000, "h"),
        VideoLayer(HIGH, 1280, 720, 1_700_000, "f"),
    ]


@pytest.mark.parametrize(
    ("mode", "layers"),
    [
        ("L1T3", [(HIGH, 1280, 720)]),
        ("L2T3", [(MEDIUM, 640, 360), (HIGH, 1280, 720)]),
        ("L3T3_KEY", [(LOW, 320, 180), (MEDIUM, 640, 360), (HIGH, 1280, 720)]),
        ("nonsense", [(HIGH, 1280, 720)]),
    ],
)
def test_spatial_layers_are_announced(mode: str, layers: list[tuple[VideoQuality, int, int]]) -> None:
    found = video_layers(1280, 720, [Encoding(max_bitrate=900_000, scalability_mode=mode)])
    assert [(layer.quality, layer.width, layer.height) for layer in found] == layers
    assert {layer.bitrate for layer in found} == {900_000 // len(layers)}


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([None, *VideoCodec]), st.booleans())
def test_every_size_has_bounds(width: int, height: int, codec: VideoCodec | None, screen: bool) -> None:
    [encoding] = video_encodings(width, height, options(video_codec=codec), screencast=screen)
    assert encoding.max_bitrate is not None
    assert encoding.max_bitrate > 0
    # What is handed in is what arrives, unless the options bound it.
    assert encoding.max_framerate is None
    [layer] = video_layers(width, height, [encoding])
    assert (layer.width, layer.height) == (width, height)


def test_a_picture_of_another_size_keeps_the_number_of_layers() -> None:
    options = TrackPublishOptions()
    full = video_encodings(1280, 720, options)
    assert resized_encodings(full, 1920, 1080, options) == video_encodings(1920, 1080, options)
    # One layer where there would be three, and three where there would be one.
    single = video_encodings(320, 180, options)
    [larger] = resized_encodings(single, 1280, 720, options)
    assert (larger.rid, larger.max_bitrate) == (None, 1_700_000)
    smaller = resized_encodings(full, 320, 180, options)
    assert [each.rid for each in smaller] == ["q", "h", "f"]
    assert [each.scale_resolution_down_by for each in smaller] == [each.scale_resolution_down_by for each in full]
    assert smaller[-1].max_bitrate == 160_000
    assert [each.max_bitrate or 0 for each in smaller] == sorted(each.max_bitrate or 0 for each in smaller)
    # What was asked for by number stays, and so does what is inside of an encoding.
    own = TrackPublishOptions(
        simulcast=False, video_codec=VideoCodec.VP9, video_encoding=VideoEncoding(max_bitrate=77_000)
    )
    assert resized_encodings(video_encodings(640, 360, own), 1280, 720, own) == video_encodings(1280, 720, own)
    svc = TrackPublishOptions(video_codec=VideoCodec.VP9)
    assert [each.scalability_mode for each in resized_encodings(video_encodings(1280, 720, svc), 320, 180, svc)] == [
        "L3T3_KEY"
    ]


@pytest.mark.parametrize(
    ("bitrates", "start"),
    [
        ([], None),
        ([299_999], None),
        ([300_000], 270_000),
        ([1_700_000], 1_000_000),
        # The layers of 1080p, of 720p, and of 720p with little for the largest: all are sent from the first picture on.
        ([160_000, 450_000, 3_000_000], 1_480_500),
        ([160_000, 450_000, 1_700_000], 1_480_500),
        ([160_000, 450_000, 700_000], 1_375_500),
        ([160_000, 450_000], 640_500),
        ([30_000, 30_000, 30_000], None),
    ],
)
def test_layers_start_with_what_all_of_them_need(bitrates: list[int], start: int | None) -> None:
    assert start_bitrate([Encoding(max_bitrate=each) for each in bitrates]) == start
