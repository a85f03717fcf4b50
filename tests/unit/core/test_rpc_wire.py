from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import models

from aiolivekit.core import rpc_wire as wire
from aiolivekit.core.rpc_error import RpcError, rpc_error, truncate

CODE = RpcError.ErrorCode


@pytest.mark.parametrize(
    ("version", "does"),
    [
        ("1.8.0", True),
        ("1.8", True),
        ("1.13.5", True),
        ("2.0.0-rc1", True),
        ("v1.9.1", True),
        ("1.7.9", False),
        ("1.7", False),
        ("0.15.0", False),
        ("", True),
        ("development", True),
        ("1" * 50 + ".2.3", True),
    ],
)
def test_server_versions(version: str, does: bool) -> None:
    assert wire.server_does_rpc(version) is does


def test_protocols() -> None:
    assert [wire.speaks_v2(protocol) for protocol in (-1, 0, 1, 2, 99)] == [False, False, True, True, True]


def test_every_code_has_its_message() -> None:
    assert set(RpcError.ErrorMessage) == set(CODE)
    error = rpc_error(CODE.RESPONSE_TIMEOUT, "details")
    assert (error.code, error.message, error.data) == (1502, "Response timeout", "details")
    assert str(error) == "Response timeout"
    assert repr(error) == "RpcError(code=1502, message='Response timeout', data='details')"


@given(st.text(), st.integers(0, 40))
def test_truncated_between_characters(text: str, limit: int) -> None:
    cut = truncate(text, limit)
    assert text.startswith(cut)
    assert len(cut.encode()) <= limit
    if cut != text:
        assert len((cut + text[len(cut)]).encode()) > limit


def test_lone_surrogates_do_not_travel() -> None:
    assert truncate("a\ud800b", 100) == "a?b"
    with pytest.raises(UnicodeEncodeError):
        wire.payload_size("\ud800")


def test_packets() -> None:
    request = wire.request_packet("bob", "1", "say", "grüße", 8.0)
    assert request == models.DataPacket(
        destination_identities=["bob"],
        rpc_request=models.RpcRequest(id="1", method="say", payload="grüße", response_timeout_ms=8000, version=1),
    )
    assert wire.ack_packet("bob", "1") == models.DataPacket(
        destination_identities=["bob"], rpc_ack=models.RpcAck(request_id="1")
    )
    response = wire.response_packet("bob", "1", "")
    assert response.rpc_response.WhichOneof("value") == "payload"
    # Even to nobody: an empty list would be everybody.
    assert wire.ack_packet("", "1").destination_identities == [""]


@pytest.mark.parametrize(("seconds", "milliseconds"), [(0.0004, 0), (1.0015, 1002), (1e9, 2**32 - 1)])
def test_times_on_the_wire(seconds: float, milliseconds: int) -> None:
    assert wire.request_packet("bob", "1", "say", "", seconds).rpc_request.response_timeout_ms == milliseconds
    assert wire.request_attributes("1", "say", seconds)["lk.rpc_request_response_timeout_ms"] == str(milliseconds)


def test_errors_are_cut_to_what_may_travel() -> None:
    packet = wire.error_packet("bob", "1", RpcError(7, "ä" * 200, "x" * 20_000))
    error = packet.rpc_response.error
    assert (error.code, error.message, len(error.data)) == (7, "ä" * 128, 15_360)
    back = wire.error_of(models.RpcError(code=7, message="m" * 300, data="d" * 16_000))
    assert (back.code, back.message, back.data) == (7, "m" * 256, "d" * 15_360)
    assert wire.error_of(models.RpcError(code=1)).data is None


@pytest.mark.parametrize("code", [-1, 2**32, 1.5, "1", None])
def test_codes_that_cannot_be_written(code: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        wire.error_packet("bob", "1", RpcError(code, "words"))  # type: ignore[arg-type]


def test_streamed_requests() -> None:
    attributes = wire.request_attributes("1", "say", 8.0)
    assert attributes == {
        "lk.rpc_request_id": "1",
        "lk.rpc_request_method": "say",
        "lk.rpc_request_response_timeout_ms": "8000",
        "lk.rpc_request_version": "2",
    }
    assert wire.read_request(attributes) == wire.StreamedRequest("1", "say", 8.0, 2)
    assert wire.answers_id(wire.response_attributes("1")) == "1"
    for name in attributes:
        assert wire.read_request({key: value for key, value in attributes.items() if key != name}) is None
        assert wire.read_request({**attributes, name: ""}) is None
    for number in ("x", "-1", "1.5", "9" * 16, "²"):
        assert wire.read_request({**attributes, "lk.rpc_request_response_timeout_ms": number}) is None
        assert wire.read_request({**attributes, "lk.rpc_request_version": number}) is None
    assert wire.answers_id({}) == ""


@given(st.dictionaries(st.sampled_from(sorted(wire.request_attributes("", "", 1))), st.text(max_size=20)))
def test_no_attributes_raise(attributes: dict[str, str]) -> None:
    request = wire.read_request(attributes)
    assert request is None or request.response_timeout >= 0
