"""The sender of durable messages, with receivers: losses, absences, successors."""

from __future__ import annotations

import pytest

from aiolivekit.core.durable_sender import GRACE, SILENT, Undelivered
from aiolivekit.core.durable_wire import (
    Ack,
    Gone,
    SendControl,
    Sync,
)

from .durable_net import Net

# -- the wire ---------------------------------------------------------------------------------------


def numbers(net: Net, identity: str) -> list[int]:
    return net.receivers[identity].log


def test_acknowledged_messages_are_forgotten() -> None:
    net = Net("ann", "ben")
    for _ in range(50):
        net.send()
    net.settle()
    assert numbers(net, "ann") == numbers(net, "ben") == list(range(1, 51))
    assert net.sender.kept == net.sender.replayed == 0
    assert not net.undelivered


def test_targeted_messages_and_broadcasts_keep_their_order() -> None:
    net = Net("ann", "ben")
    for to in [(), ("ann",), (), ("ann", "ben"), ("ben",), ("ann", "nobody"), ()]:
        net.send(*to)
    net.flow()
    assert numbers(net, "ann") == [1, 2, 3, 4, 6, 7]
    assert numbers(net, "ben") == [1, 3, 4, 5, 7]
    # Nobody had to ask.
    assert net.sender.replayed == 0


@pytest.mark.parametrize("lost", range(1, 7))
@pytest.mark.parametrize("who", ["ann", "ben"])
def test_any_message_that_is_lost_on_the_way_is_sent_again_in_its_place(lost: int, who: str) -> None:
    net = Net("ann", "ben")
    net.send()
    net.flow()
    for to in [(), ("ann",), (), ("ann", "ben"), ("ben",), ()]:
        net.send(*to)
    while net.forward(net.me):
        pass
    node = net.receivers[who]
    gone = {number for number, to in net.sent.items() if number == lost + 1}
    for packet in list(node.into):
        if packet.number in gone:
            node.into.remove(packet)
    net.settle()
    assert numbers(net, "ann") == [1, 2, 3, 4, 5, 7]
    assert numbers(net, "ben") == [1, 2, 4, 5, 6, 7]
    assert not net.undelivered


def test_a_receiver_that_comes_back_gets_what_it_missed() -> None:
    net = Net("ann", "ben")
    net.send()
    net.flow()
    ann = net.receivers["ann"]
    net.leave(ann)
    for _ in range(5):
        net.send()
        net.tick(0.4)
        net.flow()
    assert numbers(net, "ben") == [1, 2, 3, 4, 5, 6]
    assert numbers(net, "ann") == [1]
    net.come_back(ann)
    net.flow()
    assert numbers(net, "ann") == [1, 2, 3, 4, 5, 6]
    assert net.sender.replayed == 5


def test_a_successor_gets_what_was_not_acknowledged() -> None:
    net = Net("ann")
    for _ in range(3):
        net.send()
    net.flow()
    net.tick(0.1)
    net.flow()
    ann = net.receivers["ann"]
    net.leave(ann)
    net.send()
    net.send("ann")
    ann.begin()
    net.come_back(ann)
    net.settle()
    assert ann.logs == [[1, 2, 3], [4, 5]]
    net.send()
    net.flow()
    assert ann.logs == [[1, 2, 3], [4, 5, 6]]
    assert ann.missed == 0


def test_a_newcomer_gets_what_is_sent_from_then_on() -> None:
    net = Net("ann", "ben")
    ben = net.receivers["ben"]
    net.leave(ben)
    net.send()
    net.send()
    net.flow()
    # The server lets him in before it tells of him.
    ben.here = True
    ben.durable.connected(net.now)
    net.send()
    net.send()
    net.flow()
    assert ben.log == [3, 4]
    net.come_back(ben)
    net.settle()
    assert ben.log == [3, 4]
    assert ben.missed == 0
    assert not net.undelivered


def test_a_sender_that_restarts_sends_again_what_was_on_its_way() -> None:
    net = Net("ann", "ben")
    net.send()
    net.flow()
    for _ in range(3):
        net.send()
    net.leave(net.me)
    net.come_back(net.me)
    net.send()
    net.settle()
    assert numbers(net, "ann") == numbers(net, "ben") == [1, 2, 3, 4, 5]


def test_the_last_message_is_not_forgotten() -> None:
    net = Net("ann")
    net.send()
    net.flow()
    net.send()
    net.me.out.clear()
    net.settle()
    assert numbers(net, "ann") == [1, 2]


def test_other_clients_get_each_message_once_and_nothing_else() -> None:
    net = Net("ann", foreign=("fay",))
    for _ in range(3):
        net.send()
        net.flow()
    ann, fay = net.receivers["ann"], net.receivers["fay"]
    net.leave(ann)
    net.send()
    net.flow()
    net.come_back(ann)
    net.settle()
    assert fay.log == ann.log == [1, 2, 3, 4]
    assert net.disturbed == 0
    assert not net.undelivered


def test_for_other_clients_nothing_is_kept_for_long() -> None:
    net = Net(foreign=("fay",))
    net.send()
    net.send("fay")
    net.flow()
    start = net.now
    net.settle()
    assert net.now - start <= GRACE + 2
    assert net.sender.kept == 0
    # From now on nothing is kept but for the time in which unknown newcomers may ask.
    net.send("fay")
    assert net.sender.kept == 0
    assert not net.undelivered


