from __future__ import annotations

import asyncio
import dataclasses
import gc
import typing
from types import ModuleType

import pytest

from aiolivekit.enums import ConnectionState, DisconnectReason
from aiolivekit.room import events
from aiolivekit.room.event_names import (
    EventTypes,
    ParticipantEventTypes,
    PublicationEventTypes,
    TrackEventTypes,
)
from aiolivekit.room.event_stream import EventStream
from aiolivekit.room.events import EventsDropped

from .fakes import Stage, info


def test_every_name_has_one_event() -> None:
    assert set(events.EVENTS) == set(typing.get_args(EventTypes))
    assert len(events.EVENTS) == 36 + len(OWN)


OWN = {
    "metrics_received": ["metrics", "participant"],
    "data_undelivered": ["count", "reason"],
    "data_missed": ["participant", "count"],
    "reconnect_reported": ["report"],
    "data_channel_buffer_status_changed": ["is_low", "kind"],
    "data_channel_buffered_amount_low_threshold_changed": ["kind", "threshold"],
    "chat_message_received": ["message", "participant"],
    "track_subscription_permission_changed": ["publication", "allowed", "participant"],
    "track_stream_state_changed": ["publication", "stream_state", "participant"],
}
"""Events that the official SDK does not have."""


@pytest.mark.peer
def test_the_names_are_those_of_the_official_sdk(official: ModuleType) -> None:
    assert set(events.EVENTS) - OWN.keys() == set(typing.get_args(official.room.EventTypes))


