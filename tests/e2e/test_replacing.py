"""Tracks that are published again, or replaced by others, and subscribed to again and again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiolivekit.enums import SimulateScenarioKind

from . import media
from .conftest import OURS
from .sdk import DEADLINE, Sdk, meeting, running, subscribed, until
from .test_media import microphone

pytestmark = pytest.mark.e2e


async def heard_at(rtc: Any, track: Any, frequency: float) -> None:
    """Wait until a track sounds at a frequency; it may have sounded otherwise before."""

    def is_it(sound: Any) -> bool:
        return abs(media.peak_frequency(sound) - frequency) < 5

    sound = await media.listen_until(rtc, track, 0.4, is_it)
    assert media.peak_frequency(sound) == pytest.approx(frequency, abs=5)


async def test_the_same_track_is_published_again(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single, acquainted=False) as (
        alice,
        _,
        bob,
        events,
    ):
        async with microphone(pair[0], alice, 500.0) as (track, publication):
            await subscribed(events)
            sids = [publication.sid]
            for _ in range(2):
                await alice.local_participant.unpublish_track(sids[-1])
                await events.wait("track_unpublished", lambda gone, _: gone.sid == sids[-1])
                publication = await alice.local_participant.publish_track(track)
                sids.append(publication.sid)
                remote, _, _ = await events.wait("track_subscribed", lambda each, *_: each.sid == sids[-1])
                await heard_at(pair[1].rtc, remote, 500.0)
            assert [each.sid for each, _ in events.of("track_published")] == sids
            assert [each.sid for each, *_ in events.of("track_subscribed")] == sids
            assert list(bob.remote_participants["alice"].track_publications) == sids[-1:]


# The official SDK does not replace tracks.
@pytest.mark.parametrize("pair", ["ours-ours", "ours-official"], indirect=True)
async def test_a_track_is_replaced(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    rtc = OURS.rtc
    async with meeting(livekit_server.url, livekit_token, *pair, single=single, acquainted=False) as (
        alice,
        alice_events,
        _bob,
        events,
    ):
        source = rtc.AudioSource(media.RATE, 1)
        other = rtc.LocalAudioTrack.create_audio_track("other", source)
        async with microphone(OURS, alice, 500.0) as (first, publication), running(media.play_tone(rtc, source, 900.0)):
            remote, _, _ = await subscribed(events)
            await heard_at(pair[1].rtc, remote, 500.0)
            sid = publication.sid
            await publication.replace_track(other)
            assert (publication.track, publication.sid, first._publications) == (other, sid, [])
            await heard_at(pair[1].rtc, remote, 900.0)
            # Who comes later gets the new one under the same sid; a resume changes nothing.
            carol, carol_events = await pair[1].join(livekit_server.url, livekit_token("carol"), single=single)
            try:
                late, _, _ = await subscribed(carol_events)
                assert late.sid == sid
                await heard_at(pair[1].rtc, late, 900.0)
            finally:
                await carol.disconnect()
            await alice.simulate_scenario(SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT)
            await alice_events.wait("reconnected")
            await publication.replace_track(first)
            await heard_at(pair[1].rtc, remote, 500.0)
            assert [each.sid for each, *_ in events.of("track_subscribed")] == [sid]
            assert events.of("track_unsubscribed") == []
            await publication.replace_track(other)
            await alice.simulate_scenario(SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
            await alice_events.wait("local_track_republished")
            again, _, _ = await events.wait("track_subscribed", lambda each, *_: each.sid == publication.sid != sid)
            await heard_at(pair[1].rtc, again, 900.0)
        await source.aclose()


async def test_a_picture_is_replaced_by_a_larger_one(livekit_server, livekit_token, single: bool) -> None:
    rtc = OURS.rtc
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        _,
        bob,
        events,
    ):
        small, large = rtc.VideoSource(320, 240), rtc.VideoSource(640, 480)
        track = rtc.LocalVideoTrack.create_video_track("small", small)
        other = rtc.LocalVideoTrack.create_video_track("large", large)
        async with (
            running(media.show_colours(rtc, small, 320, 240, [])),
            running(media.show_colours(rtc, large, 640, 480, [])),
        ):
            options = rtc.TrackPublishOptions(simulcast=False)
            publication = await alice.local_participant.publish_track(track, options)
            remote, theirs, _ = await subscribed(events)
            stream = rtc.VideoStream(remote)
            async with asyncio.timeout(DEADLINE):
                assert (await anext(stream)).frame.width == 320
                await publication.replace_track(other)
                # The encoder may begin below the full size, and takes its time to go up.
                while (await anext(stream)).frame.width <= 320:
                    pass
            await until(lambda: (theirs.width, theirs.height) == (640, 480), "bob is told of the size")
            assert bob.remote_participants["alice"].track_publications[publication.sid] is theirs
            await stream.aclose()
        await small.aclose()
        await large.aclose()


async def test_subscribed_to_again_and_again(livekit_server, livekit_token, single: bool) -> None:
    """Each time it is a new track that sounds, and the server is left with one subscription."""
    times = 50 if livekit_server.kind == "embedded" else 5
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        async with microphone(OURS, alice, 500.0) as (_, publication):
            tracks, remote, _ = await subscribed(events)
            for number in range(1, times + 1):
                remote.set_subscribed(False)
                await until(lambda n=number: len(events.of("track_unsubscribed")) == n, "unsubscribed")  # type: ignore[misc]
                remote.set_subscribed(True)
                await until(lambda n=number: len(events.of("track_subscribed")) == n + 1, "subscribed")  # type: ignore[misc]
            names = [name for name, _ in events.events if name in ("track_subscribed", "track_unsubscribed")]
            assert names == ["track_subscribed", *["track_unsubscribed", "track_subscribed"] * times]
            gone = [track for track, *_ in events.of("track_unsubscribed")]
            tracks = [track for track, *_ in events.of("track_subscribed")]
            assert gone == tracks[:-1]
            assert len(set(map(id, tracks))) == times + 1
            assert {track.sid for track in tracks} == {publication.sid}
            await heard_at(OURS.rtc, tracks[-1], 500.0)
