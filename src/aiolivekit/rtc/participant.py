"""Participants."""

from __future__ import annotations

from typing import Any

from ..compat.internals import internal
from ..compat.publish_errors import (
    PublishDataError,
    PublishDTMFError,
    PublishTrackError,
    PublishTranscriptionError,
    UnpublishTrackError,
)
from ..enums import ConnectionQuality, DegradationPreference
from ..errors import PublishDataTrackError
from ..options import ParticipantTrackPermission, TrackPublishOptions
from ..room.local_participant import LocalParticipant
from ..room.participant import Participant, RemoteParticipant
from ..room.rpc import RpcHandler
from ..room.track import LocalTrack

__all__ = [
    "ConnectionQuality",
    "DegradationPreference",
    "LocalParticipant",
    "LocalTrack",
    "Participant",
    "ParticipantTrackPermission",
    "PublishDTMFError",
    "PublishDataError",
    "PublishDataTrackError",
    "PublishTrackError",
    "PublishTranscriptionError",
    "RemoteParticipant",
    "RpcHandler",
    "TrackPublishOptions",
    "UnpublishTrackError",
]


def __getattr__(name: str) -> Any:
    return internal(__name__, name)
