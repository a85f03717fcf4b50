"""Publishing, changing and unpublishing tracks."""

from __future__ import annotations

from ..actors import Actor
from ..stage import Stage
from . import OFFICIAL, scenario


async def _pair(stage: Stage) -> tuple[Actor, Actor]:
    await stage.step("alice joins")
    alice = await stage.join("alice")
    await stage.step("bob joins")
    return alice, await stage.join("bob")


@scenario()
async def publish_audio(stage: Stage) -> None:
    """A microphone, muted and unmuted by its owner."""
    alice, bob = await _pair(stage)
    await stage.step("alice speaks")
    publication = await alice.speak()
    await bob.event("track_subscribed")
    await stage.step("alice mutes")
    publication.track.mute()
    await stage.told("bob", "update", lambda u: any(t.muted for p in u.participants for t in p.tracks))
    await stage.step("alice unmutes")
    publication.track.unmute()
    await stage.told("bob", "update")
    await stage.step("alice unpublishes")
    await alice.unpublish(publication)
    await stage.told("bob", "update", lambda u: not any(p.tracks for p in u.participants))
    await stage.step("alice speaks again")
    again = await alice.speak("again")
    await bob.event("track_subscribed", 2)
    await stage.told("alice", "track_subscribed", lambda t: t.track_sid == again.sid)


@scenario()
async def publish_video(stage: Stage) -> None:
    """A camera without layers, then a screen."""
    alice, bob = await _pair(stage)
    await stage.step("alice shows herself")
    await alice.show()
    await bob.event("track_subscribed")
    await stage.step("alice shows her screen")
    screen = await alice.show("screen", source="SCREENSHARE")
    await bob.event("track_subscribed", 2)
    await stage.step("alice stops showing her screen")
    await alice.unpublish(screen)
    await stage.told("bob", "update", lambda u: any(len(p.tracks) == 1 for p in u.participants))


@scenario()
async def nobody_watches(stage: Stage) -> None:
    """A camera without a subscriber is told so after a while, and told when one comes."""
    await stage.step("alice joins")
    alice = await stage.join("alice")
    await stage.step("alice shows herself")
    await alice.show()
    await stage.told("alice", "subscribed_quality_update")
    await stage.step("bob joins")
    bob = await stage.join("bob")
    await bob.event("track_subscribed")
    await stage.told("alice", "subscribed_quality_update")


@scenario(kits=OFFICIAL)
async def publish_layers(stage: Stage) -> None:
    """A camera in several layers."""
    alice, bob = await _pair(stage)
    await stage.step("alice shows herself")
    await alice.show(size=(960, 540), simulcast=True)
    await bob.event("track_subscribed")
    await stage.told("alice", "track_subscribed")
    await stage.step("alice shows two layers")
    await alice.show("small", size=(480, 270), source="SCREENSHARE", simulcast=True)
    await bob.event("track_subscribed", 2)


@scenario()
async def publish_with_options(stage: Stage) -> None:
    """Sound without redundancy and without silence suppression, and a track without a source."""
    alice, bob = await _pair(stage)
    await stage.step("alice publishes plainly")
    await alice.speak("plain", red=False, dtx=False)
    await bob.event("track_subscribed")
    await stage.step("alice publishes something else")
    await alice.speak("other", source="UNKNOWN", stream="mine")
    await bob.event("track_subscribed", 2)


@scenario()
async def publish_before_others(stage: Stage) -> None:
    """Those who come later get what is there."""
    await stage.step("alice joins")
    alice = await stage.join("alice")
    await stage.step("alice publishes sound")
    await alice.speak()
    await stage.step("bob joins")
    bob = await stage.join("bob")
    await bob.event("track_subscribed")
    await stage.step("bob leaves")
    await bob.leave()
    await stage.told("alice", "update", lambda u: any(p.identity == "bob" for p in u.participants))
