"""The contenders behind one small interface, so that each measurement is written once."""

from __future__ import annotations

import importlib

from .base import AudioOut, Participant, VideoOut

__all__ = ["CONTENDERS", "AudioOut", "Participant", "VideoOut", "new_participant"]

CONTENDERS = {
    "ours": "aiolivekit",
    "official": "livekit",
    "bare": "wrtc",
}
"""Contenders, in the order they take turns, with the distribution whose version counts."""


def new_participant(contender: str) -> Participant:
    """Return an unconnected participant; nothing of the other contenders is imported."""
    if contender == "bare":
        from .bare import BareParticipant

        return BareParticipant()
    from .sdk import SdkParticipant

    return SdkParticipant(importlib.import_module({"ours": "aiolivekit", "official": "livekit.rtc"}[contender]))
