"""Losing the connection and getting it back: what others see, what arrives, and what the room says of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiolivekit.enums import ConnectionState, DisconnectReason, SimulateScenarioKind
from aiolivekit.testing import FaultProxy

from . import media
from .conftest import OURS
from .sdk import DEADLINE, Recorder, meeting, room_service, running, subscribed, until

pytestmark = pytest.mark.e2e

Kind = SimulateScenarioKind
RESUMES = [Kind.SIMULATE_SIGNAL_RECONNECT, Kind.SIMULATE_DISCONNECT_SIGNAL_ON_RESUME]
RESTARTS = [
    Kind.SIMULATE_FULL_RECONNECT,
    Kind.SIMULATE_NODE_FAILURE,
    Kind.SIMULATE_MIGRATION,
    Kind.SIMULATE_FORCE_TCP,
]
STATES = [ConnectionState.CONN_RECONNECTING, ConnectionState.CONN_CONNECTED]


class Numbers:
    """Messages numbered from 0, sent by one and written down by the other."""

    def __init__(self, room: Any) -> None:
        self.heard: list[int] = []
        self.sent = 0
        room.on("data_received", lambda packet: self.heard.append(int(packet.data)))

    async def send(self, participant: Any) -> None:
        while True:
            await participant.publish_data(str(self.sent))
            self.sent += 1
            await asyncio.sleep(0.01)

    async def all_heard(self) -> None:
        await until(lambda: self.heard[-1:] == [self.sent - 1], "the last message")


async def reconnected(events: Recorder, times: int = 1) -> None:
    await until(lambda: len(events.of("reconnected")) >= times, f"reconnected {times} times")


def states(events: Recorder) -> list[ConnectionState]:
    found = [state for (state,) in events.of("connection_state_changed")]
    return found[1:] if found[:1] == [ConnectionState.CONN_CONNECTED] else found


@pytest.mark.parametrize("scenario", RESUMES)
async def test_a_resume_keeps_everything(livekit_server, livekit_token, single: bool, scenario: Kind) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, events, bob, others):
        me = alice.local_participant
        numbers = Numbers(bob)
        source = OURS.rtc.AudioSource(media.RATE, 1)
        await me.publish_track(OURS.rtc.LocalAudioTrack.create_audio_track("tone", source))
        async with running(media.play_tone(OURS.rtc, source, 700.0)), running(numbers.send(me)):
            remote, publication, _ = await subscribed(others)
            before = (me.sid, next(iter(me.track_publications)))
            await until(lambda: numbers.sent > 20, "messages")
            await alice.simulate_scenario(scenario)
            await reconnected(events)
            await until(lambda count=numbers.sent: numbers.sent > count + 20, "more messages")
            async with asyncio.timeout(DEADLINE):
                heard = await media.listen(OURS.rtc, remote, 1.0)
        await numbers.all_heard()
        assert numbers.heard == list(range(numbers.sent))
        assert media.peak_frequency(heard[-media.RATE // 2 :]) == pytest.approx(700, abs=5)
        assert (me.sid, next(iter(me.track_publications))) == before
        assert states(events) == STATES
        assert len(events.of("reconnecting")) == len(events.of("reconnected")) == 1
        assert not others.of("participant_disconnected")
        assert not others.of("track_unsubscribed")
        assert publication.subscribed
        await source.aclose()


@pytest.mark.parametrize("scenario", RESTARTS)
async def test_a_restart_publishes_again(livekit_server, livekit_token, single: bool, scenario: Kind) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, events, bob, others):
        me = alice.local_participant
        numbers = Numbers(bob)
        source = OURS.rtc.AudioSource(media.RATE, 1)
        mine = await me.publish_track(OURS.rtc.LocalAudioTrack.create_audio_track("tone", source))
        async with running(media.play_tone(OURS.rtc, source, 700.0)), running(numbers.send(me)):
            await subscribed(others)
            before = (me.sid, mine.sid)
            await until(lambda: numbers.sent > 20, "messages")
            await alice.simulate_scenario(scenario)
            await reconnected(events)
            remote, _, participant = await others.wait(
                "track_subscribed", lambda _track, publication, _participant: publication.sid != before[1]
            )
            await until(lambda count=numbers.sent: numbers.sent > count + 20, "more messages")
            async with asyncio.timeout(DEADLINE):
                heard = await media.listen(OURS.rtc, remote, 1.0)
        await numbers.all_heard()
        # What was on its way to an old session that is gone is lost with it, and told; nothing comes twice or out of
        # order.
        assert numbers.heard == sorted(set(numbers.heard))
        lost = set(range(numbers.sent)) - set(numbers.heard)
        assert len(lost) <= sum(count for count, _ in events.of("data_undelivered"))
        if scenario is Kind.SIMULATE_FULL_RECONNECT:
            assert not lost
        assert numbers.heard[-20:] == list(range(numbers.sent - 20, numbers.sent))
        assert media.peak_frequency(heard[-media.RATE // 2 :]) == pytest.approx(700, abs=5)
        assert me.sid != before[0]
        assert participant.sid == me.sid
        assert list(me.track_publications.values()) == [mine]
        assert mine.sid != before[1]
        assert events.of("local_track_republished") == [(mine, before[1])]
        assert states(events) == STATES
        assert alice.single_peer_connection is single
        await source.aclose()


async def test_a_muted_track_and_an_unwanted_one_stay_so_over_a_restart(
    livekit_server, livekit_token, single: bool
) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, events, bob, others):
        rtc = OURS.rtc
        source, other = rtc.AudioSource(media.RATE, 1), rtc.AudioSource(media.RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("mine", source)
        await alice.local_participant.publish_track(track)
        await bob.local_participant.publish_track(rtc.LocalAudioTrack.create_audio_track("theirs", other))
        await subscribed(others)
        theirs, publication, _ = await subscribed(events)
        track.mute()
        publication.set_subscribed(False)
        await events.wait("track_unsubscribed", lambda gone, *_: gone is theirs)
        await others.wait("track_muted")
        await alice.simulate_scenario(Kind.SIMULATE_FULL_RECONNECT)
        await reconnected(events)
        await until(
            lambda: any(
                p.sid == track.sid for r in bob.remote_participants.values() for p in r.track_publications.values()
            ),
            "the track again",
        )
        (again,) = bob.remote_participants["alice"].track_publications.values()
        assert again.muted
        (unwanted,) = alice.remote_participants["bob"].track_publications.values()
        # The new session begins with what the server does by itself; that may come late, and be undone then.
        await until(lambda: not unwanted.subscribed, "unsubscribed again")
        await alice.local_participant.set_attributes({"settled": "yes"})
        await until(lambda: not unwanted.subscribed, "unsubscribed for good")
        await source.aclose()
        await other.aclose()


async def test_who_left_meanwhile_is_told_after_a_resume(livekit_server, livekit_token, livekit_faults, single) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, events, bob, _):
        refusal = livekit_faults.refuse_resume(2, identity="alice", status=503)
        livekit_faults.close_signal("alice", abrupt=True)
        await events.wait("reconnecting")
        await bob.disconnect()
        await refusal.wait_fired(2)
        await reconnected(events)
        assert [each.identity for (each,) in events.of("participant_disconnected")] == ["bob"]
        assert list(alice.remote_participants) == []


@pytest.mark.parametrize(
    ("method", "reason"),
    [("RemoveParticipant", DisconnectReason.PARTICIPANT_REMOVED), ("DeleteRoom", DisconnectReason.ROOM_DELETED)],
)
async def test_who_is_sent_away_does_not_come_back(livekit_server, livekit_token, single, method, reason) -> None:
    alice, events = await OURS.join(livekit_server.url, livekit_token("alice"), single=single)
    await room_service(livekit_server, method, {"room": livekit_server.room_name, "identity": "alice"})
    assert await events.wait("disconnected") == (reason,)
    assert not events.of("reconnecting")
    assert not alice.isconnected()


async def test_a_token_the_server_refuses_ends_the_attempts(
    livekit_server, livekit_token, livekit_faults, single: bool
) -> None:
    alice, events = await OURS.join(livekit_server.url, livekit_token("alice"), single=single)
    livekit_faults.expire_token("alice")
    livekit_faults.close_signal("alice", abrupt=True)
    assert await events.wait("disconnected") == (DisconnectReason.JOIN_FAILURE,)
    assert len(events.of("reconnecting")) == 1
    assert not alice.isconnected()


async def test_closing_while_reconnecting_ends_at_once(livekit_server, livekit_token, livekit_faults, single) -> None:
    alice, events = await OURS.join(livekit_server.url, livekit_token("alice"), single=single)
    livekit_faults.refuse_resume(50, status=503)
    livekit_faults.close_signal("alice", abrupt=True)
    await events.wait("reconnecting")
    async with asyncio.timeout(DEADLINE):
        await alice.disconnect()
    assert events.of("disconnected") == [(DisconnectReason.CLIENT_INITIATED,)]


async def test_a_publish_that_a_restart_interrupts_is_done_again(
    livekit_server, livekit_token, livekit_faults, single: bool
) -> None:
    rtc = OURS.rtc
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, events, _bob, others):
        livekit_faults.drop_signal("track_published", identity="alice")
        source = rtc.AudioSource(media.RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("tone", source)
        publishing = asyncio.create_task(alice.local_participant.publish_track(track))
        await until(lambda: bool(livekit_faults.fired("drop_signal")), "the publish request at the server")
        await alice.simulate_scenario(Kind.SIMULATE_FULL_RECONNECT)
        async with asyncio.timeout(DEADLINE):
            publication = await publishing
        await reconnected(events)
        await others.wait("track_subscribed", lambda _track, found, _participant: found.sid == publication.sid)
        await source.aclose()


async def test_what_was_sent_to_who_was_out_of_the_room_is_told(livekit_server, livekit_token, single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, events, bob, others):
        numbers = Numbers(bob)
        before = bob.local_participant.sid
        async with running(numbers.send(alice.local_participant)):
            await until(lambda: len(numbers.heard) > 20, "messages")
            await bob.simulate_scenario(Kind.SIMULATE_FULL_RECONNECT)
            await reconnected(others)
            assert bob.local_participant.sid != before
            await until(lambda count=numbers.sent: numbers.heard[-1:] > [count], "more messages")
            # The real server tells of somebody who publishes nothing up to three seconds late.
            told = await events.wait("data_undelivered")
        await numbers.all_heard()
        assert numbers.heard == sorted(set(numbers.heard))
        count, reason = told
        assert reason == "bob was out of the room"
        assert numbers.sent - len(numbers.heard) <= count <= numbers.sent
        assert not others.of("data_undelivered")


async def test_sections_asked_for_on_a_lost_link(livekit_server, livekit_token) -> None:
    """The server asks once for sections to send a new track in, and the question is lost with the link."""
    async with FaultProxy(livekit_server.url) as proxy:
        async with meeting(proxy.url, livekit_token, OURS, OURS, single=True) as (alice, events, bob, _):
            lost = proxy.drop("media_sections_requirement", identity="alice", sender="server")
            source = OURS.rtc.AudioSource(media.RATE, 1)
            track = OURS.rtc.LocalAudioTrack.create_audio_track("tone", source)
            publication = await bob.local_participant.publish_track(track)
            await lost.wait_fired()
            await proxy.cut("alice")
            lost.lift()
            await events.wait("reconnected")
            await events.wait("track_subscribed", lambda _, found, __: found.sid == publication.sid)
            await source.aclose()
