"""One direction out: a channel of ours, what waits for it, and what was handed to it last."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from livekit.protocol import models

from ..core.outbox import Outbox
from ..core.reliable import SendSequence
from ..core.retained import RetainedPackets
from ..errors import DataTimeoutError, OutboxFullError, PacketTooLargeError
from ..peer.channel import DataChannel

__all__ = ["DEFAULT_MAX_MESSAGE_SIZE", "Lane", "Waiting"]

DEFAULT_MAX_MESSAGE_SIZE = 65_536
"""Bytes a message may have when the server does not say (RFC 8841, section 6)."""

_LOOK_INTERVAL = 0.1
"""Seconds between two looks at what libwebrtc still holds, while it holds any."""
_monotonic = time.monotonic


@dataclass(slots=True, eq=False)
class Waiting:
    """A packet that waits for its channel."""

    packet: models.DataPacket
    handed_over: asyncio.Future[None]
    since: float = field(default_factory=_monotonic)


class Lane:
    """A channel of ours with the packets on their way to it.

    Args:
        channel: The channel.
        high: Bytes in libwebrtc above which packets wait.
        sequence: Numbers the packets; `None` on a lossy channel.
    """

    __slots__ = ("_look", "channel", "failed", "max_size", "outbox", "retained", "sequence", "usable")

    def __init__(self, channel: DataChannel, high: int, sequence: SendSequence | None) -> None:
        self.channel = channel
        self.outbox: Outbox[Waiting] = Outbox(high)
        self.sequence = sequence
        self.retained = RetainedPackets()
        self.max_size = DEFAULT_MAX_MESSAGE_SIZE
        self.usable = False
        self.failed: Exception | None = None
        self._look: asyncio.TimerHandle | None = None

    def hand_over(self, packet: models.DataPacket, buffered: int) -> None:
        """Give a packet to libwebrtc, which holds `buffered` bytes.

        Raises:
            PacketTooLargeError: If it is larger than the server takes.
        """
        sequence = self.sequence
        if sequence is not None:
            packet.sequence = sequence.last + 1
        data = packet.SerializeToString()
        if len(data) > self.max_size:
            # Before the number counts as given: a gap would make the server wait for nothing.
            raise PacketTooLargeError(len(data), self.max_size)
        self.channel.send(data)
        if sequence is not None:
            self.retained.keep(sequence.next(), data, buffered + len(data), _monotonic())
            if self._look is None:
                self._look = asyncio.get_running_loop().call_later(_LOOK_INTERVAL, self._look_at_buffer)

    def _look_at_buffer(self) -> None:
        """Take note of what has left, until all has; libwebrtc says so only at the low threshold."""
        self._look = None
        # One that was closed under it holds nothing, whether it has left or not.
        if self.channel.state in ("open", "closing") and self.failed is None:
            buffered = self.channel.buffered_amount
            self.retained.note_buffered(buffered, _monotonic())
            if buffered:
                self._look = asyncio.get_running_loop().call_later(_LOOK_INTERVAL, self._look_at_buffer)

    def wait(self, packet: models.DataPacket, limit: int) -> Waiting:
        """Put a packet at the end of those that wait.

        Args:
            packet: The packet.
            limit: How many may wait while the channel cannot be used.

        Raises:
            OutboxFullError: If more wait.
        """
        if not self.usable and len(self.outbox) >= limit:
            raise OutboxFullError(f"{limit} data packets wait for the connection already")
        entry = Waiting(packet, asyncio.get_running_loop().create_future())
        self.outbox.wait(entry)
        return entry

    def drain(self) -> None:
        """Hand over what waits and has room."""
        while (entry := self.outbox.next(buffered := self.channel.buffered_amount)) is not None:
            if entry.handed_over.done():
                continue
            try:
                self.hand_over(entry.packet, buffered)
            except Exception as error:  # noqa: BLE001 - goes to the caller that waits
                entry.handed_over.set_exception(error)
            else:
                entry.handed_over.set_result(None)

    def expire(self, deadline: float) -> float | None:
        """Fail what has waited longer than `deadline` seconds; return when to look again (`time.monotonic`)."""
        now = _monotonic()
        while (entry := self.outbox.first()) is not None:
            if entry.since + deadline > now:
                return entry.since + deadline
            self.outbox.drop_first()
            if not entry.handed_over.done():
                words = f"the connection did not come back within {deadline:g} s; the packet was not sent"
                entry.handed_over.set_exception(DataTimeoutError(words))
        return None

    def drop_before(self, moment: float) -> tuple[int, float | None]:
        """Drop what has waited since before `moment`, as though it were sent and lost.

        Returns:
            How many were dropped, and since when the next one waits.
        """
        dropped = 0
        while (entry := self.outbox.first()) is not None:
            if entry.since > moment:
                return dropped, entry.since
            self.outbox.drop_first()
            if not entry.handed_over.done():
                entry.handed_over.set_result(None)
                dropped += 1
        return dropped, None

    def replay(self, last: int) -> tuple[int, int]:
        """Send again what came after number `last`; return how many were, and how many are not kept any more."""
        packets = self.retained.after(last)
        for data in packets:
            self.channel.send(data)
        newest = self.sequence.last if self.sequence is not None else 0
        return len(packets), max(0, newest - last - len(packets))

    def fail(self, error: Exception) -> None:
        """Take no packet any more; those that wait fail."""
        self.usable = False
        self.failed = error
        if self._look is not None:
            self._look.cancel()
            self._look = None
        for entry in self.outbox.clear():
            if not entry.handed_over.done():
                entry.handed_over.set_exception(error)
                # The waiter may have been cancelled in the same step; then nobody looks at the exception.
                entry.handed_over.exception()
