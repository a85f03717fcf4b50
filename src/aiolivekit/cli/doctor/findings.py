"""What the probes find, as plain data; what it means is in the modules of judgement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "Check",
    "ClockFinding",
    "CodecFinding",
    "DataFinding",
    "DnsFinding",
    "HttpFinding",
    "JoinFinding",
    "Pair",
    "PathFinding",
    "Status",
    "TcpFinding",
    "TlsFinding",
    "TlsProblem",
    "TokenFinding",
    "Verdict",
    "WebSocketFinding",
]

Status = Literal["passed", "warning", "failed", "skipped"]

TcpProblem = Literal["refused", "timeout", "unreachable", "other"]
TlsProblem = Literal[
    "", "expired", "not yet valid", "self-signed", "unknown authority", "other name", "no TLS", "timeout", "other"
]
HttpProblem = Literal["", "timeout", "closed", "not HTTP", "proxy"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a finding means.

    Attributes:
        status: Good, bearable, bad, or not looked at.
        words: What was found.
        advice: What to do, where something is to be done.
        facts: The same for programs.
    """

    status: Status
    words: str
    advice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """A verdict with the name of what was checked, and the seconds it took (`None`: it was not)."""

    name: str
    verdict: Verdict
    seconds: float | None

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        verdict = self.verdict
        return {
            "name": self.name,
            "status": verdict.status,
            "seconds": None if self.seconds is None else round(self.seconds, 4),
            "found": verdict.words,
            "advice": verdict.advice or None,
            **verdict.facts,
        }


@dataclass(frozen=True, slots=True)
class DnsFinding:
    """What the resolver said; with `literal` the URL has an address and nothing was asked."""

    addresses: tuple[str, ...] = ()
    literal: bool = False
    problem: Literal["", "unknown", "timeout"] = ""


@dataclass(frozen=True, slots=True)
class TcpFinding:
    """Which address took a connection; `None` if none did, and then why."""

    port: int
    address: str | None = None
    problems: tuple[tuple[str, TcpProblem], ...] = ()


@dataclass(frozen=True, slots=True)
class TlsFinding:
    """What the TLS handshake brought."""

    version: str = ""
    days_left: float | None = None
    problem: TlsProblem = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HttpFinding:
    """What `/rtc/validate` answers to a request without a token."""

    status: int | None = None
    words: str = ""
    problem: HttpProblem = ""
    clock_offset: float | None = None
    """Seconds by which the server's clock is ahead of ours; `None` if it does not tell the time."""
    clock_error: float = 0.0
    """How far `clock_offset` may be off."""


@dataclass(frozen=True, slots=True)
class TokenFinding:
    """What a token says, and what the server says to it.

    Attributes:
        unreadable: Why it is no token, or nothing.
        made: Whether it was made here with a key.
        identity: Whom it is for.
        room: What room it is for.
        may: What it allows.
        refusal: The name of the error class that the server's answer stands for, or nothing.
        server_words: What the server said, redacted.
        begins_in: Seconds until it is valid, by the server's clock, if it says so.
        ends_in: Seconds until it expires, likewise.
    """

    unreadable: str = ""
    made: bool = False
    identity: str = ""
    room: str = ""
    may: tuple[str, ...] = ()
    refusal: str = ""
    server_words: str = ""
    begins_in: float | None = None
    ends_in: float | None = None


@dataclass(frozen=True, slots=True)
class ClockFinding:
    """How far the clocks are apart: positive when the server's is ahead."""

    offset: float | None
    error: float


@dataclass(frozen=True, slots=True)
class WebSocketFinding:
    """What came over the WebSocket.

    Attributes:
        problem: What kept the join response away, or nothing.
        status: The HTTP status of a refused handshake.
        version: The server's version.
        region: Its region.
        codecs: The MIME types it allows to publish.
        relays: How many TURN addresses it names.
    """

    problem: Literal["", "refused", "timeout", "closed", "leave", "garbage"] = ""
    status: int | None = None
    version: str = ""
    region: str = ""
    codecs: tuple[str, ...] = ()
    relays: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """The candidate pair in force.

    Attributes:
        protocol: `udp` or `tcp`; of a relayed one how the relay is reached.
        local: The type of our candidate: `host`, `srflx`, `prflx` or `relay`.
        remote: The type of the server's.
        round_trip: Seconds, by the last STUN check.
    """

    protocol: str
    local: str
    remote: str
    round_trip: float | None = None


@dataclass(frozen=True, slots=True)
class JoinFinding:
    """Whether we were in the room, with media connected."""

    error: str = ""
    timeout: bool = False
    single_peer_connection: bool = True
    pair: Pair | None = None


@dataclass(frozen=True, slots=True)
class PathFinding:
    """Whether media can be connected over one protocol alone.

    Attributes:
        protocol: Which one.
        offered: How many candidates of it the server named.
        connected: Whether it was connected.
        error: Why not, if signalling did not even come that far.
        pair: The pair in force.
    """

    protocol: Literal["udp", "tcp"]
    offered: int = 0
    connected: bool = False
    error: str = ""
    pair: Pair | None = None


@dataclass(frozen=True, slots=True)
class DataFinding:
    """Round trips in seconds: of messages to a second participant and back, or of STUN checks to the server."""

    round_trips: tuple[float, ...] = ()
    messages: bool = True
    sent: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class CodecFinding:
    """MIME types that libwebrtc has here, and those the server allows to publish."""

    ours: tuple[str, ...]
    allowed: tuple[str, ...]
