"""What `doctor` says to every finding, and what it advises."""

from __future__ import annotations

import pytest

from aiolivekit.cli.doctor.findings import (
    Check,
    ClockFinding,
    CodecFinding,
    DataFinding,
    DnsFinding,
    HttpFinding,
    JoinFinding,
    Pair,
    PathFinding,
    TcpFinding,
    TlsFinding,
    TokenFinding,
    Verdict,
    WebSocketFinding,
)
from aiolivekit.cli.doctor.network_judgement import (
    judge_clock,
    judge_dns,
    judge_http,
    judge_plain,
    judge_tcp,
    judge_tls,
)
from aiolivekit.cli.doctor.room_judgement import (
    judge_codecs,
    judge_data,
    judge_join,
    judge_path,
    judge_websocket,
    pair_words,
)
from aiolivekit.cli.doctor.token_judgement import judge_token

UDP = Pair("udp", "host", "host", 0.012)
RELAY = Pair("tls", "relay", "host")
GOOD_TOKEN = {"identity": "ann", "room": "lab", "may": ("join the room",), "begins_in": -60.0, "ends_in": 7200.0}

TABLE: list[tuple[str, Verdict, str, str, str]] = [
    # name, verdict, status, part of the words, part of the advice
    ("an address", judge_dns(DnsFinding(("::1",), literal=True)), "passed", "nothing to look up", ""),
    ("a name", judge_dns(DnsFinding(("192.0.2.1",))), "passed", "1 address", ""),
    ("two addresses", judge_dns(DnsFinding(("192.0.2.1", "2001:db8::1"))), "passed", "2 addresses", ""),
    ("no such name", judge_dns(DnsFinding(problem="unknown")), "failed", "nobody knows", "Check the spelling"),
    ("a name without addresses", judge_dns(DnsFinding()), "failed", "nobody knows", "Check the spelling"),
    ("a silent resolver", judge_dns(DnsFinding(problem="timeout")), "failed", "does not answer", "is it online"),
    ("a port", judge_tcp(TcpFinding(443, "192.0.2.1")), "passed", "port 443", ""),
    (
        "one of two addresses",
        judge_tcp(TcpFinding(443, "192.0.2.1", (("2001:db8::1", "timeout"),))),
        "warning",
        "not by 1 of",
        "IPv6",
    ),
    (
        "nobody there",
        judge_tcp(TcpFinding(7880, None, (("192.0.2.1", "refused"),))),
        "failed",
        "nothing listens on port 7880",
        "Is the server running",
    ),
    (
        "a firewall",
        judge_tcp(TcpFinding(7880, None, (("192.0.2.1", "timeout"),))),
        "failed",
        "no answer",
        "A firewall",
    ),
    (
        "no route",
        judge_tcp(TcpFinding(7880, None, (("192.0.2.1", "unreachable"),))),
        "failed",
        "no way",
        "route",
    ),
    ("no addresses to try", judge_tcp(TcpFinding(7880)), "failed", "no way", "route"),
    ("ws: here", judge_plain(local=True), "passed", "not encrypted", ""),
    ("ws: elsewhere", judge_plain(local=False), "warning", "read the token", "wss://"),
    ("a certificate", judge_tls(TlsFinding("TLSv1.3", 80.4)), "passed", "TLSv1.3, certificate valid for 80 days", ""),
    ("a last week", judge_tls(TlsFinding("TLSv1.3", 6.0)), "warning", "6 days", "Renew"),
    ("no date", judge_tls(TlsFinding("TLSv1.2")), "passed", "TLSv1.2", ""),
    ("expired", judge_tls(TlsFinding(problem="expired")), "failed", "has expired", "Renew"),
    ("from the future", judge_tls(TlsFinding(problem="not yet valid")), "failed", "not valid yet", "clock"),
    ("self-signed", judge_tls(TlsFinding(problem="self-signed")), "failed", "by itself", "SSL_CERT_FILE"),
    ("unknown", judge_tls(TlsFinding(problem="unknown authority")), "failed", "does not know", "full chain"),
    ("another name", judge_tls(TlsFinding(problem="other name")), "failed", "another name", "host name"),
    ("plain HTTP there", judge_tls(TlsFinding(problem="no TLS")), "failed", "does not speak TLS", "ws://"),
    ("a silent handshake", judge_tls(TlsFinding(problem="timeout")), "failed", "no answer", "firewall"),
    ("else", judge_tls(TlsFinding(problem="other", detail="bad")), "failed", "fails (bad)", "load balancer"),
    ("LiveKit", judge_http(HttpFinding(401, "permissions denied")), "passed", "a LiveKit server", ""),
    ("LiveKit, another word", judge_http(HttpFinding(400, "missing token")), "passed", "a LiveKit server", ""),
    ("a web server", judge_http(HttpFinding(404, "not found")), "failed", "no LiveKit server (status 404", "/rtc"),
    ("a web page", judge_http(HttpFinding(200, "welcome")), "failed", "no LiveKit server (status 200", "/rtc"),
    ("a redirect", judge_http(HttpFinding(308)), "failed", "another place", "into the URL"),
    ("a bad gateway", judge_http(HttpFinding(502)), "failed", "status 502", "in front of"),
    ("silence", judge_http(HttpFinding(problem="timeout")), "failed", "does not answer", "Is it a LiveKit server"),
    ("a slammed door", judge_http(HttpFinding(problem="closed")), "failed", "closes", "wants TLS"),
    ("SSH", judge_http(HttpFinding(problem="not HTTP")), "failed", "does not speak HTTP", "another service"),
    ("a proxy", judge_http(HttpFinding(problem="proxy")), "failed", "HTTP proxy", "HTTPS_PROXY"),
    ("clocks", judge_clock(ClockFinding(0.9, 0.5)), "passed", "they agree", ""),
    ("a slow answer", judge_clock(ClockFinding(70.0, 65.0)), "passed", "they agree", ""),
    ("half a minute", judge_clock(ClockFinding(-30.0, 0.5)), "warning", "30 s behind", "NTP"),
    ("two minutes", judge_clock(ClockFinding(120.0, 0.5)), "failed", "2 min ahead", "NTP"),
    ("no date header", judge_clock(ClockFinding(None, 0.0)), "skipped", "does not tell", ""),
    (
        "a token",
        judge_token(TokenFinding(**GOOD_TOKEN)),
        "passed",
        "ann in the room lab, may join the room; expires",
        "",
    ),
    ("for ever", judge_token(TokenFinding(**{**GOOD_TOKEN, "ends_in": None})), "passed", "ann in the room lab", ""),
    ("a last minute", judge_token(TokenFinding(**{**GOOD_TOKEN, "ends_in": 60.0})), "warning", "1 min", "a new one"),
    (
        "in the leeway",
        judge_token(TokenFinding(**{**GOOD_TOKEN, "ends_in": -20.0})),
        "warning",
        "still taken",
        "new one",
    ),
    ("early", judge_token(TokenFinding(**{**GOOD_TOKEN, "begins_in": 20.0})), "warning", "taken already", "clock"),
    ("no token", judge_token(TokenFinding(unreadable="two parts")), "failed", "no access token: two parts", "new one"),
    (
        "an old one",
        judge_token(TokenFinding(**{**GOOD_TOKEN, "ends_in": -3600.0}, refusal="TokenExpiredError")),
        "failed",
        "expired 1 h ago",
        "`aiolivekit token`",
    ),
    (
        "one from the future",
        judge_token(TokenFinding(**{**GOOD_TOKEN, "begins_in": 600.0}, refusal="InvalidTokenError")),
        "failed",
        "not valid until in 10 min",
        "ahead of the server's",
    ),
    (
        "another secret",
        judge_token(TokenFinding(**GOOD_TOKEN, refusal="InvalidTokenError", server_words="bad signature")),
        "failed",
        "refuses it (bad signature)",
        "another key or secret",
    ),
    (
        "a wrong pair",
        judge_token(TokenFinding(**GOOD_TOKEN, made=True, refusal="InvalidTokenError")),
        "failed",
        "refuses it",
        "Key and secret",
    ),
    (
        "no grant",
        judge_token(TokenFinding(**GOOD_TOKEN, refusal="PermissionDeniedError")),
        "failed",
        "does not allow to join",
        "roomJoin",
    ),
    (
        "no room",
        judge_token(TokenFinding(**GOOD_TOKEN, refusal="RoomNotFoundError")),
        "failed",
        "no room lab",
        "auto_create",
    ),
    (
        "anything else",
        judge_token(TokenFinding(**GOOD_TOKEN, refusal="ServerFullError")),
        "failed",
        "does not take it",
        "log",
    ),
    (
        "signalling",
        judge_websocket(WebSocketFinding(version="1.13.5", region="fra")),
        "passed",
        "join response from LiveKit server 1.13.5, region fra",
        "",
    ),
    ("no upgrade", judge_websocket(WebSocketFinding("refused", 400)), "failed", "status 400", "Upgrade and Connection"),
    ("full", judge_websocket(WebSocketFinding("refused", 500)), "failed", "status 500", "full"),
    ("sent away", judge_websocket(WebSocketFinding("leave")), "failed", "away at once", "log"),
    ("no LiveKit", judge_websocket(WebSocketFinding("garbage")), "failed", "no LiveKit", "another service"),
    ("cut", judge_websocket(WebSocketFinding("closed")), "failed", "closed before", "proxy"),
    ("late", judge_websocket(WebSocketFinding("timeout")), "failed", "in time", "proxy"),
    ("joined", judge_join(JoinFinding(pair=UDP)), "passed", "over UDP, 12.0 ms there and back", ""),
    (
        "relayed",
        judge_join(JoinFinding(single_peer_connection=False, pair=RELAY)),
        "passed",
        "two peer connections, by a relay (TURN over TLS)",
        "",
    ),
    ("no stats", judge_join(JoinFinding()), "passed", "in the room, one peer connection", ""),
    ("no media", judge_join(JoinFinding(timeout=True)), "failed", "not connected in time", "ICE/UDP"),
    ("refused", judge_join(JoinFinding(error="(server full): no")), "failed", "(server full): no", "log"),
    ("over UDP", judge_path(PathFinding("udp", 1, connected=True, pair=UDP)), "passed", "over UDP", ""),
    ("connected", judge_path(PathFinding("tcp", 1, connected=True)), "passed", "connected", ""),
    ("UDP blocked", judge_path(PathFinding("udp", 2)), "failed", "not get through over UDP", "rtc.udp_port"),
    ("TCP blocked", judge_path(PathFinding("tcp", 2)), "failed", "not get through over TCP", "rtc.tcp_port (7881)"),
    ("no UDP there", judge_path(PathFinding("udp")), "failed", "no address over UDP", "force_tcp"),
    ("no TCP there", judge_path(PathFinding("tcp")), "failed", "no address over TCP", "set rtc.tcp_port"),
    ("cut off", judge_path(PathFinding("udp", error="(signal closed)")), "failed", "(signal closed)", "log"),
    ("quick", judge_data(DataFinding((0.001, 0.002, 0.009), sent=3)), "passed", "2.0 ms a message", ""),
    ("by STUN", judge_data(DataFinding((0.004,), messages=False)), "passed", "4.0 ms to the server", ""),
    ("unknown yet", judge_data(DataFinding(messages=False)), "skipped", "not measured", ""),
    ("slow", judge_data(DataFinding((0.5,), sent=1)), "warning", "500.0 ms", "nearer"),
    ("some lost", judge_data(DataFinding((0.002,), sent=3)), "failed", "2 of 3 were lost", "Reliable"),
    ("all lost", judge_data(DataFinding(sent=3, error="none in time")), "failed", "none in time", "Data channels"),
    (
        "codecs",
        judge_codecs(CodecFinding(("audio/opus", "video/VP8", "video/rtx", "video/AV1"), ("audio/OPUS", "video/vp8"))),
        "passed",
        "VP8, opus",
        "",
    ),
    (
        "a server without an opinion",
        judge_codecs(CodecFinding(("audio/opus", "video/VP8"), ())),
        "passed",
        "VP8, opus",
        "",
    ),
    (
        "no common video",
        judge_codecs(CodecFinding(("audio/opus", "video/VP8"), ("audio/opus", "video/H264"))),
        "failed",
        "no codec for pictures",
        "enabled_codecs",
    ),
    (
        "nothing common",
        judge_codecs(CodecFinding(("audio/opus", "video/VP8"), ("video/H264",))),
        "failed",
        "no codec for sound and pictures",
        "opus and VP8",
    ),
]


