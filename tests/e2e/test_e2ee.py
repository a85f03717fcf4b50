"""Encrypted rooms: what is sent arrives for those who have the key, and for nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
import pytest

import aiolivekit

from . import media
from .conftest import OURS
from .sdk import DEADLINE, Recorder, Sdk, running, until

pytestmark = pytest.mark.e2e

KEY, OTHER_KEY = b"a key that all share", b"another one"
WIDTH, HEIGHT = 320, 240
COLOUR = (180, 90, 160)


def encryption(sdk: Sdk, key: bytes | None = KEY, **provider: Any) -> Any:
    """Options of an encrypted room; without a key, keys are each participant's own."""
    return sdk.rtc.E2EEOptions(key_provider_options=sdk.rtc.KeyProviderOptions(shared_key=key, **provider))


class Person:
    """One participant of an encrypted room."""

    def __init__(self, sdk: Sdk, room: Any, events: Recorder) -> None:
        self.sdk, self.room, self.events = sdk, room, events
        self.states: list[tuple[str, int]] = []
        room.on("e2ee_state_changed", lambda who, state: self.states.append((who.identity, int(state))))

    @property
    def keys(self) -> Any:
        return self.room.e2ee_manager.key_provider

    def state_of(self, identity: str) -> int:
        return next((state for who, state in reversed(self.states) if who == identity), 0)

    async def track(self, kind: str) -> Any:
        wanted = getattr(self.sdk.rtc.TrackKind, f"KIND_{kind.upper()}")
        return (await self.events.wait("track_subscribed", lambda track, *_: track.kind == wanted))[0]

    async def hears(self, track: Any, frequency: float) -> None:
        heard = await media.listen_until(
            self.sdk.rtc, track, 0.5, lambda sound: abs(media.peak_frequency(sound) - frequency) < 4
        )
        assert media.peak_frequency(heard) == pytest.approx(frequency, abs=4)

    async def sees(self, track: Any, colour: tuple[int, int, int] = COLOUR, frames: int = 5) -> None:
        """Wait for some frames of a colour in a row."""
        stream = self.sdk.rtc.VideoStream(track, format=self.sdk.rtc.VideoBufferType.I420)
        good = 0
        async with asyncio.timeout(DEADLINE):
            async for event in stream:
                fits = all(abs(a - b) <= 8 for a, b in zip(media.planes(event.frame), colour, strict=True))
                good = good + 1 if fits else 0
                if good == frames:
                    break
        await stream.aclose()
        assert good == frames


@asynccontextmanager
async def encrypted_room(
    server: Any, make_token: Any, first: Sdk, second: Sdk, *, single: bool, options: Any = encryption
) -> AsyncIterator[tuple[Person, Person, AsyncExitStack]]:
    async with AsyncExitStack() as stack:
        people = []
        for name, sdk in (("alice", first), ("bob", second)):
            room, events = await sdk.join(server.url, make_token(name), single=single, encryption=options(sdk))
            stack.push_async_callback(room.disconnect)
            people.append(Person(sdk, room, events))
        yield people[0], people[1], stack


