"""What the findings about signalling, media and data mean, and what to do: pure, like `network_judgement`."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from .findings import Pair, Verdict

if TYPE_CHECKING:
    from .findings import CodecFinding, DataFinding, JoinFinding, PathFinding, WebSocketFinding

__all__ = ["judge_codecs", "judge_data", "judge_join", "judge_path", "judge_websocket", "pair_words"]

_SLOW_ROUND_TRIP = 0.3
_HELPERS = {"rtx", "red", "ulpfec", "flexfec-03", "cn", "telephone-event"}
"""Codecs that only accompany others."""


def judge_websocket(finding: WebSocketFinding) -> Verdict:
    """Judge the signalling connection."""
    facts = {"server_version": finding.version or None, "region": finding.region or None, "relays": finding.relays}
    match finding.problem:
        case "":
            words = f"join response from LiveKit server {finding.version}" if finding.version else "join response"
            return Verdict("passed", f"{words}, region {finding.region}" if finding.region else words, facts=facts)
        case "refused":
            if finding.status == 500:
                return Verdict(
                    "failed",
                    "the server refuses the join (status 500)",
                    "The room may be full; else the reason is in the server's log.",
                    facts,
                )
            return Verdict(
                "failed",
                f"the handshake is refused (status {finding.status})",
                "A proxy in front of the server has to pass on the headers Upgrade and Connection (WebSockets).",
                facts,
            )
        case "leave":
            return Verdict("failed", "the server sends us away at once", "The reason is in the server's log.", facts)
        case "garbage":
            return Verdict(
                "failed",
                "what comes is no LiveKit signalling",
                "See what answers at /rtc there; perhaps another service.",
                facts,
            )
        case "closed":
            return Verdict(
                "failed",
                "the connection is closed before the join response",
                "A proxy on the way may not take WebSockets; else the reason is in the server's log.",
                facts,
            )
        case _:
            return Verdict(
                "failed",
                "no join response in time",
                "A proxy on the way may hold WebSockets back; else the server is overloaded.",
                facts,
            )


def pair_words(pair: Pair) -> str:
    """Return a candidate pair in words."""
    protocol = pair.protocol.upper()
    words = f"by a relay (TURN over {protocol})" if pair.local == "relay" else f"over {protocol}"
    return words if pair.round_trip is None else f"{words}, {pair.round_trip * 1000:.1f} ms there and back"


def _pair_facts(pair: Pair | None) -> dict[str, object]:
    if pair is None:
        return {"pair": None}
    return {
        "pair": {
            "protocol": pair.protocol,
            "local": pair.local,
            "remote": pair.remote,
            "round_trip": pair.round_trip,
        }
    }


def judge_join(finding: JoinFinding) -> Verdict:
    """Judge the join as the SDK does it, over whatever path comes up."""
    mode = "one peer connection" if finding.single_peer_connection else "two peer connections"
    facts = {"single_peer_connection": finding.single_peer_connection, **_pair_facts(finding.pair)}
    if finding.timeout:
        return Verdict(
            "failed",
            "media are not connected in time",
            "Neither UDP nor TCP comes through: see ICE/UDP and ICE/TCP below.",
            facts,
        )
    if finding.error:
        return Verdict("failed", finding.error, "The reason is in the server's log, if not in the checks below.", facts)
    if finding.pair is None:
        return Verdict("passed", f"in the room, {mode}", facts=facts)
    return Verdict("passed", f"in the room, {mode}, {pair_words(finding.pair)}", facts=facts)


def judge_path(finding: PathFinding) -> Verdict:
    """Judge whether media get through over one protocol."""
    name = finding.protocol.upper()
    facts = {"offered": finding.offered, **_pair_facts(finding.pair)}
    if finding.connected:
        return Verdict("passed", pair_words(finding.pair) if finding.pair is not None else "connected", facts=facts)
    if finding.error:
        return Verdict("failed", finding.error, "The reason is in the server's log.", facts)
    if not finding.offered:
        if finding.protocol == "udp":
            return Verdict(
                "failed",
                "the server names no address over UDP",
                "It is set to TCP alone (rtc.force_tcp): media suffer from every lost packet; allow UDP.",
                facts,
            )
        return Verdict(
            "failed",
            "the server names no address over TCP",
            "Who is behind a firewall that blocks UDP cannot join: set rtc.tcp_port in the server's configuration.",
            facts,
        )
    if finding.protocol == "udp":
        advice = (
            "Open UDP to the server: rtc.udp_port, or the range rtc.port_range_start to port_range_end (50000-60000), "
            "and see that it names an address that is reachable from here (rtc.use_external_ip, rtc.node_ip)."
        )
    else:
        advice = (
            "Open TCP to the server's rtc.tcp_port (7881), and see that it names an address that is reachable from "
            "here (rtc.use_external_ip, rtc.node_ip)."
        )
    return Verdict("failed", f"media do not get through over {name}", advice, facts)


def judge_data(finding: DataFinding) -> Verdict:
    """Judge the round trips."""
    facts: dict[str, Any] = {
        "round_trips": len(finding.round_trips),
        "sent": finding.sent,
        "messages": finding.messages,
    }
    if not finding.round_trips:
        if not finding.messages:
            return Verdict("skipped", "the path has not measured one yet", facts=facts)
        words = finding.error or "no message came back"
        return Verdict(
            "failed", words, "Data channels do not work: see the server's log, and the checks before.", facts
        )
    median = statistics.median(finding.round_trips)
    facts = {"median": round(median, 5), "slowest": round(max(finding.round_trips), 5), **facts}
    what = "a message to another participant and back" if finding.messages else "to the server and back, by STUN"
    words = f"{median * 1000:.1f} ms {what}"
    if len(finding.round_trips) < finding.sent:
        lost = finding.sent - len(finding.round_trips)
        return Verdict(
            "failed", f"{words}; {lost} of {finding.sent} were lost", "Reliable messages must not get lost.", facts
        )
    if median > _SLOW_ROUND_TRIP:
        return Verdict("warning", words, "That is long for a conversation: is there a server nearer to here?", facts)
    return Verdict("passed", words, facts=facts)


def judge_codecs(finding: CodecFinding) -> Verdict:
    """Judge whether there is a codec for sound and one for pictures that both sides have."""
    ours = _named(finding.ours)
    allowed = _named(finding.allowed)
    # A server that lists none has no opinion.
    common = {kind: [name for name in names if not allowed or name in allowed[kind]] for kind, names in ours.items()}
    facts = {"ours": list(finding.ours), "allowed": list(finding.allowed), "common": common}
    missing = [words for kind, words in (("audio", "sound"), ("video", "pictures")) if not common.get(kind)]
    if missing:
        return Verdict(
            "failed",
            f"no codec for {' and '.join(missing)} that both sides have",
            "Allow opus and VP8 in the server's configuration (room.enabled_codecs).",
            facts,
        )
    return Verdict("passed", ", ".join([*common["video"], *common["audio"]]), facts=facts)


def _named(mimes: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the names of codecs by kind, without those that only accompany others."""
    if not mimes:
        return {}
    named: dict[str, list[str]] = {"audio": [], "video": []}
    for mime in mimes:
        kind, _, name = mime.partition("/")
        shown = "opus" if name.lower() == "opus" else name.upper()
        if name.lower() not in _HELPERS and kind.lower() in named and shown not in named[kind.lower()]:
            named[kind.lower()].append(shown)
    return named
