"""Publishing data tracks, over a port that records."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.protocol import models, rtc

from aiolivekit.data import local_data_tracks
from aiolivekit.data.data_track import (
    DataTrackFrame,
    DataTrackFrameEncoding,
    DataTrackInfo,
    DataTrackSchemaEncoding,
    DataTrackSchemaId,
    info_of,
    set_schema,
)
from aiolivekit.data.local_data_tracks import LocalDataTrack, LocalDataTracks
from aiolivekit.errors import ClosedError, PublishDataTrackError, PushFrameError

from .track_port import Port

Reason = rtc.RequestResponse


class Publisher:
    def __init__(self) -> None:
        self.port = Port()
        self.tracks = LocalDataTracks(self.port)
        self.sids = 0

    def ask(self, name: str, **options: Any) -> asyncio.Task[LocalDataTrack]:
        return asyncio.create_task(self.tracks.publish(name, options.get("frame_encoding"), options.get("schema")))

    def answer(self, handle: int, name: str = "n") -> str:
        self.sids += 1
        sid = f"DTR_{self.sids}"
        self.tracks.on_published(models.DataTrackInfo(pub_handle=handle, sid=sid, name=name))
        return sid

    def refuse(self, handle: int, reason: rtc.RequestResponse.Reason, message: str = "") -> None:
        request = rtc.PublishDataTrackRequest(pub_handle=handle)
        self.tracks.on_refused(rtc.RequestResponse(reason=reason, message=message, publish_data_track=request))

    async def published(self, name: str = "n") -> LocalDataTrack:
        task = self.ask(name)
        await asyncio.sleep(0)
        ((_, handle),) = self.port.take()
        self.answer(handle, name)
        return await task

    def sids_in_force(self) -> list[str]:
        return [each.info.sid for each in self.tracks.published()]


async def test_publish_push_unpublish() -> None:
    us = Publisher()
    track = await us.published("sensor")
    assert track.info == DataTrackInfo("DTR_1", "sensor", False)
    assert track.is_published()
    assert us.sids_in_force() == ["DTR_1"]
    for number in range(3):
        track.try_push(DataTrackFrame(b"%d" % number, number or None))
    assert [(p.handle, p.sequence, p.frame, p.payload, p.user_timestamp) for p in us.port.packets] == [
        (1, 0, 0, b"0", None),
        (1, 1, 1, b"1", 1),
        (1, 2, 2, b"2", 2),
    ]
    await track.unpublish()
    await track.unpublish()
    assert us.port.take() == [("unpublish", 1)]
    assert not track.is_published()
    assert us.sids_in_force() == []
    with pytest.raises(PushFrameError, match="not published any more"):
        track.try_push(DataTrackFrame(b""))
    us.tracks.on_unpublished(models.DataTrackInfo(pub_handle=1, sid="DTR_1"))
    # Handles are used in turns.
    assert (await us.published("other"))._handle == 2


async def test_frames_that_find_no_room_give_way_to_newer_ones() -> None:
    us = Publisher()
    one, two = await us.published("one"), await us.published("two")
    us.port.room = 0
    for number in range(5):
        one.try_push(DataTrackFrame(b"one %d" % number))
    two.try_push(DataTrackFrame(b"two"))
    assert us.port.packets == []
    us.port.room = 10
    us.tracks.send()
    assert [packet.payload for packet in us.port.packets] == [b"one 4", b"two"]
    assert us.tracks.replaced == 4


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (DataTrackFrame(bytes(128 * 15_988 + 1)), PushFrameError),
        (DataTrackFrame(bytes(128 * 15_976 + 1), 5), PushFrameError),
        (DataTrackFrame("text"), TypeError),  # type: ignore[arg-type]
        (DataTrackFrame(b"", -1), ValueError),
        (DataTrackFrame(b"", 2**64), ValueError),
        (DataTrackFrame(b"", 1.5), TypeError),  # type: ignore[arg-type]
    ],
)
async def test_frames_that_are_none(frame: DataTrackFrame, error: type[Exception]) -> None:
    us = Publisher()
    track = await us.published()
    with pytest.raises(error):
        track.try_push(frame)
    assert us.port.packets == []


async def test_the_largest_frames_and_other_buffers() -> None:
    us = Publisher()
    track = await us.published()
    track.try_push(DataTrackFrame(bytes(128 * 15_988)))
    assert len(us.port.packets) == 128
    track.try_push(DataTrackFrame(bytearray(b"ab")))  # type: ignore[arg-type]
    track.try_push(DataTrackFrame(memoryview(b"cd"), 2**64 - 1))  # type: ignore[arg-type]
    assert [packet.payload for packet in us.port.packets[128:]] == [b"ab", b"cd"]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.NOT_ALLOWED, "not allowed to publish data"),
        (Reason.DUPLICATE_NAME, "of that name already"),
        (Reason.INVALID_NAME, "256 bytes"),
        (Reason.LIMIT_EXCEEDED, "what it said"),
        (99, "what it said"),
    ],
)
async def test_refusals(reason: Any, words: str) -> None:
    us = Publisher()
    task = us.ask("n")
    await asyncio.sleep(0)
    us.refuse(1, reason, "what it said")
    with pytest.raises(PublishDataTrackError, match=words) as caught:
        await task
    assert caught.value.reason == reason
    assert us.port.take() == [("publish", 1)]
    assert not us.tracks._tracks


async def test_an_answer_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_data_tracks, "PUBLISH_TIMEOUT", 0.01)
    us = Publisher()
    with pytest.raises(PublishDataTrackError, match="did not answer"):
        await us.ask("n")
    assert us.port.take() == [("publish", 1), ("unpublish", 1)]
    # It comes after all.
    us.answer(1)
    assert us.port.take() == []
    us.tracks.on_refused(
        rtc.RequestResponse(reason=Reason.NOT_FOUND, unpublish_data_track=rtc.UnpublishDataTrackRequest(pub_handle=1))
    )
    us.answer(1)
    assert us.port.take() == [("unpublish", 1)]


async def test_cancelling_withdraws() -> None:
    us = Publisher()
    task = us.ask("n")
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert us.port.take() == [("publish", 1), ("unpublish", 1)]
    assert not us.tracks._tracks


async def test_closing_ends_everything() -> None:
    us = Publisher()
    track = await us.published("one")
    task = us.ask("two")
    await asyncio.sleep(0)
    us.tracks.close()
    with pytest.raises(ClosedError):
        await task
    assert not track.is_published()
    with pytest.raises(ClosedError):
        await us.tracks.publish("three", None, None)
    us.port.take()
    await track.unpublish()
    assert us.port.take() == []


async def test_after_a_restart_all_is_published_again() -> None:
    us = Publisher()
    track, other = await us.published("one"), await us.published("two")
    task = us.ask("three")
    await asyncio.sleep(0)
    us.port.take()
    us.tracks.interrupted(session_ends=True)
    us.tracks.interrupted(session_ends=False)
    late = us.ask("four")
    await asyncio.sleep(0)
    await other.unpublish()
    track.try_push(DataTrackFrame(b"old"))
    track.try_push(DataTrackFrame(b"new"))
    assert us.port.take() == []
    assert us.port.packets == []
    us.tracks.restarted()
    assert us.port.take() == [("publish", 1), ("publish", 3), ("publish", 4)]
    assert track.is_published()
    # A resume meanwhile would find nothing of it on the server.
    assert us.sids_in_force() == []
    assert track.info.sid == "DTR_1"
    sids = [us.answer(handle) for handle in (1, 3, 4)]
    assert us.sids_in_force() == sids
    assert track.info.sid == sids[0]
    assert (await task).info.sid == sids[1]
    assert (await late).info.sid == sids[2]
    assert [packet.payload for packet in us.port.packets] == [b"new"]
    track.try_push(DataTrackFrame(b"more"))
    assert us.port.packets[-1].payload == b"more"


async def test_what_cannot_be_published_again_is_not_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_data_tracks, "PUBLISH_TIMEOUT", 0.01)
    us = Publisher()
    refused, forgotten = await us.published("one"), await us.published("two")
    us.tracks.interrupted(session_ends=True)
    us.tracks.restarted()
    us.port.take()
    us.refuse(1, Reason.NOT_ALLOWED)
    assert not refused.is_published()
    async with asyncio.timeout(5):
        while forgotten.is_published():
            await asyncio.sleep(0.005)
    assert us.port.take() == [("unpublish", 2)]


async def test_after_a_resume_what_was_not_answered_is_asked_again() -> None:
    us = Publisher()
    track = await us.published("one")
    task = us.ask("two")
    await asyncio.sleep(0)
    us.port.take()
    us.tracks.interrupted(session_ends=False)
    assert us.sids_in_force() == ["DTR_1"]
    us.tracks.resumed()
    # The server may know it, and would refuse it again.
    assert us.port.take() == [("unpublish", 2), ("publish", 2)]
    late = us.answer(2)
    assert (await task).info.sid == late
    us.tracks.on_unpublished(models.DataTrackInfo(pub_handle=2, sid=late))
    assert (await task).is_published()
    again = us.answer(2)
    assert (await task).info.sid == again
    assert us.sids_in_force() == [track.info.sid, again]


async def test_an_unpublish_that_was_lost_is_said_again() -> None:
    us = Publisher()
    track = await us.published()
    await track.unpublish()
    us.port.take()
    us.tracks.interrupted(session_ends=False)
    us.tracks.resumed()
    assert us.port.take() == [("unpublish", 1)]
    us.tracks.on_unpublished(models.DataTrackInfo(pub_handle=1, sid="DTR_1"))
    us.tracks.resumed()
    assert us.port.take() == []


async def test_the_server_may_end_tracks() -> None:
    us = Publisher()
    one, two = await us.published("one"), await us.published("two")
    us.tracks.on_unpublished(models.DataTrackInfo(pub_handle=1, sid="DTR_9"))
    assert one.is_published()
    us.tracks.on_unpublished(models.DataTrackInfo(pub_handle=1, sid="DTR_1"))
    assert (one.is_published(), two.is_published()) == (False, True)
    us.tracks.revoked()
    assert not two.is_published()


async def test_much_is_asked_a_few_at_a_time() -> None:
    us = Publisher()
    tasks = [us.ask(f"track {number}") for number in range(20)]
    await asyncio.sleep(0)
    assert us.port.take() == [("publish", handle) for handle in range(1, 9)]
    us.answer(3)
    assert us.port.take() == [("publish", 9)]
    us.refuse(4, Reason.NOT_ALLOWED)
    assert us.port.take() == [("publish", 10)]
    tasks[4].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert us.port.take() == [("publish", 11), ("unpublish", 5)]
    tasks[19].cancel()
    await asyncio.sleep(0)
    us.tracks.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, ClosedError) for result in results) == 16


async def test_much_is_unpublished_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    us = Publisher()
    tracks = [await us.published(f"track {number}") for number in range(20)]
    for track in tracks:
        await track.unpublish()
    assert us.port.take() == [("unpublish", handle) for handle in range(1, 9)]
    us.tracks.on_unpublished(models.DataTrackInfo(pub_handle=3))
    assert us.port.take() == [("unpublish", 9)]
    monkeypatch.setattr(local_data_tracks, "_TURN", 0.01)
    us.tracks.interrupted(session_ends=False)
    us.tracks.resumed()
    # Answers that do not come hold nothing up.
    async with asyncio.timeout(5):
        while len(us.port.requests) < 19:
            await asyncio.sleep(0.005)
    assert sorted(us.port.take()) == [("unpublish", handle) for handle in range(1, 21) if handle != 3]
    us.tracks.close()


async def test_handles_run_out() -> None:
    us = Publisher()
    us.tracks._tracks = dict.fromkeys(range(1, 65_536))  # type: ignore[arg-type]
    with pytest.raises(PublishDataTrackError, match="no more"):
        await us.tracks.publish("n", None, None)
    us.tracks._tracks = {}


Frames, Schemas = DataTrackFrameEncoding, DataTrackSchemaEncoding


@pytest.mark.parametrize(
    ("frames", "schema", "fits"),
    [
        (None, None, True),
        (None, Schemas.PROTOBUF, False),
        (Frames.JSON, None, True),
        (Frames.CBOR, None, True),
        (Frames.PROTOBUF, None, False),
        (Frames.OTHER, None, True),
        ("mine", None, True),
        (Frames.JSON, Schemas.JSON_SCHEMA, True),
        (Frames.CDR, Schemas.OMG_IDL, True),
        (Frames.CDR, Schemas.ROS1_MSG, False),
        (Frames.CDR, "mine", False),
        (Frames.MSGPACK, Schemas.JSON_SCHEMA, False),
        (Frames.OTHER, Schemas.PROTOBUF, True),
        ("mine", "mine too", True),
    ],
)
def test_schemas(frames: Any, schema: Any, fits: bool) -> None:
    message = models.DataTrackInfo(sid="DTR_1", name="n")
    wanted = None if schema is None else DataTrackSchemaId("s", schema)
    if not fits:
        with pytest.raises(PublishDataTrackError):
            set_schema(message, frames, wanted)
        return
    set_schema(message, frames, wanted)
    assert info_of(message) == DataTrackInfo("DTR_1", "n", False, frames, wanted)


def test_encodings_of_a_later_version() -> None:
    message = models.DataTrackInfo(sid="DTR_1", name="n", encryption=models.Encryption.GCM)
    message.frame_encoding.well_known = 77  # type: ignore[assignment]
    message.schema.encoding.well_known = 77  # type: ignore[assignment]
    schema = DataTrackSchemaId("", Schemas.OTHER)
    assert info_of(message) == DataTrackInfo("DTR_1", "n", True, Frames.OTHER, schema)
