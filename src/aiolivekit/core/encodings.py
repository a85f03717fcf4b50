"""Which encodings a local track is sent with, and how they are announced.

The bitrates are LiveKit's presets, which all its clients share. The frame rate of the full picture is bounded only when
the options say so: who hands in twenty frames a second means twenty. Smaller simulcast layers have the presets' rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, get_args

from ..enums import DegradationPreference, TrackSource, VideoCodec, VideoQuality
from ..options import Priority, TrackPublishOptions

__all__ = [
    "Encoding",
    "VideoLayer",
    "audio_encodings",
    "degradation",
    "resized_encodings",
    "start_bitrate",
    "video_encodings",
    "video_layers",
]

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Encoding:
    """One encoding of a track (`RTCRtpEncodingParameters`); what is `None` is left to libwebrtc.

    Args:
        rid: Which simulcast layer it is (`q`, `h`, `f`); `None` for a track with a single encoding.
        active: Whether it is sent.
        max_bitrate: Bits a second.
        max_framerate: Frames a second.
        scale_resolution_down_by: How many times smaller than the source, at least 1.
        scalability_mode: Layers within the encoding, such as `L3T3_KEY`.
        priority: Its share of bandwidth and time among all that is sent.
    """

    rid: str | None = None
    active: bool = True
    max_bitrate: int | None = None
    max_framerate: float | None = None
    scale_resolution_down_by: float | None = None
    scalability_mode: str | None = None
    priority: Priority | None = None


@dataclass(frozen=True, slots=True)
class VideoLayer:
    """What the server is told of a layer (`livekit.VideoLayer`): size in pixels, bits a second."""

    quality: VideoQuality
    width: int
    height: int
    bitrate: int
    rid: str = ""


@dataclass(frozen=True, slots=True)
class _Preset:
    """What is right for pictures whose longer side has at most `size` pixels."""

    size: int
    max_bitrate: int


@dataclass(frozen=True, slots=True)
class _Layer:
    """A simulcast layer below the full picture; `height` is that of a picture that lies on its longer side."""

    height: int
    max_bitrate: int
    max_framerate: float


_CAMERA_16_9 = (
    _Preset(160, 90_000),
    _Preset(320, 160_000),
    _Preset(384, 180_000),
    _Preset(640, 450_000),
    _Preset(960, 800_000),
    _Preset(1280, 1_700_000),
    _Preset(1920, 3_000_000),
    _Preset(2560, 5_000_000),
    _Preset(3840, 8_000_000),
)
_CAMERA_4_3 = (
    _Preset(160, 80_000),
    _Preset(240, 100_000),
    _Preset(320, 150_000),
    _Preset(480, 225_000),
    _Preset(640, 300_000),
    _Preset(720, 450_000),
    _Preset(960, 1_500_000),
    _Preset(1440, 2_500_000),
    _Preset(1920, 3_500_000),
)
_SCREEN = (
    _Preset(640, 200_000),
    _Preset(1280, 1_000_000),
    _Preset(1920, 3_000_000),
)
_LAYERS_16_9 = (_Layer(180, 160_000, 15.0), _Layer(360, 450_000, 20.0))
_LAYERS_4_3 = (_Layer(180, 100_000, 15.0), _Layer(360, 225_000, 20.0))
_RIDS = ("q", "h", "f")
_THREE_LAYERS, _TWO_LAYERS = 960, 480
"""Pixels of the longer side from which on a camera's picture is worth so many layers."""
_SCREEN_SCALE = 2.0
_SCREEN_FRAMERATE = 3.0
_SCREEN_LEAST_BITRATE = 150_000
_DEFAULT_SCREEN_FRAMERATE = 15.0
_SVC_CODECS = (VideoCodec.VP9, VideoCodec.AV1)
_TEMPORAL_MODES = ("L1T1", "L1T2", "L1T3")
_CODEC_FACTOR = {VideoCodec.VP9: 0.85, VideoCodec.AV1: 0.7}
"""What a codec needs of the bitrate VP8 needs for the same picture."""
_AUDIO_BITRATE = 48_000
_UNAIDED, _CAREFUL = 300_000, 1_000_000
"""Bits a second: below the first no help is needed to start, and no single encoding starts above the second."""
_TOP_LAYER = 800_000
"""Bits a second below which libwebrtc leaves out the largest layer, at 1920x1080 (600,000 at 720p)."""
_MARGIN = 1.05
_QUALITY_OF_RID = {
    "q": VideoQuality.VIDEO_QUALITY_LOW,
    "h": VideoQuality.VIDEO_QUALITY_MEDIUM,
    "f": VideoQuality.VIDEO_QUALITY_HIGH,
}