# As `livekit.rtc.Room.on` documents them, and for `participant_encryption_status_changed` as it does.
ARGUMENTS = {
    "participant_connected": ["participant"],
    "participant_disconnected": ["participant"],
    "participant_active": ["participant"],
    "local_track_published": ["publication", "track"],
    "local_track_unpublished": ["publication"],
    "local_track_republished": ["publication", "previous_sid"],
    "local_track_subscribed": ["track"],
    "track_published": ["publication", "participant"],
    "track_unpublished": ["publication", "participant"],
    "track_subscribed": ["track", "publication", "participant"],
    "track_unsubscribed": ["track", "publication", "participant"],
    "track_subscription_failed": ["participant", "track_sid", "error"],
    "track_muted": ["participant", "publication"],
    "track_unmuted": ["participant", "publication"],
    "active_speakers_changed": ["speakers"],
    "room_metadata_changed": ["old_metadata", "new_metadata"],
    "participant_metadata_changed": ["participant", "old_metadata", "new_metadata"],
    "participant_name_changed": ["participant", "old_name", "new_name"],
    "participant_attributes_changed": ["changed_attributes", "participant"],
    "connection_quality_changed": ["participant", "quality"],
    "participant_encryption_status_changed": ["participant", "is_encrypted"],
    "participant_permissions_changed": ["participant", "permissions"],
    "data_received": ["data_packet"],
    "sip_dtmf_received": ["sip_dtmf"],
    "transcription_received": ["segments", "participant", "publication"],
    "e2ee_state_changed": ["participant", "state"],
    "connection_state_changed": ["connection_state"],
    "connected": [],
    "disconnected": ["reason"],
    "reconnecting": [],
    "reconnected": [],
    "room_updated": [],
    "moved": [],
    "token_refreshed": [],
    "data_track_published": ["track"],
    "data_track_unpublished": ["sid"],
    **OWN,
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_fields_are_what_handlers_are_called_with(name: str) -> None:
    event = events.EVENTS[name]
    fields = [field.name for field in dataclasses.fields(event)]
    assert fields == ARGUMENTS[name]
    assert event(*range(len(fields))).args == tuple(range(len(fields)))  # type: ignore[call-arg]


def test_the_events_of_the_parts_are_events_of_the_room_but_for_a_few() -> None:
    room = set(typing.get_args(EventTypes))
    assert set(typing.get_args(ParticipantEventTypes)) - room == {"is_speaking_changed"}
    assert set(typing.get_args(PublicationEventTypes)) - room == {
        "stream_state_changed",
        "subscription_permission_changed",
    }
    assert set(typing.get_args(TrackEventTypes)) - room == {"stream_state_changed"}


# -- the stream -----------------------------------------------------------------------------------------


def numbered(number: int) -> events.DataTrackUnpublished:
    return events.DataTrackUnpublished(str(number))


async def rest(stream: EventStream) -> list[object]:
    async with asyncio.timeout(5):
        return [event async for event in stream]


async def test_events_come_in_order_and_end() -> None:
    stream = EventStream(10)
    for number in range(3):
        stream.push(numbered(number))
    stream.end()
    stream.push(numbered(99))
    assert await rest(stream) == [numbered(0), numbered(1), numbered(2)]
    assert await rest(stream) == []


async def test_a_reader_that_waits_is_woken() -> None:
    stream = EventStream(10)
    reader = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    stream.push(numbered(1))
    async with asyncio.timeout(5):
        assert await reader == numbered(1)


async def test_several_readers_share_the_events() -> None:
    stream = EventStream(10)
    readers = [asyncio.create_task(anext(stream)) for _ in range(2)]
    await asyncio.sleep(0)
    stream.push(numbered(1))
    stream.push(numbered(2))
    async with asyncio.timeout(5):
        assert [await reader for reader in readers] == [numbered(1), numbered(2)]
    ending = [asyncio.create_task(rest(stream)) for _ in range(2)]
    await asyncio.sleep(0)
    stream.end()
    async with asyncio.timeout(5):
        assert [await task for task in ending] == [[], []]


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    stream = EventStream(2)
    for number in range(5):
        stream.push(numbered(number))
    assert await anext(stream) == EventsDropped(3)
    assert await anext(stream) == numbered(3)
    stream.push(numbered(5))
    stream.push(numbered(6))
    assert await anext(stream) == EventsDropped(1)
    stream.end()
    assert await rest(stream) == [numbered(5), numbered(6)]


async def test_aclose_ends_a_waiting_reader() -> None:
    stream = EventStream(10)
    reader = asyncio.create_task(rest(stream))
    await asyncio.sleep(0)
    await stream.aclose()
    async with asyncio.timeout(5):
        assert await reader == []


async def test_aclose_forgets_what_is_held() -> None:
    stream = EventStream(1)
    stream.push(numbered(1))
    stream.push(numbered(2))
    await stream.aclose()
    assert await rest(stream) == []


async def test_a_room_yields_its_events_until_disconnected() -> None:
    stage = Stage(info("ann"))
    stream = stage.room.events()
    await asyncio.sleep(0)
    ann = stage.room.remote_participants["ann"]
    stage.update(info("ann", version=2, name="Ann"))
    stage.receive(b"data", topic="topic")
    await stage.room.disconnect()
    found = await rest(stream)
    assert [type(event).__name__ for event in found] == [
        "ConnectionStateChanged",
        "Connected",
        "ParticipantNameChanged",
        "DataReceived",
        "ConnectionStateChanged",
        "Disconnected",
    ]
    assert found[0] == events.ConnectionStateChanged(ConnectionState.CONN_CONNECTED)
    assert found[2] == events.ParticipantNameChanged(ann, "", "Ann")
    assert isinstance(found[3], events.DataReceived)
    assert (found[3].data_packet.data, found[3].data_packet.participant) == (b"data", ann)
    assert found[5] == events.Disconnected(DisconnectReason.CLIENT_INITIATED)


async def test_every_stream_has_all_events() -> None:
    stage = await Stage.started()
    streams = [stage.room.events() for _ in range(2)]
    stage.update(info("ann"))
    await stage.room.disconnect()
    found = [await rest(stream) for stream in streams]
    assert found[0] == found[1]
    assert len(found[0]) == 4


async def test_a_stream_that_was_let_go_costs_nothing() -> None:
    stage = await Stage.started()
    stream = stage.room.events()
    assert len(stage.room._streams) == 1
    del stream
    gc.collect()
    assert stage.room._streams == []
