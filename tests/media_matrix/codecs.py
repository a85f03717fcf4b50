"""Which codecs our libwebrtc has here: H.264 comes with a library of its own."""

from __future__ import annotations

from aiolivekit.peer.capabilities import codec_names

__all__ = ["able"]


def able(codec: str) -> bool:
    """Whether we can send and receive a codec."""
    return f"video/{codec}".lower() in map(str.lower, codec_names("video"))
