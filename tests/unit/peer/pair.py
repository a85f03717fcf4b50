"""Two of our peer connections in one process, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiolivekit.core.flight import SILENT, FlightTap
from aiolivekit.peer.channel import ChannelState, DataChannel
from aiolivekit.peer.connection import PeerConnection, PeerState


class RecordingSink:
    """A `PeerSink` that passes candidates to the other side and records the rest."""

    def __init__(self) -> None:
        self.other: PeerConnection | None = None
        self.states: list[PeerState] = []
        self.channels: asyncio.Queue[DataChannel] = asyncio.Queue()
        self.messages: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.channel_states: asyncio.Queue[tuple[str, ChannelState]] = asyncio.Queue()
        self.low: asyncio.Queue[str] = asyncio.Queue()
        self.changed = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    def on_local_candidate(self, peer: PeerConnection, candidate: str) -> None:
        if self.other is not None:
            task = asyncio.ensure_future(self.other.add_remote_candidate(candidate))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def on_peer_state(self, peer: PeerConnection, state: PeerState) -> None:
        self.states.append(state)
        self.changed.set()

    def on_remote_channel(self, peer: PeerConnection, channel: DataChannel) -> None:
        self.channels.put_nowait(channel)

    def on_channel_message(self, channel: DataChannel, data: bytes) -> None:
        self.messages.put_nowait((channel.label, data))

    def on_channel_state(self, channel: DataChannel, state: ChannelState) -> None:
        self.channel_states.put_nowait((channel.label, state))

    def on_channel_low(self, channel: DataChannel) -> None:
        self.low.put_nowait(channel.label)

    async def wait_connected(self) -> None:
        async with asyncio.timeout(10):
            while "connected" not in self.states:
                self.changed.clear()
                await self.changed.wait()


async def negotiate(offerer: PeerConnection, answerer: PeerConnection) -> None:
    offer = await offerer.create_offer()
    await offerer.set_local_offer(offer)
    await answerer.set_offer(offer)
    answer = await answerer.create_answer()
    await answerer.set_local_answer(answer)
    await offerer.set_answer(answer)


@asynccontextmanager
async def peer_pair(
    flight: FlightTap = SILENT,
) -> AsyncIterator[tuple[PeerConnection, RecordingSink, PeerConnection, RecordingSink]]:
    a_sink, b_sink = RecordingSink(), RecordingSink()
    a, b = PeerConnection("a", a_sink, flight), PeerConnection("b", b_sink)
    a_sink.other, b_sink.other = b, a
    try:
        yield a, a_sink, b, b_sink
    finally:
        a.close()
        b.close()
        for task in [*a_sink.tasks, *b_sink.tasks]:
            task.cancel()
