"""The gist of a connection's stats, in a line for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..stats import CandidatePairStats, InboundRtp, OutboundRtp, QualityLimitationReason, RtcStats

__all__ = ["summary"]


def summary(now: Sequence[RtcStats], before: Sequence[RtcStats] = ()) -> str:
    """Return the gist: round trip, what is sent and received, losses.

    Args:
        now: All records of a connection.
        before: Those of an earlier moment: then rates are told, else what there was in all.
    """
    earlier = {_id(record): record for record in before}
    parts = [_path(now), _sent(now, earlier), _received(now, earlier), _messages(now)]
    return "; ".join(part for part in parts if part) or "no connection"


def _id(record: RtcStats) -> str:
    return str(getattr(record, str(record.WhichOneof())).rtc.id)


def _path(now: Iterable[RtcStats]) -> str:
    selected = {each.transport.transport.selected_candidate_pair_id for each in now if each.HasField("transport")}
    pairs: list[CandidatePairStats] = [
        each.candidate_pair.candidate_pair
        for each in now
        if each.HasField("candidate_pair") and each.candidate_pair.rtc.id in selected
    ]
    if not pairs:
        return ""
    return f"round trip {max(pair.current_round_trip_time for pair in pairs) * 1000:.0f} ms"


def _sent(now: Sequence[RtcStats], earlier: dict[str, RtcStats]) -> str:
    parts = []
    for kind in ("audio", "video"):
        streams = [each for each in now if each.HasField("outbound_rtp") and each.outbound_rtp.stream.kind == kind]
        if streams:
            sent = [each.outbound_rtp for each in streams]
            words = [kind, _volume([(each, _bytes(each)) for each in streams], earlier)]
            if kind == "video":
                words += _picture_sent(sent)
            parts.append(" ".join(words))
    return f"sent: {', '.join(parts)}" if parts else ""


def _received(now: Sequence[RtcStats], earlier: dict[str, RtcStats]) -> str:
    parts = []
    lost = total = 0
    for kind in ("audio", "video"):
        streams = [each for each in now if each.HasField("inbound_rtp") and each.inbound_rtp.stream.kind == kind]
        if not streams:
            continue
        received = [each.inbound_rtp for each in streams]
        lost += sum(max(0, each.received.packets_lost) for each in received)
        total += sum(each.received.packets_received for each in received)
        words = [kind, _volume([(each, _bytes(each)) for each in streams], earlier)]
        words += _heard(received) if kind == "audio" else _seen(received)
        parts.append(" ".join(words))
    if not parts:
        return ""
    share = 100 * lost / (lost + total) if lost + total else 0.0
    return f"received: {', '.join(parts)}, {share:.1f}% lost"


def _messages(now: Iterable[RtcStats]) -> str:
    channels = [each.data_channel.dc for each in now if each.HasField("data_channel")]
    sent, received = (sum(getattr(each, name) for each in channels) for name in ("messages_sent", "messages_received"))
    return f"messages: {sent} sent, {received} received" if sent or received else ""


def _bytes(record: RtcStats) -> int:
    if record.HasField("outbound_rtp"):
        return record.outbound_rtp.sent.bytes_sent
    return record.inbound_rtp.inbound.bytes_received


def _volume(streams: Sequence[tuple[RtcStats, int]], earlier: dict[str, RtcStats]) -> str:
    """Return bits per second since an earlier moment, or the bytes in all."""
    if not earlier:
        return _metric(sum(volume for _, volume in streams), "B")
    rate = 0.0
    for record, volume in streams:
        old = earlier.get(_id(record))
        then = 0.0 if old is None else _time(old)
        seconds = _time(record) - then
        if old is not None and seconds > 0:
            # A session that was replaced counts anew.
            rate += max(0, volume - _bytes(old)) * 8 / seconds
    return _metric(rate, "bit/s")


def _time(record: RtcStats) -> float:
    return float(getattr(record, str(record.WhichOneof())).rtc.timestamp) / 1000


def _metric(value: float, unit: str) -> str:
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.1f} {prefix}{unit}"
    return f"{value:.0f} {unit}"


def _picture_sent(sent: Iterable[OutboundRtp]) -> list[str]:
    active = [each.outbound for each in sent if each.outbound.active and each.outbound.frame_width]
    if not active:
        return []
    largest = max(active, key=lambda each: each.frame_width * each.frame_height)
    words = [f"{largest.frame_width}x{largest.frame_height}@{largest.frames_per_second:.0f}"]
    limits = {each.quality_limitation_reason for each in active} - {QualityLimitationReason.LIMITATION_NONE}
    if limits:
        words.append(
            f"(limited by {', '.join(sorted(each.name.removeprefix('LIMITATION_').lower() for each in limits))})"
        )
    return words


def _seen(received: Iterable[InboundRtp]) -> list[str]:
    pictures = [each.inbound for each in received if each.inbound.frame_width]
    if not pictures:
        return []
    largest = max(pictures, key=lambda each: each.frame_width * each.frame_height)
    words = [f"{largest.frame_width}x{largest.frame_height}@{largest.frames_per_second:.0f}"]
    freezes = sum(each.freeze_count for each in pictures)
    if freezes:
        words.append(f"({freezes} {'freeze' if freezes == 1 else 'freezes'})")
    return words


def _heard(received: Iterable[InboundRtp]) -> list[str]:
    streams = [each.inbound for each in received]
    samples = sum(each.total_samples_received for each in streams)
    concealed = sum(each.concealed_samples for each in streams)
    return [f"({100 * concealed / samples:.1f}% concealed)"] if samples and concealed else []
