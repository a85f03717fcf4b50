"""Leaving in every form."""

from __future__ import annotations

from livekit import api

from ..actors import Actor
from ..stage import Stage
from . import OFFICIAL, scenario


async def _pair(stage: Stage) -> tuple[Actor, Actor]:
    await stage.step("alice joins")
    alice = await stage.join("alice")
    await stage.step("alice speaks")
    await alice.speak()
    await stage.step("bob joins")
    bob = await stage.join("bob")
    await bob.event("track_subscribed")
    return alice, bob


async def _gone(stage: Stage, witness: str, identity: str) -> None:
    await stage.told(witness, "update", lambda u: any(p.identity == identity and p.state == 3 for p in u.participants))


@scenario()
async def leave(stage: Stage) -> None:
    """A publisher leaves by itself."""
    alice, _ = await _pair(stage)
    await stage.step("alice leaves")
    await alice.leave()
    await _gone(stage, "bob", "alice")


@scenario()
async def removed(stage: Stage) -> None:
    """An administrator removes a subscriber."""
    _, bob = await _pair(stage)
    await stage.step("bob is removed")
    await stage.api.remove_participant(api.RoomParticipantIdentity(room=stage.room, identity="bob"))
    await bob.event("disconnected")
    await _gone(stage, "alice", "bob")


@scenario()
async def room_deleted(stage: Stage) -> None:
    """An administrator deletes the room."""
    alice, bob = await _pair(stage)
    await stage.step("the room is deleted")
    await stage.api.delete_room(api.DeleteRoomRequest(room=stage.room))
    await alice.event("disconnected")
    await bob.event("disconnected")


@scenario()
async def duplicate_identity(stage: Stage) -> None:
    """A second session of the same identity takes the first one's place."""
    alice, _ = await _pair(stage)
    await stage.step("another bob joins")
    second = await stage.join("bob")
    await stage.actors[1].event("disconnected")
    await second.event("track_subscribed")
    await stage.step("another alice joins")
    await stage.join("alice")
    await alice.event("disconnected")


@scenario(kits=OFFICIAL)
async def server_leaves(stage: Stage) -> None:
    """The server ends a session for good."""
    _, bob = await _pair(stage)
    await stage.step("the server lets bob go")
    await bob.room.simulate_scenario(stage.rtc.SimulateScenarioKind.SIMULATE_SERVER_LEAVE)
    await _gone(stage, "alice", "bob")
