"""What is measured travels as a batch whose texts are there once, and comes back as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import metrics as proto

from aiolivekit.room.metrics import EventMetric, MetricSample, MetricsBatch, TimeSeriesMetric, batch_of, metrics_packet

TEXTS = st.sampled_from(["", "ada", "TR_1", "q", "PUBLISHER_RTT"])
LABELS = st.sampled_from(["AGENTS_LLM_TTFT", "SUBSCRIBER_RTT", "my own", "ada", "METRIC_LABEL_PREDEFINED_MAX_VALUE"])
TIMES = st.integers(-(2**63), 2**63 - 1)
SERIES = st.builds(
    TimeSeriesMetric,
    LABELS,
    st.lists(st.builds(MetricSample, TIMES, st.floats(width=32, allow_nan=False)), max_size=3),
    TEXTS,
    TEXTS,
    TEXTS,
)
EVENTS = st.builds(EventMetric, LABELS, TIMES, st.none() | TIMES, TEXTS, TEXTS, TEXTS, TEXTS)


@given(st.builds(MetricsBatch, TIMES, st.lists(SERIES, max_size=3), st.lists(EVENTS, max_size=3)))
def test_there_and_back(batch: MetricsBatch) -> None:
    sent = metrics_packet(batch).metrics
    assert len(set(sent.str_data)) == len(sent.str_data)
    assert "" not in sent.str_data
    assert batch_of(proto.MetricsBatch.FromString(sent.SerializeToString())) == batch


def test_known_labels_are_numbers_and_others_texts() -> None:
    series = [TimeSeriesMetric(label, [], "ada") for label in ("AGENTS_TTS_TTFB", "my own")]
    sent = metrics_packet(MetricsBatch(1, series)).metrics
    assert list(sent.str_data) == ["ada", "my own"] or list(sent.str_data) == ["my own", "ada"]
    assert sent.time_series[0].label == proto.MetricLabel.AGENTS_TTS_TTFB
    assert sent.str_data[sent.time_series[1].label - 4096] == "my own"
    assert {sent.str_data[each.participant_identity - 4096] for each in sent.time_series} == {"ada"}


def test_numbers_that_stand_for_nothing() -> None:
    strange = proto.MetricsBatch(
        str_data=["ada"],
        time_series=[proto.TimeSeriesMetric(label=4097, participant_identity=7, track_sid=2**32 - 1)],
        events=[proto.EventMetric(label=4095)],
    )
    found = batch_of(strange)
    assert found.time_series == [TimeSeriesMetric("metric 4097", [])]
    assert found.events == [EventMetric("metric 4095", 0)]
