"""Video that is encoded already, which libwebrtc does not take through `wrtc`, by the official SDK's names."""

from __future__ import annotations

from dataclasses import dataclass

from ..enums import EncodedFrameType, VideoCodec
from ..errors import UnsupportedError
from ..options import FrameMetadata

__all__ = ["EncodedRateControl", "EncodedVideoFrame", "EncodedVideoSource", "EncodedVideoSourceFeedback"]


@dataclass(frozen=True)
class EncodedVideoFrame:
    """One encoded picture, without a container or RTP headers.

    Attributes:
        data: The bytes; H.264 and H.265 in Annex B.
        width: Pixels of a row.
        height: Rows.
        codec: A `VideoCodec`.
        frame_type: Whether it can be decoded by itself, an `EncodedFrameType`.
        timestamp_us: When it was taken, in microseconds.
        metadata: What travels beside it.

    Raises:
        TypeError: If the data are no bytes.
        ValueError: If the data are empty, a side is not positive, the timestamp is negative, or an enum is unknown.
    """

    data: bytes
    width: int
    height: int
    codec: int
    frame_type: int
    timestamp_us: int
    metadata: FrameMetadata | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.data, bytes):
            raise TypeError("encoded frame data must be bytes")
        if not self.data:
            raise ValueError("encoded frame data must not be empty")
        if not (self.width > 0 and self.height > 0):
            raise ValueError("encoded frame dimensions must be positive")
        if not self.timestamp_us >= 0:
            raise ValueError(f"a timestamp is not negative: {self.timestamp_us}")
        VideoCodec(self.codec)
        EncodedFrameType(self.frame_type)


@dataclass(frozen=True)
class EncodedRateControl:
    """What the network carries at the moment.

    Attributes:
        target_bitrate_bps: Bits a second.
        framerate_fps: Pictures a second.
    """

    target_bitrate_bps: int
    framerate_fps: float


@dataclass(frozen=True)
class EncodedVideoSourceFeedback:
    """What receivers and the network ask of the encoder.

    Attributes:
        keyframe_requested: Whether a picture is wanted that can be decoded by itself.
        rate_control: New targets, if there are any.
    """

    keyframe_requested: bool
    rate_control: EncodedRateControl | None


class EncodedVideoSource:
    """Takes video that is encoded already (`livekit.rtc.EncodedVideoSource`); it cannot be had.

    Args:
        width: Pixels of a row.
        height: Rows.

    Raises:
        ValueError: If a side is not positive.
        UnsupportedError: Otherwise, always: `wrtc` has no encoder that could be fed, and drops encoded frames that
            its own encoder did not make.
    """

    def __init__(self, width: int, height: int) -> None:
        if not (width > 0 and height > 0):
            raise ValueError("encoded source dimensions must be positive")
        raise UnsupportedError(
            "video that is encoded already cannot be sent: wrtc passes on only what its own encoder made; decode the "
            "video and give its pictures to VideoSource"
        )

    def capture_frame(self, frame: EncodedVideoFrame) -> bool:
        """Take a frame; return whether it was accepted. Never reached: there is no instance."""
        raise UnsupportedError("video that is encoded already cannot be sent")

    def take_feedback(self) -> EncodedVideoSourceFeedback:
        """Return what was asked of the encoder since the last call. Never reached: there is no instance."""
        raise UnsupportedError("video that is encoded already cannot be sent")

    async def aclose(self) -> None:
        """End the source. Never reached: there is no instance."""
