"""LiveKit real-time engine and Room SDK for Python, native to asyncio."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import enums, errors, options
from ._version import __version__
from .enums import *  # noqa: F403 - what they export is public
from .errors import *  # noqa: F403
from .options import *  # noqa: F403

if TYPE_CHECKING:
    from .e2ee.frame_cryptor import FrameCryptor
    from .e2ee.keys import KeyProvider
    from .e2ee.manager import E2EEManager
    from .e2ee.options import E2EEOptions, KeyProviderOptions
    from .media.apm import AudioProcessingModule
    from .media.audio_filter import AudioFilter, NoiseCancellationOptions
    from .media.audio_frame import AudioFrame
    from .media.audio_mixer import AudioMixer
    from .media.audio_resampler import AudioResampler, AudioResamplerQuality
    from .media.audio_source import AudioSource
    from .media.audio_stream import AudioFrameEvent, AudioStream
    from .media.encoded_video import (
        EncodedRateControl,
        EncodedVideoFrame,
        EncodedVideoSource,
        EncodedVideoSourceFeedback,
    )
    from .media.frame_processor import FrameProcessor
    from .media.h264 import H264Status, disable_h264, enable_h264, h264_status, install_h264
    from .media.media_devices import InputCapture, MediaDevices, OutputPlayer
    from .media.media_player import MediaPlayer
    from .media.platform_audio import AudioDeviceInfo, PlatformAudio, PlatformAudioOptions, PlatformAudioSource
    from .media.recording_format import RecordingOptions
    from .media.recording_thread import RecorderStats
    from .media.synchronizer import AVSynchronizer
    from .media.utils import combine_audio_frames, sine_wave_generator
    from .media.video_capture import CameraInfo, VideoCapture
    from .media.video_frame import VideoFrame
    from .media.video_source import VideoSource
    from .media.video_stream import VideoFrameEvent, VideoStream
    from .room.chat import ChatMessage
    from .room.data_stream import (
        ByteStreamInfo,
        ByteStreamReader,
        ByteStreamWriter,
        StreamProgress,
        TextStreamInfo,
        TextStreamReader,
        TextStreamWriter,
    )
    from .room.data_tracks import (
        DataTrackFrame,
        DataTrackFrameEncoding,
        DataTrackInfo,
        DataTrackSchemaEncoding,
        DataTrackSchemaId,
        DataTrackStream,
        LocalDataTrack,
        RemoteDataTrack,
    )
    from .room.emitter import EventEmitter
    from .room.event_names import EventTypes
    from .room.event_stream import EventStream
    from .room.events import EventsDropped, RoomEvent
    from .room.flight_log import FlightLog, FlightRecord, FlightTrace
    from .room.local_participant import LocalParticipant
    from .room.metrics import EventMetric, MetricSample, MetricsBatch, TimeSeriesMetric
    from .room.packets import DataPacket, SipDTMF, Transcription, TranscriptionSegment
    from .room.participant import Participant, ParticipantPermission, RemoteParticipant
    from .room.recorder import RoomRecorder, TrackRecorder
    from .room.recording_files import RecordedFile
    from .room.report import ReconnectCause, ReconnectReport
    from .room.room import Room
    from .room.rpc import RpcCallInfo, RpcError, RpcInterceptor, RpcInvocationData
    from .room.stats import RtcStats
    from .room.track import (
        AudioTrack,
        LocalAudioTrack,
        LocalTrack,
        LocalVideoTrack,
        RemoteAudioTrack,
        RemoteTrack,
        RemoteVideoTrack,
        Track,
        VideoTrack,
    )
    from .room.track_publication import LocalTrackPublication, RemoteTrackPublication, TrackPublication

__all__ = [
    "AVSynchronizer",
    "AudioDeviceInfo",
    "AudioFilter",
    "AudioFrame",
    "AudioFrameEvent",
    "AudioMixer",
    "AudioProcessingModule",
    "AudioResampler",
    "AudioResamplerQuality",
    "AudioSource",
    "AudioStream",
    "AudioTrack",
    "ByteStreamInfo",
    "ByteStreamReader",
    "ByteStreamWriter",
    "CameraInfo",
    "ChatMessage",
    "DataPacket",
    "DataTrackFrame",
    "DataTrackFrameEncoding",
    "DataTrackInfo",
    "DataTrackSchemaEncoding",
    "DataTrackSchemaId",
    "DataTrackStream",
    "E2EEManager",
    "E2EEOptions",
    "EncodedRateControl",
    "EncodedVideoFrame",
    "EncodedVideoSource",
    "EncodedVideoSourceFeedback",
    "EventEmitter",
    "EventMetric",
    "EventStream",
    "EventTypes",
    "EventsDropped",
    "FlightLog",
    "FlightRecord",
    "FlightTrace",
    "FrameCryptor",
    "FrameProcessor",
    "H264Status",
    "InputCapture",
    "KeyProvider",
    "KeyProviderOptions",
    "LocalAudioTrack",
    "LocalDataTrack",
    "LocalParticipant",
    "LocalTrack",
    "LocalTrackPublication",
    "LocalVideoTrack",
    "MediaDevices",
    "MediaPlayer",
    "MetricSample",
    "MetricsBatch",
    "NoiseCancellationOptions",
    "OutputPlayer",
    "Participant",
    "ParticipantPermission",
    "PlatformAudio",
    "PlatformAudioOptions",
    "PlatformAudioSource",
    "ReconnectCause",
    "ReconnectReport",
    "RecordedFile",
    "RecorderStats",
    "RecordingOptions",
    "RemoteAudioTrack",
    "RemoteDataTrack",
    "RemoteParticipant",
    "RemoteTrack",
    "RemoteTrackPublication",
    "RemoteVideoTrack",
    "Room",
    "RoomEvent",
    "RoomRecorder",
    "RpcCallInfo",
    "RpcError",
    "RpcInterceptor",
    "RpcInvocationData",
    "RtcStats",
    "SipDTMF",
    "StreamProgress",
    "TextStreamInfo",
    "TextStreamReader",
    "TextStreamWriter",
    "TimeSeriesMetric",
    "Track",
    "TrackPublication",
    "TrackRecorder",
    "Transcription",
    "TranscriptionSegment",
    "VideoCapture",
    "VideoFrame",
    "VideoFrameEvent",
    "VideoSource",
    "VideoStream",
    "VideoTrack",
    "__version__",
    "combine_audio_frames",
    "disable_h264",
    "enable_h264",
    "h264_status",
    "install_h264",
    "sine_wave_generator",
]
__all__ += enums.__all__
__all__ += errors.__all__
__all__ += options.__all__

# Loaded when first used: a program that only wants options or errors does not pay for libwebrtc.
_LAZY = {
    "media.apm": ("AudioProcessingModule",),
    "media.audio_filter": ("AudioFilter", "NoiseCancellationOptions"),
    "media.audio_frame": ("AudioFrame",),
    "media.audio_mixer": ("AudioMixer",),
    "e2ee.frame_cryptor": ("FrameCryptor",),
    "e2ee.keys": ("KeyProvider",),
    "e2ee.manager": ("E2EEManager",),
    "e2ee.options": ("E2EEOptions", "KeyProviderOptions"),
    "media.audio_resampler": ("AudioResampler", "AudioResamplerQuality"),
    "media.audio_source": ("AudioSource",),
    "media.audio_stream": ("AudioFrameEvent", "AudioStream"),
    "media.encoded_video": (
        "EncodedRateControl",
        "EncodedVideoFrame",
        "EncodedVideoSource",
        "EncodedVideoSourceFeedback",
    ),
    "media.frame_processor": ("FrameProcessor",),
    "media.h264": ("H264Status", "disable_h264", "enable_h264", "h264_status", "install_h264"),
    "media.media_devices": ("InputCapture", "MediaDevices", "OutputPlayer"),
    "media.media_player": ("MediaPlayer",),
    "media.platform_audio": ("AudioDeviceInfo", "PlatformAudio", "PlatformAudioOptions", "PlatformAudioSource"),
    "media.recording_format": ("RecordingOptions",),
    "media.recording_thread": ("RecorderStats",),
    "media.synchronizer": ("AVSynchronizer",),
    "media.utils": ("combine_audio_frames", "sine_wave_generator"),
    "media.video_capture": ("CameraInfo", "VideoCapture"),
    "media.video_frame": ("VideoFrame",),
    "media.video_source": ("VideoSource",),
    "media.video_stream": ("VideoFrameEvent", "VideoStream"),
    "room.data_tracks": (
        "DataTrackFrame",
        "DataTrackFrameEncoding",
        "DataTrackInfo",
        "DataTrackSchemaEncoding",
        "DataTrackSchemaId",
        "DataTrackStream",
        "LocalDataTrack",
        "RemoteDataTrack",
    ),
    "room.chat": ("ChatMessage",),
    "room.data_stream": (
        "ByteStreamInfo",
        "ByteStreamReader",
        "ByteStreamWriter",
        "StreamProgress",
        "TextStreamInfo",
        "TextStreamReader",
        "TextStreamWriter",
    ),
    "room.emitter": ("EventEmitter",),
    "room.event_names": ("EventTypes",),
    "room.event_stream": ("EventStream",),
    "room.events": ("EventsDropped", "RoomEvent"),
    "room.flight_log": ("FlightLog", "FlightRecord", "FlightTrace"),
    "room.local_participant": ("LocalParticipant",),
    "room.metrics": ("EventMetric", "MetricSample", "MetricsBatch", "TimeSeriesMetric"),
    "room.packets": ("DataPacket", "SipDTMF", "Transcription", "TranscriptionSegment"),
    "room.participant": ("Participant", "ParticipantPermission", "RemoteParticipant"),
    "room.recorder": ("RoomRecorder", "TrackRecorder"),
    "room.recording_files": ("RecordedFile",),
    "room.report": ("ReconnectCause", "ReconnectReport"),
    "room.room": ("Room",),
    "room.rpc": ("RpcCallInfo", "RpcError", "RpcInterceptor", "RpcInvocationData"),
    "room.stats": ("RtcStats",),
    "room.track": (
        "AudioTrack",
        "LocalAudioTrack",
        "LocalTrack",
        "LocalVideoTrack",
        "RemoteAudioTrack",
        "RemoteTrack",
        "RemoteVideoTrack",
        "Track",
        "VideoTrack",
    ),
    "room.track_publication": ("LocalTrackPublication", "RemoteTrackPublication", "TrackPublication"),
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
