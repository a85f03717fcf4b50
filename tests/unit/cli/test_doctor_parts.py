"""The parts of `doctor` that touch no network: URLs, candidates, stats, and what its signalling proxy lets through."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.protocol import rtc

from aiolivekit.cli.doctor.address import Address
from aiolivekit.cli.doctor.findings import Pair
from aiolivekit.cli.doctor.media_probe import pair_in_force
from aiolivekit.cli.doctor.narrowing import Narrowing, transport_of, without_candidates
from aiolivekit.cli.output import UsageProblem
from aiolivekit.room.stats import read_stats
from aiolivekit.stats import RtcStats

UDP = "candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host"
TCP = "candidate:2 1 TCP 1671430143 192.0.2.1 7881 typ host tcptype passive"
SDP = f"v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na={UDP}\r\na={TCP}\r\na=end-of-candidates\r\n"

# -- addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "address", "http", "websocket"),
    [
        ("wss://a.example", Address("wss", "a.example", 443, ""), "https://a.example:443", "wss://a.example:443"),
        ("ws://a.example/", Address("ws", "a.example", 80, ""), "http://a.example:80", "ws://a.example:80"),
        ("https://a.example/x/", Address("wss", "a.example", 443, "/x"), "https://a.example:443/x", None),
        ("http://[::1]:7880", Address("ws", "::1", 7880, ""), "http://[::1]:7880", "ws://[::1]:7880"),
    ],
)
def test_urls(url: str, address: Address, http: str, websocket: str | None) -> None:
    assert Address.of(url) == address
    assert address.http == http
    assert websocket in (None, address.websocket)


@pytest.mark.parametrize("url", ["", "ftp://x", "ws://", "ws://a:99999", "ws://u:p@a", "ws://a b", "a.example"])
def test_bad_urls(url: str) -> None:
    with pytest.raises(UsageProblem):
        Address.of(url)


def test_what_is_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "proxy.example:8080")
    monkeypatch.setenv("https_proxy", "http://secure.example:8080")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for url in ("ws://localhost", "ws://127.0.0.1:7880", "ws://[::1]", "wss://app.localhost"):
        assert Address.of(url).local
        assert Address.of(url).proxy is None
    assert not Address.of("ws://192.0.2.1").local
    assert Address.of("ws://192.0.2.1").proxy == "http://proxy.example:8080"
    assert Address.of("wss://a.example").proxy == "http://secure.example:8080"
    monkeypatch.setenv("no_proxy", "a.example")
    assert Address.of("wss://a.example").proxy is None


# -- candidates ---------------------------------------------------------------------------------------------


def test_the_protocol_of_a_candidate() -> None:
    assert transport_of(f'{{"candidate":"{UDP}","sdpMid":"0"}}') == "udp"
    assert transport_of(f"a={TCP}") == "tcp"
    assert transport_of("") == transport_of("a=candidate:") == ""


@settings(deadline=None)
@given(st.text())
def test_any_text_is_taken_for_a_candidate(text: str) -> None:
    transport_of(text)
    without_candidates(text, ("udp",))


def test_candidates_are_taken_out_of_descriptions() -> None:
    assert without_candidates(SDP, ("udp", "tcp")) == SDP
    assert without_candidates(SDP, ("tcp",)) == SDP.replace(f"a={UDP}\r\n", "")
    assert without_candidates(SDP, ("udp",)) == SDP.replace(f"a={TCP}\r\n", "")


def trickle(candidate: str) -> rtc.TrickleRequest:
    return rtc.TrickleRequest(candidateInit=f'{{"candidate":"{candidate}"}}')


def test_only_the_way_that_is_tried_is_left() -> None:
    narrowing = Narrowing(("tcp",))
    for message in (trickle(UDP), trickle(TCP)):
        sent = rtc.SignalRequest(trickle=message).SerializeToString()
        received = rtc.SignalResponse(trickle=message).SerializeToString()
        kept = message.candidateInit == trickle(TCP).candidateInit
        assert narrowing.request(sent) == (sent if kept else None)
        assert narrowing.response(received) == (received if kept else None)
    description = rtc.SessionDescription(type="offer", sdp=SDP, id=3)
    request = narrowing.request(rtc.SignalRequest(offer=description).SerializeToString())
    response = narrowing.response(rtc.SignalResponse(answer=description).SerializeToString())
    assert request is not None
    assert response is not None
    assert "udp" not in rtc.SignalRequest.FromString(request).offer.sdp
    assert rtc.SignalRequest.FromString(request).offer.id == 3
    assert "TCP 1671430143" in rtc.SignalResponse.FromString(response).answer.sdp
    # Counted is what the server has named, whether it is let through or not.
    assert narrowing.offered == {"udp": 2, "tcp": 2}


@pytest.mark.parametrize(("relays", "left"), [(True, ["turn:a", "turns:a"]), (False, [])])
def test_nobody_else_is_spoken_to(relays: bool, left: list[str]) -> None:
    servers = [
        rtc.ICEServer(urls=["stun:elsewhere.example"]),
        rtc.ICEServer(urls=["stun:b", "turn:a", "turns:a"], username="u", credential="c"),
    ]
    for response in (
        rtc.SignalResponse(join=rtc.JoinResponse(ice_servers=servers, server_version="1")),
        rtc.SignalResponse(reconnect=rtc.ReconnectResponse(ice_servers=servers)),
    ):
        data = Narrowing(relays=relays).response(response.SerializeToString())
        assert data is not None
        changed = rtc.SignalResponse.FromString(data)
        inner = changed.join if changed.HasField("join") else changed.reconnect
        assert [url for server in inner.ice_servers for url in server.urls] == left
        assert [(each.username, each.credential) for each in inner.ice_servers] == ([("u", "c")] if left else [])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_what_is_not_understood_is_passed_on_or_dropped(data: bytes) -> None:
    for change in (Narrowing(("udp",)).request, Narrowing(("udp",)).response):
        result = change(data)
        assert result is None or isinstance(result, bytes)


# -- stats --------------------------------------------------------------------------------------------------


def stats(local: dict[str, str], remote: dict[str, str], **pair: object) -> list[RtcStats]:
    report: list[dict[str, object]] = [
        {"type": "candidate-pair", "id": "other", "localCandidateId": "x", "remoteCandidateId": "y"},
        {"type": "transport", "id": "t", "selectedCandidatePairId": "p"},
        {"type": "candidate-pair", "id": "p", "localCandidateId": "l", "remoteCandidateId": "r", **pair},
        {"type": "local-candidate", "id": "l", **local},
        {"type": "remote-candidate", "id": "r", **remote},
    ]
    return read_stats(report)


def test_the_pair_in_force() -> None:
    direct = stats({"candidateType": "srflx", "protocol": "udp"}, {"candidateType": "host"}, currentRoundTripTime=0.02)
    assert pair_in_force(direct) == Pair("udp", "srflx", "host", 0.02)
    relayed = stats({"candidateType": "relay", "protocol": "udp", "relayProtocol": "tls"}, {"candidateType": "host"})
    assert pair_in_force(relayed) == Pair("tls", "relay", "host", None)
    # libwebrtc forgets candidates before the pair they are of.
    assert pair_in_force(direct[:3]) == Pair("udp", "host", "host", 0.02)
    assert pair_in_force([]) is None
    assert pair_in_force(read_stats([{"type": "transport", "id": "t"}])) is None
