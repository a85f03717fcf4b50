"""Of the official SDK's private helpers, what others import; see `compat.ffi`."""

from __future__ import annotations

from ..compat.ffi import Queue

__all__ = ["Queue"]
