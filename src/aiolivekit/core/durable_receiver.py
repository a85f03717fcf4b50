"""What a receiver of durable messages does: deliver, hold, ask, acknowledge, give up (docs/durable.md)."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .durable_wire import Ack, Gone, MessageId, Probe, SendControl, Skip, Sync

__all__ = ["Deliver", "DurableReceiver", "Missed"]

T = TypeVar("T")

ACK_DELAY = 0.05
ACK_EVERY = 256
"""An acknowledgement goes out so many seconds after a delivery, or after so many of them."""
RETRY = 1.0
"""Seconds without progress after which the sender is asked again."""
GIVE_UP = 30.0
"""Seconds for which a gap is waited for, while we are connected."""
GIVE_UP_DEPARTED = 2.0
"""The same once the sender has left for good; what it sent last may still be on its way."""
MAX_STREAMS = 1024


@dataclass(frozen=True, slots=True)
class Deliver(Generic[T]):
    """An effect: hand this to the application."""

    item: T


@dataclass(frozen=True, slots=True)
class Missed:
    """An effect: tell the application that at least `count` messages of a sender are lost, here in the order."""

    identity: str
    count: int


Effect = Deliver[T] | Missed | SendControl


@dataclass(slots=True)
class _Held(Generic[T]):
    previous: int
    item: T
    size: int


@dataclass(slots=True)
class _Stream(Generic[T]):
    """What we know of one stream of one sender."""

    identity: str
    name: str
    last: int = 0
    delivered: int = 0
    unacknowledged: int = 0
    ack_due: bool = False
    greeted: bool = False
    wanted: int = 0
    retry_at: float = 0.0
    give_up_at: float = 0.0
    gap: bool = False
    departed: bool = False
    held: dict[int, _Held[T]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)


class DurableReceiver(Generic[T]):
    """The streams of all senders, as one receiver sees them. Time is passed in.

    Args:
        max_bytes: Bytes held at most while something before them is missing.
        max_messages: Messages held at most.
    """

    def __init__(self, max_bytes: int, max_messages: int) -> None:
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._streams: OrderedDict[tuple[str, str], _Stream[T]] = OrderedDict()
        self._due: dict[tuple[str, str], _Stream[T]] = {}
        self._gaps: dict[tuple[str, str], _Stream[T]] = {}
        self._ack_at = 0.0
        self._connected = True
        self._held_bytes = 0
        self._held_messages = 0
        self.duplicates = 0
        self.let_go = 0

    @property
    def held(self) -> int:
        """How many messages are held."""
        return self._held_messages

    @property
    def deadline(self) -> float | None:
        """When `poll` is to be called next."""
        if not self._connected:
            return None
        moments = [min(stream.retry_at, stream.give_up_at) for stream in self._gaps.values()]
        if self._due:
            moments.append(self._ack_at)
        return min(moments, default=None)

    # -- what comes --

    def message(self, identity: str, message: MessageId, item: T, size: int, now: float) -> list[Effect[T]]:
        """Take a message of a sender."""
        effects: list[Effect[T]] = []
        stream = self._stream(identity, message.stream, effects)
        stream.departed = False
        if message.number <= stream.last:
            # The sender does not know that we have it, or it would not have sent it again.
            self.duplicates += 1
            self._acknowledge_soon(stream, now)
        elif message.previous <= stream.last:
            self._deliver(stream, message.number, item, effects)
            self._acknowledge(stream, effects, now)
            self._go_on(stream, effects, now)
        elif message.number in stream.held:
            self.duplicates += 1
        else:
            self._hold(stream, message, item, size)
            self._missing(stream, message.number - 1, effects, now)
        return effects

    def probe(self, identity: str, probe: Probe, now: float) -> list[Effect[T]]:
        """Take the sender's word on how far we should be."""
        effects: list[Effect[T]] = []
        stream = self._stream(identity, probe.stream, effects)
        stream.departed = False
        if probe.number <= stream.last:
            effects.append(self._ack(stream))
        else:
            # The messages before it were sent before it: what is missing now will not come by itself.
            self._missing(stream, probe.number, effects, now)
        return effects

    def skip(self, identity: str, skip: Skip, now: float) -> list[Effect[T]]:
        """Take the sender's word that nothing more comes in a range."""
        effects: list[Effect[T]] = []
        stream = self._stream(identity, skip.stream, effects)
        stream.departed = False
        if skip.number <= stream.last:
            self.duplicates += 1
            return effects
        if skip.previous > stream.last:
            self._missing(stream, skip.previous, effects, now)
            return effects
        if skip.missed:
            effects.append(Missed(identity, skip.missed))
        while stream.order and stream.order[0] <= skip.number:
            self._deliver_first(stream, effects)
        stream.last = skip.number
        self._go_on(stream, effects, now)
        self._acknowledge(stream, effects, now)
        return effects

    def gone(self, identity: str, gone: Gone, now: float) -> list[Effect[T]]:
        """The sender has forgotten a stream."""
        effects: list[Effect[T]] = []
        stream = self._streams.get((identity, gone.stream))
        if stream is not None and stream.gap:
            self._give_up(stream, effects, now)
        return effects

    # -- what happens --

    def departed(self, identity: str, now: float) -> None:
        """A sender left of its own will, or was removed: it will not answer any more."""
        for stream in self._streams.values():
            if stream.identity == identity:
                stream.departed = True
                if stream.gap:
                    stream.give_up_at = min(stream.give_up_at, now + GIVE_UP_DEPARTED)

    def returned(self, identity: str, now: float) -> list[Effect[T]]:
        """A sender is there again: it may have lost what it sent, and our acknowledgements."""
        effects: list[Effect[T]] = []
        if self._connected:
            for stream in self._streams.values():
                if stream.identity == identity:
                    self._compare(stream, effects, now)
        return effects

    def disconnected(self) -> None:
        """We have no connection: nothing can be asked, and nothing is given up for want of an answer."""
        self._connected = False

    def connected(self, now: float) -> list[Effect[T]]:
        """We have a connection again, and may have missed something."""
        self._connected = True
        effects: list[Effect[T]] = []
        for stream in self._streams.values():
            if not stream.departed:
                self._compare(stream, effects, now)
        return effects

    def acknowledge_now(self) -> list[SendControl]:
        """Return the acknowledgements that are due, now."""
        return [self._ack(stream) for stream in list(self._due.values())]

    def poll(self, now: float) -> list[Effect[T]]:
        """Do what time asks for."""
        effects: list[Effect[T]] = []
        if not self._connected:
            return effects
        if self._due and now >= self._ack_at:
            effects += self.acknowledge_now()
        for stream in list(self._gaps.values()):
            if now >= stream.give_up_at:
                self._give_up(stream, effects, now)
            elif now >= stream.retry_at:
                self._ask(stream, effects, now)
        return effects

    # -- streams --

    def _stream(self, identity: str, name: str, effects: list[Effect[T]]) -> _Stream[T]:
        key = (identity, name)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(identity, name)
            if len(self._streams) > MAX_STREAMS:
                self._forget(next(iter(self._streams.values())), effects)
        else:
            self._streams.move_to_end(key)
        return stream

    def _forget(self, stream: _Stream[T], effects: list[Effect[T]]) -> None:
        key = (stream.identity, stream.name)
        self._release(stream, effects)
        if stream.ack_due:
            effects.append(self._ack(stream))
        self._gaps.pop(key, None)
        del self._streams[key]

    # -- delivering --

    def _deliver(self, stream: _Stream[T], number: int, item: T, effects: list[Effect[T]]) -> None:
        stream.last = number
        stream.delivered += 1
        stream.unacknowledged += 1
        effects.append(Deliver(item))

    def _deliver_first(self, stream: _Stream[T], effects: list[Effect[T]]) -> bool:
        """Take out the first message that is held; return whether it is delivered, not having been before."""
        number = heapq.heappop(stream.order)
        held = stream.held.pop(number)
        self._held_bytes -= held.size
        self._held_messages -= 1
        if number <= stream.last:
            self.duplicates += 1
            return False
        self._deliver(stream, number, held.item, effects)
        return True

    def _go_on(self, stream: _Stream[T], effects: list[Effect[T]], now: float) -> None:
        """Something was delivered: deliver what has its turn now, and see whether something is missing still."""
        if not stream.gap:
            return
        while stream.order and stream.held[stream.order[0]].previous <= stream.last:
            if self._deliver_first(stream, effects):
                self._acknowledge(stream, effects, now)
        if not stream.order and stream.wanted <= stream.last:
            self._close_gap(stream)
            return
        stream.retry_at = now + RETRY
        stream.give_up_at = max(stream.give_up_at, now + (GIVE_UP_DEPARTED if stream.departed else GIVE_UP))
        if stream.wanted <= stream.last:
            # What was asked for is here, and behind it something else is missing.
            self._ask(stream, effects, now)

    def _close_gap(self, stream: _Stream[T]) -> None:
        stream.gap = False
        self._gaps.pop((stream.identity, stream.name), None)

    # -- holding and asking --

    def _hold(self, stream: _Stream[T], message: MessageId, item: T, size: int) -> None:
        if self._held_messages >= self._max_messages or self._held_bytes + size > self._max_bytes:
            # It is not acknowledged, so the sender keeps it; there will be a gap where it was.
            self.let_go += 1
            return
        stream.held[message.number] = _Held(message.previous, item, size)
        heapq.heappush(stream.order, message.number)
        self._held_bytes += size
        self._held_messages += 1

    def _missing(self, stream: _Stream[T], up_to: int, effects: list[Effect[T]], now: float) -> None:
        """Something up to a number has not come."""
        if stream.gap:
            return
        stream.gap = True
        self._gaps[(stream.identity, stream.name)] = stream
        stream.wanted = up_to
        stream.give_up_at = now + GIVE_UP
        self._ask(stream, effects, now)

    def _compare(self, stream: _Stream[T], effects: list[Effect[T]], now: float) -> None:
        """Find out whether we have everything."""
        if stream.gap:
            stream.give_up_at = now + GIVE_UP
            self._ask(stream, effects, now)
        else:
            effects.append(self._ack(stream, ask=True))

    def _ask(self, stream: _Stream[T], effects: list[Effect[T]], now: float) -> None:
        held = stream.order[0] if stream.order else 0
        if held:
            stream.wanted = held - 1
        stream.retry_at = now + RETRY
        if self._connected:
            effects.append(SendControl(stream.identity, Sync(stream.name, stream.last, held)))

    def _give_up(self, stream: _Stream[T], effects: list[Effect[T]], now: float) -> None:
        self._release(stream, effects)
        self._close_gap(stream)
        self._acknowledge(stream, effects, now)

    def _release(self, stream: _Stream[T], effects: list[Effect[T]]) -> None:
        """Deliver what is held, and say where something is missing."""
        # Who comes after a sender has sent may find nothing missing that was meant for it.
        silent = stream.departed and stream.delivered == 0
        if stream.gap and not stream.order and stream.wanted > stream.last:
            if not silent:
                effects.append(Missed(stream.identity, 1))
            stream.last = stream.wanted
        while stream.order:
            if stream.held[stream.order[0]].previous > stream.last and not silent:
                effects.append(Missed(stream.identity, 1))
            silent = False
            self._deliver_first(stream, effects)

    # -- acknowledging --

    def _acknowledge(self, stream: _Stream[T], effects: list[Effect[T]], now: float) -> None:
        """Something was delivered: say so now, if it was the first or there are many, or soon."""
        if (not stream.greeted or stream.unacknowledged >= ACK_EVERY) and self._connected:
            stream.greeted = True
            effects.append(self._ack(stream))
        else:
            self._acknowledge_soon(stream, now)

    def _acknowledge_soon(self, stream: _Stream[T], now: float) -> None:
        if not stream.ack_due:
            if not self._due:
                self._ack_at = now + ACK_DELAY
            stream.ack_due = True
            self._due[(stream.identity, stream.name)] = stream

    def _ack(self, stream: _Stream[T], *, ask: bool = False) -> SendControl:
        stream.unacknowledged = 0
        stream.ack_due = False
        self._due.pop((stream.identity, stream.name), None)
        return SendControl(stream.identity, Ack(stream.name, stream.last, ask))
