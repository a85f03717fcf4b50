"""What LiveKit's own reconnection, signalling and data channel suites try, with identity and order checked too.

Those that other files have already are not repeated here: `test_recovery.py`, `test_engine.py`, `test_data.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from aiolivekit.enums import ConnectionState, DisconnectReason, SimulateScenarioKind

from . import media
from .conftest import OURS
from .sdk import DEADLINE, Recorder, meeting, room_service, running, until

pytestmark = pytest.mark.e2e

Kind = SimulateScenarioKind
BOTH = [Kind.SIMULATE_SIGNAL_RECONNECT, Kind.SIMULATE_FULL_RECONNECT]
rtc = OURS.rtc


class Patient:
    """A policy of a few attempts, each after the same wait."""

    def __init__(self, attempts: int, wait: float) -> None:
        self.attempts = attempts
        self.wait = wait

    def delay(self, attempt: int, elapsed: float, rng: Random) -> float | None:
        return self.wait if attempt <= self.attempts else None


async def reconnected(events: Recorder, times: int = 1) -> None:
    await until(lambda: len(events.of("reconnected")) >= times, f"reconnected {times} times")
    assert len(events.of("reconnecting")) == times


def modes_tried(events: Recorder) -> list[str]:
    return [name for name, _ in events.events if name in ("reconnecting", "reconnected", "disconnected")]


async def publish_tone(room: Any, name: str) -> tuple[Any, Any]:
    source = rtc.AudioSource(media.RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track(name, source)
    return source, await room.local_participant.publish_track(track)


def names_of(room: Any, identity: str) -> list[str]:
    participant = room.remote_participants.get(identity)
    if participant is None:
        return []
    return sorted(each.name for each in participant.track_publications.values() if each.subscribed)


@pytest.mark.parametrize("scenario", BOTH)
async def test_who_has_published_nothing_can_after_a_reconnect(
    livekit_server, livekit_token, single: bool, scenario: Kind
) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        events,
        bob,
        others,
    ):
        await alice.simulate_scenario(scenario)
        await reconnected(events)
        source, publication = await publish_tone(alice, "first")
        _, found, participant = await others.wait("track_subscribed")
        assert (found.sid, found.name, participant.identity) == (publication.sid, "first", "alice")
        await alice.local_participant.publish_data(b"first message")
        (packet,) = await others.wait("data_received")
        assert (packet.participant.identity, bytes(packet.data)) == ("alice", b"first message")
        assert bob.remote_participants["alice"].sid == alice.local_participant.sid
        await source.aclose()


@pytest.mark.parametrize("scenario", BOTH)
async def test_who_reconnected_is_subscribed_to_what_is_published_later(
    livekit_server, livekit_token, single: bool, scenario: Kind
) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        _,
        bob,
        others,
    ):
        await bob.simulate_scenario(scenario)
        await reconnected(others)
        source, publication = await publish_tone(alice, "late")
        async with running(media.play_tone(rtc, source, 500.0)):
            remote, found, participant = await others.wait("track_subscribed")
            assert (found.sid, participant.identity) == (publication.sid, "alice")
            async with asyncio.timeout(DEADLINE):
                heard = await media.listen_until(
                    rtc, remote, 0.5, lambda sound: abs(media.peak_frequency(sound) - 500) < 5
                )
        assert media.peak_frequency(heard) == pytest.approx(500, abs=5)
        await source.aclose()


@pytest.mark.parametrize(("scenario", "muted"), zip(BOTH, (True, False), strict=True), ids=["mute", "unmute"])
async def test_mute_during_a_reconnect_reaches_the_others(
    livekit_server, livekit_token, single: bool, scenario: Kind, muted: bool
) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        events,
        bob,
        others,
    ):
        source, publication = await publish_tone(alice, "tone")
        await others.wait("track_subscribed")
        track = publication.track
        if not muted:
            track.mute()
            await others.wait("track_muted")

        def turn(state: ConnectionState) -> None:
            if state is ConnectionState.CONN_RECONNECTING:
                (track.mute if muted else track.unmute)()

        alice.on("connection_state_changed", turn)
        await alice.simulate_scenario(scenario)
        await reconnected(events)

        def theirs() -> list[tuple[str, bool]]:
            found = bob.remote_participants.get("alice")
            return [] if found is None else [(each.sid, each.muted) for each in found.track_publications.values()]

        await until(lambda: theirs() == [(publication.sid, muted)], "the other side sees it")
        assert publication.muted is muted
        assert not events.of("disconnected")
        await source.aclose()


@pytest.mark.parametrize(
    "pair",
    [(BOTH[0], BOTH[0]), (BOTH[0], BOTH[1]), (BOTH[1], BOTH[0])],
    ids=lambda pair: "-".join("resume" if each is BOTH[0] else "restart" for each in pair),
)
async def test_twice_in_a_row(livekit_server, livekit_token, single: bool, pair: tuple[Kind, Kind]) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        events,
        bob,
        others,
    ):
        source, publication = await publish_tone(alice, "tone")
        await others.wait("track_subscribed")
        for times, scenario in enumerate(pair, 1):
            await alice.simulate_scenario(scenario)
            await reconnected(events, times)
        assert modes_tried(events) == ["reconnecting", "reconnected"] * 2
        restarts = pair.count(Kind.SIMULATE_FULL_RECONNECT)
        assert len(events.of("local_track_republished")) == restarts
        assert list(alice.local_participant.track_publications.values()) == [publication]
        await until(lambda: names_of(bob, "alice") == ["tone"], "the track")
        (theirs,) = bob.remote_participants["alice"].track_publications.values()
        assert theirs.sid == publication.sid
        await alice.local_participant.publish_data(b"still here")
        await others.wait("data_received")
        await source.aclose()


async def test_a_resume_of_an_unknown_session_becomes_a_restart(
    livekit_server, livekit_token, livekit_faults, single: bool
) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        events,
        bob,
        others,
    ):
        source, publication = await publish_tone(alice, "tone")
        await others.wait("track_subscribed")
        before, me = publication.sid, alice.local_participant.sid
        livekit_faults.refuse_resume(1, identity="alice")
        await alice.simulate_scenario(Kind.SIMULATE_SIGNAL_RECONNECT)
        await reconnected(events)
        assert events.of("local_track_republished") == [(publication, before)]
        assert alice.local_participant.sid != me
        await until(lambda: names_of(bob, "alice") == ["tone"], "the track")
        await source.aclose()


async def test_once_a_restart_it_stays_one(livekit_server, livekit_token, livekit_faults, single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        events,
        bob,
        others,
    ):
        source, _ = await publish_tone(alice, "tone")
        await others.wait("track_subscribed")
        unknown = livekit_faults.refuse_resume(10, identity="alice")
        refused = livekit_faults.refuse_join(2, identity="alice")
        livekit_faults.close_signal("alice", abrupt=True)
        await reconnected(events)
        # One resume, two joins refused, one that got in; and the next episode begins with a resume again.
        assert (unknown.fired, refused.fired) == (1, 2)
        livekit_faults.clear()
        sid = alice.local_participant.sid
        livekit_faults.close_signal("alice", abrupt=True)
        await reconnected(events, 2)
        assert alice.local_participant.sid == sid
        await until(lambda: names_of(bob, "alice") == ["tone"], "the track")
        await source.aclose()


async def test_a_resume_tells_who_left_meanwhile_and_nobody_else(livekit_server, livekit_token, single: bool) -> None:
    options = {"reconnect_policy": Patient(20, 0.5)}
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, options=options) as (
        alice,
        events,
        _bob,
        _,
    ):
        carol, _ = await OURS.join(livekit_server.url, livekit_token("carol"), single=single)
        await until(lambda: "carol" in alice.remote_participants, "alice sees carol")
        sid = alice.local_participant.sid
        await alice.simulate_scenario(Kind.SIMULATE_SIGNAL_RECONNECT)
        await room_service(livekit_server, "RemoveParticipant", {"room": livekit_server.room_name, "identity": "bob"})
        await reconnected(events)
        gone = await events.wait("participant_disconnected")
        assert gone[0].identity == "bob"
        assert list(alice.remote_participants) == ["carol"]
        assert alice.local_participant.sid == sid
        await carol.disconnect()


@asynccontextmanager
async def relay(url: str) -> AsyncIterator[tuple[str, asyncio.Server, set[asyncio.StreamWriter]]]:
    """Pass a server's signalling on, until it is closed."""
    to = urlsplit(url)
    open_now: set[asyncio.StreamWriter] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onwards = await asyncio.open_connection(to.hostname, to.port)
        open_now.update((writer, onwards))
        await asyncio.gather(copy(reader, onwards), copy(there, writer))

    server = await asyncio.start_server(on_client, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", server, open_now
    finally:
        server.close()
        for writer in open_now:
            writer.transport.abort()


async def test_when_nothing_helps_it_ends_with_what_began_it(livekit_server, livekit_token, single: bool) -> None:
    async with relay(livekit_server.url) as (url, server, open_now):
        alice, events = await OURS.join(url, livekit_token("alice"), single=single, reconnect_policy=Patient(3, 0.05))
        server.close()
        for writer in open_now:
            writer.transport.abort()
        assert await events.wait("disconnected") == (DisconnectReason.SIGNAL_CLOSE,)
        assert modes_tried(events) == ["reconnecting", "disconnected"]
        assert not alice.isconnected()


async def test_reliable_messages_while_both_sides_resume(livekit_server, livekit_token, single: bool) -> None:
    """128 messages of 4 KiB each way, with both links cut again and again."""
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        events,
        bob,
        others,
    ):
        sent = {
            name: [b"%s %03d " % (name.encode(), number) + bytes(4096) for number in range(128)]
            for name in ("alice", "bob")
        }

        async def send(room: Any, messages: list[bytes]) -> None:
            for number, message in enumerate(messages):
                await room.local_participant.publish_data(message)
                await asyncio.sleep(0.005)
                if number in (30, 80):
                    await room.simulate_scenario(Kind.SIMULATE_SIGNAL_RECONNECT)

        async with asyncio.timeout(2 * DEADLINE):
            await asyncio.gather(send(alice, sent["alice"]), send(bob, sent["bob"]))

        def heard(there: Recorder) -> list[tuple[str, bytes]]:
            return [(packet.participant.identity, bytes(packet.data)) for (packet,) in there.of("data_received")]

        for there, who in ((others, "alice"), (events, "bob")):
            await until(lambda there=there: len(heard(there)) >= 128, f"all of {who}'s messages")
            assert heard(there) == [(who, message) for message in sent[who]]
        for there in (events, others):
            await until(lambda there=there: len(there.of("reconnected")) == 2, "both resumed twice")
            assert not there.of("data_undelivered")
        assert alice.connection_state is bob.connection_state is ConnectionState.CONN_CONNECTED