@pytest.mark.parametrize("foreign", [False, True])
def test_a_named_identity_is_waited_for(foreign: bool) -> None:
    net = Net("ann", *(() if foreign else ("fay",)), foreign=("fay",) if foreign else ())
    fay = net.receivers["fay"]
    net.leave(fay)
    net.send("fay")
    net.send()
    net.send("fay", "ann")
    net.flow()
    assert net.receivers["ann"].log == [2, 3]
    net.come_back(fay)
    net.settle()
    assert fay.log == [1, 3]
    assert net.disturbed == 0
    net.leave(fay)
    net.come_back(fay)
    net.settle()
    assert fay.log == [1, 3]


def test_who_is_away_for_too_long_is_reported_once_and_told_of_the_gap() -> None:
    net = Net("ann", keep_for=10)
    ann = net.receivers["ann"]
    net.send()
    net.flow()
    net.tick(0.1)
    net.flow()
    net.leave(ann)
    for _ in range(4):
        net.send()
    net.flow()
    for _ in range(70):
        net.tick(0.5)
    assert net.undelivered == [Undelivered(4, "a receiver was gone for more than 10 s")]
    assert net.sender.kept == 0
    net.send()
    net.flow()
    for _ in range(62):
        net.tick(0.5)
    net.come_back(ann)
    net.send()
    net.settle()
    # What was sent after that time was not for it.
    assert (ann.log, ann.missed) == ([1, 7], 4)
    assert len(net.undelivered) == 1


def test_who_left_of_its_own_will_is_not_missed() -> None:
    net = Net("ann", keep_for=10)
    ann = net.receivers["ann"]
    net.send()
    net.flow()
    net.leave(ann, purposely=True)
    for _ in range(4):
        net.send()
    net.flow()
    for _ in range(70):
        net.tick(0.5)
    assert not net.undelivered
    assert net.sender.kept == 0


def test_who_left_of_its_own_will_gets_what_is_kept_if_it_comes_back_in_time() -> None:
    net = Net("ann", keep_for=10)
    ann = net.receivers["ann"]
    net.send()
    net.flow()
    net.leave(ann, purposely=True)
    net.send()
    net.flow()
    net.come_back(ann)
    net.settle()
    assert ann.log == [1, 2]


def test_who_is_present_but_silent_is_given_up() -> None:
    net = Net("ann", "ben")
    net.send()
    net.flow()
    net.send()
    ann = net.receivers["ann"]
    probes = 0
    for _ in range(int(2 * SILENT) + 10):
        net.tick(0.5)
        net.flow_without = None
        while net.forward(net.me):
            pass
        probes += sum(1 for packet in ann.into if packet.control)
        ann.into.clear()
        while net.receive(net.receivers["ben"]) or net.forward(net.receivers["ben"]) or net.receive(net.me):
            pass
    assert net.undelivered == [Undelivered(1, "a receiver did not acknowledge for 30 s")]
    assert 2 <= probes <= 5
    assert net.sender.kept == 0


def test_a_full_keep_waits_for_who_is_present_and_not_for_others() -> None:
    net = Net("ann", "ben", keep=10)
    net.send()
    net.flow()
    net.tick(0.1)
    net.flow()
    ann = net.receivers["ann"]
    # Nobody acknowledges, but both are there.
    while net.send() is not None:
        pass
    assert net.sender.kept == 10
    net.flow()
    net.tick(0.1)
    net.flow()
    assert net.send() is not None
    net.flow()
    net.tick(0.1)
    net.flow()
    net.leave(ann)
    for _ in range(25):
        assert net.send() is not None
        net.flow()
        net.tick(0.06)
        net.flow()
        assert net.sender.kept <= 10
    lost = net.sender.last - 10 - ann.log[-1]
    net.come_back(ann)
    net.settle()
    assert ann.log[-10:] == list(range(net.sender.last - 9, net.sender.last + 1))
    assert ann.missed == sum(each.count for each in net.undelivered) == lost


def test_what_could_not_be_sent_is_not_waited_for() -> None:
    net = Net("ann")
    net.send()
    net.flow()
    for to in [(), ("ann",)]:
        number = net.send(*to)
        assert number is not None
        net.me.out.clear()
        net.sender.withdraw(number)
    net.send()
    net.settle()
    assert numbers(net, "ann") == [1, 4]
    assert net.receivers["ann"].missed == 0


def test_at_the_end_what_is_left_is_reported() -> None:
    net = Net("ann", foreign=("fay",))
    net.send()
    net.flow()
    net.tick(0.1)
    net.flow()
    net.leave(net.receivers["ann"])
    net.send()
    net.send("ann")
    net.send("fay")
    net.send("gus")
    assert net.sender.finish("the end") == [Undelivered(4, "the end")]
    assert net.sender.kept == 0
    assert net.sender.deadline is None


def test_what_cannot_be_is_refused() -> None:
    net = Net("ann")
    net.send()
    assert net.sender.ack("ann", Ack("s1", 2), 0.0) == []
    assert net.sender.ack("ann", Ack("other", 1), 0.0) == []
    assert net.sender.sync("ann", Sync("s1", 0, 5), 0.0) == []
    assert net.sender.refused == 3
    assert net.sender.sync("ann", Sync("other", 0, 5), 0.0) == [SendControl("ann", Gone("other"))]
