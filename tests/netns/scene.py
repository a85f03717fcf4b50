"""Two participants each at both servers and in both modes: one at the end of a link that is broken, one of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.raw.embedded import EmbeddedServer

from aiolivekit.testing import RealServer

from .network import Network, network
from .person import inside

__all__ = ["Pair", "Servers", "pairs", "servers"]


@dataclass(frozen=True)
class Servers:
    """Both servers, where the namespace reaches them."""

    real: RealServer
    real_url: str
    embedded: EmbeddedServer


@dataclass(frozen=True)
class Pair:
    """Two in a room: `alice` at the end of the link, and `bob` at the end of one that is well."""

    name: str
    alice: Any
    bob: Any

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
async def servers(link: Network, binary: Path | None = None) -> AsyncIterator[Servers]:
    """Run both servers on this end of the link."""
    config = {
        "bind_addresses": ["127.0.0.1", link.host],
        "rtc": {"node_ip": link.host, "ips": {"includes": [f"{link.host}/32"]}},
    }
    async with RealServer(binary=binary, config=config) as real:
        with EmbeddedServer(host=link.host) as embedded:
            port = real.url.rpartition(":")[2]
            yield Servers(real, f"ws://{link.host}:{port}", embedded)


@asynccontextmanager
async def pairs(running: Servers, link: Network, room: str) -> AsyncIterator[list[Pair]]:
    """Have a pair for each server and mode join; they leave after the body."""
    async with AsyncExitStack() as stack:
        # Not in this namespace: ICE would try, and may choose, the links of other tests, which come and go.
        well = stack.enter_context(network())
        well.reach(link.host)
        alices = await stack.enter_async_context(inside(link.enter))
        bobs = await stack.enter_async_context(inside(well.enter))
        made = []
        begins = []
        for kind in ("real", "embedded"):
            url = running.real_url if kind == "real" else running.embedded.url
            server = running.real if kind == "real" else running.embedded
            for mode in ("single", "dual"):
                name = f"{kind}, {mode}"
                pair = Pair(name, alices.person(name), bobs.person(name))
                tokens = tuple(server.token(each, room=f"{room}-{mode}") for each in ("alice", "bob"))
                begins.append(pair.begin(url, tokens, single=mode == "single"))
                made.append(pair)
        await asyncio.gather(*begins)
        yield made
