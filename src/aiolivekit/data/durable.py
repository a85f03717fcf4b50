"""Durable messages: drives the decisions of `core.durable_sender` and `core.durable_receiver` (docs/durable.md)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from livekit.protocol import models

from .._tasks import TaskScope
from ..core.durable_receiver import Deliver, DurableReceiver, Missed
from ..core.durable_sender import DurableSender, Replay, SendAgain, Undelivered
from ..core.durable_wire import (
    CONTROL_ID,
    CONTROL_TOPIC,
    Ack,
    Control,
    Gone,
    Probe,
    SendControl,
    Skip,
    Sync,
    decode_control,
    key_of,
    parse_id,
)
from ..errors import ClosedError, EngineError, OutboxFullError
from ..options import DurableOptions
from .port import PacketPort, ReceivedPacket

__all__ = ["Durable", "DurableEvents"]

_logger = logging.getLogger("aiolivekit.data")

_FLUSH_OURS = 2.0
_FLUSH_UNKNOWN = 0.5
"""Seconds that leaving waits for acknowledgements of those known to be ours, and of those who may be."""
_OVERHEAD = 256
"""Bytes that a held message takes beside its payload."""

T = TypeVar("T", bound=ReceivedPacket)
Effect = SendControl | Replay | Undelivered | Deliver[T] | Missed


class DurableEvents(Generic[T]):
    """What happens to durable messages, for the room.

    Args:
        deliver: Takes a message that has its turn.
        undelivered: Told how many messages of ours could not be delivered, and why.
        missed: Told whose messages are lost on their way to us, and how many at least.
    """

    __slots__ = ("deliver", "missed", "undelivered")

    def __init__(
        self,
        deliver: Callable[[T], None],
        undelivered: Callable[[int, str], None],
        missed: Callable[[str, int], None],
    ) -> None:
        self.deliver = deliver
        self.undelivered = undelivered
        self.missed = missed


class Durable(Generic[T]):
    """The durable messages of one visit to a room, both ways.

    Args:
        port: Sends packets.
        identity: Our own.
        options: Bounds.
        events: Takes what happens.
        present: Returns the identities of those who are in the room.
        may_answer: Whether we may publish data; if not, durable messages are as good as ordinary ones.
    """

    def __init__(
        self,
        port: PacketPort,
        identity: str,
        options: DurableOptions,
        events: DurableEvents[T],
        present: Callable[[], Iterable[str]],
        may_answer: Callable[[], bool],
    ) -> None:
        self._port = port
        self._identity = identity
        self._key = key_of(identity)
        self._options = options
        self._events = events
        self._present = present
        self._may_answer = may_answer
        self._sender = self._new_sender()
        self._receiver: DurableReceiver[T] = DurableReceiver(options.max_bytes, options.max_messages)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._replaying: dict[str, asyncio.Task[None]] = {}
        self._scope = TaskScope(self._task_failed)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._acknowledged: asyncio.Event | None = None
        self._closed = False
        self.malformed = 0

    def _new_sender(self) -> DurableSender:
        options = self._options
        return DurableSender(
            secrets.token_hex(4),
            self._identity,
            max_bytes=options.max_bytes,
            max_messages=options.max_messages,
            keep_for=options.keep_for,
        )

    # -- out --

    async def publish(self, packet: models.DataPacket) -> None:
        """Send a message, and keep it until those it is for have acknowledged it.

        Raises:
            OutboxFullError: If too much is kept for receivers that are present and do not acknowledge.
            EngineError: If it cannot be sent; it is not kept then.
            ClosedError: If the room is disconnected.
        """
        if self._closed:
            raise ClosedError("the room is disconnected")
        user = packet.user
        payload = user.payload
        if self._waiting or not self._sender.make_room(len(payload)):
            await self._wait_for_room(len(payload))
        now = self._loop.time()
        if self._sender.last == 0:
            for identity in self._present():
                self._sender.joined(identity, now)
        number, user.id = self._sender.publish(payload, user.topic, packet.destination_identities, now)
        self._arm()
        sender = self._sender
        try:
            await self._port.publish_data(packet)
        except BaseException:
            # The caller knows that it was not sent, so nobody must get it later on.
            sender.withdraw(number)
            self._let_in()
            raise

    async def _wait_for_room(self, size: int) -> None:
        turn: asyncio.Future[None] = self._loop.create_future()
        entry = (size, turn)
        self._waiting.append(entry)
        deadline = self._options.deadline
        try:
            async with asyncio.timeout(deadline):
                await turn
        except TimeoutError:
            words = (
                f"the receivers did not acknowledge within {deadline:g} s what they were sent; nothing more was taken"
            )
            raise OutboxFullError(words) from None
        finally:
            self._waiting.remove(entry)
            # Who comes next has its turn after this step, in which we take our place.
            self._loop.call_soon(self._let_in)

    def _let_in(self) -> None:
        """Give the first who waits its turn, if there is room."""
        if self._waiting and not self._closed:
            size, turn = self._waiting[0]
            if not turn.done() and self._sender.make_room(size):
                turn.set_result(None)

    # -- in --

    def intercept(self, packet: T) -> bool:
        """Take a received packet that has an id; return whether it is dealt with, or is an ordinary one after all."""
        identity = packet.participant_identity
        if packet.id == CONTROL_ID and packet.topic == CONTROL_TOPIC:
            control = decode_control(packet.payload) if identity else None
            if control is None:
                self.malformed += 1
            elif not self._closed:
                self._perform(self._controlled(identity, control))
            return True
        if not packet.id.startswith("aio1."):
            return False
        message = parse_id(packet.id, self._key)
        if message is None:
            self.malformed += 1
            return False
        if not identity or not self._may_answer() or self._closed:
            return False
        size = len(packet.payload) + _OVERHEAD
        self._perform(self._receiver.message(identity, message, packet, size, self._loop.time()))
        return True

    def _controlled(self, identity: str, control: Control) -> Sequence[Effect[T]]:
        now = self._loop.time()
        match control:
            case Ack():
                effects: Sequence[Effect[T]] = self._sender.ack(identity, control, now)
                self._settled()
                return effects
            case Sync():
                return self._sender.sync(identity, control, now)
            case Probe():
                return self._receiver.probe(identity, control, now) if self._may_answer() else []
            case Skip():
                return self._receiver.skip(identity, control, now)
            case Gone():
                return self._receiver.gone(identity, control, now)

    # -- who is here --

    def joined(self, identity: str) -> None:
        """Somebody is in the room."""
        if self._sender.last:
            self._sender.joined(identity, self._loop.time())

    def active(self, identity: str) -> None:
        """Somebody can receive now."""
        self._perform(self._receiver.returned(identity, self._loop.time()))
        if self._sender.last:
            self._perform(self._sender.active(identity))

    def left(self, identity: str, *, purposely: bool) -> None:
        """Somebody is in the room no more."""
        now = self._loop.time()
        if purposely:
            self._receiver.departed(identity, now)
        if self._sender.last:
            self._sender.left(identity, now, purposely=purposely)
            self._settled()
        self._arm()

    # -- the connection --

    def interrupted(self, *, session_ends: bool) -> None:
        """The connection is lost, or a part of it.

        Args:
            session_ends: Whether what was on its way is lost. If not, data may be going on.
        """
        self._sender.interrupted(session_ends=session_ends)
        if session_ends:
            self._receiver.disconnected()

    def recovered(self) -> None:
        """There is a session again, or still."""
        now = self._loop.time()
        self._perform([*self._sender.connected(now), *self._receiver.connected(now)])

    def moved(self) -> None:
        """We are in another room; what was for those in the old one has nobody to go to."""
        self._perform(self._sender.finish("we were moved to another room"))
        self._sender = self._new_sender()
        self._let_in()

    # -- end --

    async def flush(self) -> None:
        """We are about to leave: acknowledge, and wait a little for others to do so."""
        if self._closed:
            return
        start = self._loop.time()
        sending = [
            self._scope.spawn("aiolivekit-durable-control", self._send_control(effect.identity, effect.control))
            for effect in (*self._receiver.acknowledge_now(), *self._sender.probe_all())
        ]
        if tasks := [task for task in sending if task is not None]:
            await asyncio.wait(tasks, timeout=_FLUSH_UNKNOWN)
        await self._flushed(start + _FLUSH_UNKNOWN, ours=False)
        await self._flushed(start + _FLUSH_OURS, ours=True)

    async def _flushed(self, until: float, *, ours: bool) -> None:
        while self._sender.is_waiting(ours=ours) and not self._closed:
            self._acknowledged = asyncio.Event()
            try:
                async with asyncio.timeout_at(until):
                    await self._acknowledged.wait()
            except TimeoutError:
                return

    def close(self, reason: str) -> None:
        """The visit is over: report what is left, and stop.

        Args:
            reason: In words.
        """
        if self._closed:
            return
        self._perform(self._sender.finish(reason))
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(ClosedError("the room is disconnected"))
                # The waiter may have been cancelled in the same step; then nobody looks at the exception.
                turn.exception()
        self._settled()

    async def aclose(self) -> None:
        """Wait for the end of what is under way; `close` was called."""
        await self._scope.aclose()

    # -- what is done --

    def _perform(self, effects: Iterable[Effect[T]]) -> None:
        for effect in effects:
            match effect:
                case Deliver():
                    self._deliver(effect.item)
                case SendControl(identity, control):
                    self._scope.spawn("aiolivekit-durable-control", self._send_control(identity, control))
                case Replay(identity):
                    self._replay(identity)
                case Undelivered(count, reason):
                    self._events.undelivered(count, reason)
                case Missed(identity, count):
                    _logger.warning("at least %d durable messages of %r are lost", count, identity)
                    self._events.missed(identity, count)
        self._arm()

    def _deliver(self, item: T) -> None:
        try:
            self._events.deliver(item)
        except Exception:
            # Those behind it have their turn all the same.
            _logger.exception("a durable message could not be delivered")

    def _settled(self) -> None:
        """Something was acknowledged: there may be room, and who leaves may have waited for it."""
        self._let_in()
        if self._acknowledged is not None:
            self._acknowledged.set()

    async def _send_control(self, identity: str, control: Control) -> None:
        packet = _packet(identity, control.encode(), CONTROL_TOPIC, CONTROL_ID)
        await self._port.publish_data(packet)

    def _replay(self, identity: str) -> None:
        if identity not in self._replaying:
            task = self._scope.spawn("aiolivekit-durable-replay", self._send_again(identity))
            if task is not None:
                self._replaying[identity] = task

    async def _send_again(self, identity: str) -> None:
        try:
            sender = self._sender
            while (step := sender.next_replay(identity)) is not None:
                if isinstance(step, SendAgain):
                    packet = _packet(identity, step.payload, step.topic, step.id)
                else:
                    packet = _packet(identity, step.encode(), CONTROL_TOPIC, CONTROL_ID)
                await self._port.publish_data(packet)
        finally:
            del self._replaying[identity]

    def _task_failed(self, name: str, error: BaseException) -> None:
        # What could not be sent is asked for again.
        if isinstance(error, (EngineError, ClosedError)):
            _logger.debug("%s: %s", name, error)
        else:
            _logger.error("%s failed", name, exc_info=error)

    # -- time --

    def _arm(self) -> None:
        if self._closed:
            return
        moments = [moment for moment in (self._sender.deadline, self._receiver.deadline) if moment is not None]
        if not moments:
            return
        at = min(moments)
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self._loop.time()
        self._perform([*self._sender.poll(now), *self._receiver.poll(now)])
        self._settled()


def _packet(identity: str, payload: bytes, topic: str, packet_id: str) -> models.DataPacket:
    user = models.UserPacket(payload=payload, topic=topic, id=packet_id)
    return models.DataPacket(user=user, destination_identities=[identity])
