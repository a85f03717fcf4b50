"""Frames of a data track put together from packets that arrive late, twice, in any order, or not at all."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from .data_track_packet import MAX_FRAME_PACKETS, DataTrackPacket

__all__ = ["FrameAssembler"]

_REMEMBERED = 64
"""Frames that ended, whether whole or not, kept to recognise packets that come after their end."""


@dataclass(slots=True)
class _Partial:
    """A frame of which not all packets have come."""

    first: DataTrackPacket | None = None
    last: int | None = None
    payloads: dict[int, bytes] = field(default_factory=dict)


class FrameAssembler:
    """The frames of one subscription to one track.

    The channel keeps no order, so a packet of a frame may come before the frame's first one, or after its last one.
    It keeps at most `max_partial_frames` frames of at most `MAX_FRAME_PACKETS` packets each: a newer frame takes the
    place of the oldest. What was dropped is counted in `dropped` by cause.

    Args:
        max_partial_frames: How many unfinished frames are kept; one at least.
    """

    __slots__ = ("_ended", "_limit", "_partials", "_remembered", "dropped")

    def __init__(self, max_partial_frames: int = 1) -> None:
        self._limit = max(1, max_partial_frames)
        self._partials: dict[int, _Partial] = {}
        self._ended: deque[tuple[int, int]] = deque()
        # Which packet began, or is known of, each remembered frame: numbers come again after 65,536 frames, and at
        # once when a publisher starts over.
        self._remembered: dict[int, int] = {}
        self.dropped: Counter[str] = Counter()

    @property
    def max_partial_frames(self) -> int:
        """How many unfinished frames are kept."""
        return self._limit

    @max_partial_frames.setter
    def max_partial_frames(self, value: int) -> None:
        self._limit = max(1, value)

    @property
    def partial_frames(self) -> int:
        """How many unfinished frames there are."""
        return len(self._partials)

    def push(self, packet: DataTrackPacket) -> tuple[DataTrackPacket, bytes] | None:
        """Take a packet.

        Returns:
            The first packet and the payload of the frame that is whole now, if one is.
        """
        if packet.start and packet.final:
            return self._single(packet)
        number = packet.frame
        if self._is_late(packet):
            self.dropped["late"] += 1
            return None
        partial = self._partials.get(number)
        if partial is None or (
            packet.start and partial.first is not None and packet.sequence != partial.first.sequence
        ):
            # Two beginnings under one number: the publisher has started over.
            partial = self._begin(number)
        if packet.sequence in partial.payloads:
            self.dropped["duplicate"] += 1
            return None
        if len(partial.payloads) >= MAX_FRAME_PACKETS:
            self._end(number, "too large")
            return None
        partial.payloads[packet.sequence] = packet.payload
        if packet.start:
            partial.first = packet
        if packet.final:
            partial.last = packet.sequence
        return self._finish(number, partial)

    def _single(self, packet: DataTrackPacket) -> tuple[DataTrackPacket, bytes] | None:
        if self._is_late(packet):
            self.dropped["duplicate"] += 1
            return None
        if len(self._partials) >= self._limit:
            # As with the reference: whoever wants frames to wait for one another raises the limit.
            self._end(next(iter(self._partials)), "interrupted")
        self._remember(packet.frame, packet.sequence)
        return packet, packet.payload

    def _is_late(self, packet: DataTrackPacket) -> bool:
        """Whether a packet belongs to a frame that has ended; those of a frame are close together."""
        sequence = self._remembered.get(packet.frame)
        if sequence is None:
            return False
        distance = (packet.sequence - sequence) & 0xFFFF
        return distance < MAX_FRAME_PACKETS or distance > 0xFFFF - MAX_FRAME_PACKETS

    def _begin(self, number: int) -> _Partial:
        if self._partials.pop(number, None) is not None:
            self.dropped["interrupted"] += 1
        while len(self._partials) >= self._limit:
            self._end(next(iter(self._partials)), "interrupted")
        partial = self._partials[number] = _Partial()
        return partial

    def _finish(self, number: int, partial: _Partial) -> tuple[DataTrackPacket, bytes] | None:
        first, last = partial.first, partial.last
        if first is None or last is None:
            return None
        count = ((last - first.sequence) & 0xFFFF) + 1
        if count > MAX_FRAME_PACKETS:
            self._end(number, "too large")
            return None
        payloads = partial.payloads
        if len(payloads) < count:
            return None
        begin = first.sequence
        parts = [payloads.get((begin + index) & 0xFFFF) for index in range(count)]
        if None in parts:
            # As many as it takes, but not those: packets of two frames under one number.
            self._end(number, "inconsistent")
            return None
        self._end(number, None)
        return first, b"".join(parts)  # type: ignore[arg-type]

    def _end(self, number: int, cause: str | None) -> None:
        partial = self._partials.pop(number)
        if cause is not None:
            self.dropped[cause] += 1
        self._remember(number, next(iter(partial.payloads)) if partial.first is None else partial.first.sequence)

    def _remember(self, number: int, sequence: int) -> None:
        self._remembered[number] = sequence
        self._ended.append((number, sequence))
        if len(self._ended) > _REMEMBERED:
            old, known = self._ended.popleft()
            if self._remembered.get(old) == known:
                del self._remembered[old]
