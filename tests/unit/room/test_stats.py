"""Stats as records, and in a line."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest

from aiolivekit import RtcStats, stats
from aiolivekit.room.stats import read_stats


def report(**changes: Any) -> list[dict[str, Any]]:
    """What libwebrtc tells of a participant that sends and receives audio and video."""
    values: dict[str, Any] = {"at": 1_000_000.0, "audio": 1_000, "video": 20_000, "lost": 1, "heard": 500, **changes}
    at = values["at"]
    return [
        {"type": "transport", "id": "T", "timestamp": at, "selectedCandidatePairId": "P", "dtlsState": "connected"},
        {"type": "candidate-pair", "id": "P", "timestamp": at, "currentRoundTripTime": 0.012, "state": "succeeded"},
        {"type": "candidate-pair", "id": "other", "timestamp": at, "currentRoundTripTime": 7, "state": "in-progress"},
        {"type": "outbound-rtp", "id": "OA", "timestamp": at, "kind": "audio", "ssrc": 5, "bytesSent": values["audio"]},
        {
            "type": "outbound-rtp",
            "id": "OV",
            "timestamp": at,
            "kind": "video",
            "active": True,
            "bytesSent": values["video"],
            "frameWidth": 1280,
            "frameHeight": 720,
            "framesPerSecond": 30,
            "qualityLimitationReason": "cpu",
            "qualityLimitationDurations": {"cpu": 1.5, "none": 3},
        },
        {
            "type": "inbound-rtp",
            "id": "IA",
            "timestamp": at,
            "kind": "audio",
            "bytesReceived": values["heard"],
            "packetsReceived": 199,
            "packetsLost": values["lost"],
            "totalSamplesReceived": 48_000,
            "concealedSamples": 480,
        },
        {
            "type": "inbound-rtp",
            "id": "IV",
            "timestamp": at,
            "kind": "video",
            "bytesReceived": 0,
            "frameWidth": 640,
            "frameHeight": 360,
            "framesPerSecond": 14.6,
            "freezeCount": 2,
            "totalFreezesDuration": 1.25,
        },
        {"type": "data-channel", "id": "D", "timestamp": at, "state": "open", "messagesSent": 3, "messagesReceived": 4},
        {"type": "of tomorrow", "id": "X", "timestamp": at},
    ]


def test_records() -> None:
    records = read_stats(report())
    kinds = [each.WhichOneof("stats") for each in records]
    assert kinds == [
        "transport",
        "candidate_pair",
        "candidate_pair",
        "outbound_rtp",
        "outbound_rtp",
        "inbound_rtp",
        "inbound_rtp",
        "data_channel",
    ]
    transport, pair, video, seen = (records[index] for index in (0, 1, 4, 6))
    assert transport.HasField("transport")
    assert not transport.HasField("codec")
    assert (transport.codec, transport.codec.codec.mime_type) == (stats.Codec(), "")
    assert transport.transport.transport.dtls_state is stats.DtlsTransportState.DTLS_TRANSPORT_CONNECTED
    assert pair.HasField("candidate_pair")
    assert pair.candidate_pair.rtc == stats.RtcStatsData(id="P", timestamp=1_000_000)
    assert pair.candidate_pair.candidate_pair.state is stats.IceCandidatePairState.PAIR_SUCCEEDED
    assert video.HasField("outbound_rtp")
    assert video.outbound_rtp.sent.bytes_sent == 20_000
    outbound = video.outbound_rtp.outbound
    assert outbound.quality_limitation_reason is stats.QualityLimitationReason.LIMITATION_CPU
    assert outbound.quality_limitation_durations == {"cpu": 1.5, "none": 3}
    assert (outbound.rid, outbound.pli_count, outbound.total_encode_time) == ("", 0, 0.0)
    assert seen.HasField("inbound_rtp")
    assert seen.inbound_rtp.inbound.total_freeze_duration == 1.25
    assert read_stats(report()) == records != read_stats(report(lost=2))


def test_what_is_no_member_is_refused() -> None:
    [record, *_] = read_stats(report())
    with pytest.raises(ValueError, match="no such member"):
        record.HasField("track")
    with pytest.raises(ValueError, match="no such group"):
        record.WhichOneof("codec")
    assert stats.RtcStats().WhichOneof() is None


def test_nonsense_is_read_as_the_first_word_there_is() -> None:
    [record] = read_stats([{"type": "data-channel", "state": "ajar"}])
    assert record.HasField("data_channel")
    assert record.data_channel.dc.state is stats.DataChannelState.DC_CONNECTING


def test_the_names_are_those_of_the_official_sdk(official: Any) -> None:
    theirs = official.stats.DESCRIPTOR if hasattr(official, "stats") else None
    if theirs is None:
        pytest.skip("the official SDK shows no stats messages")
    ours = {name for name, kind in vars(stats).items() if isinstance(kind, type) and kind.__module__ == stats.__name__}
    # `Stream` and `Track` are no part of the W3C's any more.
    gone = {"StreamStats"}
    assert set(theirs.message_types_by_name) - gone <= ours
    assert set(theirs.enum_types_by_name) <= ours
    for name, message in theirs.message_types_by_name.items():
        if name in gone:
            continue
        hints = get_type_hints(getattr(stats, name))
        assert {field.name for field in message.fields} - {"stream", "track"} <= {*hints} | {"stream"}, name
    for name, enum in theirs.enum_types_by_name.items():
        assert {each.name: each.number for each in enum.values} == {each.name: each for each in getattr(stats, name)}


def test_a_line_of_totals() -> None:
    assert str(RtcStats(read_stats(report()))) == (
        "round trip 12 ms; sent: audio 1.0 kB, video 20.0 kB 1280x720@30 (limited by cpu); "
        "received: audio 500 B (1.0% concealed), video 0 B 640x360@15 (2 freezes), 0.5% lost; "
        "messages: 3 sent, 4 received"
    )
    assert str(RtcStats()) == "no connection"


def test_a_line_of_rates() -> None:
    before, now = report(), report(at=1_002_000.0, audio=11_000, video=520_000, heard=400)
    # What was counted anew since has no rate.
    assert RtcStats(read_stats(now)).summary(since=RtcStats(read_stats(before))) == (
        "round trip 12 ms; sent: audio 40.0 kbit/s, video 2.0 Mbit/s 1280x720@30 (limited by cpu); "
        "received: audio 0 bit/s (1.0% concealed), video 0 bit/s 640x360@15 (2 freezes), 0.5% lost; "
        "messages: 3 sent, 4 received"
    )
