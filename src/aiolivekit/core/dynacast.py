"""Which encodings of a track of ours are sent: those that somebody watches (dynacast)."""

from __future__ import annotations

from collections.abc import Sequence

from livekit.protocol import models, rtc

from .encodings import Encoding

__all__ = ["active_encodings", "wants_codec"]

_QUALITY_OF_RID: dict[str, int] = {
    "q": models.VideoQuality.LOW,
    "h": models.VideoQuality.MEDIUM,
    "f": models.VideoQuality.HIGH,
}


def active_encodings(
    update: rtc.SubscribedQualityUpdate, codec: str, encodings: Sequence[Encoding], active: Sequence[bool]
) -> tuple[bool, ...]:
    """Return which encodings are to be sent.

    Args:
        update: What the server says is watched; a quality that it does not name stays as it is.
        codec: Which codec the encodings have, such as `vp8`.
        encodings: The encodings.
        active: Which of them are sent now.
    """
    qualities: dict[int, bool] = {each.quality: each.enabled for each in _qualities(update, codec)}
    if not qualities:
        return tuple(active)
    # Without a rid an encoding is all there is, whichever of its layers is watched.
    watched = any(qualities.values())
    return tuple(
        watched if encoding.rid is None else qualities.get(_QUALITY_OF_RID.get(encoding.rid, -1), now)
        for encoding, now in zip(encodings, active, strict=True)
    )


def wants_codec(update: rtc.SubscribedQualityUpdate, codec: str) -> bool:
    """Whether somebody watches a track in a codec, such as `vp8`."""
    return bool(update.subscribed_codecs) and any(each.enabled for each in _qualities(update, codec))


def _qualities(update: rtc.SubscribedQualityUpdate, codec: str) -> Sequence[rtc.SubscribedQuality]:
    """Return the part of an update about a codec; older servers know only one a track."""
    if not update.subscribed_codecs:
        return update.subscribed_qualities
    for each in update.subscribed_codecs:
        if each.codec.lower().removeprefix("video/") == codec.lower():
            return each.qualities
    return ()
