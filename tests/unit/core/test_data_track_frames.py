"""Frames put together from packets that are lost, doubled and out of order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aiolivekit.core.data_track_frames import FrameAssembler
from aiolivekit.core.data_track_packet import MAX_FRAME_PACKETS, MTU, DataTrackPacket, Packetizer

ROOM = MTU - 12


def frame(packetizer: Packetizer, count: int, mark: int = 0, **fields: int) -> tuple[bytes, list[DataTrackPacket]]:
    """A frame of so many packets, and its packets."""
    payload = bytes((mark + index) % 256 for index in range(count)) * 3 + bytes(
        max(0, (count - 1) * ROOM + 1 - 3 * count)
    )
    return payload, [DataTrackPacket.parse(each) for each in packetizer.packets(payload, 0, **fields)]


def deliver(assembler: FrameAssembler, packets: list[DataTrackPacket]) -> list[bytes]:
    found = [assembler.push(packet) for packet in packets]
    return [whole[1] for whole in found if whole is not None]


def test_in_order() -> None:
    assembler, packetizer = FrameAssembler(), Packetizer(1)
    for count in (1, 2, 3, 128, 1, 5):
        payload, packets = frame(packetizer, count)
        assert len(packets) == count
        assert deliver(assembler, packets) == [payload]
    assert not assembler.dropped
    assert not assembler.partial_frames


@given(st.integers(2, 12), st.integers(0, 0xFFFF), st.randoms(use_true_random=False))
def test_the_packets_of_a_frame_in_any_order_and_some_twice(count: int, sequence: int, random) -> None:  # type: ignore[no-untyped-def]
    assembler = FrameAssembler()
    payload, packets = frame(Packetizer(1, sequence), count)
    mixed = packets + random.sample(packets, random.randint(0, count))
    random.shuffle(mixed)
    assert deliver(assembler, mixed) == [payload]
    assert not assembler.partial_frames


def test_the_first_packet_tells_the_timestamp() -> None:
    _, packets = frame(Packetizer(1), 3, user_timestamp=77)
    assembler = FrameAssembler()
    assert assembler.push(packets[2]) is assembler.push(packets[1]) is None
    whole = assembler.push(packets[0])
    assert whole is not None
    assert whole[0].user_timestamp == 77


def test_a_frame_with_a_gap_makes_way_for_the_next() -> None:
    assembler, packetizer = FrameAssembler(), Packetizer(1)
    _, lost = frame(packetizer, 3)
    payload, packets = frame(packetizer, 3, 9)
    assert deliver(assembler, [lost[0], lost[2], *packets]) == [payload]
    assert assembler.dropped == {"interrupted": 1}
    # What was missing comes after all: too late.
    assert deliver(assembler, [lost[1]]) == []
    assert assembler.dropped == {"interrupted": 1, "late": 1}
    assert not assembler.partial_frames


def test_a_single_packet_makes_way_too() -> None:
    assembler, packetizer = FrameAssembler(), Packetizer(1)
    _, lost = frame(packetizer, 2)
    payload, packets = frame(packetizer, 1, 5)
    assert deliver(assembler, [lost[0], *packets, lost[1]]) == [payload]
    assert assembler.dropped == {"interrupted": 1, "late": 1}


def test_frames_that_overtake_each_other_need_room() -> None:
    packetizer = Packetizer(1)
    frames = [frame(packetizer, 2, mark) for mark in range(3)]
    mixed = [packets[0] for _, packets in frames] + [packets[1] for _, packets in frames]
    assembler = FrameAssembler(3)
    assert deliver(assembler, mixed) == [payload for payload, _ in frames]
    assert deliver(FrameAssembler(1), mixed) == [frames[2][0]]
    assembler.max_partial_frames = 0
    assert assembler.max_partial_frames == 1


def test_one_packet_more_than_a_frame_has() -> None:
    assembler = FrameAssembler()
    packets = [
        DataTrackPacket(index == 0, index == MAX_FRAME_PACKETS, 1, index, 0, 0, b"x")
        for index in range(MAX_FRAME_PACKETS + 1)
    ]
    assert deliver(assembler, packets) == []
    assert assembler.dropped == {"too large": 1}
    # The same from its ends.
    other = FrameAssembler()
    assert deliver(other, [packets[0], packets[-1]]) == []
    assert other.dropped == {"too large": 1}


def test_packets_of_another_frame_under_the_same_number() -> None:
    assembler = FrameAssembler()
    packets = [
        DataTrackPacket(True, False, 1, 10, 0, 0, b"a"),
        DataTrackPacket(False, False, 1, 500, 0, 0, b"?"),
        DataTrackPacket(False, True, 1, 12, 0, 0, b"c"),
    ]
    assert deliver(assembler, packets) == []
    assert assembler.dropped == {"inconsistent": 1}


def test_a_publisher_that_starts_over_far_away_is_heard() -> None:
    assembler = FrameAssembler()
    one, first = frame(Packetizer(1, sequence=100), 2)
    two, second = frame(Packetizer(1, sequence=30_000), 2, 7)
    assert deliver(assembler, [*first, *second]) == [one, two]


def test_single_packets_are_told_once() -> None:
    assembler, packetizer = FrameAssembler(), Packetizer(1)
    payloads, packets = zip(*(frame(packetizer, 1, mark) for mark in range(70_000 % 300)), strict=True)
    everything = [packet for (packet,) in packets for _ in range(2)]
    assert deliver(assembler, everything) == list(payloads)
    assert assembler.dropped == {"duplicate": len(payloads)}


ANY = st.builds(
    DataTrackPacket,
    st.booleans(),
    st.booleans(),
    st.just(1),
    st.integers(0, 300) | st.integers(0, 0xFFFF),
    st.integers(0, 5),
    st.just(0),
    st.binary(max_size=3),
)


@settings(max_examples=200)
@given(st.lists(ANY, max_size=400), st.integers(-1, 4))
def test_whatever_comes_what_is_kept_is_bounded(packets: list[DataTrackPacket], limit: int) -> None:
    assembler = FrameAssembler(limit)
    for packet in packets:
        assembler.push(packet)
        assert assembler.partial_frames <= max(1, limit)
        assert all(len(partial.payloads) <= MAX_FRAME_PACKETS for partial in assembler._partials.values())
        assert len(assembler._remembered) <= 64


@settings(max_examples=60)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=40), st.floats(0, 0.3), st.randoms(use_true_random=False))
def test_over_a_bad_network_frames_are_whole_and_none_comes_twice(counts, loss, random) -> None:  # type: ignore[no-untyped-def]
    packetizer = Packetizer(1, random.randrange(0x10000), random.randrange(0x10000))
    sent = [frame(packetizer, count, mark) for mark, count in enumerate(counts)]
    order = [
        (position + random.uniform(0, 3), packet)
        for position, packet in enumerate(packet for _, packets in sent for packet in packets)
        for _ in range(1 + (random.random() < 0.1))
        if random.random() >= loss
    ]
    order.sort(key=lambda each: each[0])
    received = deliver(FrameAssembler(4), [packet for _, packet in order])
    payloads = [payload for payload, _ in sent]
    assert len(received) <= len(payloads)
    remaining = list(payloads)
    for payload in received:
        remaining.remove(payload)
