"""The engine by itself against the real server: the seed's functions, and how visits begin and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from livekit.protocol import models, rtc

from aiolivekit.core.encodings import Encoding
from aiolivekit.engine import RtcEngine
from aiolivekit.engine.events import Disconnected, EngineEvents
from aiolivekit.enums import DataPacketKind, DisconnectReason, SimulateScenarioKind
from aiolivekit.errors import ClosedError, PacketTooLargeError, RequestError
from aiolivekit.media import AudioSource
from aiolivekit.options import EngineOptions, SignalOptions, TrackPublishOptions
from aiolivekit.peer.tracks import OutgoingTrack
from aiolivekit.session.events import (
    DataChannelBufferedAmountLowThresholdChanged,
    DataReceived,
    RefreshToken,
    SpeakersChanged,
)

from .sdk import DEADLINE, room_service

pytestmark = pytest.mark.e2e

Kind = SimulateScenarioKind
RELIABLE = DataPacketKind.KIND_RELIABLE


class Never:
    """A policy that gives up at once."""

    def delay(self, attempt: int, elapsed: float, rng: Random) -> float | None:
        return None


def options(single: bool) -> EngineOptions:
    signal = SignalOptions(single_peer_connection=single)
    return EngineOptions(signal=signal, join_retries=0, reconnect_policy=Never())


@asynccontextmanager
async def engine(server: Any, token: str, single: bool) -> AsyncIterator[tuple[RtcEngine, EngineEvents]]:
    made, join, events = await RtcEngine.connect(server.url, token, options(single))
    try:
        assert made.single_peer_connection is single
        assert made.join_response is join
        yield made, events
    finally:
        await made.close()


async def event_of(events: EngineEvents, kind: type, match: Callable[[Any], bool] = lambda _: True) -> Any:
    async with asyncio.timeout(DEADLINE):
        async for event in events:
            if isinstance(event, kind) and match(event):
                return event
    raise AssertionError(f"the events ended without {kind.__name__}")


def user(payload: bytes, **members: Any) -> models.DataPacket:
    return models.DataPacket(user=models.UserPacket(payload=payload), **members)


async def test_connect_tells_who_we_are_and_close_ends_the_events(
    livekit_server, livekit_token, room_name, single
) -> None:
    async with engine(livekit_server, livekit_token("me", name="My Name"), single) as (made, events):
        join = made.join_response
        assert join.room.name == room_name
        assert join.participant.identity == "me"
        assert join.participant.name == "My Name"
        refreshed = await event_of(events, RefreshToken)
        assert refreshed.token
        assert made.session().signal.token == refreshed.token
        await asyncio.gather(made.close(), made.close(DisconnectReason.SERVER_SHUTDOWN))
        assert made.closed
        rest = [event async for event in events]
        assert rest[-1] == Disconnected(DisconnectReason.CLIENT_INITIATED)
        assert sum(isinstance(event, Disconnected) for event in rest) == 1


async def test_calls_after_the_end_say_so_and_stats_stay(livekit_server, livekit_token, single: bool) -> None:
    async with engine(livekit_server, livekit_token("me"), single) as (made, _):
        before = await made.get_stats()
        assert {"peer-connection", "transport"} <= {each["type"] for each in before.publisher + before.subscriber}
        assert bool(before.subscriber) is not single
        await made.close()
        after = await made.get_stats()
        assert {each["type"] for each in after.publisher} == {each["type"] for each in before.publisher}
        for call in (
            made.publish_data(user(b"x")),
            made.send_request(rtc.SignalRequest()),
            made.add_track(rtc.AddTrackRequest(cid="c")),
            made.negotiate(),
            made.get_response(1),
            made.simulate_scenario(Kind.SIMULATE_SPEAKER),
        ):
            with pytest.raises(ClosedError):
                await call
        made.publisher_negotiation_needed()
        made.post_request(rtc.SignalRequest())


async def test_packets_are_stamped_unless_raw(livekit_server, livekit_token, single: bool) -> None:
    async with (
        engine(livekit_server, livekit_token("a"), single) as (a, _),
        engine(livekit_server, livekit_token("b"), single) as (_, events),
    ):
        stamped, raw = user(b"stamped"), user(b"raw")
        await a.publish_data(stamped)
        await a.publish_data(raw, RELIABLE, raw=True)
        assert stamped.participant_identity == "a"
        assert stamped.participant_sid == a.join_response.participant.sid
        assert raw.participant_identity == ""
        assert (stamped.sequence, raw.sequence) == (1, 2)
        for payload in (b"stamped", b"raw"):
            event = await event_of(events, DataReceived)
            # The server knows who sent it either way.
            assert (event.payload, event.participant_identity) == (payload, "a")


async def test_the_limit_of_a_packet_is_exact(livekit_server, livekit_token, single: bool) -> None:
    async with (
        engine(livekit_server, livekit_token("a"), single) as (a, _),
        engine(livekit_server, livekit_token("b"), single) as (_, events),
    ):
        await a.publish_data(user(b"first"))
        await event_of(events, DataReceived)
        limit = a.session().channels._lanes[RELIABLE].max_size
        overhead = user(b"x" * 60_000)
        overhead.participant_identity = "a"
        overhead.participant_sid = a.join_response.participant.sid
        overhead.sequence = 2
        largest = 60_000 + limit - overhead.ByteSize()
        with pytest.raises(PacketTooLargeError) as caught:
            await a.publish_data(user(b"x" * (largest + 1)))
        assert (caught.value.size, caught.value.limit) == (limit + 1, limit)
        # The channel survives, and no number was lost.
        await a.publish_data(user(b"after"))
        assert (await event_of(events, DataReceived)).payload == b"after"


async def test_threshold_is_settable_and_told(livekit_server, livekit_token, single: bool) -> None:
    async with engine(livekit_server, livekit_token("a"), single) as (a, events):
        assert a.buffered_amount_low_threshold(RELIABLE) == 2 * 1024 * 1024
        a.set_buffered_amount_low_threshold(RELIABLE, 1000)
        event = await event_of(events, DataChannelBufferedAmountLowThresholdChanged)
        assert event == DataChannelBufferedAmountLowThresholdChanged(RELIABLE, 1000)
        assert a.buffered_amount(RELIABLE) == 0
        with pytest.raises(ValueError, match="negative"):
            a.set_buffered_amount_low_threshold(RELIABLE, -1)


async def test_a_track_is_added_sent_and_removed(livekit_server, livekit_token, single: bool) -> None:
    source = AudioSource(48_000, 1)
    async with engine(livekit_server, livekit_token("a"), single) as (a, _):
        track = OutgoingTrack(source._local)
        info = await a.add_track(rtc.AddTrackRequest(cid=track.cid, name="mic", type=models.TrackType.AUDIO))
        assert info.sid.startswith("TR_")
        sender = await a.create_sender(track, TrackPublishOptions(), [Encoding()])
        await a.negotiate()
        assert sender.mid is not None
        stats = await a.get_stats()
        assert any(each["type"] == "outbound-rtp" for each in stats.publisher)
        a.remove_track(sender)
        a.remove_track(sender)
        await a.negotiate()
    async with engine(livekit_server, livekit_token("a"), single) as (another, _):
        # Stale: it belonged to another engine's session.
        another.remove_track(sender)
        await another.negotiate()
    track.close()
    await source.aclose()


async def test_publishing_without_permission_is_refused_by_name(livekit_server, livekit_token, single: bool) -> None:
    async with engine(livekit_server, livekit_token("a", can_publish=False), single) as (a, _):
        with pytest.raises(RequestError, match="publish"):
            await a.add_track(rtc.AddTrackRequest(cid="c", name="mic", type=models.TrackType.AUDIO))


async def test_answers_to_requests(livekit_server, livekit_token, single: bool) -> None:
    async with engine(livekit_server, livekit_token("a", can_update_own_metadata=False), single) as (a, _):
        number = a.new_request_id()
        request = rtc.UpdateParticipantMetadata(metadata="m", request_id=number)
        await a.send_request(rtc.SignalRequest(update_metadata=request))
        answer = await a.get_response(number)
        assert answer.reason == rtc.RequestResponse.NOT_ALLOWED


async def test_negotiations_at_once_settle_together(livekit_server, livekit_token, single: bool) -> None:
    async with engine(livekit_server, livekit_token("a"), single) as (a, _):
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*(a.negotiate() for _ in range(20)))
        machine = a.session().peers._negotiator
        assert machine is not None
        # Twenty calls need two offers: one at once, one for those that came meanwhile.
        assert machine._machine.offer_id <= 3


async def test_simulated_speaker(livekit_server, livekit_token, single: bool) -> None:
    async with engine(livekit_server, livekit_token("a"), single) as (a, events):
        await a.simulate_scenario(Kind.SIMULATE_SPEAKER)
        event = await event_of(events, SpeakersChanged)
        assert [speaker.sid for speaker in event.speakers] == [a.join_response.participant.sid]


@pytest.mark.parametrize(
    "scenario",
    [
        Kind.SIMULATE_SIGNAL_RECONNECT,
        Kind.SIMULATE_NODE_FAILURE,
        Kind.SIMULATE_SERVER_LEAVE,
        Kind.SIMULATE_MIGRATION,
        Kind.SIMULATE_FORCE_TCP,
        Kind.SIMULATE_FORCE_TLS,
        Kind.SIMULATE_FULL_RECONNECT,
        Kind.SIMULATE_DISCONNECT_SIGNAL_ON_RESUME,
    ],
)
async def test_without_reconnecting_a_lost_link_ends_the_visit_with_its_cause(
    livekit_server, livekit_token, single: bool, scenario: Kind
) -> None:
    async with engine(livekit_server, livekit_token("a"), single) as (a, events):
        await a.simulate_scenario(scenario)
        end = await event_of(events, Disconnected)
        assert end.detail
        assert a.closed


async def test_duplicate_identity_ends_the_first(livekit_server, livekit_token, single: bool) -> None:
    async with engine(livekit_server, livekit_token("same"), single) as (_, events):
        async with engine(livekit_server, livekit_token("same"), single) as (second, _):
            end = await event_of(events, Disconnected)
            assert end.reason == DisconnectReason.DUPLICATE_IDENTITY
            assert not second.closed


@pytest.mark.parametrize(
    ("method", "reason"),
    [("RemoveParticipant", DisconnectReason.PARTICIPANT_REMOVED), ("DeleteRoom", DisconnectReason.ROOM_DELETED)],
)
async def test_the_server_sends_us_away(
    livekit_server, livekit_token, room_name, single: bool, method: str, reason
) -> None:
    async with engine(livekit_server, livekit_token("a"), single) as (_, events):
        await room_service(livekit_server, method, {"room": room_name, "identity": "a"})
        end = await event_of(events, Disconnected)
        assert end.reason == reason
