"""Which version of the official SDK the names of `rtc` are those of.

Why it is here: programs compare `livekit.rtc.__version__` with the version they need, so the drop-in tells this one and
not its own.
"""

from __future__ import annotations

__all__ = ["OFFICIAL_VERSION"]

OFFICIAL_VERSION = "1.2.1"
