"""Subscribing, by wish and by permission."""

from __future__ import annotations

from livekit.protocol import models, rtc

from ..actors import Actor
from ..stage import Stage
from . import scenario


async def _published(stage: Stage, *, auto: bool = True, video: bool = True) -> tuple[Actor, Actor, str]:
    await stage.step("alice joins")
    alice = await stage.join("alice")
    await stage.step("alice publishes")
    publication = await (alice.show() if video else alice.speak())
    if video:
        # That nobody watches yet is told after a while; wait for it, so that it falls into this step everywhere.
        await stage.told("alice", "subscribed_quality_update")
    await stage.step("bob joins")
    bob = await stage.join("bob", options={} if auto else {"auto_subscribe": False})
    if auto:
        await bob.event("track_subscribed")
    return alice, bob, publication.sid


def _settings(sid: str, **settings: object) -> rtc.SignalRequest:
    return rtc.SignalRequest(track_setting=rtc.UpdateTrackSettings(track_sids=[sid], **settings))


@scenario()
async def subscribe_by_wish(stage: Stage) -> None:
    """Unsubscribing and subscribing again."""
    _, bob, sid = await _published(stage)
    publication = bob.room.remote_participants["alice"].track_publications[sid]
    await stage.step("bob unsubscribes")
    publication.set_subscribed(False)
    await stage.told("alice", "subscribed_quality_update")
    await stage.step("bob subscribes again")
    publication.set_subscribed(True)
    await stage.told("alice", "subscribed_quality_update")


@scenario()
async def subscribe_by_hand(stage: Stage) -> None:
    """Nothing comes by itself."""
    _, bob, sid = await _published(stage, auto=False)
    await stage.step("bob subscribes")
    bob.room.remote_participants["alice"].track_publications[sid].set_subscribed(True)
    await bob.event("track_subscribed")


@scenario()
async def track_settings(stage: Stage) -> None:
    """A subscriber switches a picture off and on, and asks for a smaller one."""
    _, _, sid = await _published(stage)
    await stage.step("bob switches the picture off")
    await stage.inject("bob", _settings(sid, disabled=True))
    await stage.told("alice", "subscribed_quality_update")
    await stage.step("bob switches the picture on")
    await stage.inject("bob", _settings(sid, quality=models.VideoQuality.HIGH))
    await stage.told("alice", "subscribed_quality_update")
    await stage.step("bob asks for a smaller one")
    await stage.inject("bob", _settings(sid, width=160, height=90))
    await stage.step("bob sets what is not there")
    await stage.inject("bob", _settings("TR_none", disabled=True))


@scenario()
async def subscription_permission(stage: Stage) -> None:
    """A publisher decides who gets its tracks."""
    alice, _, sid = await _published(stage, video=False)
    permission = stage.rtc.ParticipantTrackPermission
    await stage.step("alice allows nobody")
    alice.me.set_track_subscription_permissions(allow_all_participants=False, participant_permissions=[])
    await stage.told("bob", "subscription_permission_update", lambda p: not p.allowed)
    await stage.step("alice allows bob this track")
    alice.me.set_track_subscription_permissions(
        allow_all_participants=False,
        participant_permissions=[permission(participant_identity="bob", allow_all=False, allowed_track_sids=[sid])],
    )
    await stage.told("bob", "subscription_permission_update", lambda p: p.allowed)
    await stage.step("carol joins, whom nobody allowed anything")
    await stage.join("carol")
    await stage.step("alice allows everybody")
    alice.me.set_track_subscription_permissions(allow_all_participants=True, participant_permissions=[])
    await stage.told("carol", "subscription_permission_update", lambda p: p.allowed)
