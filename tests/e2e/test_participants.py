"""Who is there, and what is known of them."""

from __future__ import annotations

import asyncio

import pytest

from .sdk import Sdk, meeting, until

pytestmark = pytest.mark.e2e

ALLOWED = {"can_update_own_metadata": True}


async def test_names_metadata_attributes(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single, grants=ALLOWED) as (
        alice,
        _,
        bob,
        bob_events,
    ):
        assert bob.remote_participants["alice"].sid == alice.local_participant.sid
        await alice.local_participant.set_metadata("about me")
        participant, old, new = await bob_events.wait(
            "participant_metadata_changed", lambda p, *_: p.identity == "alice"
        )
        assert (old, new) == ("", "about me")
        assert participant.metadata == "about me"

        await alice.local_participant.set_name("Alice")
        participant, old, new = await bob_events.wait("participant_name_changed", lambda p, *_: p.identity == "alice")
        assert (old, new) == ("", "Alice")

        await alice.local_participant.set_attributes({"colour": "green", "mood": "fine"})
        changed, participant = await bob_events.wait(
            "participant_attributes_changed", lambda _c, p: p.identity == "alice"
        )
        assert dict(changed) == {"colour": "green", "mood": "fine"}
        await alice.local_participant.set_attributes({"mood": ""})
        await until(lambda: dict(bob.remote_participants["alice"].attributes) == {"colour": "green"}, "mood is gone")


async def test_leaving_is_seen(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single) as (
        alice,
        _alice_events,
        bob,
        bob_events,
    ):
        await alice.disconnect()
        (participant,) = await bob_events.wait("participant_disconnected")
        assert participant.identity == "alice"
        assert "alice" not in bob.remote_participants


async def test_the_name_of_the_room_and_its_sid(
    livekit_server, livekit_token, room_name: str, pair: tuple[Sdk, Sdk], single
) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single) as (alice, _, bob, _bob_events):
        assert alice.name == bob.name == room_name
        async with asyncio.timeout(5):
            sid = await alice.sid
            assert sid == await bob.sid
        assert sid.startswith("RM_")
