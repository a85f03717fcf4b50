"""Ten minutes of sound: as long where it is heard as where it is made, and next to nothing of it made up.

Once on a clean network, and once while one packet in twenty is lost on its way to the participants, by the kernel; with
the real server, at the same time. The second needs root, iproute2 and iptables.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiolivekit.testing import RealServer

from ..netns.network import apart, missing_tools, network, probe
from .witness import witness

__all__ = ["run"]

LOSS = 0.05
SECONDS = 600.0
QUICK_SECONDS = 25.0
MOST_LONGER_MS = 20.0
MOST_CONCEALED_PERCENT = 0.1
_CHECKOUT = Path(__file__).resolve().parents[2]


async def run(*, quick: bool) -> dict[str, Any]:
    """Run both ways, with one peer connection."""
    seconds = float(os.environ.get("AUDIO_SECONDS", QUICK_SECONDS if quick else SECONDS))
    tools = missing_tools()
    reason = f"no {' and no '.join(tools)}" if tools else probe()
    async with AsyncExitStack() as stack:
        link = None
        if reason is None:
            # Before anything else: threads stay in the namespace in which they were started.
            stack.enter_context(apart())
            link = stack.enter_context(network())
        stalls = await stack.enter_async_context(witness())
        clean = await stack.enter_async_context(RealServer())
        ways = {"clean network": (clean, clean.url, [])}
        if link is not None:
            lossy = await stack.enter_async_context(RealServer(config=_reachable(link.host)))
            ways["5% loss"] = (lossy, f"ws://{link.host}:{lossy.url.rpartition(':')[2]}", link.enter)
            link.loss(probability=LOSS, direction="in")
        jobs = {name: _measure(server, url, seconds, prefix) for name, (server, url, prefix) in ways.items()}
        found = dict(zip(jobs, await asyncio.gather(*jobs.values()), strict=True))
        lost = sum(link.lost().values()) if link is not None else 0
    result: dict[str, Any] = {"ok": _is_well(found["clean network"], MOST_CONCEALED_PERCENT), **found}
    if link is None:
        result["5% loss"] = {"not_run": reason}
    else:
        result["packets_the_kernel_lost"] = lost
        # How much is made up is counted; with redundancy (RED) it is far less than what is lost.
        result["ok"] = result["ok"] and lost > 0 and _is_well(found["5% loss"], 100 * LOSS)
    result["the_machine_stood_still"] = len(stalls.found)
    result["the_machine_stood_still_ms_most"] = round(stalls.longest * 1000)
    return result


def _is_well(found: dict[str, Any], concealed_percent: float) -> bool:
    return (
        abs(found["longer_than_played_ms"]) <= MOST_LONGER_MS
        and abs(found["samples_beyond_the_clock_ms"]) <= MOST_LONGER_MS
        and found["concealed_percent"] <= concealed_percent
        and found["dropped_chunks"] == 0
    )


def _reachable(host: str) -> dict[str, Any]:
    return {"bind_addresses": ["127.0.0.1", host], "rtc": {"node_ip": host, "ips": {"includes": [f"{host}/32"]}}}


async def _measure(server: RealServer, url: str, seconds: float, prefix: Sequence[str] = ()) -> dict[str, Any]:
    job = {
        "url": url,
        "tokens": [server.token(name, room="audio") for name in ("alice", "bob")],
        "seconds": seconds,
        "single": True,
    }
    process = await asyncio.create_subprocess_exec(
        *prefix,
        sys.executable,
        "-m",
        "tests.soak.audio_pair",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=_CHECKOUT,
    )
    try:
        async with asyncio.timeout(seconds + 180):
            out, _ = await process.communicate(json.dumps(job).encode() + b"\n")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = [line for line in out.decode().splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError("the participants ended early; what they said is above")
    found: dict[str, Any] = json.loads(lines[-1])
    return found
