"""Reliable packets we sent, kept until they have certainly arrived, to be sent again after a resume.

The server's word is `ReconnectResponse.last_message_seq`: the last number it has from us. Between two resumes only
libwebrtc's buffered amount says what has left this machine, and what has left may still be on its way. So besides
what is buffered the newest packets up to `reserve` bytes are kept.
"""

from __future__ import annotations

from collections import deque

__all__ = ["RetainedPackets"]


class RetainedPackets:
    """The packets that may have to be sent again.

    Args:
        reserve: Bytes kept beyond what is buffered: more than is ever on its way at once.
    """

    __slots__ = ("_packets", "_reserve", "_size")

    def __init__(self, reserve: int = 1024 * 1024) -> None:
        self._reserve = reserve
        self._packets: deque[tuple[int, bytes, float]] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._size

    def keep(self, sequence: int, data: bytes, buffered: int, now: float) -> None:
        """Keep a packet that was handed over, and forget what must have arrived.

        Args:
            sequence: Its number.
            data: As it was sent.
            buffered: Bytes libwebrtc holds, this packet's included.
            now: When.
        """
        packets = self._packets
        packets.append((sequence, data, now))
        self._size += len(data)
        limit = buffered + self._reserve
        # The newest always stays: it may be larger than the limit.
        while self._size > limit and len(packets) > 1:
            self._size -= len(packets.popleft()[1])

    def after(self, last: int) -> list[bytes]:
        """Forget the packets up to number `last`; return the rest in order."""
        packets = self._packets
        while packets and packets[0][0] <= last:
            self._size -= len(packets.popleft()[1])
        return [data for _, data, _ in packets]

    def count_since(self, moment: float) -> int:
        """Return how many of the packets kept were handed over at `moment` or later."""
        return sum(1 for _, _, handed_over in self._packets if handed_over >= moment)

    def clear(self) -> None:
        """Forget everything."""
        self._packets.clear()
        self._size = 0
