"""Transcriptions."""

from __future__ import annotations

from ..room.packets import Transcription, TranscriptionSegment

__all__ = ["Transcription", "TranscriptionSegment"]