def audio_encodings(options: TrackPublishOptions) -> list[Encoding]:
    """Return the encodings of an audio track: one, 48 kbit/s unless the options say otherwise.

    Raises:
        ValueError: If the bitrate is not positive, or there is no such priority.
    """
    asked = options.audio_encoding
    bitrate = _positive("max_bitrate", asked.max_bitrate) or _AUDIO_BITRATE
    return [Encoding(max_bitrate=bitrate, priority=_priority(asked.priority))]


def video_encodings(
    width: int, height: int, options: TrackPublishOptions, *, screencast: bool = False
) -> list[Encoding]:
    """Return the encodings of a video track, the smallest first.

    Without `options.simulcast` being false, a picture that is large enough is sent in layers: with VP8 and H.264 as
    encodings of their own (simulcast), with VP9 and AV1 inside of one (SVC).

    Args:
        width: Of the source, in pixels.
        height: Of the source, in pixels.
        options: What the user asked for; a bitrate left unset comes from the preset for this size.
        screencast: Whether the source shows a screen, whatever `options.source` says.

    Raises:
        ValueError: If a size, a bitrate or a frame rate is not positive, or the codec has not the scalability mode.
    """
    if width < 1 or height < 1:
        raise ValueError(f"a video track of {width} by {height} pixels cannot be sent")
    asked = options.video_encoding
    screen = screencast or options.source == TrackSource.SOURCE_SCREENSHARE
    encoding = _preset_encoding(width, height, options.video_codec, screen)
    if bitrate := _positive("max_bitrate", asked.max_bitrate):
        encoding = replace(encoding, max_bitrate=int(bitrate))
    if framerate := _positive("max_framerate", asked.max_framerate):
        encoding = replace(encoding, max_framerate=framerate)
    first, *rest = _layers(encoding, width, height, options, screen)
    # It is the sender's; libwebrtc takes it from the first encoding, and refuses it in another.
    return [replace(first, priority=_priority(asked.priority)), *rest]


def _layers(encoding: Encoding, width: int, height: int, options: TrackPublishOptions, screen: bool) -> list[Encoding]:
    """Return the encodings of a picture whose full size is sent with `encoding`."""
    svc = options.video_codec in _SVC_CODECS
    if options.scalability_mode:
        # libwebrtc takes others of these codecs for what they cannot do, and sends two temporal layers without a word.
        if not svc and options.scalability_mode not in _TEMPORAL_MODES:
            raise ValueError(f"{options.scalability_mode} needs VP9 or AV1")
        return [replace(encoding, scalability_mode=options.scalability_mode)]
    if options.simulcast is False:
        return [encoding]
    if svc:
        return [replace(encoding, scalability_mode=_scalability_mode(width, height, screen))]
    lower = _screen_layers(encoding) if screen else _camera_layers(width, height)
    if not lower:
        return [encoding]
    full = replace(encoding, scale_resolution_down_by=1.0)
    return [replace(each, rid=rid) for rid, each in zip(_RIDS, [*lower, full], strict=False)]


def resized_encodings(
    encodings: Sequence[Encoding], width: int, height: int, options: TrackPublishOptions, *, screencast: bool = False
) -> list[Encoding]:
    """Return the encodings of a track that is published already, now that its picture has another size.

    How many there are, and what is inside of them, was agreed on when it was published. Where a picture of this size
    would have been given another number, the layers keep their proportions, and share the bitrate as before.

    Raises:
        ValueError: If a size, a bitrate or a frame rate is not positive.
    """
    wanted = video_encodings(width, height, options, screencast=screencast)
    if len(wanted) == len(encodings):
        return [
            replace(new, rid=old.rid, scalability_mode=old.scalability_mode)
            for old, new in zip(encodings, wanted, strict=True)
        ]
    factor = (wanted[-1].max_bitrate or 0) / (encodings[-1].max_bitrate or 1)
    return [replace(each, max_bitrate=max(1, round((each.max_bitrate or 0) * factor))) for each in encodings]


