"""The checks of the media matrix, by the behaviours that cells name."""

from __future__ import annotations

from . import audio_checks, common_checks, video_checks
from .media_cells import BOTH, FILMS, SOUNDS
from .scene import Check

__all__ = ["CHECKS"]

CHECKS: dict[str, Check] = {
    **{name: getattr(video_checks, name) for name in FILMS},
    **{name: getattr(audio_checks, name) for name in SOUNDS},
    **{name: getattr(common_checks, name) for name in BOTH},
}
