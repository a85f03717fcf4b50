"""Sound and pictures: what is sent is what is heard and seen, for whom it is meant, and in the size asked for."""

from __future__ import annotations

import asyncio

import pytest

from .capabilities import ClientKind, does, require
from .client import Client, Colour
from .conftest import Stage, api

pytestmark = pytest.mark.peer

CRIMSON: Colour = (200, 40, 60)
TEAL: Colour = (20, 140, 150)

LARGE = (640, 480)
"""Large enough for every client to make two layers of it; the official SDK's lower one has three quarters."""

PAIRS: tuple[tuple[ClientKind, ClientKind], ...] = (
    ("ours", "official"),
    ("official", "official"),
    ("browser", "official"),
    ("ours", "browser"),
)


async def hears(client: Client, sid: str, frequency: float) -> None:
    """The tone that was sent, about as loud; a busy machine leaves gaps, which jitter buffers fill more softly."""
    tone = await client.hear(sid)
    assert tone.frequency == pytest.approx(frequency, abs=6)
    assert 0.15 < tone.loudness < 0.5


async def sees(client: Client, sid: str, colour: Colour, size: tuple[int, int] = (320, 180)) -> None:
    # Encoders may begin with a smaller picture.
    await client.see_until(sid, lambda picture: (picture.width, picture.height) == size and picture.is_colour(colour))


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
async def test_both_hear_and_see_each_other(stage: Stage, first: ClientKind, second: ClientKind) -> None:
    alice = await stage.join(first, "alice")
    # Alice publishes before bob comes, bob while she is there.
    hers = await alice.publish_tone(440), await alice.publish_picture(CRIMSON)
    bob = await stage.join(second, "bob")
    his = await bob.publish_tone(1000), await bob.publish_picture(TEAL)
    for client, (sound, picture), other in ((bob, hers, "alice"), (alice, his, "bob")):
        heard = await client.events.wait("track_subscribed", identity=other, sid=sound)
        assert (heard["kind"], heard["source"], heard["track_name"]) == ("audio", "microphone", "microphone")
        seen = await client.events.wait("track_subscribed", identity=other, sid=picture)
        assert (seen["kind"], seen["source"], seen["track_name"]) == ("video", "camera", "camera")
    await asyncio.gather(
        hears(bob, hers[0], 440), sees(bob, hers[1], CRIMSON), hears(alice, his[0], 1000), sees(alice, his[1], TEAL)
    )
    # The publisher hears of its subscribers, and the server of the loudest.
    for client, sids in ((alice, hers), (bob, his)):
        for sid in sids:
            await client.events.wait("local_track_subscribed", sid=sid)
        await client.events.until(lambda client=client: loud(client) >= {"alice", "bob"}, lambda: "both speak")


def loud(client: Client) -> set[str]:
    return {identity for each in client.events.of("active_speakers_changed") for identity in each["identities"]}


async def test_muting(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice")
    bob = await stage.join("official", "bob")
    hers, his = await alice.publish_tone(500), await bob.publish_tone(800)
    for muting, other, sid, frequency in ((alice, bob, hers, 500), (bob, alice, his, 800)):
        await other.events.wait("track_subscribed", sid=sid)
        await muting.set_muted(sid, True)
        await other.events.wait("track_muted", identity=muting.identity, sid=sid)
        await muting.set_muted(sid, False)
        await other.events.wait("track_unmuted", identity=muting.identity, sid=sid)
        await hears(other, sid, frequency)
    # The server may mute too, and both are told.
    await stage.api.mute_published_track(
        api.MuteRoomTrackRequest(room=stage.room, identity="alice", track_sid=hers, muted=True)
    )
    await bob.events.wait("track_muted", identity="alice", sid=hers, count=2)
    await alice.events.wait("track_muted", identity="alice", sid=hers, count=2)


async def test_unsubscribing_and_unpublishing(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice", auto_subscribe=False)
    bob = await stage.join("official", "bob")
    his, hers = await bob.publish_tone(800), await alice.publish_tone(500)
    # Alice asked for nothing, so she gets nothing before she does.
    await alice.events.wait("track_published", identity="bob", sid=his)
    await alice.subscribe(his)
    await alice.events.wait("track_subscribed", identity="bob", sid=his)
    await hears(alice, his, 800)
    await alice.subscribe(his, False)
    await alice.events.wait("track_unsubscribed", identity="bob", sid=his)
    await bob.unpublish(his)
    await alice.events.wait("track_unpublished", identity="bob", sid=his)
    assert len(alice.events.of("track_subscribed", sid=his)) == 1
    assert (await alice.others())["bob"].tracks == []

    await bob.events.wait("track_subscribed", identity="alice", sid=hers)
    await alice.unpublish(hers)
    await bob.events.wait("track_unsubscribed", identity="alice", sid=hers)
    await bob.events.wait("track_unpublished", identity="alice", sid=hers)
    # The section it leaves free serves another track.
    again = await alice.publish_tone(700)
    await bob.events.wait("track_subscribed", identity="alice", sid=again)
    await hears(bob, again, 700)


async def test_layers(stage: Stage, kind: ClientKind) -> None:
    require(kind, "layers")
    alice = await stage.join(kind, "alice")
    bob = await stage.join("official", "bob")
    # One after the other: encoders that get too little time make their pictures smaller by themselves.
    for sender, receiver, colour in ((alice, bob, CRIMSON), (bob, alice, TEAL)):
        sid = await sender.publish_picture(colour, LARGE, simulcast=True)
        assert (await receiver.events.wait("track_subscribed", sid=sid))["simulcasted"]
        await sees(receiver, sid, colour, LARGE)
        await receiver.set_quality(sid, "low")
        small = await receiver.see_until(sid, lambda picture: picture.width < LARGE[0])
        assert small.is_colour(colour)
        assert small.width * LARGE[1] == small.height * LARGE[0]
        await receiver.set_quality(sid, "high")
        await sees(receiver, sid, colour, LARGE)
        await sender.unpublish(sid)
        await receiver.events.wait("track_unpublished", sid=sid)


async def test_publishers_choose_their_subscribers(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice")
    await alice.allow_subscribers(everybody=False, identities=["bob"])
    bob = await stage.join(kind, "bob")
    carol = await stage.join("official", "carol")
    sound = await alice.publish_tone(600)
    await bob.events.wait("track_subscribed", identity="alice", sid=sound)
    await carol.events.wait("track_published", identity="alice", sid=sound)
    assert carol.events.of("track_subscribed") == []
    await alice.allow_subscribers(everybody=True)
    await carol.events.wait("track_subscribed", identity="alice", sid=sound)
    await asyncio.gather(hears(bob, sound, 600), hears(carol, sound, 600))
    await alice.allow_subscribers(everybody=False, identities=["carol"])
    if does(kind, "hears of lost subscriptions"):
        await bob.events.wait("track_unsubscribed", identity="alice", sid=sound)
    await hears(carol, sound, 600)
