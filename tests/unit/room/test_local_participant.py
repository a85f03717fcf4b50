"""What we send and say about ourselves."""

from __future__ import annotations

import asyncio

import pytest
from livekit.protocol import models, rtc

from aiolivekit.enums import DataPacketKind
from aiolivekit.errors import ClosedError, RequestError, RequestTimeoutError
from aiolivekit.options import ParticipantTrackPermission
from aiolivekit.room.metrics import MetricSample, MetricsBatch, TimeSeriesMetric, metrics_packet
from aiolivekit.room.packets import Transcription, TranscriptionSegment

from .fakes import Stage, info

OK = rtc.RequestResponse()


@pytest.mark.parametrize(
    ("payload", "sent"),
    [
        (b"data", b"data"),
        ("täxt", "täxt".encode()),
        (bytearray(b"data"), b"data"),
        (memoryview(b"data"), b"data"),
        (b"", b""),
    ],
)
async def test_publish_data(stage: Stage, payload: bytes | str, sent: bytes) -> None:
    await stage.room.local_participant.publish_data(payload)
    packet = models.DataPacket()
    packet.user.payload = sent
    assert stage.engine.packets == [(packet, DataPacketKind.KIND_RELIABLE)]
    assert packet.WhichOneof("value") == "user"


async def test_publish_data_to_some_in_a_topic(stage: Stage) -> None:
    await stage.room.local_participant.publish_data(
        b"data", reliable=False, destination_identities=["ann", "bob"], topic="topic"
    )
    packet = models.DataPacket(
        user=models.UserPacket(payload=b"data", topic="topic"), destination_identities=["ann", "bob"]
    )
    assert stage.engine.packets == [(packet, DataPacketKind.KIND_LOSSY)]


@pytest.mark.parametrize("payload", [5, None, ["data"]])
async def test_what_is_no_data(stage: Stage, payload: object) -> None:
    with pytest.raises(TypeError):
        await stage.room.local_participant.publish_data(payload)  # type: ignore[arg-type]
    assert stage.engine.packets == []


async def test_data_after_the_end(stage: Stage) -> None:
    await stage.room.disconnect()
    with pytest.raises(ClosedError):
        await stage.room.local_participant.publish_data(b"data")


