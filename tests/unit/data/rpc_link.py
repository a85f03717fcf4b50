"""Two drivers of calls with a link between them that can fail, and streams of whole texts beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from livekit.protocol import models

from aiolivekit.data.rpc import Rpc, RpcPeers
from aiolivekit.data.rpc_chain import RpcCallInfo, RpcHandler, RpcInterceptor

Take = Callable[[str, Mapping[str, str], str], None]


class Side:
    """A participant; what it sends arrives at the other one in a later turn of the loop.

    Attributes:
        protocol: What its client understands.
        deaf: Whether what is sent to it is lost.
        refusal: What sending raises.
        gate: What sending waits for.
        sent: The kinds of what it sent.
    """

    def __init__(self, identity: str, *, protocol: int = 0, streams: bool = False, server_version: str = "") -> None:
        self.identity = identity
        self.protocol = protocol
        self.others: dict[str, Side] = {}
        self.deaf = False
        self.refusal: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.sent: list[str] = []
        self.packets: list[models.DataPacket] = []
        self.topics: dict[str, tuple[Take, int]] = {}
        self.handlers: dict[str, RpcHandler] = {}
        self.interceptors: list[RpcInterceptor] = []
        self.rpc = Rpc(
            self,
            self if streams else None,
            RpcPeers(lambda: identity, self.protocol_of, lambda: server_version),
            self.handlers,
            self.interceptors,
        )

    def protocol_of(self, identity: str) -> int:
        return self.others[identity].protocol if identity in self.others else 0

    async def _leave(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        if self.gate is not None:
            await self.gate.wait()

    # -- PacketPort and TextPort --

    async def publish_data(self, packet: models.DataPacket, *, bulk: bool = False) -> None:
        await self._leave()
        self.sent.append(str(packet.WhichOneof("value")))
        self.packets.append(packet)
        [destination] = packet.destination_identities
        self._to(destination, lambda other: other.take(self.identity, packet))

    async def send_text(self, text: str, *, topic: str, attributes: Mapping[str, str], destination: str) -> None:
        await self._leave()
        self.sent.append(topic)

        def deliver(other: Side) -> None:
            take, limit = other.topics[topic]
            if len(text.encode()) <= limit:
                take(self.identity, attributes, text)

        self._to(destination, deliver)

    def on_text(self, topic: str, take: Take, limit: int) -> None:
        self.topics[topic] = (take, limit)

    # -- the link --

    def _to(self, destination: str, deliver: Callable[[Side], None]) -> None:
        other = self.others.get(destination)
        if other is not None and not other.deaf:
            asyncio.get_running_loop().call_soon(deliver, other)

    def take(self, sender: str, packet: models.DataPacket) -> None:
        match packet.WhichOneof("value"):
            case "rpc_request":
                request = packet.rpc_request
                timeout = request.response_timeout_ms / 1000
                self.rpc.on_request(sender, request.id, request.method, request.payload, timeout, request.version)
            case "rpc_ack":
                self.rpc.on_ack(sender, packet.rpc_ack.request_id)
            case "rpc_response":
                response = packet.rpc_response
                failed = response.WhichOneof("value") == "error"
                self.rpc.on_response(
                    sender,
                    response.request_id,
                    None if failed else response.payload,
                    response.error if failed else None,
                )

    async def call(self, to: str, method: str, payload: str = "", **more: Any) -> str:
        async with asyncio.timeout(10):
            return await self.rpc.perform(RpcCallInfo(to, method, payload, **more))


@asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[tuple[Side, Side]]:
    """Two sides, and the certainty that at the end nothing of them is left."""
    before = asyncio.all_tasks()
    alice, bob = Side("alice", **options), Side("bob", **options)
    alice.others["bob"], bob.others["alice"] = bob, alice
    try:
        yield alice, bob
        for side in (alice, bob):
            assert len(side.rpc._calls) == 0, "a call is left"
    finally:
        for side in (alice, bob):
            side.rpc.close()
        for side in (alice, bob):
            await side.rpc.aclose()
        assert asyncio.all_tasks() == before
        assert all(len(side.rpc._handling._callee) == 0 for side in (alice, bob))
