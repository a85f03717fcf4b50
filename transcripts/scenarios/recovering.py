"""Resuming and joining anew; with the official SDK, which does both."""

from __future__ import annotations

from livekit.protocol import models, rtc

from ..actors import Actor
from ..stage import Stage
from . import OFFICIAL, scenario


async def _talking(stage: Stage) -> tuple[Actor, Actor]:
    await stage.step("alice joins")
    alice = await stage.join("alice")
    await stage.step("bob joins")
    bob = await stage.join("bob")
    await stage.step("alice speaks")
    await alice.speak()
    await bob.event("track_subscribed")
    return alice, bob


@scenario(kits=OFFICIAL)
async def resume(stage: Stage) -> None:
    """The signalling connection of each side is cut."""
    alice, bob = await _talking(stage)
    await stage.step("alice's connection is cut")
    stage.cut("alice")
    await alice.event("reconnected")
    await stage.step("bob's connection is cut")
    stage.cut("bob")
    await bob.event("reconnected")
    await stage.step("alice says something afterwards")
    await alice.me.set_metadata("still here")


@scenario(kits=OFFICIAL)
async def full_reconnect(stage: Stage) -> None:
    """The server asks for a new join."""
    _, bob = await _talking(stage)
    await stage.step("bob joins anew")
    await bob.room.simulate_scenario(stage.rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
    await bob.event("reconnected")
    await bob.event("track_subscribed", 2)


@scenario(kits=OFFICIAL)
async def states_differ(stage: Stage) -> None:
    """A client claims to publish what the server does not know."""
    alice, _ = await _talking(stage)
    await stage.step("alice claims a track")
    known = models.TrackInfo(sid="TR_unknown", name="unknown")
    state = rtc.SyncState(publish_tracks=[rtc.TrackPublishedResponse(cid="unknown", track=known)])
    await stage.inject("alice", rtc.SignalRequest(sync_state=state))
    await alice.event("reconnected")


@scenario(kits=("official-dual",))
async def answers_nonsense(stage: Stage) -> None:
    """An answer that cannot be read ends the session, but not for good."""
    alice, _ = await _talking(stage)
    await stage.step("alice answers nonsense")
    await stage.inject("alice", rtc.SignalRequest(answer=rtc.SessionDescription(type="answer", sdp="nonsense")))
    await alice.event("reconnected")
