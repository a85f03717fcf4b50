"""What clients, agents and servers measure and tell in the room (`livekit.MetricsBatch`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from livekit.protocol import metrics as proto
from livekit.protocol import models

__all__ = ["EventMetric", "MetricSample", "MetricsBatch", "TimeSeriesMetric", "batch_of", "metrics_packet"]

_PREDEFINED = proto.MetricLabel.METRIC_LABEL_PREDEFINED_MAX_VALUE
"""Numbers below stand for the labels of `MetricLabel`, the others for texts of the batch."""


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One value.

    Args:
        timestamp_ms: When it was so, in milliseconds on the sender's clock.
        value: The value, in the unit of its metric; it travels with 32 bits.
    """

    timestamp_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class TimeSeriesMetric:
    """How something went.

    Args:
        label: What it is: a name of `livekit.MetricLabel` (`AGENTS_LLM_TTFT`), or one of the sender's own.
        samples: The values, oldest first.
        participant_identity: Whom it is about, or an empty string.
        track_sid: Which track, or an empty string.
        rid: Which layer of it, or an empty string.
    """

    label: str
    samples: list[MetricSample]
    participant_identity: str = ""
    track_sid: str = ""
    rid: str = ""


@dataclass(frozen=True, slots=True)
class EventMetric:
    """Something that happened.

    Args:
        label: What it is, as in `TimeSeriesMetric`.
        start_timestamp_ms: When it began, in milliseconds on the sender's clock.
        end_timestamp_ms: When it ended, if it lasted.
        metadata: More about it.
        participant_identity: Whom it is about, or an empty string.
        track_sid: Which track, or an empty string.
        rid: Which layer of it, or an empty string.
    """

    label: str
    start_timestamp_ms: int
    end_timestamp_ms: int | None = None
    metadata: str = ""
    participant_identity: str = ""
    track_sid: str = ""
    rid: str = ""


@dataclass(frozen=True, slots=True)
class MetricsBatch:
    """What was measured.

    Args:
        timestamp_ms: When it was sent, in milliseconds on the sender's clock.
        time_series: How things went.
        events: What happened.
    """

    timestamp_ms: int
    time_series: list[TimeSeriesMetric] = field(default_factory=list)
    events: list[EventMetric] = field(default_factory=list)


class _Texts:
    """The texts of a batch that is being made: each is there once."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self.found.setdefault(text, _PREDEFINED + len(self.found)) if text else 0

    def label(self, label: str) -> int:
        known = proto.MetricLabel.DESCRIPTOR.values_by_name.get(label)
        return self.number(label) if known is None or known.number >= _PREDEFINED else known.number


def metrics_packet(batch: MetricsBatch) -> models.DataPacket:
    """Return the packet of `publish_metrics`."""
    texts = _Texts()
    series = [
        proto.TimeSeriesMetric(
            label=texts.label(each.label),
            participant_identity=texts.number(each.participant_identity),
            track_sid=texts.number(each.track_sid),
            rid=texts.number(each.rid),
            samples=[proto.MetricSample(timestamp_ms=s.timestamp_ms, value=s.value) for s in each.samples],
        )
        for each in batch.time_series
    ]
    events = [
        proto.EventMetric(
            label=texts.label(each.label),
            participant_identity=texts.number(each.participant_identity),
            track_sid=texts.number(each.track_sid),
            rid=texts.number(each.rid),
            start_timestamp_ms=each.start_timestamp_ms,
            end_timestamp_ms=each.end_timestamp_ms,
            metadata=each.metadata,
        )
        for each in batch.events
    ]
    return models.DataPacket(
        metrics=proto.MetricsBatch(
            timestamp_ms=batch.timestamp_ms, str_data=list(texts.found), time_series=series, events=events
        )
    )


def batch_of(batch: proto.MetricsBatch) -> MetricsBatch:
    """Return a received batch as an object; a number that stands for nothing is an empty string, or `metric 7`."""
    texts = batch.str_data

    def text(number: int) -> str:
        return texts[number - _PREDEFINED] if 0 <= number - _PREDEFINED < len(texts) else ""

    def label(number: int) -> str:
        known = proto.MetricLabel.DESCRIPTOR.values_by_number.get(number)
        return (known.name if known is not None and number < _PREDEFINED else text(number)) or f"metric {number}"

    def samples(given: Sequence[proto.MetricSample]) -> list[MetricSample]:
        return [MetricSample(each.timestamp_ms, each.value) for each in given]

    return MetricsBatch(
        batch.timestamp_ms,
        [
            TimeSeriesMetric(
                label(each.label),
                samples(each.samples),
                text(each.participant_identity),
                text(each.track_sid),
                text(each.rid),
            )
            for each in batch.time_series
        ],
        [
            EventMetric(
                label(each.label),
                each.start_timestamp_ms,
                each.end_timestamp_ms if each.HasField("end_timestamp_ms") else None,
                each.metadata,
                text(each.participant_identity),
                text(each.track_sid),
                text(each.rid),
            )
            for each in batch.events
        ],
    )
