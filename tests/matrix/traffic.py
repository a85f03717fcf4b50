"""Numbered messages from one participant to the other, and the account of what became of them."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any

from aiolivekit.errors import LiveKitError

from ..e2e.sdk import until

__all__ = ["Stream", "durable_is_there"]


def durable_is_there(participant: Any) -> bool:
    """Whether `publish_data` takes `durable`."""
    return "durable" in inspect.signature(participant.publish_data).parameters


class Stream:
    """Messages numbered from 0, one way.

    Three parts of them are sent: one before the fault, one while it lasts, one when all is well again.

    Args:
        sender: The room that sends.
        receiver: The room that receives.
        topic: What tells them from other streams.
        count: How many there are.
        pause: Seconds between two messages; 0 for as fast as they go.
        durable: Whether they are sent as durable ones.
    """

    def __init__(
        self, sender: Any, receiver: Any, topic: str, count: int, *, pause: float = 0.0, durable: bool = False
    ) -> None:
        self.topic = topic
        self.heard: list[int] = []
        self.sent: dict[int, float] = {}
        """When each that was taken was."""
        self.refused: dict[int, str] = {}
        """Those that were not taken, and why: the sender knows of them."""
        self.undelivered = 0
        """Of how many the sender was told that they may not have arrived at anybody."""
        self.absent = 0
        """Of how many the sender was told that somebody may not have got them, who was out of the room."""
        self._sender = sender
        self._count = count
        self._pause = pause
        self._options: dict[str, Any] = {"durable": True} if durable else {}
        self._well_again = asyncio.Event()
        self._heard_when_struck = -1
        self.begun = asyncio.Event()
        """Set when the first part is sent."""
        receiver.on("data_received", self._hear)
        sender.on("data_undelivered", self._told)

    def _hear(self, packet: Any) -> None:
        if packet.topic == self.topic:
            self.heard.append(int(packet.data))

    def _told(self, count: int, reason: str) -> None:
        if reason.endswith(" the room"):
            self.absent += count
        else:
            self.undelivered += count

    def struck(self) -> None:
        """Take note of what has arrived when the fault happens; the rest is on its way, or not sent yet."""
        self._heard_when_struck = self.heard[-1] if self.heard else -1

    def well_again(self) -> None:
        """Let the last part be sent."""
        self._well_again.set()

    async def run(self) -> None:
        """Send them all."""
        participant = self._sender.local_participant
        try:
            for number in range(self._count):
                if number == self._count // 3:
                    self.begun.set()
                elif number == self._count * 2 // 3:
                    await self._well_again.wait()
                try:
                    await participant.publish_data(str(number), topic=self.topic, **self._options)
                except LiveKitError as error:
                    self.refused[number] = type(error).__name__
                else:
                    self.sent[number] = time.monotonic()
                # Taken at once it has not given way to anybody.
                await asyncio.sleep(self._pause)
        finally:
            self.begun.set()

    async def wait_last(self) -> None:
        """Wait until the last one has arrived, and its sender was told of those that have not."""
        last = max(self.sent, default=None)
        await until(lambda: last is None or self.heard[-1:] == [last], f"the last message of {self.topic}")
        await until(
            lambda: len(self.sent) - len(set(self.heard)) <= self.undelivered + self.absent,
            f"a word on what is missing of {self.topic}",
        )

    def check(self, *, exact: bool, receiver_back: float | None, sender_restarted: bool) -> dict[str, int]:
        """Check what has arrived, and return the account.

        Args:
            exact: Whether nothing may be missing.
            receiver_back: When the receiver was in the room again, if it had to join anew: what was on its way to its
                old session, or sent before, may be lost on the server; the sender is told (`time.monotonic()`).
            sender_restarted: Whether the sender had to join again.
        """
        heard = self.heard
        assert len(heard) == len(set(heard)), f"{self.topic}: twice: {_twice(heard)}"
        assert heard == sorted(heard), f"{self.topic}: out of order"
        missing = sorted(set(self.sent) - set(heard))
        elsewhere = [
            number
            for number in missing
            if receiver_back is not None and number > self._heard_when_struck and self.sent[number] <= receiver_back
        ]
        unexplained = len(missing) - len(elsewhere)
        account = {
            "sent": len(self.sent),
            "missing": len(missing),
            "refused": len(self.refused),
            "undelivered": self.undelivered,
            "absent": self.absent,
        }
        if exact:
            assert not missing, f"{self.topic}: missing {missing[:10]} of {account}"
            assert not self.refused, f"{self.topic}: refused {self.refused}"
        elif unexplained:
            assert sender_restarted, f"{self.topic}: lost without a word: {account}"
            assert unexplained <= self.undelivered, f"{self.topic}: more lost than told: {account}"
        assert len(missing) <= self.undelivered + self.absent, f"{self.topic}: more lost than told: {account}"
        return account


def _twice(heard: list[int]) -> list[int]:
    seen: set[int] = set()
    return [number for number in heard if number in seen or seen.add(number)][:10]  # type: ignore[func-returns-value]
