"""What the libwebrtc in this process can do."""

from __future__ import annotations

import wrtc  # type: ignore[import-not-found,unused-ignore]

from ..errors import CodecUnavailableError
from . import openh264, runtime
from .tracks import MediaKind

__all__ = ["check_can_send", "codec_names"]

_ALWAYS_THERE = ("VP8", "VP9", "AV1")


def codec_names(kind: MediaKind) -> tuple[str, ...]:
    """Return the MIME types of the codecs libwebrtc can send, each once, in its order of preference.

    Raises:
        ForkError: In a child forked after libwebrtc's threads had started.
    """
    runtime.check()
    capabilities = wrtc.RTCRtpSender.getCapabilities(kind)
    codecs = list(capabilities.codecs) if capabilities is not None else []
    if kind == "video":
        codecs = openh264.codecs_with_or_without(codecs, h264=openh264.status().enabled)
    return tuple(dict.fromkeys(codec.mimeType for codec in codecs))


def check_can_send(codec: str) -> None:
    """See that libwebrtc has a video codec.

    Args:
        codec: Its name, such as `H264`.

    Raises:
        CodecUnavailableError: If it has not.
    """
    if codec in _ALWAYS_THERE or f"video/{codec}" in codec_names("video"):
        return
    if codec != "H264":
        raise CodecUnavailableError(f"libwebrtc as it is here has no {codec}; it has {', '.join(_ALWAYS_THERE)}")
    problem = openh264.status().problem
    raise CodecUnavailableError(
        f"H.264 is there once OpenH264 {openh264.VERSION} is, which is for the user to choose: "
        "`aiolivekit codecs install` brings Cisco's, `aiolivekit codecs use` and `enable_h264` take one that is here"
        + (f" (not usable: {problem})" if problem else "")
    )
