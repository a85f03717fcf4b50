"""The logger of the official SDK; this package logs to `aiolivekit`."""

from __future__ import annotations

import logging

__all__ = ["logger"]

logger = logging.getLogger("livekit")
