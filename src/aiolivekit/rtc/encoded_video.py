"""Video that is encoded already."""

from __future__ import annotations

from ..media.encoded_video import EncodedRateControl, EncodedVideoFrame, EncodedVideoSource, EncodedVideoSourceFeedback

__all__ = ["EncodedRateControl", "EncodedVideoFrame", "EncodedVideoSource", "EncodedVideoSourceFeedback"]
