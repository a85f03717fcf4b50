"""What a client may ask for when it connects."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import models, rtc

from aiolivekit.server.mock_modes import MODES, read_mode
from aiolivekit.server.options import Limits
from aiolivekit.server.requests import Refusal, parse_request
from aiolivekit.server.tokens import Claims, VideoGrants

LIMITS = Limits()
GRANTS = VideoGrants(room_join=True, room="r")
CLAIMS = Claims("alice", video=GRANTS)


def wrap(request: rtc.JoinRequest, *, compress: bool = False) -> str:
    data = request.SerializeToString()
    kind = rtc.WrappedJoinRequest.Compression
    wrapped = rtc.WrappedJoinRequest(
        compression=kind.GZIP if compress else kind.NONE, join_request=gzip.compress(data) if compress else data
    )
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


def parse(query: dict[str, str], claims: Claims | None = CLAIMS, *, version_1: bool = False, strict: bool = True):
    return parse_request(query, claims, LIMITS, version_1=version_1, strict=strict)


def test_the_query_of_version_0() -> None:
    request = parse(
        {
            "sdk": "python",
            "protocol": "17",
            "version": "1.2.1",
            "auto_subscribe": "0",
            "adaptive_stream": "1",
            "client_protocol": "2",
            "capabilities": "CAP_PACKET_TRAILER,CAP_OF_THE_FUTURE",
            "reconnect": "1",
            "sid": "PA_x",
        }
    )
    assert (request.room, request.claims.identity) == ("r", "alice")
    assert (request.client.sdk, request.client.protocol) == (models.ClientInfo.SDK.PYTHON, 17)
    assert list(request.client.capabilities) == [models.ClientInfo.Capability.CAP_PACKET_TRAILER]
    assert (request.auto_subscribe, request.adaptive_stream) == (False, True)
    assert (request.reconnect, request.participant_sid, request.single_peer_connection) == (True, "PA_x", False)
    assert parse({}).auto_subscribe


@pytest.mark.parametrize("compress", [False, True])
def test_the_join_request_of_version_1(compress: bool) -> None:
    join = rtc.JoinRequest(
        client_info=models.ClientInfo(protocol=18),
        connection_settings=rtc.ConnectionSettings(auto_subscribe=True),
        publisher_offer=rtc.SessionDescription(type="offer", sdp="v=0"),
        participant_sid="PA_y",
        reconnect=True,
    )
    request = parse({"join_request": wrap(join, compress=compress)}, version_1=True)
    assert request.single_peer_connection
    assert (request.auto_subscribe, request.reconnect, request.participant_sid) == (True, True, "PA_y")
    assert request.publisher_offer is not None


@pytest.mark.parametrize(
    ("query", "claims", "version_1", "status", "body"),
    [
        ({}, None, False, 401, "no permissions to access the room"),
        ({}, Claims("a"), False, 401, "no permissions to access the room"),
        ({}, Claims("a", video=VideoGrants(room="r")), False, 401, "permissions denied"),
        ({}, Claims("", video=GRANTS), False, 400, "identity cannot be empty"),
        ({}, Claims("a", video=VideoGrants(room_join=True)), False, 400, "no room name"),
        ({}, Claims("a" * 300, video=GRANTS), False, 400, "participant identity length exceeds limits: max length 256"),
        (
            {},
            Claims("a", video=VideoGrants(room_join=True, room="r" * 300)),
            False,
            400,
            "room name length exceeds limits: max length 256",
        ),
        ({}, CLAIMS, True, 400, "join_request is required"),
        ({"join_request": "!!!"}, CLAIMS, True, 400, "cannot base64 decode wrapped join request"),
        ({"join_request": "AAAA"}, CLAIMS, True, 400, "cannot unmarshal wrapped join request"),
        ({"attributes": "zz"}, CLAIMS, False, 400, "cannot decode attributes"),
        (
            {"attributes": base64.urlsafe_b64encode(json.dumps({"a": "b"}).encode()).decode()},
            CLAIMS,
            False,
            401,
            "no permissions to access the room",
        ),
    ],
)
def test_refusals_are_those_of_the_real_server(query, claims, version_1, status, body) -> None:
    with pytest.raises(Refusal) as refusal:
        parse(query, claims, version_1=version_1)
    assert (refusal.value.status, refusal.value.body) == (status, body)


def test_a_compressed_bomb_is_refused() -> None:
    bomb = rtc.WrappedJoinRequest(
        compression=rtc.WrappedJoinRequest.Compression.GZIP, join_request=gzip.compress(b"\0" * 50_000_000)
    )
    text = base64.urlsafe_b64encode(bomb.SerializeToString()).decode()
    with pytest.raises(Refusal, match="too large"):
        parse({"join_request": text}, version_1=True)


@given(st.text(max_size=60), st.binary(max_size=60))
def test_any_join_request_is_read_or_refused(text: str, data: bytes) -> None:
    for value in (text, base64.urlsafe_b64encode(data).decode()):
        for compress in (0, 1):
            wrapped = rtc.WrappedJoinRequest(compression=compress, join_request=data)
            for candidate in (value, base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()):
                try:
                    parse({"join_request": candidate, "attributes": text}, version_1=True)
                except Refusal:
                    continue


@given(st.text(max_size=60) | st.recursive(st.integers() | st.text(), lambda c: st.lists(c)).map(json.dumps))
def test_any_mock_attribute_is_a_mode(text: str) -> None:
    mode = read_mode({"lk.mock": text})
    assert mode is None or mode.name in MODES


def test_mock_modes_and_their_action() -> None:
    assert read_mode({}) is None
    for value, action in (("RECONNECT", 2), ("resume", 1), (2, 2), ("nonsense", 0), (99, 0)):
        mode = read_mode({"lk.mock": json.dumps({"signal": "leave_when_connected", "leaveAction": value})})
        assert mode is not None
        assert (mode.name, mode.leave_action) == ("leave_when_connected", action)
