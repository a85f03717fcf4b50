"""Medians, ratios, the floor of acceptance, and the table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .runner import Samples
from .servers import SERVERS
from .settings import FRAME_SIZES, PAYLOADS

__all__ = ["FIGURES", "LIMITS", "check", "markdown", "medians", "plain"]


@dataclass(frozen=True)
class Figure:
    """A row of the table."""

    measure: str
    key: str
    title: str
    unit: str
    digits: int = 1

    @property
    def name(self) -> str:
        """What it is called in the JSON."""
        return f"{self.measure}.{self.key}"


def _throughput() -> list[Figure]:
    rows = []
    for size in PAYLOADS:
        rows += [
            Figure("data", f"messages_{size}", f"messages/s at {size:,} B", "/s", 0),
            Figure("data", f"mb_{size}", f"throughput at {size:,} B", "MB/s", 2),
            Figure("data", f"cpu_us_{size}", f"CPU a message at {size:,} B, both ends", "µs", 1),
        ]
    return rows


def _data_tracks() -> list[Figure]:
    rows = []
    for size in FRAME_SIZES:
        rows += [
            Figure("data_tracks", f"frames_{size}", f"data track frames/s at {size:,} B", "/s", 0),
            Figure("data_tracks", f"frames_mb_{size}", f"data track throughput at {size:,} B", "MB/s", 2),
            Figure("data_tracks", f"frames_percent_{size}", f"data track frames received at {size:,} B", "%", 1),
            Figure("data_tracks", f"frames_cpu_us_{size}", f"CPU a received frame at {size:,} B, both ends", "µs", 1),
        ]
    return rows


def _audio(measure: str, what: str) -> list[Figure]:
    return [
        Figure(measure, "publish_percent", f"{what}: CPU of the publisher", "% of a core"),
        Figure(measure, "receive_percent", f"{what}: CPU of the receiver", "% of a core"),
        Figure(measure, "total_percent", f"{what}: CPU of both", "% of a core"),
        Figure(measure, "latency_ms", f"{what}: written to received", "ms"),
        Figure(measure, "frames_percent", f"{what}: frames received", "%"),
    ]


def _video(measure: str, what: str) -> list[Figure]:
    return [*_audio(measure, what), Figure(measure, "height", f"{what}: height received", "px", 0)]


def _layers(measure: str, what: str) -> list[Figure]:
    return [*_video(measure, what), Figure(measure, "kbps", f"{what}: sent", "kbit/s", 0)]


_FAULTS = {
    "cut": "signalling cut",
    "cut3": "signalling cut three times",
    "refused": "signalling refused for 2.5 s",
    "full": "full reconnect",
    "node": "node failure",
    "killed": "server killed and restarted",
}


def _recovery(measure: str, mode: str) -> list[Figure]:
    rows = []
    for fault, title in _FAULTS.items():
        rows += [
            Figure(measure, f"{fault}_silence_ms", f"{title}, {mode}: longest silence at 100 messages/s", "ms", 0),
            Figure(measure, f"{fault}_missing", f"{title}, {mode}: messages missing", "", 0),
        ]
    return rows


FIGURES: tuple[Figure, ...] = (
    Figure("connect", "usable_ms", "connect, until the first message has arrived", "ms"),
    Figure("connect", "returned_ms", "connect, until the call returns", "ms"),
    Figure("connect", "first_usable_ms", "first connect of a process", "ms"),
    Figure("connect", "cpu_ms", "CPU of a connect", "ms"),
    Figure("data", "rtt_ms", "round trip, 100 B reliable", "ms", 2),
    *_throughput(),
    *_data_tracks(),
    Figure("calls", "rtt_ms", "call, 100 B there and back", "ms", 2),
    Figure("calls", "one_at_a_time", "calls, one at a time", "/s", 0),
    Figure("calls", "cpu_us", "CPU of a call, both ends", "µs", 0),
    Figure("calls", "at_once", "calls, 200 at once", "/s", 0),
    Figure("calls", "beside_p50_ms", "call beside a large transfer, median", "ms", 2),
    Figure("calls", "beside_p99_ms", "call beside a large transfer, 99th percentile", "ms", 2),
    Figure("calls", "beside_failed", "calls beside a large transfer that failed", "", 0),
    Figure("calls", "beside_mb", "throughput of that transfer", "MB/s", 1),
    Figure("calls", "stream_mb", "a stream of 20 MB, until it was read", "MB/s", 1),
    Figure("calls", "publish_1000_ms", "1,000 publish_data calls at once", "ms", 1),
    Figure("calls", "publish_growth", "time of one of 1,000 at once / of one of 250", "", 2),
    Figure("memory", "imported_mb", "memory of the process, package imported", "MB"),
    Figure("memory", "one_room_mb", "memory of the process, one room connected", "MB"),
    Figure("memory", "first_room_mb", "memory the first room adds to the import", "MB"),
    Figure("memory", "further_room_mb", "memory of each further room", "MB", 2),
    Figure("memory", "further_room_at_once_mb", "memory of each further room, just connected", "MB", 2),
    Figure("memory", "further_room_threads", "threads of each further room", "", 2),
    Figure("memory", "further_room_descriptors", "file descriptors of each further room", "", 1),
    *_audio("audio1", "1 audio track"),
    *_audio("audio8", "8 audio tracks"),
    *_audio("audio8_encrypted", "8 audio tracks, encrypted"),
    *_video("video", "720p30 VP8"),
    *_layers("layers", "720p30 VP8 in layers"),
    *_layers("layers_encrypted", "720p30 VP8 in layers, encrypted"),
    Figure("encrypted", "total_percent", "8 audio tracks and 720p30 in layers, encrypted: CPU of all", "% of a core"),
    *_recovery("recovery", "one peer connection"),
    *_recovery("recovery_dual", "two peer connections"),
    Figure("server", "forwards_per_core_1", "RTP forwarded a second and core, one to one", "/s", 0),
    Figure("server", "lost_percent_1", "RTP lost, one to one", "%", 2),
    Figure("server", "forwards_per_core_5", "RTP forwarded a second and core, one to five", "/s", 0),
    Figure("server", "lost_percent_5", "RTP lost, one to five", "%", 2),
    Figure("server", "rtt_ms", "our client: round trip, 100 B reliable", "ms", 2),
    *(Figure("server", f"messages_{size}", f"our client: messages/s at {size:,} B", "/s", 0) for size in PAYLOADS),
    Figure("server", "first_join_ms", "our client: start of the server to first join", "ms"),
    Figure("server", "start_ms", "of it, the start of the server", "ms"),
    Figure("server", "join_ms", "of it, the join", "ms"),
)


@dataclass(frozen=True)
class Limit:
    """A bound on ours divided by another's (or, without another, on ours)."""

    figure: str
    against: str | None
    at_most: float | None = None
    at_least: float | None = None

    def holds(self, value: float) -> bool:
        """Return whether the value is within the bound."""
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)

    def __str__(self) -> str:
        bound = f"at most {self.at_most:.3g}" if self.at_most is not None else f"at least {self.at_least:.3g}"
        return f"{self.figure}, ours" + (f" / {self.against}" if self.against else "") + f": {bound}"


