"""Durable messages in any order of events: property-based state machines over senders and receivers."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from .durable_net import SENDER, Net, Receiver

# -- the wire ---------------------------------------------------------------------------------------


NAMES = st.sampled_from(["ann", "ben"])
NODES = st.sampled_from([SENDER, "ann", "ben"])


class DurableMachine(RuleBasedStateMachine):
    """Within the bounds: exactly once, in order, nothing missing, nothing reported."""

    keep = 10_000
    hold = 10_000
    short = True
    acquainted = True

    def __init__(self) -> None:
        super().__init__()
        self.net = Net("ann", "ben", foreign=("fay",), keep=self.keep, hold=self.hold)
        self.outage = 0.0
        self.net.send()
        if self.acquainted:
            self.net.flow()

    def node(self, name: str) -> Any:
        return self.net.me if name == SENDER else self.net.receivers[name]

    @rule(to=st.sampled_from([(), (), ("ann",), ("ben",), ("ann", "ben"), ("ben", "fay")]), times=st.integers(1, 4))
    def send(self, to: tuple[str, ...], times: int) -> None:
        for _ in range(times):
            self.net.send(*to)

    @rule(name=st.sampled_from([SENDER, "ann", "ben", "fay"]), times=st.integers(1, 6))
    def forward(self, name: str, times: int) -> None:
        for _ in range(times):
            self.net.forward(self.node(name))

    @rule(name=st.sampled_from([SENDER, "ann", "ben", "fay"]), times=st.integers(1, 6))
    def receive(self, name: str, times: int) -> None:
        for _ in range(times):
            self.net.receive(self.node(name))

    @rule(times=st.integers(1, 6))
    def replay(self, times: int) -> None:
        for _ in range(times):
            self.net.replay()

    @rule()
    def flow(self) -> None:
        self.net.flow()

    @rule(name=NODES)
    def leave(self, name: str) -> None:
        if self.node(name).here:
            self.net.leave(self.node(name))

    @rule(name=NODES)
    def come_back(self, name: str) -> None:
        if not self.node(name).here:
            self.net.come_back(self.node(name))

    @rule(name=NAMES)
    def succeed(self, name: str) -> None:
        """A process ends in order, having acknowledged, and another takes its place."""
        node = self.node(name)
        if not node.here or not self.net.me.here:
            return
        self.net.flow()
        self.net.perform(node, node.durable.acknowledge_now())
        self.net.flow()
        if node.durable.held:
            return
        self.net.leave(node)
        node.begin()
        node.durable.disconnected()

    @rule(name=NODES, into=st.booleans(), place=st.integers(0, 5))
    def lose(self, name: str, into: bool, place: int) -> None:
        node = self.node(name)
        pipe = node.into if into else node.out
        if place < len(pipe):
            del pipe[place]

    @rule(name=NODES)
    def resume(self, name: str) -> None:
        node = self.node(name)
        if not node.here:
            return
        if isinstance(node, Receiver):
            self.net.perform(node, node.durable.connected(self.net.now))
        else:
            self.net.sender.interrupted(session_ends=False)
            self.net.perform(node, self.net.sender.connected(self.net.now))

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 3.0]))
    def tick(self, seconds: float) -> None:
        if self.short:
            # Nobody is away, or silent, for so long that it is given up.
            if self.outage + seconds > 20:
                self.net.settle()
                self.outage = 0.0
            self.outage += seconds
        self.net.tick(seconds)

    @invariant()
    def bounded(self) -> None:
        assert self.net.sender.kept <= self.keep
        assert all(node.durable.held <= self.hold for node in self.net.receivers.values())

    def teardown(self) -> None:
        net = self.net
        net.settle()
        assert net.sender.kept == 0
        assert net.disturbed == 0
        assert all(node.durable.held == 0 for node in net.receivers.values())
        for name in ("ann", "ben"):
            self.check(net.receivers[name])

    def check(self, node: Receiver) -> None:
        meant = [number for number, to in self.net.sent.items() if not to or node.identity in to]
        assert node.log == meant
        assert node.missed == 0
        assert not self.net.undelivered


class StrangersMachine(DurableMachine):
    """The sender may not know yet that they are ours when their connections, or its own, are lost."""

    acquainted = False

    def check(self, node: Receiver) -> None:
        meant = [number for number, to in self.net.sent.items() if not to or node.identity in to]
        assert set(node.log) <= set(meant)
        if node.log != meant:
            # Whom the sender never heard before its messages were let go may have been anybody.
            heard_late = not node.log or node.log == meant[-len(node.log) :]
            assert node.missed or self.net.undelivered or heard_late


class TightMachine(DurableMachine):
    """With tight bounds and long absences: what is missing is reported, and nothing else is."""

    keep = 8
    hold = 4
    short = False

    @precondition(lambda self: True)
    @rule(seconds=st.sampled_from([10.0, 40.0]))
    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            self.net.tick(0.5)

    def check(self, node: Receiver) -> None:
        meant = {number for number, to in self.net.sent.items() if not to or node.identity in to}
        assert set(node.log) <= meant
        if node.missed:
            assert meant - set(node.log)


TestDurable = DurableMachine.TestCase
TestDurable.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestStrangers = StrangersMachine.TestCase
TestStrangers.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTightBounds = TightMachine.TestCase
TestTightBounds.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
