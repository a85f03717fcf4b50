"""Runs the measurements: one process each, the contenders in turn, against one server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from aiolivekit.testing import RealServer

from .measures.recovery import FAULTS
from .servers import SERVERS, measure_server
from .settings import Settings
from .worker import MARK

__all__ = ["Samples", "WorkerError", "run"]

Samples = dict[str, dict[str, list[dict[str, float]]]]
"""Measurement, contender, round: name of the figure and value."""

_CHECKOUT = Path(__file__).resolve().parent.parent
_LIMIT = 180.0
_ENDING = 10.0
_DEATHS = 3
"""Times that the server is killed in a round."""


class WorkerError(Exception):
    """A measurement failed; the message ends with what its process printed last."""


class _Worker:
    """A process with one job."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._errors = asyncio.create_task(self._read_errors())
        self._tail = b""
        self._done = False

    @classmethod
    async def start(cls, job: dict[str, Any]) -> _Worker:
        environment = {**os.environ, "WRTC_ALLOW_LOOPBACK": "1"}
        search = [str(_CHECKOUT / "src"), str(_CHECKOUT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, search))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=_CHECKOUT,
            env=environment,
            limit=16 * 1024 * 1024,
        )
        worker = cls(process)
        worker.tell(json.dumps(job))
        return worker

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    async def hear(self, key: str, value: str | None = None) -> Any:
        """Wait for the message with that key (and value) and return the value."""
        assert self._process.stdout is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LIMIT):
                while line := (await self._process.stdout.readline()).decode(errors="replace"):
                    if line.startswith(MARK):
                        message = json.loads(line.removeprefix(MARK))
                        if key in message and value in (None, message[key]):
                            self._done = key == "result"
                            return message[key]
                await self._process.wait()
        raise WorkerError(f"no {value or key} from the worker\n{self._tail.decode(errors='replace')}")

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(65536):
            self._tail = (self._tail + chunk)[-3000:]

    async def end(self) -> None:
        with contextlib.suppress(TimeoutError):
            # One that has given its result ends by itself; a signal in that moment would race with its end.
            await asyncio.wait_for(self._process.wait(), _ENDING if self._done else 0)
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._errors
        # The pipes' transports close when their end is read.
        assert self._process.stdout is not None
        await self._process.stdout.read()


async def run(
    measures: Sequence[str],
    contenders: Sequence[str],
    settings: Settings,
    server: RealServer,
    say: Callable[[str], None],
) -> tuple[Samples, list[str]]:
    """Return the samples of all rounds, and what failed; a failed measurement leaves its sample out."""
    columns = {measure: _columns(measure, contenders) for measure in measures}
    samples: Samples = {measure: {column: [] for column in columns[measure]} for measure in measures}
    failures: list[str] = []
    for number in range(settings.rounds):
        for measure in measures:
            for contender in columns[measure]:
                say(f"round {number + 1} of {settings.rounds}: {measure}, {contender}")
                room = f"{measure}-{contender}-{number}"
                try:
                    sample = await _measure(measure, contender, settings, server, room)
                except (WorkerError, TimeoutError) as error:
                    failures.append(f"{measure}, {contender}, round {number + 1}: {error}")
                    say(failures[-1])
                else:
                    samples[measure][contender].append(sample)
    return samples, failures