LIMITS: tuple[Limit, ...] = (
    Limit("connect.usable_ms", "official", at_most=0.4),
    Limit("data.rtt_ms", "official", at_most=0.45),
    Limit("data.messages_100", "official", at_least=30),
    Limit("data.cpu_us_100", "official", at_most=1 / 30),
    Limit("data.mb_15000", "official", at_least=8),
    *(Limit(f"data_tracks.frames_{size}", "official", at_least=5) for size in FRAME_SIZES[:1]),
    Limit("calls.one_at_a_time", "official", at_least=2.5),
    Limit("calls.at_once", "official", at_least=15),
    Limit("calls.beside_p99_ms", "official", at_most=1 / 5),
    Limit("calls.stream_mb", "official", at_least=8),
    # The official SDK's grows with the square: four times as many take sixteen times as long.
    Limit("calls.publish_growth", None, at_most=1.5),
    Limit("audio8_encrypted.total_percent", "official", at_most=0.9),
    # Of video alone it is libwebrtc's encoder that costs, on both sides.
    Limit("encrypted.total_percent", "official", at_most=0.9),
    Limit("memory.first_room_mb", "official", at_most=0.8),
    # A room of bare wrtc is itself about an eighth of the official SDK's, whose size varies by half from run to run.
    Limit("memory.further_room_mb", "official", at_most=1 / 8),
    # Two threads among 49 rooms would be the process's own, not the rooms'.
    Limit("memory.further_room_threads", None, at_most=0.05),
    Limit("data.messages_100", "bare", at_least=0.75),
    # It is written in Python and has one core; in return it starts at once.
    Limit("server.forwards_per_core_1", "real", at_least=0.3),
    Limit("server.messages_100", "real", at_least=0.1),
    Limit("server.first_join_ms", "real", at_most=0.8),
)


