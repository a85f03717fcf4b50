"""Which codecs there are on this machine."""

from __future__ import annotations

from typing import Literal

from ..peer.capabilities import codec_names

__all__ = ["supported_codecs"]


def supported_codecs(kind: Literal["audio", "video"]) -> tuple[str, ...]:
    """Return the MIME types that can be sent, helpers such as `video/rtx` included, in libwebrtc's order.

    What a room takes of them is for its server to say (`JoinResponse.enabled_publish_codecs`).
    """
    return codec_names(kind)