async def test_data_without_permission_is_told_once(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.update(info("me", version=2, permission=models.ParticipantPermission(can_publish_data=False)))
    for _ in range(3):
        await stage.room.local_participant.publish_data(b"data")
    assert len(caplog.records) == 1
    assert len(stage.engine.packets) == 3


async def test_publish_metrics(stage: Stage) -> None:
    batch = MetricsBatch(5, [TimeSeriesMetric("AGENTS_LLM_TTFT", [MetricSample(4, 0.5)], "me")])
    await stage.room.local_participant.publish_metrics(batch)
    [(packet, kind)] = stage.engine.packets
    assert packet == metrics_packet(batch)
    assert kind is DataPacketKind.KIND_RELIABLE


async def test_publish_dtmf(stage: Stage) -> None:
    await stage.room.local_participant.publish_dtmf(code=11, digit="#")
    [(packet, kind)] = stage.engine.packets
    assert packet == models.DataPacket(sip_dtmf=models.SipDTMF(code=11, digit="#"))
    assert kind is DataPacketKind.KIND_RELIABLE


async def test_publish_transcription(stage: Stage) -> None:
    segment = TranscriptionSegment(id="1", text="hello", start_time=1, end_time=2, language="en", final=True)
    await stage.room.local_participant.publish_transcription(Transcription("ann", "TR_1", [segment]))
    [(packet, _)] = stage.engine.packets
    assert packet == models.DataPacket(
        transcription=models.Transcription(
            transcribed_participant_identity="ann",
            track_id="TR_1",
            segments=[
                models.TranscriptionSegment(id="1", text="hello", start_time=1, end_time=2, language="en", final=True)
            ],
        )
    )


# -- what we say about ourselves ------------------------------------------------------------------------


async def test_set_metadata(stage: Stage) -> None:
    stage.engine.responses.append(OK)
    me = stage.room.local_participant
    await me.set_metadata("about")
    assert stage.engine.requests == [
        rtc.SignalRequest(update_metadata=rtc.UpdateParticipantMetadata(metadata="about", request_id=1))
    ]
    assert me.metadata == "about"
    assert stage.take() == [("participant_metadata_changed", me, "", "about")]
    stage.update(info("me", version=2, metadata="about"))
    assert stage.take() == []


async def test_set_name(stage: Stage) -> None:
    stage.engine.responses.append(OK)
    me = stage.room.local_participant
    await me.set_name("Me")
    assert stage.engine.requests == [
        rtc.SignalRequest(update_metadata=rtc.UpdateParticipantMetadata(name="Me", request_id=1))
    ]
    assert me.name == "Me"
    assert stage.take() == [("participant_name_changed", me, "", "Me")]


async def test_set_attributes(stage: Stage) -> None:
    me = stage.room.local_participant
    stage.update(info("me", version=2, attributes={"stays": "1", "goes": "2"}))
    stage.take()
    stage.engine.responses.append(OK)
    await me.set_attributes({"goes": "", "comes": "3"})
    assert stage.engine.requests == [
        rtc.SignalRequest(
            update_metadata=rtc.UpdateParticipantMetadata(attributes={"goes": "", "comes": "3"}, request_id=1)
        )
    ]
    assert me.attributes == {"stays": "1", "comes": "3"}
    assert stage.take() == [("participant_attributes_changed", {"comes": "3", "goes": ""}, me)]


async def test_the_update_of_the_server_may_come_first(stage: Stage) -> None:
    stage.engine.gates["get_response"] = gate = asyncio.Event()
    stage.engine.responses.append(OK)
    me = stage.room.local_participant
    setting = asyncio.create_task(me.set_metadata("about"))
    await stage.engine.wait_for("get_response")
    stage.update(info("me", version=2, metadata="about"))
    assert stage.names() == ["participant_metadata_changed"]
    gate.set()
    await setting
    assert stage.take() == []


async def test_an_empty_string_means_as_before(stage: Stage) -> None:
    me = stage.room.local_participant
    stage.update(info("me", version=2, name="Me", metadata="about"))
    stage.take()
    stage.engine.responses.extend([OK, OK])
    await me.set_name("")
    await me.set_metadata("")
    assert (me.name, me.metadata) == ("Me", "about")
    assert stage.take() == []


async def test_the_server_refuses(stage: Stage) -> None:
    me = stage.room.local_participant
    reason = rtc.RequestResponse.Reason.NOT_ALLOWED
    stage.engine.responses.append(rtc.RequestResponse(reason=reason, message="no permission"))
    with pytest.raises(RequestError, match=r"set the metadata \(NOT_ALLOWED\): no permission") as raised:
        await me.set_metadata("about")
    assert raised.value.reason == reason
    assert me.metadata == ""
    assert stage.take() == []


async def test_the_server_refuses_for_an_unknown_reason(stage: Stage) -> None:
    stage.engine.responses.append(rtc.RequestResponse(reason=99))  # type: ignore[arg-type]
    with pytest.raises(RequestError) as raised:
        await stage.room.local_participant.set_name("Me")
    assert raised.value.reason == 99


async def test_the_server_does_not_answer(stage: Stage) -> None:
    with pytest.raises(RequestTimeoutError):
        await stage.room.local_participant.set_attributes({"k": "v"})
    assert stage.room.local_participant.attributes == {}


async def test_requests_after_the_end(stage: Stage) -> None:
    await stage.room.disconnect()
    me = stage.room.local_participant
    for call in (
        me.set_name("x"),
        me.set_metadata("x"),
        me.set_attributes({"k": "v"}),
        me.publish_dtmf(code=1, digit="1"),
    ):
        with pytest.raises(ClosedError):
            await call


async def test_who_may_subscribe_to_our_tracks(stage: Stage) -> None:
    me = stage.room.local_participant
    me.set_track_subscription_permissions(allow_all_participants=True)
    me.set_track_subscription_permissions(
        allow_all_participants=False,
        participant_permissions=[
            ParticipantTrackPermission(participant_identity="ann", allow_all=True),
            ParticipantTrackPermission(participant_identity="bob", allowed_track_sids=["TR_1"]),
        ],
    )
    assert stage.engine.requests == [
        rtc.SignalRequest(subscription_permission=rtc.SubscriptionPermission(all_participants=True)),
        rtc.SignalRequest(
            subscription_permission=rtc.SubscriptionPermission(
                all_participants=False,
                track_permissions=[
                    rtc.TrackPermission(participant_identity="ann", all_tracks=True),
                    rtc.TrackPermission(participant_identity="bob", track_sids=["TR_1"]),
                ],
            )
        ),
    ]
