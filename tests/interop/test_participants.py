"""What participants say of themselves, what the server says of them, and what they may do."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from .capabilities import ClientKind, does
from .client import RefusedError
from .conftest import Stage, api

pytestmark = pytest.mark.peer


async def test_metadata_name_and_attributes(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice", attributes={"kept": "1", "gone": "2"})
    bob = await stage.join("official", "bob")
    await stage.acquaint(alice, bob)
    for changing, other in ((alice, bob), (bob, alice)):
        who = changing.identity
        await changing.set_metadata(f"about {who}")
        await other.events.wait("participant_metadata_changed", identity=who, metadata=f"about {who}")
        await changing.set_name(who.title())
        await other.events.wait("participant_name_changed", identity=who, display=who.title())
        await changing.set_attributes({"mood": "fine"})
        await other.events.wait("participant_attributes_changed", identity=who, changed={"mood": "fine"})
        # One's own is changed too, and one is told.
        await changing.events.wait("participant_metadata_changed", identity=who, metadata=f"about {who}")
    await alice.set_attributes({"gone": ""})
    await bob.events.wait("participant_attributes_changed", identity="alice", changed={"gone": ""})

    await stage.api.update_participant(
        api.UpdateParticipantRequest(
            room=stage.room, identity="alice", metadata="by the server", name="A", attributes={"mood": "better"}
        )
    )
    for client in (alice, bob):
        await client.events.wait("participant_metadata_changed", identity="alice", metadata="by the server")
        await client.events.wait("participant_name_changed", identity="alice", display="A")
        await client.events.wait("participant_attributes_changed", identity="alice", changed={"mood": "better"})
    for seen in (await alice.me(), (await bob.others())["alice"]):
        assert (seen.metadata, seen.name) == ("by the server", "A")
        assert {key: value for key, value in seen.attributes.items() if value} == {"kept": "1", "mood": "better"}

    await stage.api.update_room_metadata(api.UpdateRoomMetadataRequest(room=stage.room, metadata="the room's"))
    for client in (alice, bob):
        await client.events.wait("room_metadata_changed", metadata="the room's")
        assert await client.room_metadata() == "the room's"


async def test_who_may_not_change_metadata_does_not(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice", metadata="as it was", can_update_own_metadata=False)
    with pytest.raises(RefusedError) if does(kind, "hears refusals") else nullcontext():
        await alice.set_metadata("new")
    answer = await stage.api.list_participants(api.ListParticipantsRequest(room=stage.room))
    assert [each.metadata for each in answer.participants] == ["as it was"]


async def test_permissions_change(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice")
    bob = await stage.join("official", "bob")
    hers, his = await alice.publish_tone(500), await bob.publish_tone(800)
    await bob.events.wait("track_subscribed", sid=hers)
    await alice.events.wait("track_subscribed", sid=his)

    async def permit(**rights: bool) -> None:
        permission = api.ParticipantPermission(**{"can_publish_data": True, "can_update_metadata": True, **rights})
        await stage.api.update_participant(
            api.UpdateParticipantRequest(room=stage.room, identity="alice", permission=permission)
        )
        await alice.events.wait("participant_permissions_changed", identity="alice", **rights)

    # Nothing any more: what was published ends, what was subscribed too.
    await permit(can_publish=False, can_subscribe=False)
    await bob.events.wait("track_unpublished", identity="alice", sid=hers)
    if does(kind, "hears of lost subscriptions"):
        await alice.events.wait("track_unsubscribed", identity="bob", sid=his)
    if does(kind, "hears refusals"):
        with pytest.raises(RefusedError):
            await alice.publish_tone(400)
    # And back.
    await permit(can_publish=True, can_subscribe=True)
    if does(kind, "hears of lost subscriptions"):
        await alice.events.wait("track_subscribed", identity="bob", sid=his, count=2)
    again = await alice.publish_tone(600)
    await bob.events.wait("track_subscribed", identity="alice", sid=again)
    tone = await bob.hear(again)
    assert tone.frequency == pytest.approx(600, abs=6)


async def test_who_may_not_publish_cannot(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice", can_publish=False, can_publish_data=False)
    bob = await stage.join("official", "bob")
    if does(kind, "hears refusals"):
        with pytest.raises(RefusedError):
            await alice.publish_tone(500)
    await alice.send_data(b"I may not")
    permission = api.ParticipantPermission(can_publish=True, can_subscribe=True)
    await stage.api.update_participant(
        api.UpdateParticipantRequest(room=stage.room, identity="alice", permission=permission)
    )
    await alice.events.wait("participant_permissions_changed", identity="alice", can_publish=True)
    sound = await alice.publish_tone(500)
    await bob.events.wait("track_subscribed", identity="alice", sid=sound)
    await bob.hear(sound)
    assert bob.events.of("data_received") == []
