"""The demo's text: a short conversation, then many numbered messages both ways, then single ones back and forth."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .result import Check

if TYPE_CHECKING:
    from ...room.packets import DataPacket
    from ...room.room import Room

__all__ = ["CONVERSATION", "MESSAGES", "Message", "TextReading", "check_text", "exchange_text", "numbered"]

Message = tuple[str, bytes]
"""The identity of the sender, and the payload."""

MESSAGES = 2000
SIZE = 100
"""Bytes of a numbered message."""

CONVERSATION = (
    ("alice", "Good morning, Bob. I am going to play you four notes."),
    ("bob", "Good morning, Alice. I shall send you a picture: 你好 👋"),
    ("alice", "Does the ball go round in a lying eight?"),
    ("bob", "It does. And yours should be an A major chord, note by note."),
)

_CHAT, _NUMBERED, _PING, _PONG = "demo.chat", "demo.numbered", "demo.ping", "demo.pong"
_ROUND_TRIPS = 100
_DEADLINE = 10.0


class Mailbox:
    """What one participant has received, by topic.

    Args:
        room: The room as that participant sees it.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._messages: defaultdict[str, list[Message]] = defaultdict(list)
        self._waiting: dict[str, tuple[int, asyncio.Future[None]]] = {}
        room.on("data_received", self._receive)

    def close(self) -> None:
        """Receive nothing more."""
        self._room.off("data_received", self._receive)

    def of(self, topic: str) -> list[Message]:
        """Return the messages of a topic, in the order in which they came."""
        return self._messages[topic]

    async def wait(self, topic: str, count: int) -> bool:
        """Wait until there are so many messages of a topic; return whether they came in time."""
        if len(self._messages[topic]) >= count:
            return True
        future = asyncio.get_running_loop().create_future()
        self._waiting[topic] = count, future
        try:
            async with asyncio.timeout(_DEADLINE):
                await future
        except TimeoutError:
            return False
        finally:
            del self._waiting[topic]
        return True

    def _receive(self, packet: DataPacket) -> None:
        topic = packet.topic or ""
        messages = self._messages[topic]
        messages.append((packet.participant.identity if packet.participant else "", packet.data))
        waiting = self._waiting.get(topic)
        if waiting is not None and len(messages) >= waiting[0] and not waiting[1].done():
            waiting[1].set_result(None)


@dataclass(slots=True)
class TextReading:
    """What arrived.

    Attributes:
        conversation: Sender and text, in the order in which they came.
        numbered: The numbered messages, by receiver.
        seconds: How long the numbered messages took, both ways at once.
        round_trips: Of single messages, in seconds.
    """

    conversation: list[tuple[str, str]]
    numbered: dict[str, list[Message]]
    seconds: float
    round_trips: list[float]

    @property
    def rate(self) -> float:
        """Numbered messages a second, both ways together."""
        return sum(map(len, self.numbered.values())) / self.seconds if self.seconds else 0.0

    @property
    def round_trip(self) -> float | None:
        """The median round trip in seconds."""
        return statistics.median(self.round_trips) if self.round_trips else None


def numbered(sender: str) -> list[bytes]:
    """Return the numbered messages of a sender."""
    return [f"{sender} {number}".encode().ljust(SIZE, b".") for number in range(MESSAGES)]


async def exchange_text(alice: Room, bob: Room) -> TextReading:
    """Let the two write to each other, and return what arrived."""
    boxes = {"alice": Mailbox(alice), "bob": Mailbox(bob)}
    rooms = {"alice": alice, "bob": bob}
    try:
        conversation = await _talk(rooms, boxes)
        seconds = await _send_numbered(rooms, boxes)
        round_trips = await _measure_round_trips(alice, boxes["alice"], bob)
    finally:
        for box in boxes.values():
            box.close()
    return TextReading(
        conversation, {name: list(box.of(_NUMBERED)) for name, box in boxes.items()}, seconds, round_trips
    )


async def _talk(rooms: dict[str, Room], boxes: dict[str, Mailbox]) -> list[tuple[str, str]]:
    heard: list[tuple[str, str]] = []
    for index, (sender, text) in enumerate(CONVERSATION):
        receiver = "bob" if sender == "alice" else "alice"
        await rooms[sender].local_participant.publish_data(text, topic=_CHAT, destination_identities=[receiver])
        # Each answers when it has heard the other.
        if not await boxes[receiver].wait(_CHAT, index // 2 + 1):
            break
        identity, payload = boxes[receiver].of(_CHAT)[-1]
        heard.append((identity, payload.decode(errors="replace")))
    return heard


async def _send_numbered(rooms: dict[str, Room], boxes: dict[str, Mailbox]) -> float:
    async def send(name: str) -> None:
        participant = rooms[name].local_participant
        for message in numbered(name):
            await participant.publish_data(message, topic=_NUMBERED)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for name, box in boxes.items():
            group.create_task(send(name))
            group.create_task(box.wait(_NUMBERED, MESSAGES))
    return time.perf_counter() - start


async def _measure_round_trips(alice: Room, box: Mailbox, bob: Room) -> list[float]:
    async def answer(packet: DataPacket) -> None:
        if packet.topic == _PING:
            await bob.local_participant.publish_data(packet.data, topic=_PONG)

    bob.on("data_received", answer)
    try:
        round_trips = []
        for count in range(1, _ROUND_TRIPS + 1):
            start = time.perf_counter()
            await alice.local_participant.publish_data(b"%d" % count, topic=_PING)
            if not await box.wait(_PONG, count):
                break
            round_trips.append(time.perf_counter() - start)
        return round_trips
    finally:
        bob.off("data_received", answer)


def check_text(reading: TextReading) -> list[Check]:
    """Compare what arrived with what was sent."""
    heard = len(reading.conversation)
    complete = tuple(reading.conversation) == CONVERSATION
    words = f"{heard} messages, {'as' if complete else 'not as'} written"
    checks = [Check("text", "conversation", complete, words, "as written")]
    for receiver, sender in (("bob", "alice"), ("alice", "bob")):
        got = reading.numbered.get(receiver, [])
        in_order = _in_order(got, sender)
        checks.append(
            Check(
                "text",
                f"{sender} to {receiver}",
                in_order,
                f"{len(got)} messages {'in order' if in_order else _first_difference(got, sender)}",
                f"{MESSAGES} messages in order",
            )
        )
    return checks


def _in_order(got: Sequence[Message], sender: str) -> bool:
    return list(got) == [(sender, message) for message in numbered(sender)]


def _first_difference(got: Sequence[Message], sender: str) -> str:
    for index, ((identity, payload), wanted) in enumerate(zip(got, numbered(sender), strict=False)):
        if (identity, payload) != (sender, wanted):
            return f"with another one in place {index}"
    return "and no more"
