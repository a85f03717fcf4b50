"""Data tracks between the clients, both ways."""

from __future__ import annotations

import pytest

from .capabilities import ClientKind
from .client import Client
from .conftest import Stage

pytestmark = pytest.mark.peer

SIZES = {"small": 200, "large": 20_000}


async def hear(client: Client, sid: str, size: int, count: int = 5) -> None:
    """Wait for frames of a track: whole, in order, each once, with the timestamp each was given."""
    before = len(client.events.of("frame_received", sid=sid))
    await client.events.wait("frame_received", sid=sid, count=before + count)
    frames = client.events.of("frame_received", sid=sid)[before:]
    numbers = [frame["number"] for frame in frames]
    assert numbers == sorted(set(numbers))
    assert [frame["timestamp"] for frame in frames] == [number + 2**40 for number in numbers]
    assert all(frame["whole"] and frame["size"] == size for frame in frames)


async def test_data_tracks(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice")
    bob = await stage.join("ours" if kind == "browser" else "official", "bob")
    for publisher, subscriber in ((alice, bob), (bob, alice)):
        sids = {}
        for name, size in SIZES.items():
            sids[name] = await publisher.publish_data_track(name, size)
            track = await subscriber.events.wait("data_track_published", track_name=name, sid=sids[name])
            assert track["identity"] == publisher.identity
        # Nobody gets what they did not ask for.
        await subscriber.receive_data_track(sids["large"])
        await hear(subscriber, sids["large"], SIZES["large"])
        assert not subscriber.events.of("frame_received", sid=sids["small"])
        await subscriber.receive_data_track(sids["small"])
        for name, size in SIZES.items():
            await hear(subscriber, sids[name], size)
        # Away and back again.
        await subscriber.stop_receiving(sids["small"])
        await subscriber.receive_data_track(sids["small"])
        await hear(subscriber, sids["small"], SIZES["small"])
        for name in SIZES:
            await publisher.unpublish_data_track(name)
            await subscriber.events.wait("data_track_unpublished", sid=sids[name])
            await subscriber.events.wait("frames_ended", sid=sids[name])
        assert not publisher.events.of("data_track_published", identity=publisher.identity)


async def test_who_comes_later_and_who_leaves(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice")
    sid = await alice.publish_data_track("there before", SIZES["small"])
    bob = await stage.join("ours" if kind == "browser" else "official", "bob")
    track = await bob.events.wait("data_track_published", sid=sid)
    assert (track["identity"], track["track_name"]) == ("alice", "there before")
    await bob.receive_data_track(sid)
    await hear(bob, sid, SIZES["small"])
    await alice.leave()
    await bob.events.wait("data_track_unpublished", sid=sid)
    await bob.events.wait("frames_ended", sid=sid)
