"""Bare RTP at 15,000 forwards a second for a minute, none lost: one to one and one to five, sound and picture."""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.raw.embedded import EmbeddedServer
from bench.raw.load import Load, run_load
from bench.usage import process_cpu_seconds

__all__ = ["run"]

LOADS = {
    "audio, 5 rooms of 1 to 1": Load(rooms=5, subscribers=1, rate=3000.0, seconds=60.0),
    "video, 5 rooms of 1 to 1": Load(rooms=5, subscribers=1, rate=3000.0, seconds=60.0, kind="video"),
    "video, 1 room of 1 to 5": Load(rooms=1, subscribers=5, rate=3000.0, seconds=60.0, kind="video"),
}


async def run(*, quick: bool) -> dict[str, Any]:
    """Run the loads on a server in a process of its own."""
    found: dict[str, Any] = {"ok": True}
    for name, load in LOADS.items():
        with EmbeddedServer() as server:
            outcome = await run_load(
                server.url,
                lambda identity, room, server=server: server.token(identity, room=room),
                dataclasses.replace(load, seconds=3.0, rate=1000.0) if quick else load,
                lambda server=server: process_cpu_seconds(server.pid),
            )
        found[name] = {
            "seconds": round(outcome.seconds, 1),
            "forwards": outcome.received,
            "forwards_per_second": round(outcome.received / outcome.seconds),
            "lost": outcome.lost,
            "out_of_order": outcome.out_of_order,
            "dropped_by_the_kernel": server.counters.get("kernel_dropped"),
            "server_percent_of_a_core": round(outcome.server_cpu / outcome.seconds * 100),
            "clients_percent_of_a_core": round(outcome.client_cpu / outcome.seconds * 100),
            "forwards_per_core": round(outcome.per_core),
        }
        found["ok"] = found["ok"] and not outcome.lost and not outcome.out_of_order
    return found
