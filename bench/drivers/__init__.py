"""The contenders behind one small interface, so that each measurement is written once."""

from __future__ import annotations

import importlib

from .base import AudioOut, Caller, Participant, VideoOut

__all__ = ["CONTENDERS", "AudioOut", "Caller", "Participant", "VideoOut", "new_caller", "new_participant"]

CONTENDERS = {
    "ours": "aiolivekit",
    "official": "livekit",
    "bare": "wrtc",
}
"""Contenders, in the order they take turns, with the distribution whose version counts."""


def new_participant(
    contender: str, *, single: bool = True, encrypted: bool = False, layers: bool = False
) -> Participant:
    """Return an unconnected participant; nothing of the other contenders is imported.

    Args:
        contender: One of `CONTENDERS`.
        single: Whether it uses one peer connection; bare wrtc always does.
        encrypted: Whether the room is encrypted end to end; bare wrtc cannot.
        layers: Whether video is sent in three layers.
    """
    if contender == "bare":
        from .bare import BareParticipant

        return BareParticipant(layers=layers)
    from .sdk import SdkParticipant

    module = importlib.import_module({"ours": "aiolivekit", "official": "livekit.rtc"}[contender])
    return SdkParticipant(module, single=single, encrypted=encrypted, layers=layers)


def new_caller(contender: str) -> Caller:
    """Return an unconnected participant that makes calls; bare wrtc does not.

    Args:
        contender: `ours` or `official`.
    """
    from .sdk import SdkParticipant

    return SdkParticipant(importlib.import_module({"ours": "aiolivekit", "official": "livekit.rtc"}[contender]))
