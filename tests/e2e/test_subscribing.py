"""Who gets a track, and what it is told when it does not, or no longer, or not for a while."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiolivekit.enums import SimulateScenarioKind, StreamState

from . import media
from .conftest import OURS
from .sdk import DEADLINE, Recorder, Sdk, meeting, running, subscribed, until
from .test_media import microphone

pytestmark = pytest.mark.e2e


# The official SDK never hears that it lost a subscription, whoever publishes.
@pytest.mark.parametrize("pair", ["ours-ours", "official-ours"], indirect=True)
async def test_permission_is_taken_and_given_back(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        permission = pair[0].rtc.ParticipantTrackPermission
        allow = alice.local_participant.set_track_subscription_permissions
        async with microphone(pair[0], alice, 500.0) as (_, mine):
            track, publication, _ = await subscribed(events)
            allow(
                allow_all_participants=False,
                participant_permissions=[permission(participant_identity="carol", allow_all=True)],
            )
            gone, _, _ = await events.wait("track_unsubscribed")
            assert gone.sid == track.sid == mine.sid
            changed = await events.wait("track_subscription_permission_changed")
            assert (changed[0], changed[1], changed[2].identity) == (publication, False, "alice")
            assert not publication.subscription_allowed
            assert publication.track is None
            allow(
                allow_all_participants=False,
                participant_permissions=[permission(participant_identity="bob", allowed_track_sids=[mine.sid])],
            )
            await until(lambda: len(events.of("track_subscribed")) == 2, "subscribed again")
            again, same, _ = events.of("track_subscribed")[1]
            assert same is publication
            async with asyncio.timeout(DEADLINE):
                heard = await media.listen(pair[1].rtc, again, 0.5)
            assert media.peak_frequency(heard) == pytest.approx(500, abs=4)
            assert [each[1] for each in events.of("track_subscription_permission_changed")] == [False, True]
            assert publication.subscription_allowed


async def test_permissions_hold_over_a_restart(livekit_server, livekit_token, single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        alice_events,
        _bob,
        bob_events,
    ):
        carol, carol_events = await OURS.join(livekit_server.url, livekit_token("carol"), single=single)
        try:
            async with microphone(OURS, alice, 500.0) as (_, mine):
                await subscribed(bob_events)
                await subscribed(carol_events)
                before = mine.sid
                permission = OURS.rtc.ParticipantTrackPermission(
                    participant_identity="bob", allowed_track_sids=[before]
                )
                alice.local_participant.set_track_subscription_permissions(
                    allow_all_participants=False, participant_permissions=[permission]
                )
                await carol_events.wait("track_unsubscribed")
                await alice.simulate_scenario(SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
                await alice_events.wait("local_track_republished")
                assert mine.sid != before

                def of_new(track: Any, *_: Any) -> bool:
                    return bool(track.sid == mine.sid)

                # The track has another sid, and whoever was allowed it still is.
                await bob_events.wait("track_subscribed", of_new)
                publication, _ = await carol_events.wait("track_published", of_new)
                await until(lambda: not publication.subscription_allowed, "carol is told that she may not")
                assert [each for each in carol_events.of("track_subscribed") if of_new(*each)] == []
        finally:
            await carol.disconnect()


@pytest.mark.peer
async def test_a_codec_that_is_not_supported(livekit_server, livekit_token, official: Any, single: bool) -> None:
    """The official SDK sends H.264, which libwebrtc here does not receive."""
    if livekit_server.kind == "embedded":
        pytest.skip("the official SDK meets it in tests/server")
    alice, _ = await Sdk("official", official).join(livekit_server.url, livekit_token("alice"), single=single)
    bob, events = await OURS.join(livekit_server.url, livekit_token("bob"), single=single)
    try:
        source = official.VideoSource(320, 240)
        track = official.LocalVideoTrack.create_video_track("camera", source)
        options = official.TrackPublishOptions(video_codec=official.VideoCodec.H264, simulcast=False)
        async with running(media.show_colours(official, source, 320, 240, [])):
            mine = await alice.local_participant.publish_track(track, options)
            participant, sid, error = await events.wait("track_subscription_failed")
            assert (participant.identity, sid, error) == ("alice", mine.sid, "its codec is not supported")
            assert bob.remote_participants["alice"].track_publications[sid].track is None
            # The server may find out when it is answered, and has offered the track by then.
            offered = [each.sid for each, *_ in events.of("track_subscribed")]
            assert offered in ([], [mine.sid])
            assert [each.sid for each, *_ in events.of("track_unsubscribed")] == offered
    finally:
        await bob.disconnect()
        await alice.disconnect()


async def test_a_track_is_paused_and_goes_on(livekit_server, livekit_token, livekit_faults, single: bool) -> None:
    rtc = OURS.rtc
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        source = rtc.VideoSource(320, 240)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        async with running(media.show_colours(rtc, source, 320, 240, [])):
            await alice.local_participant.publish_track(track, rtc.TrackPublishOptions(simulcast=False))
            remote, publication, participant = await subscribed(events)
            assert remote.stream_state is StreamState.STATE_ACTIVE
            stream = rtc.VideoStream(remote)
            async with asyncio.timeout(DEADLINE):
                await anext(stream)
                livekit_faults.starve("bob")
                told = await events.wait("track_stream_state_changed")
                assert told == (publication, StreamState.STATE_PAUSED, participant)
                assert remote.stream_state is StreamState.STATE_PAUSED
                livekit_faults.feed("bob")
                await until(lambda: states(events) == ["STATE_PAUSED", "STATE_ACTIVE"], "it goes on")
                assert remote.stream_state is StreamState.STATE_ACTIVE
                await anext(stream)
            await stream.aclose()
        await source.aclose()


def states(events: Recorder) -> list[str]:
    return [state.name for _, state, _ in events.of("track_stream_state_changed")]
