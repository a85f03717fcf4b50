"""A room in which packets are lost, participants come and go, and time passes: what durable messages must survive."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiolivekit.core.durable_receiver import Deliver, DurableReceiver, Missed
from aiolivekit.core.durable_sender import DurableSender, Replay, SendAgain, Undelivered
from aiolivekit.core.durable_wire import (
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

SENDER = "sender"


@dataclass
class Packet:
    """What travels: a message, or a control packet."""

    origin: str
    to: tuple[str, ...]
    number: int = 0
    id: str = ""
    control: bytes = b""


@dataclass
class Node:
    """A participant, with what is on its way to and from the server."""

    identity: str
    here: bool = True
    out: deque[Packet] = field(default_factory=deque)
    into: deque[Packet] = field(default_factory=deque)


class Receiver(Node):
    """A receiver; `logs` has what each process under its identity was given, in order."""

    def __init__(self, identity: str, *, ours: bool, max_messages: int) -> None:
        super().__init__(identity)
        self.ours = ours
        self.max_messages = max_messages
        self.logs: list[list[int]] = []
        self.missed = 0
        self.begin()

    def begin(self) -> None:
        """A new process, which remembers nothing."""
        self.durable: DurableReceiver[int] = DurableReceiver(1 << 20, self.max_messages)
        self.logs.append([])

    @property
    def log(self) -> list[int]:
        return [number for log in self.logs for number in log]


class Net:
    """One sender, its receivers, and a server that forwards to who is there."""

    def __init__(
        self,
        *identities: str,
        foreign: tuple[str, ...] = (),
        keep: int = 10_000,
        hold: int = 10_000,
        keep_for: float = 60,
    ) -> None:
        self.now = 100.0
        self.sender = DurableSender("s1", SENDER, max_bytes=1 << 30, max_messages=keep, keep_for=keep_for)
        self.me = Node(SENDER)
        self.receivers = {
            identity: Receiver(identity, ours=identity not in foreign, max_messages=hold)
            for identity in (*identities, *foreign)
        }
        self.replaying: list[str] = []
        self.undelivered: list[Undelivered] = []
        self.sent: dict[int, tuple[str, ...]] = {}
        self.disturbed = 0
        for identity in self.receivers:
            self.sender.joined(identity, self.now)

    # -- what is done --

    def perform(self, whose: Node, effects: Any) -> None:
        for effect in effects:
            match effect:
                case SendControl(identity, control):
                    data = control.encode()
                    assert len(data) <= 128
                    assert decode_control(data) == control
                    whose.out.append(Packet(whose.identity, (identity,), control=data))
                case Replay(identity):
                    if identity not in self.replaying:
                        self.replaying.append(identity)
                case Undelivered():
                    self.undelivered.append(effect)
                case Deliver(item):
                    assert isinstance(whose, Receiver)
                    log = whose.logs[-1]
                    assert not log or log[-1] < item, (whose.identity, log[-5:], item)
                    log.append(item)
                case Missed(identity, count):
                    assert isinstance(whose, Receiver)
                    assert identity == SENDER
                    assert count > 0
                    whose.missed += count

    def send(self, *to: str) -> int | None:
        """Send a message; `None` if there is no room for it."""
        if not self.sender.make_room(1):
            return None
        number, message_id = self.sender.publish(b"x", "", to, self.now)
        self.sent[number] = to
        self.me.out.append(Packet(SENDER, to, number, message_id))
        return number

    def replay(self) -> bool:
        """Send again one message of somebody's."""
        if not self.replaying:
            return False
        identity = self.replaying[0]
        step = self.sender.next_replay(identity)
        if step is None:
            self.replaying.pop(0)
        elif isinstance(step, SendAgain):
            number = int(step.id.split(".")[2])
            self.me.out.append(Packet(SENDER, (identity,), number, step.id))
        else:
            assert isinstance(step, Skip)
            self.me.out.append(Packet(SENDER, (identity,), control=step.encode()))
        return True

    def forward(self, node: Node) -> bool:
        """Have the server take a packet of a node."""
        if not node.out or not node.here:
            return False
        packet = node.out.popleft()
        for other in (self.me, *self.receivers.values()):
            if other is not node and other.here and (not packet.to or other.identity in packet.to):
                other.into.append(packet)
        return True

    def receive(self, node: Node) -> bool:
        """Have a node take a packet."""
        if not node.into or not node.here:
            return False
        packet = node.into.popleft()
        control = decode_control(packet.control) if packet.control else None
        if isinstance(node, Receiver):
            self._receiver_takes(node, packet, control)
        else:
            self._sender_takes(packet, control)
        return True

    def _receiver_takes(self, node: Receiver, packet: Packet, control: Control | None) -> None:
        if not node.ours:
            self.disturbed += control is not None
            node.logs[-1].append(packet.number)
            return
        durable = node.durable
        match control:
            case None:
                message = parse_id(packet.id, key_of(node.identity))
                assert message is not None
                effects: Any = durable.message(packet.origin, message, packet.number, 1, self.now)
            case Probe():
                effects = durable.probe(packet.origin, control, self.now)
            case Skip():
                effects = durable.skip(packet.origin, control, self.now)
            case Gone():
                effects = durable.gone(packet.origin, control, self.now)
            case _:
                raise AssertionError(control)
        self.perform(node, effects)

    def _sender_takes(self, packet: Packet, control: Control | None) -> None:
        match control:
            case Ack():
                self.perform(self.me, self.sender.ack(packet.origin, control, self.now))
            case Sync():
                self.perform(self.me, self.sender.sync(packet.origin, control, self.now))
            case _:
                raise AssertionError(control)

    # -- what happens --

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.me, self.sender.poll(self.now))
        for node in self.receivers.values():
            self.perform(node, node.durable.poll(self.now))

    def leave(self, node: Node, *, purposely: bool = False) -> None:
        """A transport dies, with what is on its way, and the server notices."""
        node.here = False
        node.out.clear()
        node.into.clear()
        if isinstance(node, Receiver):
            node.durable.disconnected()
            self.sender.left(node.identity, self.now, purposely=purposely)
        else:
            self.sender.interrupted(session_ends=True)
            self.replaying.clear()

    def come_back(self, node: Node) -> None:
        node.here = True
        if isinstance(node, Receiver):
            if node.ours:
                self.perform(node, node.durable.connected(self.now))
            self.sender.joined(node.identity, self.now)
            self.perform(self.me, self.sender.active(node.identity))
            return
        for other in self.receivers.values():
            self.sender.left(other.identity, self.now, purposely=False)
            if other.here:
                self.sender.joined(other.identity, self.now)
        self.perform(self.me, self.sender.connected(self.now))
        for other in self.receivers.values():
            if other.here and other.ours:
                self.perform(other, other.durable.returned(SENDER, self.now))

    def flow(self) -> None:
        """Let everything arrive that is on its way."""
        nodes = [self.me, *self.receivers.values()]
        while any([self.replay(), *[self.forward(node) | self.receive(node) for node in nodes]]):
            pass

    def settle(self, patience: float = 200.0) -> None:
        """Let everything arrive and time pass until nothing more happens."""
        for node in (self.me, *self.receivers.values()):
            if not node.here:
                self.come_back(node)
        end = self.now + patience
        while self.now < end:
            self.flow()
            everybody = [self.sender, *(node.durable for node in self.receivers.values())]
            deadlines = [each.deadline for each in everybody if each.deadline is not None]
            if not deadlines:
                return
            self.tick(max(0.0, min(deadlines) - self.now))
        raise AssertionError("it does not come to rest")
