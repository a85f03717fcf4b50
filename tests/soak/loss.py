"""Every twentieth packet lost each way: at least nine of ten pictures arrive, with each client and either mode."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from bench.raw.embedded import EmbeddedServer

from .namespaces import Network, available, lossy_network
from .participants import Job, Participants

__all__ = ["measure", "run"]

EVERY = 20
SECONDS = 30.0
LEAST_FRAMES = 0.9


async def measure(
    sdk: str, *, single: bool, seconds: float, every: int, network: Network | None = None
) -> dict[str, Any]:
    """Show a picture to one subscriber while packets are lost, and say how much of it arrived.

    Args:
        sdk: "ours" or "official".
        single: Whether the clients use one peer connection.
        seconds: How long is measured.
        every: Every which packet is lost, each way; 0 for none.
        network: Where they are lost; the server's own fault loses them when left out.
    """
    host, here, there = (network.host, network.server, network.clients) if network else ("127.0.0.1", [], [])
    with EmbeddedServer(host=host, prefix=here) as server:
        tokens = [server.token(name, room="loss") for name in ("publisher", "subscriber")]
        job = Job(sdk, server.url, tokens, 1, audio=False, size=(640, 360), single=single, seconds=seconds)
        async with Participants.start(job, there) as participants:
            (network or server).lose(every)
            result = await participants.measure(seconds)
            lost = network.lost() if network else 0
            (network or server).lose(0)
    (shown,) = result["shown"]
    (seen,) = result["seen"][1]
    return {
        "shown": shown,
        "seen": seen,
        "share": round(seen / shown, 3),
        "packets_lost": lost or server.counters["lost_by_fault"],
        "errors": server.counters["errors"],
    }


async def run(*, quick: bool) -> dict[str, Any]:
    """Run every client in both modes, with loss and, to compare, without; where allowed, by the kernel as well."""
    found: dict[str, Any] = {"ok": True}
    seconds = 5.0 if quick else SECONDS
    with lossy_network() if available() else nullcontext() as network:
        for sdk in ("official", "ours"):
            for single in (False, True):
                name = f"{sdk}, {'single' if single else 'dual'}"
                if not quick:
                    found[f"{name}, no loss"] = await measure(sdk, single=single, seconds=seconds / 3, every=0)
                ways = {"the server's fault": None} | ({"iptables": network} if network else {})
                for what, where in ways.items():
                    lossy = await measure(sdk, single=single, seconds=seconds, every=EVERY, network=where)
                    found[f"{name}, 5% each way by {what}"] = lossy
                    found["ok"] = found["ok"] and lossy["share"] >= LEAST_FRAMES and lossy["packets_lost"] > 0
    return found
