"""The engine: one visit to a room."""

from __future__ import annotations

from .engine import RtcEngine
from .events import EngineEvent, EngineEvents

__all__ = ["EngineEvent", "EngineEvents", "RtcEngine"]
