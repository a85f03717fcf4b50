"""The data streams of one visit to a room, both ways."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping

from ..core.stream_header import text_header
from ..core.stream_table import Sender
from ..options import DataStreamOptions
from .port import PacketPort
from .stream_receiving import StreamKind, StreamOpened, StreamReceiver
from .stream_sending import AbilitiesOf, StreamSender

__all__ = ["DataStreams", "new_stream_id", "timestamp_now"]


def new_stream_id() -> str:
    """Return an id that no other stream has."""
    # A UUID of version 4, for less than `uuid` takes: each call needs two.
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def timestamp_now() -> int:
    """Return the milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class DataStreams:
    """The data streams of a visit (a `TextPort`).

    Args:
        port: Sends packets.
        options: Limits of what is received.
        abilities: Returns what recipients understand.
        present: Returns those who are in the room.
        is_wanted: Whether there is a handler for a kind and topic.
        opened: Takes streams that begin.
    """

    def __init__(
        self,
        port: PacketPort,
        options: DataStreamOptions,
        abilities: AbilitiesOf,
        present: Callable[[], Iterable[Sender]],
        is_wanted: Callable[[StreamKind, str], bool],
        opened: StreamOpened,
    ) -> None:
        self.sender = StreamSender(port, abilities)
        self.receiver = StreamReceiver(options, is_wanted, opened)
        self._present = present

    async def send_text(self, text: str, *, topic: str, attributes: Mapping[str, str], destination: str) -> None:
        """See `TextPort`."""
        header = text_header(new_stream_id(), timestamp_now(), topic, attributes=attributes)
        await self.sender.send_whole(header, text.encode(), [destination], is_text=True)

    def on_text(self, topic: str, take: Callable[[str, Mapping[str, str], str], None], limit: int) -> None:
        """See `TextPort`."""
        self.receiver.on_text(topic, lambda _header, sender, attributes, text: take(sender, attributes, text), limit)

    # -- who is here --

    def left(self, participant: Sender, *, returning: bool) -> None:
        """Somebody is in the room no more.

        Args:
            participant: Who.
            returning: Whether it may come back at once with a new session.
        """
        self.receiver.left(participant, returning=returning)
        self.sender.left(participant.identity)

    def interrupted(self) -> None:
        """Our session is lost and will be replaced; who leaves meanwhile only seems to."""
        self.receiver.interrupted()
        self.sender.interrupted([each.identity for each in self._present()])

    def undelivered(self) -> None:
        """Packets that were on their way may be lost."""
        self.sender.undelivered()

    def recovered(self) -> None:
        """There is a session again, or still."""
        present = list(self._present())
        self.receiver.recovered(present)
        self.sender.recovered([each.identity for each in present])

    # -- end --

    def close(self) -> None:
        """The room is disconnected: readers and writers of streams that are not whole get an error."""
        self.receiver.close()
        self.sender.close()

    async def aclose(self) -> None:
        """Wait for the end of what is under way; `close` was called."""
        await self.sender.aclose()