async def test_twenty_tracks_and_all_of_them_again_after_a_restart(livekit_server, livekit_token, single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        events,
        bob,
        _,
    ):
        me = alice.local_participant
        sources: list[Any] = []
        shows = []
        publications = {}
        for number in range(10):
            audio = rtc.AudioSource(media.RATE, 1)
            video = rtc.VideoSource(64, 64)
            sources += [audio, video]
            shows.append(media.show_colours(rtc, video, 64, 64, [], fps=5))
            for track in (
                rtc.LocalAudioTrack.create_audio_track(f"audio {number}", audio),
                rtc.LocalVideoTrack.create_video_track(f"video {number}", video),
            ):
                publications[track.name] = await me.publish_track(track)
        showing = [asyncio.ensure_future(show) for show in shows]
        names = sorted(publications)

        def sids() -> dict[str, str]:
            found = bob.remote_participants.get("alice")
            return {} if found is None else {each.name: each.sid for each in found.track_publications.values()}

        try:
            for restart in (False, True):
                if restart:
                    before = sids()
                    await alice.simulate_scenario(Kind.SIMULATE_FULL_RECONNECT)
                    await reconnected(events)
                    assert len(events.of("local_track_republished")) == 20
                    assert not set(before.values()) & {each.sid for each in publications.values()}
                await until(lambda: names_of(bob, "alice") == names, "twenty tracks")
                assert sids() == {name: each.sid for name, each in publications.items()}
        finally:
            for show in showing:
                show.cancel()
            await asyncio.wait(showing)
            for source in sources:
                await source.aclose()