def start_bitrate(encodings: Sequence[Encoding]) -> int | None:
    """Return the bits a second to begin with, so that a call does not start with a blur; `None` where it needs no help.

    It is the reference's, but for layers: they begin with what all of them need. With less libwebrtc leaves out the
    largest for a moment, after which LiveKit's server shows it to nobody for ten seconds (its stream tracker wants
    twenty good half-seconds in a row), and the jump to it is taken for congestion in most cases.
    """
    bitrates = [encoding.max_bitrate or 0 for encoding in encodings]
    total = sum(bitrates)
    if total < _UNAIDED:
        return None
    start = min(total * 9 // 10, _CAREFUL)
    if len(bitrates) == 1:
        return start
    *lower, top = bitrates
    return max(start, round((sum(lower) + min(top, _TOP_LAYER)) * _MARGIN))


def degradation(options: TrackPublishOptions, *, screencast: bool = False) -> DegradationPreference:
    """Return what is given up first when bandwidth or time is short: pictures of a screen, pixels of a camera."""
    if options.degradation_preference is not None:
        return DegradationPreference(options.degradation_preference)
    if screencast or options.source == TrackSource.SOURCE_SCREENSHARE:
        return DegradationPreference.MAINTAIN_RESOLUTION
    return DegradationPreference.MAINTAIN_FRAMERATE


def _count_layers(width: int, height: int) -> int:
    longer = max(width, height)
    return 3 if longer >= _THREE_LAYERS else 2 if longer >= _TWO_LAYERS else 1


def _camera_layers(width: int, height: int) -> list[Encoding]:
    """Return the layers below the full picture."""
    presets = _LAYERS_16_9 if _is_wide(width, height) else _LAYERS_4_3
    shorter = min(width, height)
    return [
        Encoding(
            max_bitrate=preset.max_bitrate,
            max_framerate=preset.max_framerate,
            scale_resolution_down_by=max(1.0, shorter / preset.height),
        )
        for preset in presets[: _count_layers(width, height) - 1]
    ]


def _screen_layers(full: Encoding) -> list[Encoding]:
    """Return the one layer below a screen: half as wide and high, and slow."""
    framerate = full.max_framerate or _DEFAULT_SCREEN_FRAMERATE
    share = _SCREEN_SCALE**2 * max(1.0, framerate / _SCREEN_FRAMERATE)
    bitrate = max(_SCREEN_LEAST_BITRATE, int((full.max_bitrate or 0) / share))
    return [Encoding(max_bitrate=bitrate, max_framerate=_SCREEN_FRAMERATE, scale_resolution_down_by=_SCREEN_SCALE)]


def _scalability_mode(width: int, height: int, screen: bool) -> str:
    if screen:
        return "L1T3"
    spatial = _count_layers(width, height)
    return "L1T3" if spatial == 1 else f"L{spatial}T3_KEY"


def _is_wide(width: int, height: int) -> bool:
    ratio = max(width, height) / min(width, height)
    return abs(ratio - 16 / 9) < abs(ratio - 4 / 3)


def _preset_encoding(width: int, height: int, codec: VideoCodec | None, screen: bool) -> Encoding:
    presets: Sequence[_Preset] = _SCREEN
    if not screen:
        presets = _CAMERA_16_9 if _is_wide(width, height) else _CAMERA_4_3
    longer = max(width, height)
    preset = next((preset for preset in presets if preset.size >= longer), presets[-1])
    factor = _CODEC_FACTOR.get(codec, 1.0) if codec is not None else 1.0
    return Encoding(max_bitrate=round(preset.max_bitrate * factor))


def _positive(name: str, value: Number | None) -> Number | None:
    if value is not None and not value > 0:
        raise ValueError(f"{name} must be positive, not {value}")
    return value


def _priority(value: Priority | None) -> Priority | None:
    if value is not None and value not in get_args(Priority):
        raise ValueError(f"{value} is no priority: there are {', '.join(get_args(Priority))}")
    return value


def video_layers(width: int, height: int, encodings: Sequence[Encoding]) -> list[VideoLayer]:
    """Return the layers to announce for a video track with these encodings (`AddTrackRequest.layers`).

    An encoding without a rid is the whole picture, and so of high quality. An encoding with spatial layers inside
    is announced as as many layers, each half as wide and high as the next.
    """
    layers: list[VideoLayer] = []
    for encoding in encodings:
        scale = encoding.scale_resolution_down_by or 1.0
        wide, high = max(1, int(width / scale)), max(1, int(height / scale))
        bitrate = encoding.max_bitrate or 0
        spatial = _spatial_layers(encoding.scalability_mode)
        if encoding.rid is None and spatial > 1:
            for below in reversed(range(spatial)):
                quality = VideoQuality(max(VideoQuality.VIDEO_QUALITY_HIGH - below, VideoQuality.VIDEO_QUALITY_LOW))
                layers.append(VideoLayer(quality, max(1, wide >> below), max(1, high >> below), bitrate // spatial))
            continue
        rid = encoding.rid or ""
        layers.append(VideoLayer(_QUALITY_OF_RID.get(rid, VideoQuality.VIDEO_QUALITY_HIGH), wide, high, bitrate, rid))
    return layers


def _spatial_layers(mode: str | None) -> int:
    """Return the number after the `L` of a scalability mode (`L3T3_KEY` has three spatial layers)."""
    if mode is None or len(mode) < 2 or mode[0] not in "LS" or not mode[1].isdigit():
        return 1
    return max(1, int(mode[1]))