async def _measure(measure: str, contender: str, settings: Settings, server: RealServer, room: str) -> dict[str, float]:
    def job(kind: str, tokens: list[str], **more: Any) -> dict[str, Any]:
        return {"measure": kind, "contender": contender, "url": server.url, "tokens": tokens, **more}

    def tokens(count: int) -> list[str]:
        return [server.token(f"participant-{number}", room=room) for number in range(count)]

    match measure:
        case "connect":
            return await _alone(job("connect", tokens(settings.connects + 2)))
        case "data":
            return await _alone(job("data", tokens(2), pings=settings.pings, seconds=settings.data_seconds))
        case "data_tracks":
            return await _alone(job("data_tracks", tokens(2), seconds=settings.data_seconds))
        case "calls":
            sizes = {"calls": settings.calls, "seconds": settings.data_seconds, "megabytes": settings.transfer_mb}
            return await _alone(job("calls", tokens(2), **sizes))
        case "memory":
            rooms = [server.token("alone", room=f"{room}-{number}") for number in range(settings.rooms)]
            return await _alone(job("memory", rooms))
        case "audio1" | "audio8" | "audio8_encrypted":
            count = int(measure.removeprefix("audio").removesuffix("_encrypted"))
            how = {"count": count, "encrypted": measure.endswith("_encrypted")}
            sub, pub = tokens(2)
            sent, got = await _pair(job("receive_audio", [sub], **how), job("publish_audio", [pub], **how), settings)
            return {
                "publish_percent": sent["cpu_percent"],
                "receive_percent": got["cpu_percent"],
                "total_percent": sent["cpu_percent"] + got["cpu_percent"],
                "latency_ms": _onset_latency(sent["written"], got["onsets"]) * 1e3,
                "frames_percent": got["frames"] / (settings.media_seconds * 100 * count) * 100,
            }
        case "video" | "layers" | "layers_encrypted":
            how = {"layers": measure != "video", "encrypted": measure.endswith("_encrypted")}
            sub, pub = tokens(2)
            sent, got = await _pair(job("receive_video", [sub], **how), job("publish_video", [pub], **how), settings)
            delays = [when - sent["written"][index] for index, when, _ in got["seen"] if index < len(sent["written"])]
            if not delays:
                raise WorkerError("no frame arrived")
            return {
                "publish_percent": sent["cpu_percent"],
                "receive_percent": got["cpu_percent"],
                "total_percent": sent["cpu_percent"] + got["cpu_percent"],
                "latency_ms": statistics.median(delays) * 1e3,
                "frames_percent": len({index for index, _, _ in got["seen"]}) / (settings.media_seconds * 30) * 100,
                "height": statistics.median(height for _, _, height in got["seen"]),
                "kbps": sent["kbps"],
            }
        case "server":
            return await measure_server(contender, settings, server, room, _alone)
        case "recovery" | "recovery_dual":
            figures: dict[str, float] = {}
            for fault in FAULTS:
                # When they try again after a server has died is left to chance, so more than once.
                found = [
                    await _alone(job("recovery", [], fault=fault, single=measure == "recovery"))
                    for _ in range(_DEATHS if fault == "killed" else 1)
                ]
                figures |= {name: statistics.median(each[name] for each in found) for name in found[0]}
            return figures
        case unknown:
            raise ValueError(f"no such measurement: {unknown}")


def _columns(measure: str, contenders: Sequence[str]) -> Sequence[str]:
    """Return who takes part in a measurement."""
    if measure == "server":
        return SERVERS
    # Bare wrtc neither reconnects nor makes calls; what sends frames of data tracks on it, or encrypts, would be ours.
    alone = measure.startswith("recovery") or measure.endswith("_encrypted") or measure in ("calls", "data_tracks")
    return [name for name in contenders if name != "bare"] if alone else contenders


async def _alone(job: dict[str, Any]) -> dict[str, float]:
    worker = await _Worker.start(job)
    try:
        result: dict[str, float] = await worker.hear("result")
    finally:
        await worker.end()
    return result


async def _pair(receive: dict[str, Any], publish: dict[str, Any], settings: Settings) -> tuple[Any, Any]:
    """Run a receiver and a publisher, and measure both between the same two moments."""
    workers = [await _Worker.start(receive)]
    try:
        await workers[0].hear("state", "connected")
        workers.append(await _Worker.start(publish))
        await _both(*(worker.hear("state", "ready") for worker in workers))
        await asyncio.sleep(settings.warm_up)
        for worker in workers:
            worker.tell("start")
        await asyncio.sleep(settings.media_seconds)
        for worker in workers:
            worker.tell("stop")
        got, sent = await _both(*(worker.hear("result") for worker in workers))
    finally:
        for worker in workers:
            await worker.end()
    return sent, got


async def _both(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Wait for all; raise the first failure at once, since the other process would wait for the failed one."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _onset_latency(written: Sequence[float], heard: Sequence[float]) -> float:
    """Return the median time from the writing of a burst to its arrival; bursts are half a second apart."""
    delays = []
    for when in heard:
        before = [when - each for each in written if 0 <= when - each < 0.5]
        if before:
            delays.append(min(before))
    if not delays:
        raise WorkerError("no burst arrived")
    return statistics.median(delays)
