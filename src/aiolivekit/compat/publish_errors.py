"""The official SDK's errors of single calls (`livekit.rtc.participant`), by name.

Why they are here: programs catch them. Calls of ours fail with errors by cause, which have one base in common; so the
names stand for the base, and catch all that the call raises. `PublishDataTrackError` is a class of ours.
"""

from __future__ import annotations

from ..errors import LiveKitError

__all__ = [
    "PublishDTMFError",
    "PublishDataError",
    "PublishTrackError",
    "PublishTranscriptionError",
    "UnpublishTrackError",
]

PublishTrackError = LiveKitError
UnpublishTrackError = LiveKitError
PublishDataError = LiveKitError
PublishDTMFError = LiveKitError
PublishTranscriptionError = LiveKitError
