"""Two drivers of data streams with a link between them that can stop and fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from livekit.protocol import models

from aiolivekit.core.stream_split import Abilities
from aiolivekit.core.stream_table import Sender
from aiolivekit.data.stream_receiving import IncomingStream, StreamKind
from aiolivekit.data.streams import DataStreams
from aiolivekit.options import DataStreamOptions
from aiolivekit.room.data_stream import ByteStreamReader, TextStreamReader, byte_info, text_info

V1 = Abilities(inline=False, deflate=False)
V2 = Abilities(inline=True, deflate=False)
DEFLATE = Abilities(inline=True, deflate=True)

Reader = TextStreamReader | ByteStreamReader


class Side:
    """A participant; what it publishes arrives at the other at once.

    Attributes:
        abilities: What the others understand.
        refusal: What publishing raises.
        refusals: What it raises once each.
        gate: What publishing waits for.
        turn: Whether publishing gives others a turn.
        sent: Every packet, as it went out.
        bulk: Whether it yields to other packets, likewise.
        readers: Of the streams that began here; all are taken, whatever their topic, unless `wanted` names some.
    """

    def __init__(self, identity: str, options: DataStreamOptions) -> None:
        self.identity = identity
        self.other: Side | None = None
        self.abilities = V1
        self.refusal: Exception | None = None
        self.refusals: list[Exception] = []
        self.gate: asyncio.Event | None = None
        self.turn = False
        self.sent: list[models.DataPacket] = []
        self.bulk: list[bool] = []
        self.readers: list[Reader] = []
        self.wanted: set[str] | None = None
        self.present: list[Sender] = []
        self.streams = DataStreams(
            self,
            options,
            self._abilities,
            present=lambda: self.present,
            is_wanted=lambda _kind, topic: self.wanted is None or topic in self.wanted,
            opened=self._opened,
        )

    def _abilities(self, _destinations: Sequence[str]) -> Abilities:
        return self.abilities

    def _opened(self, kind: StreamKind, header: models.DataStream.Header, stream: IncomingStream, sender: str) -> None:
        assert self.other is None or sender == self.other.identity
        if kind == "text":
            self.readers.append(TextStreamReader(text_info(header), stream))
        else:
            self.readers.append(ByteStreamReader(byte_info(header), stream))

    async def publish_data(self, packet: models.DataPacket, *, bulk: bool = False) -> None:
        if self.turn:
            await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        if self.refusals:
            raise self.refusals.pop()
        if self.refusal is not None:
            raise self.refusal
        packet = models.DataPacket.FromString(packet.SerializeToString())
        self.sent.append(packet)
        self.bulk.append(bulk)
        if self.other is not None:
            self.other.receive(packet, Sender(self.identity))

    def receive(self, packet: models.DataPacket, sender: Sender) -> None:
        receiver = self.streams.receiver
        match packet.WhichOneof("value"):
            case "stream_header":
                receiver.header(packet.stream_header, sender)
            case "stream_chunk":
                receiver.chunk(packet.stream_chunk, sender)
            case "stream_trailer":
                receiver.trailer(packet.stream_trailer, sender)

    def kinds(self) -> list[str]:
        """What was sent, in short."""
        return [str(packet.WhichOneof("value")).removeprefix("stream_") for packet in self.sent]


@asynccontextmanager
async def sides(options: DataStreamOptions | None = None) -> AsyncIterator[tuple[Side, Side]]:
    """Alice and Bob, who hear each other."""
    alice, bob = Side("alice", options or DataStreamOptions()), Side("bob", options or DataStreamOptions())
    alice.other, bob.other = bob, alice
    alice.present, bob.present = [Sender("bob")], [Sender("alice")]
    before = asyncio.all_tasks()
    try:
        yield alice, bob
    finally:
        for side in (alice, bob):
            side.streams.close()
            await side.streams.aclose()
    assert asyncio.all_tasks() <= before
