"""Which codecs our libwebrtc has here: H.264 comes with a library of its own, which the tests build."""

from __future__ import annotations

from aiolivekit.media.capabilities import supported_codecs
from aiolivekit.media.h264 import enable_h264
from tests.openh264 import OpenH264UnavailableError, build_openh264

__all__ = ["able", "prepare"]


def prepare() -> None:
    """Have H.264, if it can be had."""
    try:
        enable_h264(build_openh264())
    except OpenH264UnavailableError as error:
        print(f"no H.264: {error}")


def able(codec: str) -> bool:
    """Whether we can send and receive a codec."""
    return f"video/{codec}".lower() in map(str.lower, supported_codecs("video"))
