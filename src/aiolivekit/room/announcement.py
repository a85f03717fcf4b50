"""How a local track is announced to the server, and with which encodings it is sent."""

# ruff: noqa: SLF001 - a track is published with its source

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from livekit.protocol import models, rtc

from ..core.encodings import Encoding, audio_encodings, degradation, video_encodings, video_layers
from ..enums import (
    BackupCodecPolicy,
    DegradationPreference,
    EncryptionType,
    FrameMetadataFeature,
    TrackSource,
    VideoCodec,
    VideoEncoderBackend,
    VideoQuality,
)
from ..errors import PublishError, UnsupportedError
from ..options import TrackPublishOptions
from ..peer.capabilities import check_can_send
from .track import LocalAudioTrack, LocalTrack

__all__ = ["Announcement"]

_QUALITIES = {
    VideoQuality.VIDEO_QUALITY_LOW: models.VideoQuality.LOW,
    VideoQuality.VIDEO_QUALITY_MEDIUM: models.VideoQuality.MEDIUM,
    VideoQuality.VIDEO_QUALITY_HIGH: models.VideoQuality.HIGH,
}
_STEREO_CHANNELS = 2
_ENCODERS = (VideoEncoderBackend.ENCODER_BACKEND_AUTO, VideoEncoderBackend.ENCODER_BACKEND_SOFTWARE)


@dataclass(slots=True)
class Announcement:
    """What publishing a track takes.

    Args:
        request: What the server is asked.
        encodings: What is sent.
        stereo: Whether audio has two channels.
        degradation: What of video is given up first.
    """

    request: rtc.AddTrackRequest
    encodings: list[Encoding]
    stereo: bool = False
    degradation: DegradationPreference | None = None

    @classmethod
    def of(
        cls,
        track: LocalTrack,
        options: TrackPublishOptions,
        cid: str,
        encryption: EncryptionType = EncryptionType.NONE,
    ) -> Announcement:
        """Return what publishing `track` with `options` takes.

        Args:
            track: The track.
            options: How it is to be published.
            cid: The id by which our offer names it.
            encryption: How it is encrypted end to end.

        Raises:
            PublishError: If the options contradict themselves.
            CodecUnavailableError: If they ask for a codec that is not there.
            UnsupportedError: If they ask for what libwebrtc as it is here cannot do.
        """
        source = options.source if options.source is not None else TrackSource.SOURCE_UNKNOWN
        request = rtc.AddTrackRequest(
            cid=cid,
            name=track.name,
            source=int(source),  # type: ignore[arg-type]
            muted=track.muted,
            stream=options.stream or "",
            encryption=int(encryption),  # type: ignore[arg-type]
        )
        try:
            if isinstance(track, LocalAudioTrack):
                return cls._audio(request, track._source, options)
            return cls._video(request, track._source, options)
        except ValueError as error:
            raise PublishError(f"the track cannot be published so: {error}") from error

    @classmethod
    def _audio(cls, request: rtc.AddTrackRequest, source: Any, options: TrackPublishOptions) -> Announcement:
        stereo = source.num_channels == _STEREO_CHANNELS
        request.type = models.TrackType.AUDIO
        request.stereo = stereo
        request.disable_dtx = options.dtx is False
        # What is encrypted cannot be taken apart into frames that are sent twice.
        request.disable_red = options.red is False or bool(request.encryption)
        features = request.audio_features
        if stereo:
            features.append(models.AudioTrackFeature.TF_STEREO)
        if request.disable_dtx:
            features.append(models.AudioTrackFeature.TF_NO_DTX)
        if options.preconnect_buffer:
            features.append(models.AudioTrackFeature.TF_PRECONNECT_BUFFER)
        return cls(request, audio_encodings(options), stereo)

    @classmethod
    def _video(cls, request: rtc.AddTrackRequest, source: Any, options: TrackPublishOptions) -> Announcement:
        _check_supported(options)
        width, height = source.width, source.height
        encodings = video_encodings(width, height, options, screencast=source.is_screencast)
        request.type = models.TrackType.VIDEO
        request.packet_trailer_features.extend(
            FrameMetadataFeature(each).value  # type: ignore[misc]
            for each in dict.fromkeys(options.frame_metadata_features)
        )
        request.width = width
        request.height = height
        codec = VideoCodec(options.video_codec) if options.video_codec is not None else VideoCodec.VP8
        check_can_send(codec.name)
        if options.frame_metadata_features and VideoCodec.H264 in (codec, options.backup_codec):
            raise UnsupportedError(
                "metadata beside pictures go with VP8, VP9 and AV1: the encoder of H.264 does not say which picture it "
                "has encoded"
            )
        if options.backup_codec is not None:
            check_can_send(VideoCodec(options.backup_codec).name)
        layers = [
            models.VideoLayer(
                quality=_QUALITIES[layer.quality],
                width=layer.width,
                height=layer.height,
                bitrate=layer.bitrate,
                rid=layer.rid,
            )
            for layer in video_layers(width, height, encodings)
        ]
        request.layers.extend(layers)
        request.simulcast_codecs.add(codec=codec.name.lower(), cid=request.cid, layers=layers)
        if options.backup_codec is not None:
            if options.backup_codec == codec:
                raise ValueError("the backup codec is another one than the first")
            # Without a cid: it has no section before the server asks for it.
            request.simulcast_codecs.add(codec=VideoCodec(options.backup_codec).name.lower())
            policy = options.backup_codec_policy or BackupCodecPolicy.PREFER_REGRESSION
            request.backup_codec_policy = int(policy)  # type: ignore[assignment]
        return cls(request, encodings, degradation=degradation(options, screencast=source.is_screencast))


def _check_supported(options: TrackPublishOptions) -> None:
    if options.video_encoder not in (None, *_ENCODERS):
        name = VideoEncoderBackend(options.video_encoder).name
        raise UnsupportedError(f"there is no {name}: libwebrtc as it is here has software encoders only")
