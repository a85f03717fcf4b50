from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.data_track_packet import MTU, DataTrackPacket
from aiolivekit.core.data_track_queue import FrameQueue, OutgoingFrame


def frame(payload: bytes) -> OutgoingFrame:
    return OutgoingFrame(payload, 0)


def queue(*handles: int) -> FrameQueue:
    made = FrameQueue()
    for handle in handles:
        made.add(handle)
    return made


def take(from_queue: FrameQueue) -> DataTrackPacket | None:
    packet = from_queue.next()
    return None if packet is None else DataTrackPacket.parse(packet)


def payloads(from_queue: FrameQueue) -> list[tuple[int, bytes]]:
    found = []
    while (packet := take(from_queue)) is not None:
        found.append((packet.handle, packet.payload))
    return found


def test_the_newest_frame_of_a_track_waits() -> None:
    waiting = queue(1)
    assert not waiting.push(1, frame(b"old"))
    assert waiting.push(1, frame(b"new"))
    packet = take(waiting)
    assert packet is not None
    assert (packet.payload, packet.sequence, packet.frame) == (b"new", 0, 0)
    assert take(waiting) is None
    assert waiting.replaced == 1


def test_tracks_take_turns() -> None:
    waiting = queue(1, 2, 3)
    waiting.push(1, frame(b"a"))
    waiting.push(2, frame(b"b"))
    waiting.push(1, frame(b"c"))
    waiting.push(3, frame(b"d"))
    assert payloads(waiting) == [(1, b"c"), (2, b"b"), (3, b"d")]


def test_a_frame_that_has_begun_is_sent_to_its_end() -> None:
    waiting = queue(1, 2)
    waiting.push(1, frame(bytes(2 * MTU)))
    first = take(waiting)
    waiting.push(1, frame(b"next"))
    waiting.push(2, frame(b"other"))
    waiting.remove(1)
    second, third, other = take(waiting), take(waiting), take(waiting)
    assert first is not None
    assert second is not None
    assert third is not None
    assert other is not None
    assert [each.sequence for each in (first, second, third)] == [0, 1, 2]
    assert third.final
    assert other.payload == b"other"
    assert not waiting


def test_what_is_held_waits_with_its_newest_frame() -> None:
    waiting = queue(1, 2)
    waiting.push(1, frame(b"a"))
    waiting.hold(1)
    waiting.hold(1)
    waiting.push(1, frame(b"b"))
    waiting.push(2, frame(b"c"))
    assert payloads(waiting) == [(2, b"c")]
    assert not waiting
    waiting.release(1)
    waiting.release(1)
    assert payloads(waiting) == [(1, b"b")]


def test_the_rest_of_a_frame_is_dropped_with_its_channel() -> None:
    waiting = queue(1)
    waiting.push(1, frame(bytes(2 * MTU)))
    assert take(waiting) is not None
    waiting.interrupt()
    assert take(waiting) is None
    waiting.push(1, frame(b"next"))
    packet = take(waiting)
    assert packet is not None
    assert packet.start
    assert packet.final


@given(
    st.lists(
        st.tuples(st.sampled_from(["push", "next", "hold", "release", "remove", "interrupt"]), st.integers(1, 3)),
        max_size=60,
    )
)
def test_any_order_of_calls(steps: list[tuple[str, int]]) -> None:
    waiting = queue(1, 2, 3)
    there = {1, 2, 3}
    number = 0
    newest: dict[int, int] = {}
    for step, handle in steps:
        if step == "next":
            packet = take(waiting)
            if packet is not None and packet.final:
                # Nothing is sent twice, and nothing old after something new of its track.
                value = int.from_bytes(packet.payload[:4], "big") if packet.start else newest.get(packet.handle, 0)
                assert value >= newest.get(packet.handle, 0)
                newest[packet.handle] = value
        elif step == "interrupt":
            waiting.interrupt()
        elif handle not in there:
            continue
        elif step == "push":
            number += 1
            waiting.push(handle, frame(number.to_bytes(4, "big") * (1 if number % 3 else MTU // 2)))
        elif step == "hold":
            waiting.hold(handle)
        elif step == "release":
            waiting.release(handle)
        else:
            waiting.remove(handle)
            there.discard(handle)
    for handle in there:
        waiting.release(handle)
    waiting.interrupt()
    assert len(payloads(waiting)) <= 3 * 3
    assert not waiting
