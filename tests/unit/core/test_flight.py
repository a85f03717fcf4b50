"""The flight recorder: what it holds, what it lets in, and what it makes of each message of the protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import models, rtc

from aiolivekit.core.flight import FIELDS, SILENT, FlightRecorder, plain_words
from aiolivekit.core.flight_signals import digest, note_message, prepare


class Clocks:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def recorder(clocks: Clocks) -> FlightRecorder:
    return FlightRecorder(clock=clocks.monotonic, wall=clocks.wall)


# -- the ring -------------------------------------------------------------------------------------------


def test_records_have_both_times_and_their_session(recorder: FlightRecorder, clocks: Clocks) -> None:
    recorder.note("room", "joining")
    clocks.now += 1.5
    recorder.begin_epoch(1)
    recorder.tap(2).note("peers", "dtls", state="connected", peer="publisher")
    first, session, dtls = recorder.records()
    assert (first.at, first.wall, first.lane, first.what, first.epoch, first.fields) == (
        0.0,
        1_700_000_100.0,
        "room",
        "joining",
        0,
        {},
    )
    assert (session.at, session.wall, session.what, session.epoch) == (1.5, 1_700_000_101.5, "session", 1)
    assert (dtls.epoch, dtls.fields) == (2, {"state": "connected", "peer": "publisher"})
    assert recorder.header.began == 1_700_000_100.0


@given(st.integers(1, 20), st.integers(0, 4000), st.lists(st.integers(0, 60), max_size=60))
def test_it_is_bounded_and_keeps_the_newest(most: int, most_bytes: int, sizes: list[int]) -> None:
    recorder = FlightRecorder(most, most_bytes)
    for number, size in enumerate(sizes):
        recorder.note("room", "event", id=number, kind="k" * size or None)
    found = [record.fields["id"] for record in recorder.records()]
    assert len(found) <= most
    assert found == list(range(len(sizes)))[len(sizes) - len(found) :]
    assert recorder.header.dropped == len(sizes) - len(found)
    if sizes:
        assert found, "the newest is always there"


def test_bytes_bound_it_before_its_number_does() -> None:
    recorder = FlightRecorder(1000, 10_000)
    for _ in range(1000):
        recorder.note("room", "event", detail="some words " * 10)
    assert 10 < len(recorder.records()) < 60


def test_switched_off_it_holds_nothing() -> None:
    recorder = FlightRecorder(0)
    recorder.note("room", "event")
    recorder.tap(1).note("room", "event")
    SILENT.note("room", "event")
    assert (recorder.on, recorder.records(), SILENT.recorder.records()) == (False, (), ())
    assert prepare(SILENT, rtc.SignalRequest(ping=1)) is None


def test_bounds_below_nothing_are_refused() -> None:
    with pytest.raises(ValueError):
        FlightRecorder(-1)


def test_what_comes_all_the_time_is_thinned(recorder: FlightRecorder, clocks: Clocks) -> None:
    tap = recorder.tap(1)
    pong = rtc.SignalResponse(pong_resp=rtc.Pong(timestamp=1))
    for _ in range(10):
        note_message(tap, "received", prepare(tap, pong), 5)
        clocks.now += 0.3
    assert [record.fields.get("skipped") for record in recorder.records()] == [None, 3, 3]


# -- what it lets in ------------------------------------------------------------------------------------

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJlLXRoYXQtaXMtc2VjcmV0"
SECRETS = [
    TOKEN,
    "APIx7Yq3bN5kT2w",
    "v=0\r\no=- 46117 2 IN IP4 127.0.0.1\r\n",
    "a=ice-pwd:asd88fgpdd777uzjYhagZg",
    "asd88fgpdd777uzjYhagZg",
    "candidate:1 1 udp 2122260223 192.168.0.7 54321 typ host",
    "192.168.0.7",
    "10.1.2.3:7880",
    "fe80::1ff:fe23:4567:890a",
    "2001:db8::1",
    "::1",
    "wss://example.livekit.cloud",
    "node-7.example.org",
    "somebody@example.org",
    '{"password": "hunter2"}',
    "4F:A1:77:02:9E:0B",
    "Zm9vYmFyYmF6cXV4",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_no_field_takes_a_secret(recorder: FlightRecorder, secret: str) -> None:
    for name in FIELDS:
        for value in (secret, [secret], secret.encode(), {"secret": secret}, f"the link to {secret} was lost"):
            recorder.note("engine", "event", **{name: value})
    told = [record.fields for record in recorder.records() if secret in json.dumps(record.fields, ensure_ascii=False)]
    assert told == []


def test_a_field_that_is_not_on_the_list_is_withheld_and_counted(recorder: FlightRecorder) -> None:
    recorder.note("engine", "event", token="word", sid=TOKEN, state="connected", reason=None)
    [record] = recorder.records()
    assert record.fields == {"state": "connected"}
    assert recorder.header.withheld == 2


def test_what_is_allowed_comes_through(recorder: FlightRecorder) -> None:
    fields = {
        "sid": "TR_AMxyz12345",
        "participant": "PA_x7Yq3bN5kT2w",
        "sids": ["TR_1", "TR_2"],
        "cid": "c6c65848-3ebe-4147-a3bb-9631e345fe49",
        "reason": "SIGNAL_CLOSE",
        "state": "have-local-offer",
        "error": "ConnectTimeoutError",
        "server_version": "1.13.5",
        "handler": "main.<locals>.<lambda>",
        "size": 474,
        "delay": 0.25,
        "muted": False,
        "detail": "the server was silent for 15 s",
    }
    recorder.note("engine", "event", **fields)
    assert recorder.records()[0].fields == fields
    assert recorder.header.withheld == 0


def test_long_lists_and_texts_are_cut(recorder: FlightRecorder) -> None:
    recorder.note("engine", "event", sids=[f"TR_{number}" for number in range(100)], detail="word " * 1000)
    [record] = recorder.records()
    assert record.fields["sids"] == [f"TR_{number}" for number in range(8)]
    assert len(str(record.fields["detail"])) <= 200


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("the server closed the connection", None),
        ("no media path to the server could be made within 15 s (ICE or DTLS did not complete)", None),
        ("the WebSocket handshake exceeded its limit of 0.5 s", None),
        ("the server asked us to leave (STATE_MISMATCH)", None),
        ("could not reach 10.0.0.1:7880 today", "could not reach … today"),
        ("token eyJhbGciOiJIUzI1NiJ9.e30.abc refused", "token … refused"),
        ("ice-pwd asd88fgpdd777uzjYhagZg", "ice-pwd …"),
        ("line\r\na=candidate:1\r\nend", "line … end"),
    ],
)
def test_plain_words(text: str, plain: str | None) -> None:
    assert plain_words(text) == (text if plain is None else plain)


# -- messages -------------------------------------------------------------------------------------------


def fill(message: Message, secrets: list[str], depth: int = 3) -> None:
    """Put a secret into every text of a message, however deep."""
    for field in message.DESCRIPTOR.fields:
        many = field.is_repeated
        if field.message_type is not None:
            if field.message_type.GetOptions().map_entry:
                if field.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING:
                    getattr(message, field.name)[secrets[0]] = secrets[1]
                continue
            if depth:
                inner = getattr(message, field.name).add() if many else getattr(message, field.name)
                inner.SetInParent()
                fill(inner, secrets, depth - 1)
        elif field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            text: Any = secrets[field.number % len(secrets)]
            text = text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
            if many:
                getattr(message, field.name).append(text)
            else:
                setattr(message, field.name, text)


def kinds(descriptor: Descriptor) -> list[str]:
    return [field.name for field in descriptor.oneofs_by_name["message"].fields]


MESSAGES = [(cls, kind) for cls in (rtc.SignalRequest, rtc.SignalResponse) for kind in kinds(cls.DESCRIPTOR)]


@pytest.mark.parametrize(("cls", "kind"), MESSAGES, ids=lambda value: getattr(value, "__name__", value))
def test_no_message_tells_a_secret(recorder: FlightRecorder, cls: type[Message], kind: str) -> None:
    """Every kind of message the protocol has, with a secret in every one of its texts."""
    tap = recorder.tap(1)
    for turn in range(len(SECRETS)):
        secrets = SECRETS[turn:] + SECRETS[:turn]
        message = cls()
        field = cls.DESCRIPTOR.fields_by_name[kind]
        if field.message_type is not None:
            getattr(message, kind).SetInParent()
            fill(getattr(message, kind), secrets)
        else:
            setattr(message, kind, secrets[0] if field.type == FieldDescriptor.TYPE_STRING else 1)
        assert message.WhichOneof("message") == kind  # type: ignore[arg-type]
        note_message(tap, "received", prepare(tap, message), message.ByteSize())
    told = json.dumps([dict(record.fields) for record in recorder.records()], ensure_ascii=False)
    assert [secret for secret in SECRETS if secret in told] == []
    assert all(record.fields["kind"] == kind for record in recorder.records())


SDP = "v=0\r\nm=audio 9\r\nm=video 9\r\nm=application 9\r\n"


@pytest.mark.parametrize(
    ("kind", "message", "fields"),
    [
        (
            "offer",
            rtc.SessionDescription(type="offer", sdp=SDP, id=3),
            {"id": 3, "sections": 3, "audio": 1, "video": 1},
        ),
        (
            "trickle",
            rtc.TrickleRequest(candidateInit='{"candidate": "candidate:1 1 tcp 1 192.0.2.1 9 typ relay"}', target=1),
            {"target": "subscriber", "candidate": "relay", "transport": "tcp"},
        ),
        (
            "leave",
            rtc.LeaveRequest(action=2, reason=models.DisconnectReason.STATE_MISMATCH),
            {"action": "RECONNECT", "reason": "STATE_MISMATCH"},
        ),
        ("mute", rtc.MuteTrackRequest(sid="TR_1", muted=True), {"track": "TR_1", "muted": True}),
        (
            "request_response",
            rtc.RequestResponse(request_id=7, reason=2, update_metadata=rtc.UpdateParticipantMetadata(metadata="m")),
            {"request_id": 7, "reason": "NOT_ALLOWED", "what_for": "update_metadata"},
        ),
        ("refresh_token", TOKEN, {}),
        ("reconnect", rtc.ReconnectResponse(last_message_seq=9), {"last_seq": 9, "ice_servers": 0}),
    ],
)
def test_digests(kind: str, message: Any, fields: dict[str, Any]) -> None:
    assert {name: value for name, value in digest(kind, message).items() if value is not None} == fields


def test_an_enum_of_a_newer_protocol_is_known_by_its_number(recorder: FlightRecorder) -> None:
    tap = recorder.tap(1)
    message = rtc.SignalResponse(leave=rtc.LeaveRequest(action=77, reason=88))  # type: ignore[arg-type]
    note_message(tap, "received", prepare(tap, message), 4)
    assert recorder.records()[0].fields == {"kind": "leave", "size": 4, "action": "number 77", "reason": "number 88"}


def test_a_message_changed_after_it_was_prepared_is_told_as_it_was(recorder: FlightRecorder) -> None:
    tap = recorder.tap(1)
    request = rtc.SignalRequest(mute=rtc.MuteTrackRequest(sid="TR_1", muted=True))
    prepared = prepare(tap, request)
    request.mute.muted = False
    note_message(tap, "sent", prepared, 8)
    assert recorder.records()[0].fields == {"kind": "mute", "size": 8, "track": "TR_1", "muted": True}


def test_an_empty_message(recorder: FlightRecorder) -> None:
    tap = recorder.tap(1)
    note_message(tap, "received", prepare(tap, rtc.SignalResponse()), 0)
    assert recorder.records()[0].fields == {"kind": "unknown", "size": 0}
