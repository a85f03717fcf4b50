"""Which announced track a section of an offer sends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit.protocol import models

pytest.importorskip("pylibsrtp", reason="needs the extra [server]")

from aiolivekit.server.publishing import Publishing, _sent_tracks
from aiolivekit.server.sdp import Session, parse_sdp


def offer(*track_ids: str) -> Session:
    """An offer that sends these tracks, each in a section of its own."""
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    for mid, track_id in enumerate(track_ids):
        lines += ["m=audio 9 UDP/TLS/RTP/SAVPF 111", f"a=mid:{mid}", f"a=msid:- {track_id}", "a=sendonly"]
    return parse_sdp("\r\n".join(lines) + "\r\n")


async def matched(announced: str, before: Session | None, now: Session) -> list[str | None]:
    """The cid of each section, when one track is announced."""
    publishing = Publishing(cast(Any, SimpleNamespace(publisher=None)))
    publishing._pending[announced] = [models.TrackInfo(type=models.TrackType.AUDIO)]
    publishing._sent_before, publishing.offer = _sent_tracks(before), now
    return [publishing._cid(media) for media in now.media]


async def test_the_announced_id_decides() -> None:
    assert await matched("new", None, offer("other", "new")) == [None, "new"]


async def test_a_changed_id_means_the_only_announced_track() -> None:
    assert await matched("new", None, offer("changed")) == ["new"]
    assert await matched("new", offer("old"), offer("old", "changed")) == [None, "new"]


async def test_what_was_sent_before_is_not_the_new_track() -> None:
    # Ended by the server, sent on by the client; and the new track is not in this offer yet.
    assert await matched("new", offer("old"), offer("old")) == [None]


async def test_the_same_track_may_be_published_again() -> None:
    assert await matched("old", offer("old"), offer("old")) == ["old"]
