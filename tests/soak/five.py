"""Five participants for two minutes, each with a tone and a 180p picture, everything decoded by everyone."""

from __future__ import annotations

import statistics
from typing import Any

from bench.raw.embedded import EmbeddedServer
from bench.usage import process_cpu_seconds

from .participants import Job, Participants
from .witness import witness

__all__ = ["run"]

_AFTER_A_STALL = 1.0
"""Seconds after a stall of the machine in which its gap may be heard: jitter buffers play late."""

PEOPLE = 5
SECONDS = 120.0
LEAST_FRAMES = 0.95
"""Of the pictures shown, those that each subscriber has to see; a busy machine's encoder leaves some out."""


async def run(*, quick: bool) -> dict[str, Any]:
    """Run with our client and, unless quick, with the official SDK."""
    found: dict[str, Any] = {"ok": True}
    for sdk in ("ours",) if quick else ("ours", "official"):
        seconds = 5.0 if quick else SECONDS
        with EmbeddedServer() as server:
            tokens = [server.token(f"person-{number}", room="five") for number in range(PEOPLE)]
            job = Job(sdk, server.url, tokens, PEOPLE, seconds=seconds)
            async with Participants.start(job) as participants:
                server.look()
                async with witness() as stalls:
                    cpu = process_cpu_seconds(server.pid)
                    result = await participants.measure(seconds)
                    cpu = process_cpu_seconds(server.pid) - cpu
                after = server.look()
        shares = []
        for number, seen in enumerate(result["seen"]):
            shown = [count for other, count in enumerate(result["shown"]) if other != number]
            shares += [each / count for each, count in zip(seen, shown, strict=True)]
        unexplained = [each for each in result["quiet_frames"] if not stalls.explain(each, _AFTER_A_STALL)]
        well = (
            len(result["audio_frames"]) == PEOPLE * (PEOPLE - 1) == len(shares)
            and not unexplained
            and min(shares) >= (LEAST_FRAMES if not quick else 0.5)  # seconds alone say little
        )
        found["ok"] = found["ok"] and well
        found[sdk] = {
            "seconds": round(result["seconds"], 1),
            "audio_tracks_received": len(result["audio_frames"]),
            "quiet_audio_frames": len(result["quiet_frames"]),
            "quiet_audio_frames_while_the_machine_ran": len(unexplained),
            "the_machine_stood_still": len(stalls.found),
            "the_machine_stood_still_ms_most": round(stalls.longest * 1e3),
            "longest_gap_ms": result["longest_gap_ms"],
            "audio_frames_per_second_least": round(min(result["audio_frames"]) / result["seconds"], 2),
            "video_tracks_received": len(shares),
            "video_share_least": round(min(shares), 3),
            "video_share_median": round(statistics.median(shares), 3),
            "server_percent_of_a_core": round(cpu / result["seconds"] * 100),
            "clients_percent_of_a_core": round(result["cpu_percent"]),
            "server_late_by_50_ms": after["late_50_ms"],
            "server_late_ms_most": after["latest_ms"],
            "clients_late_by_50_ms": result["late"]["late_50_ms"],
            "clients_late_ms_most": result["late"]["latest_ms"],
            "errors_in_the_server": after["errors"],
        }
    return found
