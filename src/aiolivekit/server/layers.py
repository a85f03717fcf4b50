"""Simulcast layers: which rid carries which quality, which layer a subscriber gets, what dynacast asks for. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from livekit.protocol import models, rtc

__all__ = [
    "TrackSettings",
    "choose_rid",
    "order_rids",
    "published_quality",
    "quality_update",
    "rid_of_quality",
    "spatial_layer",
    "wanted_quality",
]

LOW, MEDIUM, HIGH, OFF = 0, 1, 2, 3
_KNOWN_ORDERS = (("q", "h", "f"), ("2", "1", "0"))


@dataclass
class TrackSettings:
    """What a subscriber asked for with `UpdateTrackSettings`."""

    disabled: bool = False
    quality: int = HIGH
    width: int = 0
    height: int = 0
    fps: int = 0


def order_rids(rids: Iterable[str]) -> list[str]:
    """Return rids from the lowest layer to the highest: by name where the names are known, else as they came."""
    given = list(rids)
    for order in _KNOWN_ORDERS:
        if set(given) <= set(order):
            return [rid for rid in order if rid in given]
    return given


def rid_of_quality(quality: int, ordered: list[str]) -> str:
    """Return the rid that carries a quality; empty without simulcast."""
    return ordered[min(quality, len(ordered) - 1)] if ordered else ""


def spatial_layer(quality: int, layers: Iterable[models.VideoLayer]) -> int:
    """Return which of the published layers has a quality, from the lowest: a picture in one size has layer 0 only."""
    present = sorted({min(int(layer.quality), HIGH) for layer in layers})
    if not present:
        return min(quality, HIGH)
    return max(0, sum(other <= quality for other in present) - 1)


def published_quality(quality: int, layers: Iterable[models.VideoLayer]) -> int:
    """Return the quality of the published layer that serves a wanted quality: the next lower, else the lowest."""
    present = sorted({min(int(layer.quality), HIGH) for layer in layers})
    return max((other for other in present if other <= quality), default=present[0] if present else quality)


def wanted_quality(settings: TrackSettings, layers: Iterable[models.VideoLayer]) -> int:
    """Return the quality that settings ask for: the smallest layer that covers the dimensions, where some are given."""
    if settings.disabled:
        return OFF
    if settings.width <= 0 or settings.height <= 0:
        return min(settings.quality, HIGH)
    ordered = sorted(layers, key=lambda layer: layer.quality)
    for layer in ordered:
        # A tenth less than asked for is not worth four times the pixels.
        if layer.width * 1.1 >= settings.width and layer.height * 1.1 >= settings.height:
            return int(layer.quality)
    return HIGH


def choose_rid(wanted: str, ordered: list[str], live: Iterable[str]) -> str | None:
    """Return the layer to send: the wanted one, else the next lower that is being sent, else the lowest that is."""
    available = set(live)
    if wanted in available:
        return wanted
    position = ordered.index(wanted) if wanted in ordered else len(ordered) - 1
    for rid in [*ordered[:position][::-1], *ordered[position + 1 :]]:
        if rid in available:
            return rid
    return None


def quality_update(sid: str, codec: str, highest: int) -> rtc.SubscribedQualityUpdate:
    """Return what tells a publisher which of its layers somebody wants; `OFF` for none."""
    qualities = [
        rtc.SubscribedQuality(
            quality=models.VideoQuality.Name(quality),
            enabled=highest != OFF and quality <= highest,
        )
        for quality in (LOW, MEDIUM, HIGH)
    ]
    return rtc.SubscribedQualityUpdate(
        track_sid=sid,
        subscribed_qualities=qualities,
        subscribed_codecs=[rtc.SubscribedCodec(codec=codec, qualities=qualities)],
    )
