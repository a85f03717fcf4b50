"""The official Python SDK against the dev server, with one peer connection and with two."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from livekit import rtc
from livekit.protocol import rtc as pb

from tests.server.conftest import Client, Clients, luma_of, tone_of


async def pair(clients: Clients) -> tuple:
    return await clients.join("alice"), await clients.join("bob")


async def test_participants_see_each_other_come_and_go(clients: Clients) -> None:
    alice = await clients.join("alice", name="Alice", metadata="m", attributes={"a": "1"})
    bob = await clients.join("bob")
    (seen,) = await alice.event("participant_connected")
    assert seen.identity == "bob"
    there = bob.room.remote_participants["alice"]
    assert (there.name, there.metadata, there.attributes) == ("Alice", "m", {"a": "1"})
    room = clients.server.room("test")
    assert list(room.participants) == ["alice", "bob"]
    await bob.room.disconnect()
    (gone,) = await alice.event("participant_disconnected")
    assert gone.identity == "bob"
    assert list(room.participants) == ["alice"]


async def test_sound_and_picture_arrive_as_they_were_sent(clients: Clients) -> None:
    alice, bob = await pair(clients)
    await alice.publish_tone(frequency=1000.0)
    await alice.publish_picture(luma=180)
    await bob.event("track_subscribed", 2)
    await alice.event("local_track_subscribed", 2)
    tracks = {track.kind: track for track, _, _ in bob.of("track_subscribed")}
    sound = bob.watch(tracks[rtc.TrackKind.KIND_AUDIO])
    picture = bob.watch(tracks[rtc.TrackKind.KIND_VIDEO])
    await bob.until(lambda: len(sound) >= 100 and len(picture) >= 15)
    assert tone_of(sound) == pytest.approx(1000.0, abs=5)
    upper, lower = luma_of(picture[-1])
    assert (upper, lower) == (pytest.approx(90, abs=8), pytest.approx(180, abs=8))
    assert (picture[-1].width, picture[-1].height) == (640, 360)


async def test_a_late_joiner_gets_what_is_published(clients: Clients) -> None:
    alice = await clients.join("alice")
    await alice.publish_tone()
    await alice.publish_picture()
    bob = await clients.join("bob")
    await bob.event("track_subscribed", 2)
    for track, publication, participant in bob.of("track_subscribed"):
        assert participant.identity == "alice"
        assert publication.sid == track.sid
        frames = bob.watch(track)
        await bob.until(lambda frames=frames: len(frames) >= 5)


async def test_both_ways_at_once(clients: Clients) -> None:
    alice, bob = await pair(clients)
    await asyncio.gather(alice.publish_tone(frequency=500), bob.publish_tone(frequency=800))
    for client, expected in ((alice, 800), (bob, 500)):
        track, _, _ = await client.event("track_subscribed")
        frames = client.watch(track)
        await client.until(lambda frames=frames: len(frames) >= 100)
        assert tone_of(frames) == pytest.approx(expected, abs=5)


async def test_data_packets_arrive_in_order_with_their_sender(clients: Clients) -> None:
    alice, bob = await pair(clients)
    for number in range(200):
        await alice.me.publish_data(f"{number}".encode(), reliable=True, topic="count")
    await bob.event("data_received", 200)
    packets = [packet for (packet,) in bob.of("data_received")]
    assert [packet.data for packet in packets] == [f"{n}".encode() for n in range(200)]
    assert {(p.participant.identity, p.topic) for p in packets} == {("alice", "count")}
    assert alice.of("data_received") == []


async def test_lossy_packets_and_targets(clients: Clients) -> None:
    alice, bob = await pair(clients)
    carol = await clients.join("carol")
    await alice.me.publish_data(b"for bob", reliable=True, destination_identities=["bob"])
    await alice.me.publish_data(b"for all", reliable=True)

    def lossy_arrived() -> bool:
        return all(b"lossy" in {p.data for (p,) in client.of("data_received")} for client in (bob, carol))

    # A lossy packet may be lost, and is where a receiver's channel for them is not open yet.
    while not lossy_arrived():
        await alice.me.publish_data(b"lossy", reliable=False)
        with contextlib.suppress(TimeoutError):
            await carol.until(lossy_arrived, timeout=0.2)
    await carol.until(lambda: {p.data for (p,) in carol.of("data_received")} == {b"lossy", b"for all"})
    await bob.until(lambda: {p.data for (p,) in bob.of("data_received")} == {b"lossy", b"for bob", b"for all"})


async def test_large_text_streams_and_rpc(clients: Clients) -> None:
    alice, bob = await pair(clients)
    received: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def reader(stream: rtc.TextStreamReader, identity: str) -> None:
        async def read() -> None:
            received.set_result(await stream.read_all())

        bob.background(read())

    bob.room.register_text_stream_handler("notes", reader)
    text = "The quick brown fox. " * 5000
    await alice.me.send_text(text, topic="notes")
    assert await asyncio.wait_for(received, 10) == text

    async def greet(invocation: rtc.RpcInvocationData) -> str:
        return f"hello {invocation.caller_identity}: {invocation.payload}"

    bob.me.register_rpc_method("greet", greet)
    answer = await alice.me.perform_rpc(destination_identity="bob", method="greet", payload="x")
    assert answer == "hello alice: x"


async def test_metadata_name_and_attributes(clients: Clients) -> None:
    alice, bob = await pair(clients)
    await alice.me.set_metadata("new")
    await alice.me.set_name("Alice")
    await alice.me.set_attributes({"k": "v"})
    await bob.event("participant_metadata_changed")
    await bob.event("participant_name_changed")
    await bob.event("participant_attributes_changed")
    there = bob.room.remote_participants["alice"]
    assert (there.metadata, there.name, there.attributes) == ("new", "Alice", {"k": "v"})


async def test_metadata_is_refused_without_the_grant(clients: Clients) -> None:
    alice = await clients.join("alice", can_update_own_metadata=False)
    # The official SDK swallows the refusal; what counts is that nothing changed.
    await alice.me.set_metadata("new")
    await alice.me.publish_data(b"after", reliable=True)
    assert clients.server.room("test").participants["alice"].claims.metadata == ""


async def test_mute_and_unmute(clients: Clients) -> None:
    alice, bob = await pair(clients)
    publication = await alice.publish_tone()
    track, _, _ = await bob.event("track_subscribed")
    frames = bob.watch(track)
    await bob.until(lambda: len(frames) > 20)
    publication.track.mute()
    await bob.event("track_muted")
    publication.track.unmute()
    await bob.event("track_unmuted")
    count = len(frames)
    await bob.until(lambda: len(frames) > count + 50)
    assert tone_of(frames) == pytest.approx(440.0, abs=5)


async def test_unpublish_ends_the_subscription(clients: Clients) -> None:
    alice, bob = await pair(clients)
    publication = await alice.publish_tone()
    await bob.event("track_subscribed")
    await alice.me.unpublish_track(publication.sid)
    await bob.event("track_unsubscribed")
    await bob.event("track_unpublished")
    assert not clients.server.room("test").tracks
    await alice.publish_tone("again", frequency=700)
    track, _, _ = await bob.event("track_subscribed", 2)
    frames = bob.watch(track)
    await bob.until(lambda: len(frames) >= 100)
    assert tone_of(frames) == pytest.approx(700.0, abs=5)


async def test_speakers_and_connection_quality(clients: Clients) -> None:
    alice, bob = await pair(clients)
    await alice.publish_tone()
    await bob.event("track_subscribed")
    await bob.until(lambda: any(s and s[0].identity == "alice" for (s,) in bob.of("active_speakers_changed")))
    await alice.until(lambda: any(s and s[0].identity == "alice" for (s,) in alice.of("active_speakers_changed")))
    qualities = await bob.until(lambda: {p.identity: q for p, q in bob.of("connection_quality_changed")})
    assert set(qualities.values()) == {rtc.ConnectionQuality.QUALITY_EXCELLENT}


async def test_signal_loss_resumes_the_same_session(clients: Clients) -> None:
    alice, bob = await pair(clients)
    await alice.publish_tone(frequency=600)
    track, _, _ = await bob.event("track_subscribed")
    frames = bob.watch(track)
    await bob.until(lambda: len(frames) > 50)
    sid = alice.me.sid
    clients.server.faults.close_signal("alice", abrupt=True)
    await alice.event("reconnected")
    assert alice.me.sid == sid
    assert clients.server.room("test").participants["alice"].resumes == 1
    count = len(frames)
    await bob.until(lambda: len(frames) > count + 100)
    assert tone_of(frames) == pytest.approx(600.0, abs=5)
    assert bob.of("participant_disconnected") == []
    await alice.me.publish_data(b"still here", reliable=True)
    await bob.event("data_received")


async def test_a_refused_resume_becomes_a_new_session(clients: Clients) -> None:
    alice, bob = await pair(clients)
    await alice.publish_tone(frequency=900)
    await bob.event("track_subscribed")
    sid = alice.me.sid
    refusal = clients.server.faults.refuse_resume()
    clients.server.faults.close_signal("alice")
    await alice.event("reconnected", timeout=30)
    assert refusal.fired == 1
    # The official SDK tells the new sid in an event of its own, which may come after that.
    await alice.until(lambda: alice.me.sid != sid)
    track, _, _ = await bob.event("track_subscribed", 2)
    frames = bob.watch(track)
    await bob.until(lambda: len(frames) > 100)
    assert tone_of(frames) == pytest.approx(900.0, abs=5)


async def test_the_same_identity_replaces_the_older_session(clients: Clients) -> None:
    alice, bob = await pair(clients)
    again = await clients.join("alice")
    (reason,) = await alice.event("disconnected")
    assert reason == rtc.DisconnectReason.DUPLICATE_IDENTITY
    room = clients.server.room("test")
    assert list(room.participants) == ["bob", "alice"]
    assert room.participants["alice"].sid == again.me.sid
    await again.me.publish_data(b"it is me", reliable=True)
    (packet,) = await bob.event("data_received")
    assert packet.participant.identity == "alice"


async def test_the_server_ends_every_session_when_it_stops(clients: Clients) -> None:
    alice = await clients.join("alice")
    await clients.server.stop()
    (reason,) = await alice.event("disconnected")
    assert reason == rtc.DisconnectReason.SERVER_SHUTDOWN


async def refused(clients: Clients, client: Client) -> None:
    """Let a client try to publish, and wait for the refusal on its signalling connection.

    The official SDK does not heed the refusal: its call would go on waiting for ten seconds.
    """
    session = clients.server.room("test").participants[client.name]
    connection = session.connection
    assert connection is not None
    answers: list[pb.RequestResponse] = []
    enqueue = connection.enqueue

    def spy(response: pb.SignalResponse) -> None:
        if response.WhichOneof("message") == "request_response":
            answers.append(response.request_response)
        enqueue(response)

    connection.enqueue = spy  # type: ignore[method-assign]
    attempt = asyncio.create_task(client.publish_tone())
    await client.until(lambda: answers or attempt.done())
    assert not attempt.done()
    attempt.cancel()
    assert [answer.reason for answer in answers] == [pb.RequestResponse.Reason.NOT_ALLOWED]
    assert not session.publishing.tracks


async def test_grants_decide_what_may_be_published_and_seen(clients: Clients) -> None:
    alice = await clients.join("alice", can_publish=False, can_publish_data=False)
    bob = await clients.join("bob", can_subscribe=False)
    ghost = await clients.join("ghost", hidden=True)
    await bob.publish_tone()
    await alice.event("track_subscribed")
    await ghost.event("track_subscribed")
    await refused(clients, alice)
    await alice.me.publish_data(b"not allowed", reliable=True)
    await bob.me.publish_data(b"allowed", reliable=True)
    await alice.event("data_received")
    assert bob.of("data_received") == []
    assert set(alice.room.remote_participants) == {"bob"}
    assert set(bob.room.remote_participants) == {"alice"}
    assert set(ghost.room.remote_participants) == {"alice", "bob"}
    assert bob.of("track_subscribed") == []


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1", "H264"])
async def test_codecs_pass_untouched(clients: Clients, codec: str) -> None:
    alice, bob = await pair(clients)
    await alice.publish_picture(codec=getattr(rtc.VideoCodec, codec), luma=200)
    track, publication, _ = await bob.event("track_subscribed")
    frames = bob.watch(track)
    await bob.until(lambda: len(frames) >= 10, timeout=20)
    assert publication.mime_type.lower() == f"video/{codec.lower()}"
    upper, lower = luma_of(frames[-1])
    assert (upper, lower) == (pytest.approx(100, abs=10), pytest.approx(200, abs=10))


async def test_simulcast_layers_by_name_switch_at_key_frames(clients: Clients) -> None:
    alice, bob = await pair(clients)
    await alice.publish_picture(size=(1280, 720), simulcast=True)
    track, publication, _ = await bob.event("track_subscribed")
    frames = bob.watch(track)
    down = await bob.until(lambda: next(iter(clients.server.room("test").tracks.values())).down[0])
    seen = await bob.until(lambda: {f.width for f in frames} if frames and frames[-1].width == 1280 else None)
    assert 1280 in seen
    subscriptions = clients.server.room("test").participants["bob"].subscriptions
    for quality, width in ((0, 320), (1, 640), (2, 1280)):
        subscriptions.update_settings(track.sid, pb.UpdateTrackSettings(quality=quality))
        await bob.until(lambda width=width: frames[-1].width == width)
        count = len(frames)
        await bob.until(lambda count=count: len(frames) > count + 5)
        assert {f.width for f in frames[-3:]} == {width}
    assert down.sender.switches >= 4


async def test_encrypted_media_passes_as_it_is(clients: Clients) -> None:
    def options() -> rtc.RoomOptions:
        key = rtc.KeyProviderOptions(shared_key=b"a shared secret")
        encryption = rtc.E2EEOptions(key_provider_options=key)
        return rtc.RoomOptions(single_peer_connection=clients.single, encryption=encryption)

    alice = await clients.join("alice", options=options())
    bob = await clients.join("bob", options=options())
    eve = await clients.join("eve")
    await alice.publish_tone(frequency=850)
    await alice.publish_picture(luma=160)
    await bob.event("track_subscribed", 2)
    await eve.event("track_subscribed", 2)
    tracks = {track.kind: track for track, _, _ in bob.of("track_subscribed")}
    sound, picture = bob.watch(tracks[rtc.TrackKind.KIND_AUDIO]), bob.watch(tracks[rtc.TrackKind.KIND_VIDEO])
    await bob.until(lambda: len(sound) >= 150 and len(picture) >= 10)
    assert tone_of(sound) == pytest.approx(850.0, abs=5)
    assert luma_of(picture[-1])[1] == pytest.approx(160, abs=8)
    overheard = eve.watch(next(t for t, _, _ in eve.of("track_subscribed") if t.kind == rtc.TrackKind.KIND_AUDIO))
    await eve.until(lambda: len(overheard) >= 100)
    assert tone_of(overheard) != pytest.approx(850.0, abs=5)
