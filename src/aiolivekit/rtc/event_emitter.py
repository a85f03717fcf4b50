"""What has events."""

from __future__ import annotations

from ..room.emitter import EventEmitter

__all__ = ["EventEmitter"]
