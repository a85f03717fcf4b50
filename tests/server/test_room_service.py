"""`livekit-api` against the dev server."""

from __future__ import annotations

import pytest

api = pytest.importorskip("livekit.api")
from livekit import rtc  # noqa: E402

from aiolivekit.server import DevServer  # noqa: E402
from tests.server.conftest import Clients  # noqa: E402


@pytest.fixture
async def service(server: DevServer):
    async with api.LiveKitAPI(server.http_url, server.api_key, server.api_secret) as client:
        yield client.room


async def test_rooms_are_created_listed_and_deleted(service, clients: Clients) -> None:
    created = await service.create_room(api.CreateRoomRequest(name="test", metadata="m", max_participants=2))
    assert (created.name, created.metadata, created.max_participants) == ("test", "m", 2)
    alice = await clients.join("alice")
    assert alice.room.metadata == "m"
    listed = await service.list_rooms(api.ListRoomsRequest())
    assert [(r.name, r.sid, r.num_participants) for r in listed.rooms] == [("test", created.sid, 1)]
    assert not (await service.list_rooms(api.ListRoomsRequest(names=["other"]))).rooms
    await service.delete_room(api.DeleteRoomRequest(room="test"))
    (reason,) = await alice.event("disconnected")
    assert reason == rtc.DisconnectReason.ROOM_DELETED
    assert not (await service.list_rooms(api.ListRoomsRequest())).rooms


async def test_participants_are_listed_updated_and_removed(service, clients: Clients) -> None:
    alice = await clients.join("alice")
    bob = await clients.join("bob")
    listed = await service.list_participants(api.ListParticipantsRequest(room="test"))
    assert [p.identity for p in listed.participants] == ["alice", "bob"]
    got = await service.get_participant(api.RoomParticipantIdentity(room="test", identity="alice"))
    assert got.sid == alice.me.sid
    updated = await service.update_participant(
        api.UpdateParticipantRequest(room="test", identity="alice", metadata="x", attributes={"a": "b"})
    )
    assert (updated.metadata, dict(updated.attributes)) == ("x", {"a": "b"})
    await bob.event("participant_metadata_changed")
    await bob.event("participant_attributes_changed")
    await service.remove_participant(api.RoomParticipantIdentity(room="test", identity="alice"))
    (reason,) = await alice.event("disconnected")
    assert reason == rtc.DisconnectReason.PARTICIPANT_REMOVED
    with pytest.raises(api.TwirpError) as refused:
        await service.get_participant(api.RoomParticipantIdentity(room="test", identity="alice"))
    assert refused.value.code == api.TwirpErrorCode.NOT_FOUND


async def test_a_revoked_permission_ends_the_tracks(service, clients: Clients) -> None:
    alice = await clients.join("alice")
    bob = await clients.join("bob")
    await alice.publish_tone()
    await bob.event("track_subscribed")
    await service.update_participant(
        api.UpdateParticipantRequest(
            room="test",
            identity="alice",
            permission=api.ParticipantPermission(can_subscribe=True, can_publish=False, can_publish_data=True),
        )
    )
    await bob.event("track_unpublished")
    assert not clients.server.room("test").tracks


async def test_mute_of_a_published_track(service, clients: Clients) -> None:
    alice = await clients.join("alice")
    bob = await clients.join("bob")
    publication = await alice.publish_tone()
    await bob.event("track_subscribed")
    muted = await service.mute_published_track(
        api.MuteRoomTrackRequest(room="test", identity="alice", track_sid=publication.sid, muted=True)
    )
    assert muted.track.muted
    await bob.event("track_muted")
    with pytest.raises(api.TwirpError):
        await service.mute_published_track(
            api.MuteRoomTrackRequest(room="test", identity="alice", track_sid=publication.sid, muted=False)
        )


async def test_data_from_the_server(service, clients: Clients) -> None:
    alice = await clients.join("alice")
    bob = await clients.join("bob")
    await service.send_data(api.SendDataRequest(room="test", data=b"to all", kind=0, topic="t"))
    await service.send_data(api.SendDataRequest(room="test", data=b"to bob", kind=0, destination_identities=["bob"]))
    await bob.event("data_received", 2)
    await alice.event("data_received")
    assert [p.data for (p,) in alice.of("data_received")] == [b"to all"]
    packet = bob.of("data_received")[0][0]
    assert (packet.topic, packet.participant) == ("t", None)


async def test_room_metadata(service, clients: Clients) -> None:
    alice = await clients.join("alice")
    await service.update_room_metadata(api.UpdateRoomMetadataRequest(room="test", metadata="new"))
    await alice.event("room_metadata_changed")
    assert alice.room.metadata == "new"


async def test_calls_without_the_grant_are_refused(server: DevServer) -> None:
    import aiohttp

    token = server.token("alice")
    url = f"{server.http_url}/twirp/livekit.RoomService"
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": f"Bearer {token}"}):
            async with session.post(f"{url}/ListRooms", json={}, headers=headers) as response:
                assert response.status == 401
                assert (await response.json())["code"] == "unauthenticated"
        admin = {"Authorization": f"Bearer {server.admin_token('test')}"}
        async with session.post(f"{url}/ListRooms", json={}, headers=admin) as response:
            assert (response.status, await response.json()) == (200, {})
        async with session.post(f"{url}/NoSuchCall", json={}, headers=admin) as response:
            assert response.status == 404
        async with session.post(f"{url}/ListRooms", data=b"\xff\xff", headers=admin) as response:
            assert response.status == 400
