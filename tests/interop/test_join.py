"""Coming and going: joining, leaving, being refused, being thrown out, being replaced."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from aiolivekit.testing import access_token

from .capabilities import ClientKind, does
from .client import JoinRefusedError, eventually
from .conftest import Stage, api

pytestmark = pytest.mark.peer


async def test_participants_see_each_other_come_and_go(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice", name="Alice", metadata="m", attributes={"a": "1"})
    bob = await stage.join("official", "bob", name="Bob", metadata="n", attributes={"b": "2"})
    sids = {client.identity: (await client.me()).sid for client in (alice, bob)}
    for client in (alice, bob):
        assert await client.peer_connections() == (1 if stage.single else 2)
    await stage.acquaint(alice, bob)
    assert await stage.there() == ["alice", "bob"]
    await alice.events.wait("participant_connected", identity="bob", sid=sids["bob"])
    seen = (await alice.others())["bob"]
    assert (seen.sid, seen.name, seen.metadata, seen.attributes) == (sids["bob"], "Bob", "n", {"b": "2"})
    seen = (await bob.others())["alice"]
    assert (seen.sid, seen.name, seen.metadata, seen.attributes) == (sids["alice"], "Alice", "m", {"a": "1"})

    carol = await stage.join("official", "carol")
    assert set(await carol.others()) == {"alice", "bob"}
    await bob.leave()
    await alice.events.wait("participant_disconnected", identity="bob", sid=sids["bob"])
    await alice.leave()
    if does(kind, "hears that it left"):
        await alice.events.wait("disconnected", reason="CLIENT_INITIATED")
    await carol.events.wait("participant_disconnected", identity="alice", sid=sids["alice"])
    assert await carol.others() == {}
    assert await stage.there() == ["carol"]
    assert len(alice.events.of("disconnected")) <= 1


async def test_who_has_no_valid_token_stays_outside(stage: Stage, kind: ClientKind) -> None:
    now = datetime.now(UTC)
    tokens = {
        "expired": stage.server.token("mallory", ttl=-300),
        "not valid yet": stage.server.token("mallory", valid_from=now + timedelta(minutes=5)),
        "of another key": access_token("somebody", "s" * 40, "mallory", room=stage.room),
        "signed by another secret": access_token(stage.server.api_key, "s" * 40, "mallory", room=stage.room),
        "without the grant": stage.server.token("mallory", room_join=False),
    }
    # The room is there, so that it is not for lack of a room.
    await stage.join("official", "bob")
    for flaw, token in tokens.items():
        client = await stage.client(kind, "mallory")
        try:
            await client.join(stage.server.url, token, single=stage.single)
        except JoinRefusedError:
            continue
        pytest.fail(f"a token {flaw} was taken")
    assert await stage.there() == ["bob"]


async def test_the_last_of_an_identity_stays(stage: Stage, kind: ClientKind) -> None:
    bob = await stage.join("official", "bob")
    first = await stage.join(kind, "alice")
    await first.publish_tone(300)
    await bob.events.wait("participant_connected", identity="alice", sid=(await first.me()).sid)
    second = await stage.join(kind, "alice")
    await second.publish_tone(300)
    await first.events.wait("disconnected", reason="DUPLICATE_IDENTITY")
    sid = (await second.me()).sid
    assert sid != (await first.me()).sid
    await bob.events.wait("participant_connected", identity="alice", sid=sid)
    assert await stage.there() == ["alice", "bob"]
    # The one that stays is the one that is heard.
    await second.send_data(b"I am the second", topic="who")
    await bob.events.wait("data_received", identity="alice", data=b"I am the second")
    assert (await bob.others())["alice"].sid == sid


async def test_the_server_ends_a_visit_and_a_room(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice")
    bob = await stage.join("official", "bob")
    await stage.acquaint(alice, bob)
    await stage.api.remove_participant(api.RoomParticipantIdentity(room=stage.room, identity="alice"))
    await alice.events.wait("disconnected", reason="PARTICIPANT_REMOVED")
    await bob.events.wait("participant_disconnected", identity="alice")
    assert await stage.there() == ["bob"]

    again = await stage.join(kind, "alice")
    await stage.api.delete_room(api.DeleteRoomRequest(room=stage.room))
    for client in (again, bob):
        await client.events.wait("disconnected", reason="ROOM_DELETED")
    await eventually(nobody_in(stage), "the room is empty")


def nobody_in(stage: Stage) -> Callable[[], Awaitable[bool]]:
    async def empty() -> bool:
        return not await stage.there()

    return empty
