"""A track nobody speaks into: its turns are spared, its packets are not, and the next word is heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from aiolivekit.enums import SimulateScenarioKind
from tests.patience import comes_true

from . import media
from .conftest import OURS
from .sdk import DEADLINE, Recorder, Sdk, meeting, running, subscribed
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

    async def sent() -> int:
        while (counted := await publication._sender.packets_sent()) is None:
            pass
        return int(counted[1])

    async with asyncio.timeout(DEADLINE):
        before = await sent()
        while await sent() < before + 4:
            pass


class Silent(NamedTuple):
    """A track of alice's that bob receives, and that rests."""

    alice: Any
    alice_events: Recorder
    events: Recorder
    source: Any
    publication: Any
    remote: Any


@asynccontextmanager
async def silent_track(server: Any, make_token: Any, pair: tuple[Sdk, Sdk], single: bool) -> AsyncIterator[Silent]:
    async with meeting(server.url, make_token, *pair, single=single, acquainted=False) as (
        alice,
        alice_events,
        _bob,
        events,
    ):
        source = OURS.rtc.AudioSource(media.RATE, 1)
        publication = await published(alice, source)
        remote, _, _ = await subscribed(events)
        await rests(source)
        yield Silent(alice, alice_events, events, source, publication, remote)
        await source.aclose()


@pytest.mark.parametrize("pair", ["ours-ours", "ours-official"], indirect=True)
async def test_silence_is_played_only_when_something_is_sent(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    async with silent_track(livekit_server, livekit_token, pair, single) as silent:
        for frequency in (500.0, 900.0):
            await rests(silent.source)
            await sends_on(silent.publication)
            async with running(media.play_tone(OURS.rtc, silent.source, frequency)):
                await heard_at(pair[1].rtc, silent.remote, frequency)
                assert silent.source._rest._phase is None


@ours
async def test_a_source_that_is_sent_twice_does_not_rest(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    async with silent_track(livekit_server, livekit_token, pair, single) as silent:
        again = await published(silent.alice, silent.source, "again")
        assert silent.source._rest._phase is None
        second, _, _ = await silent.events.wait("track_subscribed", lambda _, found, *__: found.sid == again.sid)
        async with running(media.play_tone(OURS.rtc, silent.source, 500.0)):
            for track in (silent.remote, second):
                await heard_at(pair[1].rtc, track, 500.0)
        await silent.alice.local_participant.unpublish_track(again.sid)
        await rests(silent.source)


@ours
async def test_it_rests_again_after_a_restart(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    async with silent_track(livekit_server, livekit_token, pair, single) as silent:
        publication, sid = silent.publication, silent.publication.sid
        await silent.alice.simulate_scenario(SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
        await silent.alice_events.wait("local_track_republished")
        assert publication.sid != sid
        remote, _, _ = await silent.events.wait("track_subscribed", lambda _, found, *__: found.sid == publication.sid)
        await rests(silent.source)
        await sends_on(publication)
        async with running(media.play_tone(OURS.rtc, silent.source, 700.0)):
            await heard_at(pair[1].rtc, remote, 700.0)


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
