"""Metadata of pictures on their way in and out, as steps on the media thread."""

from __future__ import annotations

import logging
from collections.abc import Collection

from ..core.packet_trailer import MetadataWindow, add_trailer, take_trailer, trailer_of
from .tracks import LocalSender, RemoteMedia
from .transforms import EncodedFrame, FrameLayer

__all__ = ["receive_metadata", "send_metadata"]

_logger = logging.getLogger("aiolivekit.peer")
_AV1 = "av1"


def send_metadata(sender: LocalSender, features: Collection[int]) -> None:
    """Send the metadata of the pictures beside them, whichever track the sender sends.

    To be called before the section is negotiated.

    Args:
        sender: What sends.
        features: Which fields (`FrameMetadataFeature`).
    """
    told = False

    def add(frame: EncodedFrame) -> bool:
        nonlocal told
        window = sender.track.metadata
        # libwebrtc gives back the time with which a picture was written, to the microsecond.
        metadata = None if window is None else window.get(int(frame.metadata.get("timestamp") or 0))
        if metadata is not None:
            trailer, complete = trailer_of(metadata, features)
            if not complete and not told:
                told = True
                _logger.warning("user data of a frame do not fit into its trailer, and are not sent")
            if trailer:
                frame.data = add_trailer(frame.data, trailer, is_av1=frame.codec == _AV1)
        return True

    sender.chain.set_step(FrameLayer.TRAILER, add)


def receive_metadata(media: RemoteMedia) -> MetadataWindow:
    """Take the metadata off the pictures that arrive; return where they are found by RTP timestamp."""
    window = MetadataWindow()

    def take(frame: EncodedFrame) -> bool:
        frame.data, metadata = take_trailer(frame.data, is_av1=frame.codec == _AV1)
        if metadata is not None:
            window.put(frame.rtp_timestamp, metadata)
        return True

    media.chain.set_step(FrameLayer.TRAILER, take)
    return window
