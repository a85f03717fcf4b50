"""One direction out: a channel of ours, what waits for it, and what was handed to it last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from livekit.protocol import models

from ..core.absences import SentLedger
from ..core.outbox import Outbox
from ..core.reliable import SendSequence
from ..core.retained import RetainedPackets
from ..e2ee.packet_cryptor import PacketCryptor
from ..errors import DataTimeoutError, OutboxFullError, PacketTooLargeError
from ..peer.channel import DataChannel
from .packets import is_durable

__all__ = ["MAX_PACKET_SIZE", "Lane", "Waiting"]


MAX_PACKET_SIZE = 64_000
"""Bytes a packet may have, or fewer if the server says so. Servers take 65,535, but put the sender's identity into it
once more, and what is larger than that on its way to the receivers is lost without a word."""

_LOOK_INTERVAL = 0.1
"""Seconds between two looks at what libwebrtc still holds, while it holds any."""
_monotonic = time.monotonic


@dataclass(slots=True, eq=False)
class Waiting:
    """A packet that waits for its channel."""

    packet: models.DataPacket
    handed_over: asyncio.Future[None]
    bulk: bool = False
    since: float = field(default_factory=_monotonic)


class Lane:
    """A channel of ours with the packets on their way to it.

    Args:
        channel: The channel.
        high: Bytes in libwebrtc above which packets wait.
        sequence: Numbers the packets; `None` on a lossy channel.
        on_status: Told when the buffered amount crosses the low threshold, and whether it is low now.
        ledger: Where it is written down what was sent to whom.
        cryptor: Encrypts packets when their turn comes, so that they are by the newest key.
    """

    __slots__ = (
        "_armed",
        "_bulk_at",
        "_cryptor",
        "_look",
        "_on_status",
        "_threshold",
        "channel",
        "failed",
        "is_low",
        "ledger",
        "max_size",
        "outbox",
        "retained",
        "sequence",
        "usable",
    )

    def __init__(
        self,
        channel: DataChannel,
        high: int,
        sequence: SendSequence | None,
        on_status: Callable[[bool], None],
        ledger: SentLedger | None = None,
        cryptor: PacketCryptor | None = None,
    ) -> None:
        self.channel = channel
        self.ledger = ledger
        self.is_low = True
        self._threshold = self._armed = channel.low_threshold
        self._on_status = on_status
        self._cryptor = cryptor
        self._bulk_at = 0.0
        self.outbox: Outbox[Waiting] = Outbox(high)
        self.sequence = sequence
        self.retained = RetainedPackets()
        self.max_size = MAX_PACKET_SIZE
        self.usable = False
        self.failed: Exception | None = None
        self._look: asyncio.TimerHandle | None = None

    @property
    def threshold(self) -> int:
        """The low threshold in bytes: at or below it the buffer is low, and packets that wait go on."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: int) -> None:
        self._threshold = value
        self._tell_status(self.channel.buffered_amount)
        self._arm()

    def _tell_status(self, buffered: int) -> None:
        if self.is_low is not (is_low := buffered <= self._threshold):
            self.is_low = is_low
            self._on_status(is_low)

    def _arm(self) -> None:
        """Have the channel say when the buffer has fallen to the mark that comes next."""
        outbox, mark = self.outbox, self._threshold
        if outbox.bulk_waits:
            mark = outbox.bulk_low if self.is_low and not outbox.plain_waits else max(outbox.bulk_low, mark)
        if mark != self._armed:
            self.channel.low_threshold = self._armed = mark

    def on_low(self) -> None:
        """The buffer has fallen to the mark: go on with what waits."""
        buffered = self.channel.buffered_amount
        self._tell_status(buffered)
        if self.outbox.bulk_waits and buffered <= self.outbox.bulk_low:
            self.outbox.emptied(_monotonic() - self._bulk_at)
        if self.usable:
            self.drain()
        else:
            self._arm()

    def inherit(self, old: Lane) -> int:
        """Take the place of another lane, with what waits there, ahead of our own, and its threshold.

        Returns:
            How many packets wait now.
        """
        entries = [*old.outbox.clear(), *self.outbox.clear()]
        for entry in entries:
            self.outbox.wait(entry, bulk=entry.bulk)
        self.outbox.high = old.outbox.high
        self.is_low = old.is_low
        self.threshold = old.threshold
        return len(entries)

    def hand_over(self, packet: models.DataPacket, buffered: int, *, bulk: bool = False) -> None:
        """Give a packet to libwebrtc, which holds `buffered` bytes.

        Raises:
            PacketTooLargeError: If it is larger than the server takes.
            MissingKeyError: If it is to be encrypted, and there is no key.
        """
        # Asked before it is sealed: what is encrypted does not show it.
        durable = is_durable(packet)
        if self._cryptor is not None:
            packet = self._cryptor.seal(packet)
        sequence = self.sequence
        if sequence is not None:
            packet.sequence = sequence.last + 1
        data = packet.SerializeToString()
        if len(data) > self.max_size:
            # Before the number counts as given: a gap would make the server wait for nothing.
            raise PacketTooLargeError(len(data), self.max_size)
        self.channel.send(data)
        now = _monotonic()
        if sequence is not None:
            self.retained.keep(sequence.next(), data, buffered + len(data), now, uncounted=durable)
            if self.ledger is not None and not durable:
                # Durable messages are answered for one by one, by those who sent and who receive them.
                self.ledger.note(packet.destination_identities, now, buffered)
            if self._look is None:
                self._look = asyncio.get_running_loop().call_later(_LOOK_INTERVAL, self._look_at_buffer)
        if bulk:
            self._bulk_at = now
        else:
            self.outbox.passed(len(data))
        if self.is_low and buffered + len(data) > self._threshold:
            self.is_low = False
            self._arm()
            # Last, since whoever is told may send something.
            self._on_status(False)

    def _look_at_buffer(self) -> None:
        """Take note of what has left, until all has; libwebrtc says so only at the low threshold."""
        self._look = None
        # One that was closed under it holds nothing, whether it has left or not.
        if self.channel.state in ("open", "closing") and self.failed is None:
            buffered = self.channel.buffered_amount
            self.retained.note_buffered(buffered, _monotonic())
            if buffered:
                self._look = asyncio.get_running_loop().call_later(_LOOK_INTERVAL, self._look_at_buffer)

    def wait(self, packet: models.DataPacket, limit: int, *, bulk: bool = False) -> Waiting:
        """Put a packet at the end of those that wait.

        Args:
            packet: The packet.
            bulk: Whether it yields to those that are not.
            limit: How many may wait while the channel cannot be used.

        Raises:
            OutboxFullError: If more wait.
        """
        if not self.usable and len(self.outbox) >= limit:
            raise OutboxFullError(f"{limit} data packets wait for the connection already")
        entry = Waiting(packet, asyncio.get_running_loop().create_future(), bulk)
        self.outbox.wait(entry, bulk=bulk)
        return entry

    def drain(self) -> None:
        """Hand over what waits and has room."""
        while (entry := self.outbox.next(buffered := self.channel.buffered_amount)) is not None:
            if entry.handed_over.done():
                continue
            try:
                self.hand_over(entry.packet, buffered, bulk=entry.bulk)
            except Exception as error:  # noqa: BLE001 - goes to the caller that waits
                entry.handed_over.set_exception(error)
            else:
                entry.handed_over.set_result(None)
        self._arm()

    @property
    def oldest(self) -> float | None:
        """Since when the packet has waited that has waited longest (`time.monotonic`)."""
        return min((first.since for bulk in (False, True) if (first := self.outbox.first(bulk=bulk))), default=None)

    def expire(self, deadline: float) -> float | None:
        """Fail what has waited longer than `deadline` seconds; return when to look again (`time.monotonic`)."""
        now = _monotonic()
        for bulk in (False, True):
            while (entry := self.outbox.first(bulk=bulk)) is not None and entry.since + deadline <= now:
                self.outbox.drop_first(bulk=bulk)
                if not entry.handed_over.done():
                    words = f"the connection did not come back within {deadline:g} s; the packet was not sent"
                    entry.handed_over.set_exception(DataTimeoutError(words))
        return None if self.oldest is None else self.oldest + deadline

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
