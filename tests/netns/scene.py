"""Two participants each at both servers and in both modes: one of the two inside the namespace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.raw.embedded import EmbeddedServer

from aiolivekit.testing import RealServer

from .network import Network
from .person import Person, inside

__all__ = ["Pair", "Servers", "pairs", "servers"]


@dataclass(frozen=True)
class Servers:
    """Both servers, where the namespace reaches them."""

    real: RealServer
    real_url: str
    embedded: EmbeddedServer


@dataclass(frozen=True)
class Pair:
    """Two in a room: `alice` inside the namespace, and `bob` in this process."""

    name: str
    alice: Any
    bob: Person

    ALICE_TONE = 600.0
    BOB_TONE = 900.0

    async def begin(self, url: str, tokens: tuple[str, str], *, single: bool) -> None:
        """Join, and hear each other."""
        await asyncio.gather(
            self.alice.join(url, tokens[0], single, self.ALICE_TONE),
            self.bob.join(url, tokens[1], single, self.BOB_TONE),
        )
        assert (await self.alice.look())["single"] is single
        await self.check_tones()

    async def check_tones(self) -> None:
        """Check that each hears the other."""
        heard = await asyncio.gather(self.alice.listen(self.BOB_TONE), self.bob.listen(self.ALICE_TONE))
        assert abs(heard[0] - self.BOB_TONE) < 10, f"{self.name}: alice hears {heard[0]:.0f} Hz"
        assert abs(heard[1] - self.ALICE_TONE) < 10, f"{self.name}: bob hears {heard[1]:.0f} Hz"

    async def send(self, first: int, count: int, pause: float, seed: int | None = None) -> None:
        """Begin to send messages both ways, as `Person.send` says."""
        await asyncio.gather(*(each.send(first, count, pause, seed) for each in (self.alice, self.bob)))

    async def sent(self) -> None:
        """Wait until all were sent."""
        await asyncio.gather(self.alice.sent(), self.bob.sent())


@asynccontextmanager
async def servers(network: Network, binary: Path | None = None) -> AsyncIterator[Servers]:
    """Run both servers on this end of the link."""
    config = {
        "bind_addresses": ["127.0.0.1", network.host],
        "rtc": {"node_ip": network.host, "ips": {"includes": [f"{network.host}/32"]}},
    }
    async with RealServer(binary=binary, config=config) as real:
        with EmbeddedServer(host=network.host) as embedded:
            port = real.url.rpartition(":")[2]
            yield Servers(real, f"ws://{network.host}:{port}", embedded)


@asynccontextmanager
async def pairs(running: Servers, network: Network, room: str) -> AsyncIterator[list[Pair]]:
    """Have a pair for each server and mode join; they leave after the body."""
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(inside(network.enter))
        made = []
        begins = []
        for kind in ("real", "embedded"):
            url = running.real_url if kind == "real" else running.embedded.url
            server = running.real if kind == "real" else running.embedded
            for mode in ("single", "dual"):
                name = f"{kind}, {mode}"
                bob = Person()
                stack.push_async_callback(bob.leave)
                pair = Pair(name, there.person(name), bob)
                tokens = tuple(server.token(each, room=f"{room}-{mode}") for each in ("alice", "bob"))
                begins.append(pair.begin(url, tokens, single=mode == "single"))
                made.append(pair)
        await asyncio.gather(*begins)
        yield made