async def send_media(stack: AsyncExitStack, person: Person, frequency: float, **options: Any) -> tuple[Any, Any]:
    """Publish a tone and a colour; return both tracks."""
    rtc = person.sdk.rtc
    source = rtc.AudioSource(media.RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    await person.room.local_participant.publish_track(track, rtc.TrackPublishOptions())
    stack.push_async_callback(source.aclose)
    await stack.enter_async_context(running(media.play_tone(rtc, source, frequency)))
    camera = rtc.VideoSource(WIDTH, HEIGHT)
    picture = rtc.LocalVideoTrack.create_video_track("camera", camera)
    stack.push_async_callback(camera.aclose)
    await stack.enter_async_context(running(media.show_colours(rtc, camera, WIDTH, HEIGHT, [])))
    await person.room.local_participant.publish_track(picture, rtc.TrackPublishOptions(**options))
    return track, picture


async def test_media_and_data_arrive_for_who_has_the_key(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    async with encrypted_room(livekit_server, livekit_token, *pair, single=single) as (alice, bob, stack):
        tracks = await send_media(stack, alice, 440.0)
        sound, picture = await bob.track("audio"), await bob.track("video")
        await bob.hears(sound, 440.0)
        await bob.sees(picture)
        publications = bob.room.remote_participants["alice"].track_publications.values()
        assert {int(each.encryption_type) for each in publications} == {1}
        assert bob.state_of("alice") == 1

        texts: asyncio.Queue[str] = asyncio.Queue()
        reading: set[asyncio.Task[None]] = set()

        def on_text(reader: Any, _identity: str) -> None:
            async def read() -> None:
                texts.put_nowait(await reader.read_all())

            reading.add(asyncio.ensure_future(read()))

        bob.room.register_text_stream_handler("texts", on_text)
        await until(lambda: "bob" in alice.room.remote_participants, "alice sees bob")

        async def echo(call: Any) -> str:
            return f"{call.caller_identity}: {call.payload}"

        bob.room.local_participant.register_rpc_method("echo", echo)
        await alice.room.local_participant.publish_data(b"user data", topic="t")
        (packet,) = await bob.events.wait("data_received", lambda packet: packet.topic == "t")
        assert (packet.data, packet.participant.identity) == (b"user data", "alice")
        for number in range(128):
            await alice.room.local_participant.publish_data(b"%d" % number, topic="numbers")
        await bob.events.wait("data_received", lambda packet: packet.data == b"127")
        numbers = [packet.data for (packet,) in bob.events.of("data_received") if packet.topic == "numbers"]
        assert numbers == [b"%d" % number for number in range(128)]
        long = "a text that takes several chunks " * 2000
        await alice.room.local_participant.send_text(long, topic="texts", compress=False)
        async with asyncio.timeout(DEADLINE):
            assert await texts.get() == long
        answer = await alice.room.local_participant.perform_rpc(
            destination_identity="bob", method="echo", payload="hello"
        )
        assert answer == "alice: hello"
        # While they are muted the server sends silence and black pictures, which it cannot encrypt.
        for track in tracks:
            track.mute()
        await until(lambda: len(bob.events.of("track_muted")) == 2, "both are muted")
        for track in tracks:
            track.unmute()
        await bob.hears(sound, 440.0)
        await bob.sees(picture)
        if bob.sdk.is_ours:
            assert bob.room.e2ee_manager.packets_dropped == {}
            assert all(not cryptor.dropped for cryptor in bob.room.e2ee_manager.frame_cryptors())


@pytest.mark.parametrize("livekit_server_kind", ["real"], indirect=True)
async def test_keys_of_each_participants_own_are_rotated(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    if not single:
        pytest.skip("the way of the media does not matter here")

    def own(sdk: Sdk) -> Any:
        return encryption(sdk, None)

    async with encrypted_room(livekit_server, livekit_token, *pair, single=single, options=own) as (alice, bob, stack):
        for person in (alice, bob):
            person.keys.set_key("alice", b"of alice", 0)
            person.keys.set_key("bob", b"of bob", 0)
        await send_media(stack, alice, 500.0, simulcast=False)
        sound, picture = await bob.track("audio"), await bob.track("video")
        await bob.hears(sound, 500.0)
        await bob.sees(picture)

        for person in (alice, bob):
            person.keys.set_key("alice", b"of alice, second", 1)
        for cryptor in alice.room.e2ee_manager.frame_cryptors():
            cryptor.set_key_index(1)
        await bob.hears(sound, 500.0)
        await bob.sees(picture)

        before = list(bob.states)
        if bob.sdk.is_ours:
            ring = bob.keys._ring("alice")
            await until(lambda: ring.get(1).following is not None, "the step after the key that is in use is derived")
        alice.keys.ratchet_key("alice", 1)
        await bob.hears(sound, 500.0)
        await bob.sees(picture)
        await until(lambda: bob.state_of("alice") == 1 and bob.states != before, "bob follows the ratchet")
        assert bob.keys.export_key("alice", 1) == alice.keys.export_key("alice", 1)
        await alice.room.local_participant.publish_data(b"ratcheted", topic="t")
        await bob.events.wait("data_received", lambda packet: packet.data == b"ratcheted")
        if bob.sdk.is_ours:
            # So neither sound nor picture stood still for a moment.
            assert {cryptor.dropped.total() for cryptor in bob.room.e2ee_manager.frame_cryptors()} == {0}


@pytest.mark.parametrize("livekit_server_kind", ["real"], indirect=True)
async def test_a_wrong_key_is_said_and_can_be_set_right(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    if not single:
        pytest.skip("the way of the media does not matter here")
    failed = int(aiolivekit.EncryptionState.DECRYPTION_FAILED)

    def options(sdk: Sdk) -> Any:
        # The official SDK says nothing of a key that may fail for ever.
        return encryption(sdk, failure_tolerance=10, ratchet_window_size=1)

    async with encrypted_room(livekit_server, livekit_token, *pair, single=single, options=options) as (
        alice,
        bob,
        stack,
    ):
        bob.keys.set_shared_key(OTHER_KEY, 0)
        await send_media(stack, alice, 600.0, simulcast=False)
        sound, picture = await bob.track("audio"), await bob.track("video")
        await until(lambda: ("alice", failed) in bob.states, "bob is told that the key is wrong")
        await alice.room.local_participant.publish_data(b"for the right key only")
        # Telephone keys are not encrypted by anybody, and come behind.
        await alice.room.local_participant.publish_dtmf(code=1, digit="1")
        await bob.events.wait("sip_dtmf_received")
        bob.keys.set_shared_key(KEY, 0)
        await bob.hears(sound, 600.0)
        await bob.sees(picture)
        assert bob.state_of("alice") == 1
        await alice.room.local_participant.publish_data(b"and now", topic="t")
        await bob.events.wait("data_received", lambda packet: packet.topic == "t")
        assert [packet.data for (packet,) in bob.events.of("data_received")] == [b"and now"]


async def test_who_has_no_key_gets_neither_frames_nor_packets(livekit_server, livekit_token, single: bool) -> None:
    async with encrypted_room(livekit_server, livekit_token, OURS, OURS, single=single) as (alice, bob, stack):
        eve, eve_events = await OURS.join(livekit_server.url, livekit_token("eve"), single=single)
        stack.push_async_callback(eve.disconnect)
        spy = Person(OURS, eve, eve_events)
        await send_media(stack, alice, 700.0, simulcast=False)
        await bob.hears(await bob.track("audio"), 700.0)
        sound, picture = await spy.track("audio"), await spy.track("video")
        assert spy.state_of("alice") == int(aiolivekit.EncryptionState.MISSING_KEY)
        frames: list[Any] = []

        async def watch(stream: Any) -> None:
            async for event in stream:
                frames.append(event)  # noqa: PERF401 - it is looked at before the stream ends

        hearing = OURS.rtc.AudioStream(sound)
        watching = OURS.rtc.VideoStream(picture)
        async with running(watch(hearing)), running(watch(watching)):
            await alice.room.local_participant.publish_data(b"secret", topic="t")
            await bob.events.wait("data_received")
            # What she publishes herself is not encrypted, and is not taken.
            await eve.local_participant.publish_data(b"in the clear", topic="t")
            await until(lambda: bob.room.e2ee_manager.packets_dropped == {"plaintext": 1}, "bob refuses plaintext")
            await bob.sees(await bob.track("video"), frames=20)
        assert not [each for each in frames if hasattr(each, "timestamp_us")]
        heard = [np.frombuffer(each.frame.data, dtype=np.int16).astype(np.float64) for each in frames]
        assert all(media.rms(samples) < 0.01 for samples in heard)
        assert eve_events.of("data_received") == []
        assert [packet.data for (packet,) in bob.events.of("data_received")] == [b"secret"]


@pytest.mark.parametrize("scenario", ["SIMULATE_SIGNAL_RECONNECT", "SIMULATE_FULL_RECONNECT"])
async def test_it_goes_on_after_the_connection_was_lost(
    livekit_server, livekit_token, single: bool, scenario: str
) -> None:
    async with encrypted_room(livekit_server, livekit_token, OURS, OURS, single=single) as (alice, bob, stack):
        await send_media(stack, alice, 800.0, simulcast=False)
        await bob.hears(await bob.track("audio"), 800.0)
        kind = getattr(aiolivekit.SimulateScenarioKind, scenario)
        for person in (alice, bob):
            await person.room.simulate_scenario(kind)
            await person.events.wait("reconnected")
        # A key that is rotated after what was published again was encrypted by the one before.
        for person in (alice, bob):
            person.keys.set_shared_key(OTHER_KEY, 3)
        alice.room.e2ee_manager.set_key_index(3)
        sid = next(sid for sid, each in alice.room.local_participant.track_publications.items() if each.kind == 1)
        await until(
            lambda: (
                getattr(bob.room.remote_participants["alice"].track_publications.get(sid), "track", None) is not None
            ),
            "bob has the track that was published again",
        )
        sound = bob.room.remote_participants["alice"].track_publications[sid].track
        await bob.hears(sound, 800.0)
        picture = next(
            each.track for each in bob.room.remote_participants["alice"].track_publications.values() if each.kind == 2
        )
        await bob.sees(picture)
        await alice.room.local_participant.publish_data(b"again", topic="t")
        await bob.events.wait("data_received", lambda packet: packet.data == b"again")
        assert bob.state_of("alice") == 1


async def test_data_tracks_are_encrypted(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    async with encrypted_room(livekit_server, livekit_token, *pair, single=single) as (alice, bob, _):
        track = await alice.room.local_participant.publish_data_track(name="frames")
        (remote,) = await bob.events.wait("data_track_published")
        assert remote.info.uses_e2ee
        stream = remote.subscribe()

        async def push() -> None:
            while True:
                track.try_push(alice.sdk.rtc.DataTrackFrame(b"f" * 40_000, user_timestamp=7))
                await asyncio.sleep(0.02)

        async with running(push()), asyncio.timeout(DEADLINE):
            frame = await stream.read() if bob.sdk.is_ours else await stream.__anext__()
        assert (bytes(frame.payload), frame.user_timestamp) == (b"f" * 40_000, 7)
