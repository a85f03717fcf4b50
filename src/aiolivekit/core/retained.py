"""Reliable packets we sent, kept until they have certainly arrived, to be sent again after a resume.

The server's word is `ReconnectResponse.last_message_seq`: the last number it has from us. Between two resumes only
libwebrtc's buffered amount says what has left this machine, and what has left may still be on its way. So besides
what is buffered the newest packets up to `reserve` bytes are kept.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["RetainedPackets"]

_MARKS = 1024
_MARK_INTERVAL = 0.05
"""Seconds between two notes of what has left: together the notes go back for longer than a dead path is waited for."""
_NOTHING: Final[deque[tuple[int, bytes, int, bool]]] = deque(maxlen=0)
"""For all who have sent nothing yet: two queues for each would be 1.5 kB."""


class RetainedPackets:
    """The packets that may have to be sent again.

    Args:
        reserve: Bytes kept beyond what is buffered: more than is ever on its way at once.
    """

    __slots__ = ("_handed_over", "_left", "_packets", "_reserve", "_size")

    def __init__(self, reserve: int = 1024 * 1024) -> None:
        self._reserve = reserve
        self._packets = _NOTHING
        self._size = 0
        self._handed_over = 0
        self._left: deque[tuple[float, int]] | None = None
        """When how many of the bytes handed over had left this machine."""

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._size

    def keep(self, sequence: int, data: bytes, buffered: int, now: float, *, uncounted: bool = False) -> None:
        """Keep a packet that was handed over, and forget what must have arrived.

        Args:
            sequence: Its number.
            data: As it was sent.
            buffered: Bytes libwebrtc holds, this packet's included.
            now: When.
            uncounted: Whether `count_since` leaves it out.
        """
        packets = self._packets
        if packets is _NOTHING:
            packets = self._packets = deque()
        self._handed_over += len(data)
        packets.append((sequence, data, self._handed_over, uncounted))
        self._size += len(data)
        self.note_buffered(buffered, now)
        limit = buffered + self._reserve
        # The newest always stays: it may be larger than the limit.
        while self._size > limit and len(packets) > 1:
            self._size -= len(packets.popleft()[1])

    def note_buffered(self, buffered: int, now: float) -> None:
        """Take note of how many bytes libwebrtc holds; the rest has left. Call it now and then while it holds any."""
        left, marks = self._handed_over - buffered, self._left
        if marks is None:
            marks = self._left = deque(maxlen=_MARKS)
        if not marks or (left > marks[-1][1] and now >= marks[-1][0] + _MARK_INTERVAL):
            marks.append((now, left))

    def after(self, last: int) -> list[bytes]:
        """Forget the packets up to number `last`; return the rest in order."""
        packets = self._packets
        while packets and packets[0][0] <= last:
            self._size -= len(packets.popleft()[1])
        return [data for _, data, *_ in packets]

    def count_since(self, moment: float) -> int:
        """Return how many of the packets kept left this machine at `moment` or later, or not at all."""
        before = max((left for when, left in self._left or () if when < moment), default=0)
        return sum(1 for _, _, position, uncounted in self._packets if position > before and not uncounted)

    def clear(self) -> None:
        """Forget everything."""
        self._packets.clear()
        self._size = 0
