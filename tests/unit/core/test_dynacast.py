from __future__ import annotations

import pytest
from livekit.protocol import models, rtc

from aiolivekit.core.dynacast import active_encodings, wants_codec
from aiolivekit.core.encodings import Encoding

LOW, MEDIUM, HIGH = models.VideoQuality.LOW, models.VideoQuality.MEDIUM, models.VideoQuality.HIGH
LAYERS = [Encoding(rid="q"), Encoding(rid="h"), Encoding(rid="f")]


def update(codec: str | None = "vp8", **enabled: bool) -> rtc.SubscribedQualityUpdate:
    qualities = [
        rtc.SubscribedQuality(quality=models.VideoQuality.Value(name), enabled=value) for name, value in enabled.items()
    ]
    if codec is None:
        return rtc.SubscribedQualityUpdate(track_sid="TR_1", subscribed_qualities=qualities)
    codecs = [rtc.SubscribedCodec(codec="other"), rtc.SubscribedCodec(codec=codec, qualities=qualities)]
    return rtc.SubscribedQualityUpdate(track_sid="TR_1", subscribed_codecs=codecs)


@pytest.mark.parametrize("codec", ["vp8", "VP8", "video/VP8", None])
def test_layers_follow_their_quality(codec: str | None) -> None:
    change = update(codec, LOW=True, MEDIUM=False, HIGH=False)
    assert active_encodings(change, "vp8", LAYERS, (True, True, True)) == (True, False, False)


def test_what_is_not_named_stays() -> None:
    assert active_encodings(update(LOW=False), "vp8", LAYERS, (True, False, True)) == (False, False, True)
    assert active_encodings(update(), "vp8", LAYERS, (True, False, True)) == (True, False, True)
    assert active_encodings(update("vp9", LOW=False), "vp8", LAYERS, (True, False, True)) == (True, False, True)
    assert active_encodings(update(LOW=False), "vp8", [Encoding(rid="x")], (True,)) == (True,)


@pytest.mark.parametrize(
    ("watched", "active"),
    [({"LOW": True, "MEDIUM": False}, True), ({"HIGH": True}, True), ({"LOW": False, "HIGH": False}, False)],
)
def test_a_single_encoding_is_sent_while_anything_of_it_is_watched(watched: dict[str, bool], active: bool) -> None:
    single = [Encoding(scalability_mode="L3T3_KEY")]
    assert active_encodings(update("av1", **watched), "av1", single, (not active,)) == (active,)


def test_a_codec_is_wanted_when_something_of_it_is_watched() -> None:
    assert wants_codec(update("vp8", LOW=True, HIGH=False), "VP8")
    assert not wants_codec(update("vp8", LOW=False), "vp8")
    assert not wants_codec(update("vp9", LOW=True), "vp8")
    # An older server does not tell codecs apart.
    assert not wants_codec(update(None, LOW=True), "vp8")
