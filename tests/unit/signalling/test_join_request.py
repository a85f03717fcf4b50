"""What we say about ourselves arrives as it was meant."""

from __future__ import annotations

import base64
import gzip
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import models as proto_models
from livekit.protocol import rtc as proto_rtc

from aiolivekit import _version
from aiolivekit.options import SignalOptions
from aiolivekit.signalling.join_request import ResumeRequest, join_query, join_request

KIND = proto_rtc.WrappedJoinRequest.Compression


def unwrap(query: str) -> tuple[proto_rtc.JoinRequest, int]:
    """As the server does it."""
    fields = parse_qs(query, strict_parsing=True)
    assert list(fields) == ["join_request"]
    text = fields["join_request"][0]
    assert len(text) % 4 == 0
    wrapped = proto_rtc.WrappedJoinRequest.FromString(base64.b64decode(text, altchars=b"-_", validate=True))
    payload = wrapped.join_request
    if wrapped.compression == KIND.GZIP:
        payload = gzip.decompress(payload)
        assert len(wrapped.join_request) < len(payload)
    return proto_rtc.JoinRequest.FromString(payload), wrapped.compression


@given(
    sdp=st.none() | st.text(max_size=5000) | st.builds("a=rtpmap:{}\r\n".format, st.integers()).map(lambda x: x * 200),
    auto_subscribe=st.booleans(),
    adaptive_stream=st.booleans(),
    resume=st.none() | st.builds(ResumeRequest, st.text(), st.integers(0, 4)),
)
def test_round_trip(sdp: str | None, auto_subscribe: bool, adaptive_stream: bool, resume: ResumeRequest | None) -> None:
    options = SignalOptions(auto_subscribe=auto_subscribe, adaptive_stream=adaptive_stream)
    offer = None if sdp is None else proto_rtc.SessionDescription(type="offer", sdp=sdp, id=1)
    request, _ = unwrap(join_query("v1", options, offer, resume))
    assert request == join_request(options, offer, resume)
    assert request.connection_settings.auto_subscribe is auto_subscribe
    assert request.connection_settings.adaptive_stream is adaptive_stream
    assert request.HasField("publisher_offer") is (sdp is not None)
    if sdp is not None:
        assert (request.publisher_offer.type, request.publisher_offer.sdp, request.publisher_offer.id) == (
            "offer",
            sdp,
            1,
        )
    assert request.reconnect is (resume is not None)
    if resume is not None:
        assert request.participant_sid == resume.participant_sid
        assert request.reconnect_reason == resume.reason


def test_gzip_only_where_it_makes_it_smaller() -> None:
    options = SignalOptions()
    assert unwrap(join_query("v1", options))[1] == KIND.NONE
    wordy = proto_rtc.SessionDescription(type="offer", sdp="a=fmtp:96 level-asymmetry-allowed=1\r\n" * 100)
    query = join_query("v1", options, wordy)
    assert unwrap(query)[1] == KIND.GZIP
    assert len(query) < 500


def test_client_info() -> None:
    info = unwrap(join_query("v1", SignalOptions()))[0].client_info
    assert info.sdk == proto_models.ClientInfo.SDK.PYTHON
    assert info.version == _version.__version__
    assert info.protocol == 17
    assert info.os
    assert info.os_version
    # Advertised only when honoured.
    assert info.client_protocol == 2
    capability = proto_models.ClientInfo.Capability
    assert list(info.capabilities) == [capability.CAP_PACKET_TRAILER, capability.CAP_COMPRESSION_DEFLATE_RAW]


def test_v0_query() -> None:
    options = SignalOptions(auto_subscribe=False, adaptive_stream=True)
    fields = {name: values[0] for name, values in parse_qs(join_query("v0", options)).items()}
    info = join_request(options).client_info
    assert fields == {
        "protocol": "17",
        "client_protocol": "2",
        "capabilities": "CAP_PACKET_TRAILER,CAP_COMPRESSION_DEFLATE_RAW",
        "sdk": "python",
        "version": _version.__version__,
        "os": info.os,
        "os_version": info.os_version,
        "auto_subscribe": "0",
        "adaptive_stream": "1",
    }


def test_v0_resume() -> None:
    resume = ResumeRequest("PA_a&b=c", proto_models.ReconnectReason.RR_PUBLISHER_FAILED)
    fields = parse_qs(join_query("v0", SignalOptions(), None, resume))
    assert fields["reconnect"] == ["1"]
    assert fields["sid"] == ["PA_a&b=c"]
    assert fields["reconnect_reason"] == ["2"]


@pytest.mark.parametrize(
    ("name", "number", "v0"),
    [
        ("PYTHON", proto_models.ClientInfo.SDK.PYTHON, "python"),
        ("REACT_NATIVE", proto_models.ClientInfo.SDK.REACT_NATIVE, "reactnative"),
        ("UNITY_WEB", proto_models.ClientInfo.SDK.UNITY_WEB, "unityweb"),
    ],
)
def test_sdk_names(name: str, number: int, v0: str) -> None:
    options = SignalOptions(sdk_name=name)
    assert unwrap(join_query("v1", options))[0].client_info.sdk == number
    assert parse_qs(join_query("v0", options))["sdk"] == [v0]


@pytest.mark.parametrize("path", ["v1", "v0"])
def test_unknown_sdk_name(path: str) -> None:
    with pytest.raises(ValueError, match="COBOL"):
        join_query(path, SignalOptions(sdk_name="COBOL"))  # type: ignore[arg-type]
