"""What the findings below the room mean, and what to do: pure, so that every sentence can be tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..inspection import format_duration
from .findings import Verdict

if TYPE_CHECKING:
    from .findings import ClockFinding, DnsFinding, HttpFinding, TcpFinding, TlsFinding

__all__ = ["judge_clock", "judge_dns", "judge_http", "judge_plain", "judge_tcp", "judge_tls"]

_FEW_DAYS = 14.0
_CLOCK_LIMIT = 60.0
"""Seconds of leeway that the server allows a token on both ends."""

_CLOCK_NOTICE = 10.0


def judge_dns(finding: DnsFinding) -> Verdict:
    """Judge what the resolver said."""
    if finding.literal:
        return Verdict("passed", "the URL has an address; nothing to look up")
    if finding.problem == "timeout":
        return Verdict(
            "failed", "the resolver does not answer", "Check this machine's network and its DNS settings; is it online?"
        )
    if finding.problem or not finding.addresses:
        return Verdict(
            "failed",
            "nobody knows a host of that name",
            "Check the spelling of the host in the URL; a name of a company's network needs its VPN.",
        )
    count = len(finding.addresses)
    return Verdict(
        "passed", f"{count} {'address' if count == 1 else 'addresses'}", facts={"addresses": list(finding.addresses)}
    )


def judge_tcp(finding: TcpFinding) -> Verdict:
    """Judge whether something listens."""
    facts = {"port": finding.port, "address": finding.address}
    if finding.address is not None:
        if finding.problems:
            words = f"connected to port {finding.port}, though not by {len(finding.problems)} of the addresses"
            advice = "Joining may take longer while those are tried; often it is IPv6 that does not come through."
            return Verdict("warning", words, advice, facts)
        return Verdict("passed", f"connected to port {finding.port}", facts=facts)
    problems = {problem for _, problem in finding.problems}
    if "refused" in problems:
        return Verdict(
            "failed",
            f"nothing listens on port {finding.port}",
            "Is the server running, and is this its port? Without one in the URL it is 443 (wss) or 80 (ws); "
            "a LiveKit server of one's own has 7880.",
            facts,
        )
    if "timeout" in problems:
        return Verdict(
            "failed",
            f"no answer from port {finding.port}",
            "A firewall drops the packets, or the host is off: open the port to this machine, or try another network.",
            facts,
        )
    return Verdict(
        "failed",
        "there is no way to the host",
        "This machine has no route there: check its network, and a VPN if the server is behind one.",
        facts,
    )


_TLS_ADVICE = {
    "expired": ("its certificate has expired", "Renew the server's certificate; also check this machine's clock."),
    "not yet valid": ("its certificate is not valid yet", "Check this machine's clock, then the server's certificate."),
    "self-signed": (
        "its certificate is signed by itself",
        "Use one of a public authority; for a test, SSL_CERT_FILE can name a file with the certificate to trust.",
    ),
    "unknown authority": (
        "its certificate is from an authority this machine does not know",
        "If the server sends no intermediate certificates, have it send the full chain; for an authority of a "
        "company's own, SSL_CERT_FILE can name a file with its certificate.",
    ),
    "other name": (
        "its certificate is for another name",
        "Use the host name that stands in the certificate; an address instead of a name rarely does.",
    ),
    "no TLS": ("that port does not speak TLS", "Use ws:// instead of wss:// if the server is on a network you trust."),
    "timeout": (
        "the TLS handshake gets no answer",
        "Something between here and there holds it up: a firewall, a proxy.",
    ),
    "other": ("the TLS handshake fails", "See what stands in front of the server: a load balancer, a proxy."),
}


def judge_tls(finding: TlsFinding) -> Verdict:
    """Judge the certificate."""
    facts = {"version": finding.version or None, "days_left": _rounded(finding.days_left)}
    if finding.problem:
        words, advice = _TLS_ADVICE[finding.problem]
        return Verdict("failed", f"{words} ({finding.detail})" if finding.detail else words, advice, facts)
    if finding.days_left is None:
        return Verdict("passed", finding.version, facts=facts)
    words = f"{finding.version}, certificate valid for {finding.days_left:.0f} days"
    if finding.days_left < _FEW_DAYS:
        return Verdict(
            "warning", words, "Renew the server's certificate soon, or see why it does not renew itself.", facts
        )
    return Verdict("passed", words, facts=facts)


def judge_plain(*, local: bool) -> Verdict:
    """Judge a URL without TLS."""
    if local:
        return Verdict("passed", "not encrypted, and need not be on this machine")
    return Verdict(
        "warning",
        "not encrypted: everybody on the way can read the token",
        "Use wss:// with a server that others than you can reach.",
    )


_HTTP_ADVICE = {
    "timeout": (
        "it takes the connection but does not answer",
        "Is it a LiveKit server that listens on this port? A proxy in front of it may have lost it.",
    ),
    "closed": (
        "it closes the connection without an answer",
        "Perhaps the port wants TLS (wss:// instead of ws://), or belongs to another service.",
    ),
    "not HTTP": (
        "what answers does not speak HTTP",
        "The port belongs to another service, or wants TLS: try wss:// instead of ws://.",
    ),
    "proxy": (
        "the HTTP proxy of this machine's settings does not let it through",
        "Check HTTPS_PROXY and HTTP_PROXY; NO_PROXY can name hosts that need none.",
    ),
}


def judge_http(finding: HttpFinding) -> Verdict:
    """Judge whether it is a LiveKit server that answers."""
    facts = {"http_status": finding.status}
    if finding.problem:
        words, advice = _HTTP_ADVICE[finding.problem]
        return Verdict("failed", words, advice, facts)
    status = finding.status or 0
    if status == 401 or (status == 400 and "token" in finding.words.casefold()):
        return Verdict("passed", "a LiveKit server answers", facts=facts)
    if 300 <= status < 400:
        return Verdict(
            "failed", f"it sends us to another place ({status})", "Put the address it leads to into the URL.", facts
        )
    if status >= 500 or status == 429:
        return Verdict(
            "failed",
            f"it answers with status {status}",
            "What stands in front of the server does not reach it, or it is overloaded: see its log.",
            facts,
        )
    return Verdict(
        "failed",
        f"that is no LiveKit server (status {status} at /rtc/validate)",
        "Check host, port and path of the URL; a proxy in front of it has to pass /rtc on.",
        facts,
    )


def judge_clock(finding: ClockFinding) -> Verdict:
    """Judge the clocks: a token's times are read by the server's, and written by whose maker's clock."""
    if finding.offset is None:
        return Verdict("skipped", "the server does not tell the time")
    facts = {"offset": round(finding.offset, 1), "offset_error": round(finding.error, 1)}
    apart = max(0.0, abs(finding.offset) - finding.error)
    side = "ahead" if finding.offset > 0 else "behind"
    words = f"the server's is {format_duration(abs(finding.offset))} {side}"
    if apart > _CLOCK_LIMIT:
        return Verdict(
            "failed",
            words,
            "Set this machine's clock (NTP), or the server's: tokens made with a wrong one are refused as expired or "
            "not valid yet.",
            facts,
        )
    if apart > _CLOCK_NOTICE:
        return Verdict(
            "warning", words, "Set the clock that is wrong (NTP); from a minute on tokens are refused.", facts
        )
    return Verdict("passed", "they agree", facts=facts)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
