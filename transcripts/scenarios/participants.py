"""What participants are told of each other, and what administrators change."""

from __future__ import annotations

from functools import partial

from livekit import api
from livekit.protocol import models, rtc

from ..stage import Stage
from . import scenario


@scenario()
async def change_oneself(stage: Stage) -> None:
    """Name, metadata and attributes, allowed."""
    await stage.step("alice joins")
    alice = await stage.join("alice", name="Alice", attributes={"keep": "1", "drop": "2"})
    await stage.step("bob joins")
    await stage.join("bob")
    await stage.step("alice changes her metadata")
    await alice.me.set_metadata("new")
    await stage.step("alice changes her name")
    await alice.me.set_name("Alicia")
    await stage.step("alice changes her attributes")
    await alice.me.set_attributes({"drop": "", "more": "3"})
    await stage.step("alice says the same again")
    await alice.me.set_metadata("new")


def _update(**fields: object) -> rtc.SignalRequest:
    return rtc.SignalRequest(update_metadata=rtc.UpdateParticipantMetadata(request_id=7, **fields))


@scenario()
async def change_oneself_refused(stage: Stage) -> None:
    """Without the grant, and with too much."""
    await stage.step("alice joins without the grant")
    await stage.join("alice", can_update_own_metadata=False)
    await stage.step("bob joins with it")
    await stage.join("bob")
    await stage.step("alice tries")
    await stage.inject("alice", _update(name="x", metadata="y", attributes={"a": "1"}))
    await stage.told("alice", "request_response")
    for what, request in (
        ("name", _update(name="x" * 257)),
        ("metadata", _update(metadata="x" * (512 * 1024 + 1))),
        ("attributes", _update(attributes={"k": "x" * (64 * 1024)})),
        ("empty update", _update()),
    ):
        await stage.step(f"bob's {what}")
        await stage.inject("bob", request)
        await stage.told("bob", "request_response")


@scenario()
async def permissions_changed(stage: Stage) -> None:
    """An administrator takes and gives rights."""
    await stage.step("alice joins")
    alice = await stage.join("alice")
    await stage.step("bob joins")
    bob = await stage.join("bob")
    await stage.step("alice speaks")
    await alice.speak()
    await bob.event("track_subscribed")

    async def permit(identity: str, **fields: object) -> None:
        await stage.api.update_participant(
            api.UpdateParticipantRequest(
                room=stage.room, identity=identity, permission=models.ParticipantPermission(**fields)
            )
        )

    await stage.step("bob may no longer subscribe")
    await permit("bob", can_publish=True, can_publish_data=True)
    await stage.told("bob", "update")
    await stage.step("bob may subscribe again")
    await permit("bob", can_publish=True, can_publish_data=True, can_subscribe=True)
    await stage.told("bob", "update")
    await stage.step("alice may publish a camera only")
    await permit("alice", can_publish=True, can_subscribe=True, can_publish_sources=[models.TrackSource.CAMERA])
    await stage.told("alice", "track_unpublished")
    await stage.step("alice may not publish at all")
    await permit("alice", can_subscribe=True)
    await stage.step("alice is hidden")
    await permit("alice", can_subscribe=True, hidden=True)


@scenario()
async def administration(stage: Stage) -> None:
    """An administrator mutes, renames, and changes the room."""
    await stage.step("alice joins")
    alice = await stage.join("alice")
    await stage.step("bob joins")
    bob = await stage.join("bob")
    await stage.step("alice speaks")
    publication = await alice.speak()
    await bob.event("track_subscribed")
    await stage.step("alice is muted")
    await stage.api.mute_published_track(
        api.MuteRoomTrackRequest(room=stage.room, identity="alice", track_sid=publication.sid, muted=True)
    )
    await stage.told("alice", "mute")
    await stage.step("alice is muted again")
    await stage.api.mute_published_track(
        api.MuteRoomTrackRequest(room=stage.room, identity="alice", track_sid=publication.sid, muted=True)
    )
    await stage.step("alice is renamed")
    await stage.api.update_participant(
        api.UpdateParticipantRequest(
            room=stage.room, identity="alice", name="Alice", metadata="m", attributes={"a": "1"}
        )
    )
    await stage.told("bob", "update", lambda u: any(p.name == "Alice" for p in u.participants))
    await stage.step("bob is unsubscribed")
    await stage.api.update_subscriptions(
        api.UpdateSubscriptionsRequest(room=stage.room, identity="bob", track_sids=[publication.sid], subscribe=False)
    )
    await stage.step("the room's metadata is changed")
    await stage.api.update_room_metadata(api.UpdateRoomMetadataRequest(room=stage.room, metadata="of the room"))
    for identity in ("alice", "bob"):
        await stage.told(identity, "room_update", lambda u: u.room.metadata == "of the room")


@scenario()
async def speakers(stage: Stage) -> None:
    """One speaks and stops; that all are told is waited for, for when and how often depends on what is heard."""
    await stage.step("alice joins")
    alice = await stage.join("alice")
    await stage.step("bob joins")
    bob = await stage.join("bob")
    await stage.step("alice speaks")
    publication = await alice.speak()
    await bob.event("track_subscribed")
    for identity in ("alice", "bob"):
        await stage.told(identity, "speakers_changed", lambda s: any(i.active for i in s.speakers))
    await stage.step("alice mutes")
    publication.track.mute()
    for identity in ("alice", "bob"):
        await stage.recording.until(partial(_silent, stage, identity), f"{identity} told that alice is silent")


def _silent(stage: Stage, identity: str) -> bool:
    return not any(speaker.active for speaker in stage.recording.of(identity, "speakers_changed")[-1].body.speakers)


@scenario(clocked=("connection_quality",))
async def connection_quality(stage: Stage) -> None:
    """Two with good connections."""
    await stage.step("alice and bob meet")
    alice = await stage.join("alice")
    bob = await stage.join("bob")
    await alice.speak()
    await bob.event("track_subscribed")
    for identity in ("alice", "bob"):
        await stage.told(identity, "connection_quality")
