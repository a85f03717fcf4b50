"""Hostile input for minutes: the server lives, lets nobody in, keeps its memory, and serves honest clients."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any

from bench.raw.embedded import EmbeddedServer
from bench.raw.load import Load, run_load
from bench.usage import process_cpu_seconds

from . import attacks, forgeries

__all__ = ["run"]

HALF_OPEN = 10_000
ROUNDS = 12
MEMORY_GROWTH_MB = 64.0
"""How much more memory than after the first round the server may hold in the end."""

_ROUND = 2_000


async def _honest(server: EmbeddedServer, name: str) -> float:
    """Let two honest participants meet; returns how long that and a hundred packets took."""
    began = time.perf_counter()
    outcome = await run_load(
        server.url,
        lambda identity, room: server.token(identity, room=room),
        Load(rooms=1, subscribers=1, rate=200, seconds=0.5),
        lambda: process_cpu_seconds(server.pid),
        prefix=name,
    )
    if outcome.lost:
        raise RuntimeError(f"{outcome.lost} of {outcome.expected} packets of honest clients were lost")
    return time.perf_counter() - began


async def _attack(target: attacks.Target, name: str, rng: random.Random, size: int) -> None:
    if name in ("media", "data"):
        async with attacks.mallory(target, f"mallory-{name}") as client:
            await getattr(attacks, name)(client, rng, size)
    elif name == "sctp":
        for number in range(size // 20):
            async with attacks.mallory(target, f"mallory-{number}") as client:
                await attacks.sctp(client, rng, 20)
    else:
        counts = {"media_port": size * 5, "dtls": size // 20, "signalling": size // 20}
        await getattr(attacks, name)(target, rng, counts[name])


async def run(*, quick: bool) -> dict[str, Any]:
    """Attack a server in a process of its own, and say what became of it."""
    size = _ROUND // 10 if quick else _ROUND
    rounds = 2 if quick else ROUNDS
    half_open = HALF_OPEN // 10 if quick else HALF_OPEN
    with EmbeddedServer() as server:
        target = attacks.Target(
            server.url,
            server.key,
            lambda identity: server.token(identity, room="attacked"),
            server.udp_port,
            server.tcp_port,
        )
        before: dict[str, Any] = {}
        honest: list[float] = []
        peak = 0.0
        for number in range(rounds):
            for name in ("media_port", "dtls", "media", "sctp", "data", "signalling"):
                rng = random.Random(f"{name} {number}")
                attack = asyncio.create_task(_attack(target, name, rng, size))
                try:
                    honest.append(await _honest(server, f"honest-{name}-{number}"))
                    await attack
                finally:
                    attack.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await attack
                peak = max(peak, server.look()["memory_mb"])
            before = before or server.look()
        let_in = await forgeries.tokens(target)
        async with attacks.half_open(target, random.Random(1), half_open) as opened:
            crowded = await _honest(server, "crowded")
            during = server.look()
        afterwards = await _honest(server, "afterwards")
        await asyncio.sleep(2.0)
        after = server.look()
    return {
        "ok": not let_in and not after["errors"] and after["memory_mb"] - before["memory_mb"] < MEMORY_GROWTH_MB,
        "rounds": rounds,
        "forged_tokens": len(forgeries.forged_tokens(target)),
        "let_in": let_in,
        "half_open": opened,
        "turned_away": after["turned_away"] + after["dropped"].get("TCP without proof", 0),
        "honest_meanwhile_s": round(max(honest), 2),
        "honest_among_half_open_s": round(crowded, 2),
        "honest_afterwards_s": round(afterwards, 2),
        "errors": after["errors"],
        "last_error": after["last_error"],
        "memory_mb_after_first_round": before["memory_mb"],
        "memory_mb_peak": max(peak, during["memory_mb"]),
        "memory_mb_after": after["memory_mb"],
        "descriptors": [before["descriptors"], during["descriptors"], after["descriptors"]],
        "dropped": after["dropped"],
    }
