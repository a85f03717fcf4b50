"""Small decisions of the server: layers, permissions, memory, packet kinds, the door."""

from __future__ import annotations

import asyncio

import pytest
from livekit.protocol import models, rtc

from aiolivekit.server import door
from aiolivekit.server.data import PacketMemory
from aiolivekit.server.door import Door
from aiolivekit.server.layers import (
    TrackSettings,
    choose_rid,
    order_rids,
    quality_update,
    rid_of_quality,
    wanted_quality,
)
from aiolivekit.server.observers import quality_of_loss
from aiolivekit.server.packet_faults import kind_of
from aiolivekit.server.permissions import TrackPermissions

LAYERS = [
    models.VideoLayer(quality=models.VideoQuality.LOW, width=320, height=180),
    models.VideoLayer(quality=models.VideoQuality.MEDIUM, width=640, height=360),
    models.VideoLayer(quality=models.VideoQuality.HIGH, width=1280, height=720),
]


def test_rids_are_ordered_by_name() -> None:
    assert order_rids(["f", "h", "q"]) == ["q", "h", "f"]
    assert order_rids(["h", "q"]) == ["q", "h"]
    assert order_rids(["0", "2", "1"]) == ["2", "1", "0"]
    assert order_rids(["x", "y"]) == ["x", "y"]


@pytest.mark.parametrize(
    ("quality", "rids", "expected"),
    [(0, ["q", "h", "f"], "q"), (2, ["q", "h", "f"], "f"), (1, ["q", "h"], "h"), (2, ["q", "h"], "h"), (2, [], "")],
)
def test_qualities_have_rids(quality: int, rids: list[str], expected: str) -> None:
    assert rid_of_quality(quality, rids) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (TrackSettings(), 2),
        (TrackSettings(disabled=True), 3),
        (TrackSettings(quality=0), 0),
        (TrackSettings(width=200, height=100), 0),
        (TrackSettings(width=330, height=185), 0),
        (TrackSettings(width=500, height=300), 1),
        (TrackSettings(width=4000, height=3000), 2),
    ],
)
def test_the_smallest_layer_that_covers_is_wanted(settings: TrackSettings, expected: int) -> None:
    assert wanted_quality(settings, LAYERS) == expected


def test_the_next_lower_layer_stands_in() -> None:
    ordered = ["q", "h", "f"]
    assert choose_rid("f", ordered, {"q", "h", "f"}) == "f"
    assert choose_rid("f", ordered, {"q", "h"}) == "h"
    assert choose_rid("q", ordered, {"h", "f"}) == "h"
    assert choose_rid("f", ordered, ()) is None


def test_what_a_publisher_is_told_to_send() -> None:
    for highest, enabled in ((3, [False] * 3), (0, [True, False, False]), (2, [True] * 3)):
        update = quality_update("TR", "vp8", highest)
        assert [q.enabled for q in update.subscribed_qualities] == enabled
        assert [q.enabled for q in update.subscribed_codecs[0].qualities] == enabled


def test_permissions_replace_each_other() -> None:
    permissions = TrackPermissions()
    assert permissions.allow("TR_1", "bob")
    entries = [
        rtc.TrackPermission(participant_identity="bob", track_sids=["TR_1"]),
        rtc.TrackPermission(participant_sid="PA_carol", all_tracks=True),
        rtc.TrackPermission(participant_sid="PA_unknown", all_tracks=True),
    ]
    permissions.update(rtc.SubscriptionPermission(track_permissions=entries), {"PA_carol": "carol"})
    allowed = {(t, i) for t in ("TR_1", "TR_2") for i in ("bob", "carol", "dave") if permissions.allow(t, i)}
    assert allowed == {("TR_1", "bob"), ("TR_1", "carol"), ("TR_2", "carol")}
    permissions.update(rtc.SubscriptionPermission(), {})
    assert not permissions.allow("TR_1", "bob")
    permissions.update(rtc.SubscriptionPermission(all_participants=True), {})
    assert permissions.allow("TR_1", "dave")


def test_a_joiner_is_given_what_it_missed() -> None:
    memory = PacketMemory()
    for number in range(1, 6):
        memory.add("PA_a", number, ("bob",) if number == 3 else (), b"%d" % number, now=number * 0.1)
    assert [s for _, s, _ in memory.since({"PA_a": 2}, "carol")] == [2, 4, 5]
    assert [s for _, s, _ in memory.since({"PA_a": 2}, "bob")] == [2, 3, 4, 5]
    assert memory.since({"PA_b": 1}, "bob") == []
    memory.add("PA_a", 6, (), b"x" * 99_997, now=0.7)
    assert [s for _, s, _ in memory.since({"PA_a": 1}, "bob")] == [3, 4, 5, 6]
    memory.add("PA_a", 7, (), b"late", now=10.0)
    assert [s for _, s, _ in memory.since({"PA_a": 1}, "bob")] == [7]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "stun"),
        (b"\x00\x01", "stun"),
        (b"\x16\xfe", "dtls"),
        (b"\x17\xfe", "sctp"),
        (b"\x80\xc8", "rtcp"),
        (b"\x80\xe0", "rtp"),
        (b"\x90\x60", "rtp"),
    ],
)
def test_packets_are_told_apart(data: bytes, kind: str) -> None:
    assert kind_of(data) == kind


def test_loss_has_a_quality() -> None:
    names = [models.ConnectionQuality.Name(quality_of_loss(loss)[0]) for loss in (0.0, 0.1, 0.5)]
    assert names == ["EXCELLENT", "GOOD", "POOR"]


async def test_the_door_keeps_only_so_many_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_WAITING", 3)
    monkeypatch.setattr(door, "PATIENCE", 0.05)
    ended: list[int] = []
    counted: list[None] = []
    entrance = Door(lambda: counted.append(None))
    for visitor in range(5):
        entrance.enter(visitor, lambda visitor=visitor: ended.append(visitor))
        if visitor == 1:
            entrance.admit(visitor)
    assert ended == [0]
    async with asyncio.timeout(5):
        while len(ended) < 4:
            await asyncio.sleep(0.01)
    assert (sorted(ended), len(counted)) == ([0, 2, 3, 4], 4)
    entrance.close()
