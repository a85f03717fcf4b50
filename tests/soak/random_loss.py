"""One packet in twenty lost at random, each way, by the kernel: reliable messages both ways, and a tone, all the time.

The seed is that of sizes and pauses of the messages; which packets are lost is up to the kernel, whose dice take none.
Needs root, iproute2 and iptables. One client of ours is inside the namespace, another one outside, with the real and
the dev server, with one peer connection and with two, at once.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from typing import Any

from ..netns.network import apart, missing_tools, network, probe
from ..netns.scene import Pair, pairs, servers

__all__ = ["run"]

PROBABILITY = 0.05
SECONDS = 600.0
QUICK_SECONDS = 10.0
_MESSAGES = 400
"""In one round; each is checked before the next one begins."""
_PAUSE = 0.01


async def run(*, quick: bool) -> dict[str, Any]:
    """Run with a seed of its own, or that in `LOSS_SEED`; `LOSS_SECONDS` says how long."""
    tools = missing_tools()
    reason = f"no {' and no '.join(tools)}" if tools else probe()
    if reason is not None:
        return {"ok": True, "not_run": reason}
    seed = int(os.environ.get("LOSS_SEED", random.SystemRandom().randrange(10**6)))
    seconds = float(os.environ.get("LOSS_SECONDS", QUICK_SECONDS if quick else SECONDS))
    print(f"seed {seed}", file=sys.stderr)
    with apart(), network() as link:
        async with servers(link) as running, pairs(running, link, "soak") as made:
            link.loss(probability=PROBABILITY)
            end = time.monotonic() + seconds
            ways = await asyncio.gather(*(_pair(pair, seed + number, end) for number, pair in enumerate(made)))
            lost = link.lost()
    return {
        "ok": all(way["fault"] == "none" for way in ways) and min(lost.values()) > 0,
        "seed": seed,
        "seconds": seconds,
        "packets_lost": sum(lost.values()),
        **{pair.name: way for pair, way in zip(made, ways, strict=True)},
    }


async def _pair(pair: Pair, seed: int, end: float) -> dict[str, Any]:
    """Go on until it is time or something is wrong; return the account."""
    sent, fault = 0, "none"
    try:
        while time.monotonic() < end:
            await _round(pair, sent, seed + sent)
            sent += _MESSAGES
    except (AssertionError, TimeoutError) as error:
        fault = f"{type(error).__name__}: {error}"
    looks = await asyncio.gather(pair.alice.look(), pair.bob.look())
    reports = await pair.alice.reported(0) + await pair.bob.reported(0)
    if fault == "none" and any(look["undelivered"] or look["unasked"] for look in looks):
        fault = "messages reported as undelivered, or received behind the last one"
    return {
        "messages_each_way": sent,
        "reconnected": len(reports),
        "undelivered": sum(look["undelivered"] for look in looks),
        "fault": fault,
    }


async def _round(pair: Pair, first: int, seed: int) -> None:
    await pair.send(first, _MESSAGES, _PAUSE, seed)
    await pair.check_tones()
    await pair.sent()
    last = first + _MESSAGES - 1
    heard = await asyncio.gather(pair.alice.hear(last), pair.bob.hear(last))
    for who, numbers in zip(("alice", "bob"), heard, strict=True):
        missing = sorted(set(range(first, last + 1)) - set(numbers))
        assert not missing, f"{who} misses {len(missing)}, the first is {missing[0]}"
        assert numbers == list(range(first, last + 1)), f"{who}: twice or out of order"
