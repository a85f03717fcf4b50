"""What the libwebrtc in this process can do."""

from __future__ import annotations

import webrtc

from . import runtime
from .tracks import MediaKind

__all__ = ["codec_names"]


def codec_names(kind: MediaKind) -> tuple[str, ...]:
    """Return the MIME types of the codecs libwebrtc can send, each once, in its order of preference.

    Raises:
        ForkError: In a child forked after libwebrtc's threads had started.
    """
    runtime.check()
    capabilities = webrtc.RTCRtpSender.get_capabilities(kind)
    codecs = capabilities.codecs if capabilities is not None else []
    return tuple(dict.fromkeys(codec.mime_type for codec in codecs))
