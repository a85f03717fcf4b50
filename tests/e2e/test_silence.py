"""A track nobody speaks into: its turns are spared, its packets are not, and the next word is heard."""

from __future__ import annotations

from typing import Any

import pytest

from aiolivekit.enums import SimulateScenarioKind
from tests.patience import comes_true

from . import media
from .conftest import OURS
from .sdk import DEADLINE, Sdk, meeting, running, subscribed, until
from .test_e2ee import encrypted_room
from .test_replacing import heard_at

pytestmark = pytest.mark.e2e

ours = pytest.mark.parametrize("pair", ["ours-ours"], indirect=True)


async def published(room: Any, source: Any, name: str = "microphone") -> Any:
    track = OURS.rtc.LocalAudioTrack.create_audio_track(name, source)
    return await room.local_participant.publish_track(track, OURS.rtc.TrackPublishOptions())


async def rests(source: Any) -> None:
    """Wait until the rhythm of a silence is known; a busy machine misses the moments to look, and tries again."""
    assert await comes_true(lambda: source._rest._phase is not None, 4 * DEADLINE), "the source never rests"


async def sends_on(publication: Any) -> None:
    """Wait until more packets have left."""
    sent: list[int] = []
    before = None
    while before is None:
        before = await publication._sender.packets_sent()

    def more() -> bool:
        return bool(sent) and sent[-1] >= before[1] + 4

    async def count() -> None:
        while not more():
            counted = await publication._sender.packets_sent()
            sent.append(counted[1])

    async with running(count()):
        await until(more, "packets leave")


@pytest.mark.parametrize("pair", ["ours-ours", "ours-official"], indirect=True)
async def test_silence_is_played_only_when_something_is_sent(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        source = OURS.rtc.AudioSource(media.RATE, 1)
        publication = await published(alice, source)
        remote, _, _ = await subscribed(events)
        for frequency in (500.0, 900.0):
            await rests(source)
            await sends_on(publication)
            async with running(media.play_tone(OURS.rtc, source, frequency)):
                await heard_at(pair[1].rtc, remote, frequency)
                assert source._rest._phase is None
        await source.aclose()


@ours
async def test_a_source_that_is_sent_twice_does_not_rest(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        source = OURS.rtc.AudioSource(media.RATE, 1)
        await published(alice, source)
        first, _, _ = await subscribed(events)
        await rests(source)
        again = await published(alice, source, "again")
        assert source._rest._phase is None
        second, _, _ = await events.wait("track_subscribed", lambda _, found, *__: found.sid == again.sid)
        async with running(media.play_tone(OURS.rtc, source, 500.0)):
            for track in (first, second):
                await heard_at(pair[1].rtc, track, 500.0)
        await alice.local_participant.unpublish_track(again.sid)
        await rests(source)
        await source.aclose()


@ours
async def test_it_rests_again_after_a_restart(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single, acquainted=False) as (
        alice,
        alice_events,
        _bob,
        events,
    ):
        source = OURS.rtc.AudioSource(media.RATE, 1)
        publication = await published(alice, source)
        await subscribed(events)
        await rests(source)
        sid = publication.sid
        await alice.simulate_scenario(SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
        await alice_events.wait("local_track_republished")
        assert publication.sid != sid
        remote, _, _ = await events.wait("track_subscribed", lambda _, found, *__: found.sid == publication.sid)
        await rests(source)
        await sends_on(publication)
        async with running(media.play_tone(OURS.rtc, source, 700.0)):
            await heard_at(pair[1].rtc, remote, 700.0)
        await source.aclose()


@ours
async def test_an_encrypted_track_rests_too(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    async with encrypted_room(livekit_server, livekit_token, *pair, single=single) as (alice, bob, _):
        source = OURS.rtc.AudioSource(media.RATE, 1)
        publication = await published(alice.room, source)
        track = await bob.track("audio")
        await rests(source)
        await sends_on(publication)
        async with running(media.play_tone(OURS.rtc, source, 440.0)):
            await bob.hears(track, 440.0)
        await source.aclose()
