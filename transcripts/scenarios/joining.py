"""Joining, alone and with others."""

from __future__ import annotations

from ..stage import Stage
from . import scenario


@scenario()
async def join_alone(stage: Stage) -> None:
    """One participant with everything a token can say about it."""
    await stage.step("alice joins")
    await stage.join("alice", name="Alice", metadata="hello", attributes={"colour": "red"})


@scenario()
async def join_others(stage: Stage) -> None:
    """Others are there, some of them publishing, one hidden, one an agent."""
    await stage.step("alice joins")
    alice = await stage.join("alice", name="Alice")
    await stage.step("alice publishes")
    await alice.speak()
    await stage.step("spy joins hidden")
    spy = await stage.join("spy", hidden=True)
    await spy.event("track_subscribed")
    await stage.step("agent joins")
    agent = await stage.join("agent", kind="agent")
    await agent.event("track_subscribed")
    await stage.step("bob joins")
    bob = await stage.join("bob", attributes={"a": "1", "b": "2"})
    await bob.event("track_subscribed")


@scenario()
async def join_restricted(stage: Stage) -> None:
    """Grants that leave something out."""
    await stage.step("alice joins and publishes")
    alice = await stage.join("alice")
    await alice.speak()
    await stage.step("one who may not publish joins")
    mute = await stage.join("mute", can_publish=False)
    await mute.event("track_subscribed")
    await stage.step("one who may publish a camera only joins")
    limits = {"can_publish_sources": ["camera"], "can_publish_data": False, "can_update_own_metadata": False}
    camera = await stage.join("camera", **limits)
    await camera.event("track_subscribed")


@scenario(kits=("official-dual", "official-single", "ours-single"))
async def join_without_subscribing(stage: Stage) -> None:
    """One who may not subscribe."""
    await stage.step("alice joins and publishes")
    alice = await stage.join("alice")
    await alice.speak()
    await stage.step("deaf joins")
    deaf = await stage.join("deaf", can_subscribe=False)
    await stage.step("deaf speaks")
    await deaf.speak()
    await alice.event("track_subscribed")


@scenario()
async def counts_of_the_room(stage: Stage) -> None:
    """The counts, which servers send some seconds later."""

    def counted(participants: int, publishers: int) -> object:
        return lambda update: (update.room.num_participants, update.room.num_publishers) == (participants, publishers)

    await stage.step("alice joins")
    alice = await stage.join("alice")
    await stage.step("bob joins")
    await stage.join("bob")
    for identity in ("alice", "bob"):
        await stage.told(identity, "room_update", counted(2, 0))
    await stage.step("alice publishes")
    await alice.speak()
    for identity in ("alice", "bob"):
        await stage.told(identity, "room_update", counted(2, 1))
    await stage.step("bob leaves")
    await stage.actors[1].leave()
    await stage.told("alice", "room_update", counted(1, 1))