@pytest.mark.parametrize(
    ("verdict", "status", "words", "advice"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_verdicts(verdict: Verdict, status: str, words: str, advice: str) -> None:
    assert verdict.status == status
    assert words in verdict.words
    assert advice in verdict.advice
    # What is bad or bearable always comes with a sentence on what to do, what is good with none.
    assert bool(verdict.advice) == (status in ("failed", "warning"))
    if verdict.advice:
        assert verdict.advice[0].isupper() or verdict.advice.startswith("`")
        assert verdict.advice[-1] in ".?"


def test_every_row_has_a_name_of_its_own() -> None:
    assert len({row[0] for row in TABLE}) == len(TABLE)


def test_a_check_for_programs() -> None:
    check = Check("TCP", judge_tcp(TcpFinding(7880, "192.0.2.1")), 0.00123456)
    assert check.as_json() == {
        "name": "TCP",
        "status": "passed",
        "seconds": 0.0012,
        "found": "connected to port 7880",
        "advice": None,
        "port": 7880,
        "address": "192.0.2.1",
    }


def test_pairs_in_words() -> None:
    assert pair_words(Pair("tcp", "host", "host")) == "over TCP"
    assert pair_words(Pair("udp", "relay", "host", 0.1)) == "by a relay (TURN over UDP), 100.0 ms there and back"
