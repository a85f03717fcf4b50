"""Stats of a connection: reads what libwebrtc tells, and says the gist of it in a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from typing import Any, get_type_hints

from .. import stats as records
from .stats_summary import summary

__all__ = ["RtcStats", "read_stats"]

_PREFIXES: Mapping[type[IntEnum], str] = {
    records.DataChannelState: "DC_",
    records.QualityLimitationReason: "LIMITATION_",
    records.IceRole: "ICE_",
    records.DtlsTransportState: "DTLS_TRANSPORT_",
    records.IceTransportState: "ICE_TRANSPORT_",
    records.DtlsRole: "DTLS_",
    records.IceCandidatePairState: "PAIR_",
    records.IceCandidateType: "",
    records.IceServerTransportProtocol: "TRANSPORT_",
    records.IceTcpCandidateType: "CANDIDATE_",
}
_SPELT = {"total_pause_duration": "totalPausesDuration", "total_freeze_duration": "totalFreezesDuration"}
"""Where the W3C's name is not the official SDK's in another case."""


@dataclass
class RtcStats:
    """The stats of a connection; with a single peer connection all of them are the publisher's.

    Attributes:
        publisher_stats: Of the peer connection that sends.
        subscriber_stats: Of the one that receives.
    """

    publisher_stats: list[records.RtcStats] = field(default_factory=list)
    subscriber_stats: list[records.RtcStats] = field(default_factory=list)

    def summary(self, since: RtcStats | None = None) -> str:
        """Return a line for people: round trip, what is sent and received, losses (not in `livekit.rtc`).

        Args:
            since: Stats of the same connection from before: then rates are told, else what there was in all.
        """
        before = [] if since is None else [*since.publisher_stats, *since.subscriber_stats]
        return summary([*self.publisher_stats, *self.subscriber_stats], before)

    def __str__(self) -> str:
        return self.summary()


def read_stats(report: Iterable[Mapping[str, Any]]) -> list[records.RtcStats]:
    """Return the records of a report; those of kinds that have no name in the official SDK are left out.

    Args:
        report: W3C stats, one mapping each.
    """
    read = []
    for each in report:
        name = str(each.get("type", "")).replace("-", "_")
        if name in _kinds():
            read.append(records.RtcStats(**{name: _kinds()[name](each)}))
    return read


Reader = Callable[[Mapping[str, Any]], Any]


@cache
def _kinds() -> dict[str, Reader]:
    names = get_type_hints(records.RtcStats)
    return {name: _of_parts(getattr(records, name.title().replace("_", ""))) for name in names}


def _of_parts(kind: type[Any]) -> Reader:
    parts = [(name, _of_values(part)) for name, part in get_type_hints(kind).items()]
    return lambda report: kind(**{name: read(report) for name, read in parts})


@cache
def _of_values(kind: type[Any]) -> Reader:
    values = [(name, _key(name), _converter(value)) for name, value in get_type_hints(kind).items()]

    def read(report: Mapping[str, Any]) -> Any:
        return kind(**{name: convert(report[key]) for name, key, convert in values if key in report})

    return read


def _key(name: str) -> str:
    first, *rest = name.split("_")
    return _SPELT.get(name) or first + "".join(word.title() for word in rest)


def _converter(kind: Any) -> Callable[[Any], Any]:
    if not (isinstance(kind, type) and issubclass(kind, IntEnum)):
        # Without a type of its own, as a mapping, it is taken as it is.
        return kind if kind in (int, float, bool, str) else dict
    words = {each.name.removeprefix(_PREFIXES[kind]): each for each in kind}
    unknown = kind(0)
    return lambda word: words.get(str(word).upper().replace("-", "_"), unknown)
