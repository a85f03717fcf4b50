"""Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).

Without it a libwebrtc sender does not know what the path carries and stays at its start bitrate.
"""

from __future__ import annotations

from struct import pack

__all__ = ["TwccRecorder"]

MAX_PENDING = 1000
"""Arrivals kept for the next feedback; a flood on top of that is not reported."""

_TICK = 250e-6
_REFERENCE_TICK = 64e-3


class TwccRecorder:
    """Records arrivals and makes feedback of them."""

    def __init__(self) -> None:
        self._arrivals: dict[int, float] = {}
        self._highest = -1
        self._next = -1
        self._count = 0

    def record(self, sequence: int, arrival: float) -> None:
        """Take note of a packet: its 16-bit transport sequence number and arrival in seconds."""
        if self._highest < 0:
            extended = sequence + 0x10000
        else:
            extended = self._highest + (((sequence - self._highest) + 0x8000) & 0xFFFF) - 0x8000
        if extended > self._highest:
            self._highest = extended
        if len(self._arrivals) < MAX_PENDING:
            self._arrivals.setdefault(extended, arrival)

    def feedback(self, sender: int, media: int) -> bytes | None:
        """Return a feedback packet for what arrived since the last one; `None` when nothing did."""
        if not self._arrivals:
            return None
        arrivals, self._arrivals = self._arrivals, {}
        first = min(arrivals)
        # Packets missing since the last feedback are reported missing, unless a jump makes that absurd.
        if 0 <= self._next < first <= self._next + MAX_PENDING:
            first = self._next
        last = max(arrivals)
        if last - first > 2 * MAX_PENDING:
            first = last - 2 * MAX_PENDING
        self._next = last + 1
        reference = int(min(arrivals.values()) / _REFERENCE_TICK)
        previous = reference * _REFERENCE_TICK
        symbols: list[int] = []
        deltas = b""
        for number in range(first, last + 1):
            arrival = arrivals.get(number)
            if arrival is None:
                symbols.append(0)
                continue
            ticks = round((arrival - previous) / _TICK)
            if 0 <= ticks <= 255:
                symbols.append(1)
                deltas += bytes((ticks,))
            else:
                ticks = max(-0x8000, min(0x7FFF, ticks))
                symbols.append(2)
                deltas += pack("!h", ticks)
            previous += ticks * _TICK
        body = pack(
            "!IIHHI",
            sender,
            media,
            first & 0xFFFF,
            len(symbols),
            (reference & 0xFFFFFF) << 8 | self._count & 0xFF,
        )
        self._count += 1
        body += _chunks(symbols) + deltas
        padding = -len(body) % 4
        flag = 0
        if padding:
            flag = 0x20
            body += b"\x00" * (padding - 1) + bytes((padding,))
        return pack("!BBH", 0x8F | flag, 205, len(body) // 4) + body


def _chunks(symbols: list[int]) -> bytes:
    chunks = b""
    position = 0
    while position < len(symbols):
        symbol = symbols[position]
        run = 1
        while position + run < len(symbols) and run < 0x1FFF and symbols[position + run] == symbol:
            run += 1
        if run >= 7:
            chunks += pack("!H", symbol << 13 | run)
            position += run
            continue
        word = 0xC000
        for offset, value in enumerate(symbols[position : position + 7]):
            word |= value << (12 - 2 * offset)
        chunks += pack("!H", word)
        position += 7
    return chunks
