"""Participants in a process of their own (`python -m tests.soak.participants`), on the official SDK or on ours.

Each publishes a tone and a picture if it is told to, subscribes to everything and decodes it. The job comes as a line
of JSON; after `{"state": "ready"}` a line starts the measurement, and its result is the second line that goes out.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bench.usage import Lateness, cpu_seconds, raise_descriptor_limit

__all__ = ["Job", "Participants"]

MODULES = {"ours": "aiolivekit", "official": "livekit.rtc"}

_CHECKOUT = Path(__file__).resolve().parents[2]
_RATE = 48_000
_FRAME = 480
"""Samples in 10 ms, the resolution of gaps."""

_WRITTEN, _READ = 5, 10
"""Frames that are written and read at once: what they cost each time must not become the measurement."""

_START = 60.0
_QUIET = 0.5
"""A frame with less than this share of the usual loudness is a gap in a steady tone."""


@dataclass(frozen=True)
class Job:
    """What the participants do.

    Args:
        sdk: "ours" or "official".
        url: Of the server.
        tokens: One for each participant.
        publishers: How many of them publish.
        audio: Whether they publish a tone.
        size: Of the picture they publish.
        fps: Pictures a second.
        single: Whether they use one peer connection.
        seconds: How long is measured.
    """

    sdk: str
    url: str
    tokens: list[str]
    publishers: int
    audio: bool = True
    size: tuple[int, int] = (320, 180)
    fps: float = 15.0
    single: bool = True
    seconds: float = 10.0


class Participants:
    """The child process, seen from the parent."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def start(cls, job: Job, prefix: Sequence[str] = ()) -> AsyncIterator[Participants]:
        """Start the process; the body begins when everything published arrives everywhere."""
        process = await asyncio.create_subprocess_exec(
            *prefix,
            sys.executable,
            "-m",
            "tests.soak.participants",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=_CHECKOUT,
            env={**os.environ, "WRTC_ALLOW_LOOPBACK": "1"},
        )
        participants = cls(process)
        try:
            participants._say(json.dumps(asdict(job)))
            await participants._hear(_START + 20)
            yield participants
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 10.0)
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def measure(self, seconds: float) -> dict[str, Any]:
        """Measure, and return what was seen."""
        self._say("go")
        return await self._hear(seconds + 60)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    async def _hear(self, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(timeout):
            while line := await self._process.stdout.readline():
                if line.startswith(b"{"):
                    answer: dict[str, Any] = json.loads(line)
                    return answer
        raise subprocess.SubprocessError("the participants ended early; what they said is above")


@dataclass
class _Heard:
    """What came of one audio track."""

    frames: int = 0
    loudness: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """When each frame was taken (`time.monotonic`)."""

    def take(self, samples: Any) -> None:
        values = np.frombuffer(samples, np.int16).astype(np.float32).reshape(-1, _FRAME)
        self.frames += len(values)
        self.loudness.extend(np.sqrt(np.mean(values * values, axis=1)).tolist())
        self.times.extend([time.monotonic()] * len(values))

    def gaps(self) -> tuple[list[float], int]:
        """Return when quiet frames were taken, and how many of them came in a row at most."""
        if not self.loudness:
            return [], 0
        quiet = np.asarray(self.loudness) < _QUIET * float(np.median(self.loudness))
        longest = run = 0
        for each in quiet:
            run = run + 1 if each else 0
            longest = max(longest, run)
        return [self.times[index] for index in np.flatnonzero(quiet)], longest


class _Participant:
    def __init__(self, rtc: Any, job: Job, number: int) -> None:
        self._rtc = rtc
        self._job = job
        self._number = number
        self.room = rtc.Room()
        self.heard: dict[str, _Heard] = {}
        self.seen: dict[str, int] = {}
        self.shown = 0
        self.measuring = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.room.on("track_subscribed", self._subscribed)

    async def join(self) -> None:
        options = self._rtc.RoomOptions(single_peer_connection=self._job.single)
        await self.room.connect(self._job.url, self._job.tokens[self._number], options)

    async def publish(self) -> None:
        rtc, job = self._rtc, self._job
        if job.audio:
            source = rtc.AudioSource(_RATE, 1)
            track = rtc.LocalAudioTrack.create_audio_track("tone", source)
            # Without DTX: a gap in what is heard is then a gap on the way.
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
            await self.room.local_participant.publish_track(track, options)
            self._begin(self._play(source))
        width, height = job.size
        video = rtc.VideoSource(width, height)
        track = rtc.LocalVideoTrack.create_video_track("picture", video)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False)
        await self.room.local_participant.publish_track(track, options)
        self._begin(self._show(video))

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)

    async def _play(self, source: Any) -> None:
        position = 0
        step = 2 * np.pi * (400 + 100 * self._number) / _RATE
        count = _FRAME * _WRITTEN
        while True:
            samples = (np.sin((np.arange(count) + position) * step) * 10_000).astype(np.int16)
            await source.capture_frame(self._rtc.AudioFrame(samples.tobytes(), _RATE, 1, count))
            position += count

    async def _show(self, source: Any) -> None:
        rtc, (width, height) = self._rtc, self._job.size
        rng = np.random.default_rng(self._number)
        still = np.full(width * height * 3 // 2, 128, np.uint8)
        still[: width * height] = np.linspace(40, 200, width * height, dtype=np.uint8)
        texture = rng.integers(0, 255, (height // 4, width // 4), np.uint8).repeat(2, 0).repeat(2, 1)
        due = time.perf_counter()
        index = 0
        while True:
            picture = still.copy()
            x = (index * 4) % (width // 2)
            luma = picture[: width * height].reshape(height, width)
            luma[: texture.shape[0], x : x + texture.shape[1]] = texture
            source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, picture.tobytes()))
            self.shown += self.measuring
            index += 1
            due = max(due + 1 / self._job.fps, time.perf_counter() - 1 / self._job.fps)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    def _subscribed(self, track: Any, _publication: Any, participant: Any) -> None:
        if track.kind == self._rtc.TrackKind.KIND_AUDIO:
            self._begin(self._listen(track, self.heard.setdefault(participant.identity, _Heard())))
        else:
            self.seen.setdefault(participant.identity, 0)
            self._begin(self._watch(track, participant.identity))

    async def _listen(self, track: Any, heard: _Heard) -> None:
        stream = self._rtc.AudioStream(track, sample_rate=_RATE, num_channels=1, frame_size_ms=10 * _READ)
        try:
            async for event in stream:
                heard.take(event.frame.data)
        finally:
            await stream.aclose()

    async def _watch(self, track: Any, identity: str) -> None:
        stream = self._rtc.VideoStream(track, format=self._rtc.VideoBufferType.I420)
        try:
            async for _ in stream:
                self.seen[identity] += 1
        finally:
            await stream.aclose()

    def complete(self, others: int) -> bool:
        """Whether something of every track has arrived."""
        return (
            len(self.seen) == others
            and all(self.seen.values())
            and (not self._job.audio or (len(self.heard) == others and all(h.frames > 50 for h in self.heard.values())))
        )

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.disconnect()


async def _run(job: Job, reader: asyncio.StreamReader) -> dict[str, Any]:
    rtc = importlib.import_module(MODULES[job.sdk])
    people = [_Participant(rtc, job, number) for number in range(len(job.tokens))]
    publishers = people[: job.publishers]
    for person in people:
        await person.join()
    for person in publishers:
        await person.publish()
    async with asyncio.timeout(_START):
        while not all(p.complete(len(publishers) - (p in publishers)) for p in people):
            await asyncio.sleep(0.1)
    await asyncio.sleep(3.0)  # bitrates and jitter buffers find their level
    print(json.dumps({"state": "ready"}), flush=True)
    await reader.readline()
    for person in people:
        person.shown, person.measuring = 0, True
        person.seen = dict.fromkeys(person.seen, 0)
        for heard in person.heard.values():
            heard.frames, heard.loudness, heard.times = 0, [], []
    lateness = Lateness()
    watching = asyncio.create_task(lateness.watch())
    cpu, began = cpu_seconds(), time.perf_counter()
    await asyncio.sleep(job.seconds)
    watching.cancel()
    took = time.perf_counter() - began
    cpu = cpu_seconds() - cpu
    shown = [person.shown for person in publishers]
    seen = [[count for _, count in sorted(person.seen.items())] for person in people]
    heard = [h for person in people for h in person.heard.values()]
    gaps = [h.gaps() for h in heard]
    result = {
        "seconds": took,
        "shown": shown,
        "seen": seen,
        "audio_frames": [h.frames for h in heard],
        "quiet_frames": sorted(moment for moments, _ in gaps for moment in moments),
        "longest_gap_ms": max((longest for _, longest in gaps), default=0) * 10,
        "cpu_percent": cpu / took * 100,
        "late": lateness.figures(),
    }
    for person in people:
        await person.close()
    return result


async def _main() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    job = json.loads(await reader.readline())
    print(json.dumps(await _run(Job(**job), reader)), flush=True)


if __name__ == "__main__":
    raise_descriptor_limit()
    asyncio.run(_main())
    # Whatever threads an SDK may still have.
    sys.stdout.flush()
    os._exit(0)
