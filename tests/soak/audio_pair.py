"""A tone with a beep each second, from one participant to another (`python -m tests.soak.audio_pair`), in one process.

The job comes as a line of JSON on the standard input, the account goes out as another.
"""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

import aiolivekit as rtc

from ..marks import RATE, Beep, beeps, second_of_sound

__all__ = ["delays_of", "longer"]

_BED = (np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE) * 1500).astype(np.int16)
"""Something to be heard between the beeps: silence would not be sent."""

_BLOCK = RATE // 10
_SETTLE = 5
_ENDS = 10
_DEADLINE = 60.0


async def _play(source: rtc.AudioSource) -> None:
    second = 0
    while True:
        samples = _BED + second_of_sound(second)
        for start in range(0, RATE, _BLOCK):
            block = samples[start : start + _BLOCK]
            await source.capture_frame(rtc.AudioFrame(block.tobytes(), RATE, 1, len(block)))
        second += 1


async def _track(room: rtc.Room) -> rtc.RemoteAudioTrack:
    async with asyncio.timeout(_DEADLINE):
        while True:
            for participant in room.remote_participants.values():
                for publication in participant.track_publications.values():
                    if isinstance(publication.track, rtc.RemoteAudioTrack):
                        return publication.track
            await asyncio.sleep(0.05)


async def _inbound(track: rtc.RemoteAudioTrack) -> dict[str, float]:
    for record in await track.get_stats():
        if record.HasField("inbound_rtp"):
            found, received = record.inbound_rtp.inbound, record.inbound_rtp.received
            return {
                "samples": found.total_samples_received,
                "concealed": found.concealed_samples,
                "silent": found.silent_concealed_samples,
                "events": found.concealment_events,
                "inserted": found.inserted_samples_for_deceleration,
                "removed": found.removed_samples_for_acceleration,
                "waited": found.jitter_buffer_delay,
                "emitted": found.jitter_buffer_emitted_count,
                "packets": received.packets_received,
                "lost": received.packets_lost,
            }
    return {}


def delays_of(heard: list[Beep]) -> list[float]:
    """Return by how many seconds more than the first each beep is late; where they are made they are a second apart."""
    delays: list[float] = []
    expected = heard[0].number if heard else 0
    for beep in heard:
        steps = (beep.number - expected) % 10
        expected += steps
        delays.append(beep.time - expected)
        expected += 1
    return [each - delays[0] for each in delays]


def longer(delays: list[float]) -> float:
    """Return by how many seconds what was heard is longer than what was played; the ends are of ten beeps at least."""
    end = _end(len(delays))
    return median(delays[-end:]) - median(delays[:end]) if len(delays) >= 2 * end else float("inf")


def _end(beeps: int) -> int:
    return max(_ENDS, beeps // 10)


def _depths(counts: list[dict[str, float]]) -> list[float]:
    """Return how deep the jitter buffer was between each two counts, in seconds: what its samples have waited."""
    return [
        (after["waited"] - before["waited"]) / max(after["emitted"] - before["emitted"], 1)
        for before, after in pairwise(counts)
    ]


async def _run(job: dict[str, Any]) -> dict[str, Any]:
    alice, bob = rtc.Room(), rtc.Room()
    options = rtc.RoomOptions(single_peer_connection=job["single"])
    await alice.connect(job["url"], job["tokens"][0], options)
    await bob.connect(job["url"], job["tokens"][1], options)
    source = rtc.AudioSource(RATE, 1)
    published = rtc.LocalAudioTrack.create_audio_track("tone", source)
    await alice.local_participant.publish_track(
        published, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
    )
    playing = asyncio.create_task(_play(source))
    track = await _track(bob)
    stream = rtc.AudioStream(track)
    blocks: list[tuple[float, np.ndarray]] = []
    samples = 0
    loop = asyncio.get_running_loop()
    end = loop.time() + _SETTLE
    before: dict[str, float] = {}
    counts: list[dict[str, float]] = []
    first_at = note_at = 0.0
    stretch = _end(int(job["seconds"]))
    async for event in stream:
        block = np.frombuffer(event.frame.data, np.int16)
        if before:
            if not blocks:
                first_at = loop.time() - len(block) / RATE
            blocks.append((samples / RATE, block))
            samples += len(block)
            if loop.time() >= note_at:
                counts.append(await _inbound(track))
                note_at += stretch
        if loop.time() >= end:
            if before:
                break
            before = await _inbound(track)
            note_at = loop.time()
            end = note_at + job["seconds"]
    elapsed = loop.time() - first_at
    after = await _inbound(track)
    counts.append(after)
    dropped = stream.dropped
    playing.cancel()
    await stream.aclose()
    await alice.disconnect()
    await bob.disconnect()
    await source.aclose()
    await asyncio.gather(playing, return_exceptions=True)
    delays = await asyncio.to_thread(lambda: delays_of(beeps(blocks)))
    depths = _depths(counts)[: int(job["seconds"]) // stretch]
    change = {name: after[name] - before[name] for name in after}
    return {
        "seconds": round(samples / RATE, 1),
        "beeps": len(delays),
        "samples_beyond_the_clock_ms": round((samples / RATE - elapsed) * 1000, 1),
        # Beeps come later or sooner by what the jitter buffer got deeper or shallower: that is delay, not length.
        "longer_than_played_ms": round((longer(delays) - (depths[-1] - depths[0])) * 1000, 1),
        "beeps_later_ms": round(longer(delays) * 1000, 1),
        "buffer_ms": [round(depth * 1000) for depth in depths],
        "delays_apart_ms": round((max(delays) - min(delays)) * 1000, 1) if delays else float("inf"),
        "delays_ms": [
            round(median(delays[start : start + stretch]) * 1000) for start in range(0, len(delays), stretch)
        ],
        "concealed_percent": round(100 * change["concealed"] / max(change["samples"], 1), 4),
        "concealed_ms": round(change["concealed"] / RATE * 1000),
        "concealment_events": int(change["events"]),
        "packets_received": int(change["packets"]),
        "packets_lost": int(change["lost"]),
        "dropped_chunks": dropped,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(json.loads(sys.stdin.readline())))), flush=True)