SUMS = {"encrypted.total_percent": ("audio8_encrypted.total_percent", "layers_encrypted.total_percent")}
"""Figures that are others' sums."""


def medians(samples: Samples) -> dict[str, dict[str, float]]:
    """Return, for each figure by name, the median of each contender that has a sample."""
    result: dict[str, dict[str, float]] = {}
    for figure in FIGURES:
        for contender, rounds in samples.get(figure.measure, {}).items():
            values = [each[figure.key] for each in rounds if figure.key in each]
            if values:
                result.setdefault(figure.name, {})[contender] = statistics.median(values)
    for name, parts in SUMS.items():
        known = [result.get(part, {}) for part in parts]
        both = set.intersection(*(set(each) for each in known))
        if both:
            result[name] = {contender: sum(each[contender] for each in known) for contender in both}
    return result


def ratio(values: dict[str, float], against: str) -> float | None:
    """Return ours divided by the other's, if both are known."""
    ours, other = values.get("ours"), values.get(against)
    return ours / other if ours is not None and other else None


def check(middle: dict[str, dict[str, float]], measures: Sequence[str]) -> list[str]:
    """Return each limit of those measurements that does not hold, with the value found."""
    failing = []
    for limit in LIMITS:
        parts = SUMS.get(limit.figure, (limit.figure,))
        if any(part.partition(".")[0] not in measures for part in parts):
            continue
        values = middle.get(limit.figure, {})
        value = values.get("ours") if limit.against is None else ratio(values, limit.against)
        if value is None:
            failing.append(f"{limit}, was not measured")
        elif not limit.holds(value):
            failing.append(f"{limit}, was {value:.3g}")
    return failing


def _tables(middle: dict[str, dict[str, float]], contenders: Sequence[str]) -> list[list[list[str]]]:
    """Return the table of the clients and the table of the servers, if there is something in them."""
    clients = _rows([figure for figure in FIGURES if figure.measure != "server"], middle, contenders)
    servers = _rows([figure for figure in FIGURES if figure.measure == "server"], middle, SERVERS)
    return [rows for rows in (clients, servers) if len(rows) > 1]


def _rows(figures: Sequence[Figure], middle: dict[str, dict[str, float]], contenders: Sequence[str]) -> list[list[str]]:
    others = [name for name in contenders if name != "ours"] if "ours" in contenders else []
    rows = [["", *contenders, *(f"ours / {name}" for name in others)]]
    for figure in figures:
        values = middle.get(figure.name)
        if not values:
            continue
        title = f"{figure.title} ({figure.unit})" if figure.unit else figure.title
        cells = [f"{values[name]:,.{figure.digits}f}" if name in values else "–" for name in contenders]
        ratios = [ratio(values, name) for name in others]
        cells += ["–" if each is None else f"{each:.3g}" for each in ratios]
        rows.append([title, *cells])
    return rows


def plain(middle: dict[str, dict[str, float]], contenders: Sequence[str]) -> str:
    """Return the table for a terminal."""
    return "\n\n".join(_plain(rows) for rows in _tables(middle, contenders))


def _plain(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(middle: dict[str, dict[str, float]], contenders: Sequence[str], about: dict[str, Any]) -> str:
    """Return the table in Markdown, under a paragraph on where it was measured."""
    tables = []
    for rows in _tables(middle, contenders):
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + "---|" + "---:|" * (len(rows[0]) - 1))
        tables.append("\n".join(lines))
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    count = about["settings"]["rounds"]
    rounds = "1 round" if count == 1 else f"{count} rounds"
    words = (
        f"Measured {about['date'][:10]} on {about['cpu']}, {about['cores']} cores, {about['system']}, "
        f"{about['python']}; {versions}. Medians over {rounds}, the contenders in turn, "
        "each measurement in a process of its own; server and clients on the same machine, over loopback."
    )
    return "\n\n".join([words, *tables]) + "\n"
