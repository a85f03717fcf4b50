"""`python -m bench.agents`: the same voice agent on ours and on the official SDK, in turn.

Its environment is that of the tests of other people's programs, made if need be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from pathlib import Path
from typing import Any

from tests.compat.programs.environment import PROJECT, prepare
from tests.compat.programs.running import SDKS, Program, Sdk

from aiolivekit.testing import RealServer
from bench.machine import describe
from bench.usage import process_cpu_seconds

from .partner import Partner

RESULTS = PROJECT / "docs" / "results"
FOLDER = Path(__file__).parent

ROWS = {
    "imported_mb": ("memory of the process, livekit.agents imported (MB)", None),
    "idle_mb": ("memory, agent in a room with a silent microphone (MB)", None),
    "talking_mb": ("memory, agent talking (MB)", None),
    "added_mb": ("memory that the talking agent adds to the import (MB)", 0.8),
    "idle_cpu": ("CPU of the agent, listening to a silent microphone (% of a core)", 0.6),
    "talking_cpu": ("CPU of the agent, talking (% of a core)", 0.6),
    "first_audio_ms": ("from the start of the job to the first audio at a participant (ms)", 0.6),
}


async def measure_alone(python: Path, server: RealServer, sdk: Sdk, room: str, window: float) -> dict[str, float]:
    """What an agent costs that is alone in its process."""
    environment = {
        "LIVEKIT_URL": server.url,
        "LIVEKIT_TOKEN": server.token("agent", room=room, kind="agent"),
        "VOICE_AGENT": str(PROJECT / "examples" / "voice_agent"),
    }
    async with (
        Partner(server.url, server.token("ada", room=room)) as ada,
        Program(python, str(FOLDER / "program.py"), sdk=sdk, environment=environment) as agent,
    ):
        imported = json.loads((await agent.line("IMPORTED")).split(" ", 1)[1])
        assert (imported["place"] == "_overlay") == (sdk == "ours"), imported
        await ada.hear()
        await ada.hear_silence()
        await asyncio.sleep(2)  # until what the greeting began has ended
        idle_cpu = await _cpu(agent.pid, window)
        idle = int(await ada.ask("memory"))
        await ada.ask("talk")
        await ada.hear()
        await asyncio.sleep(1)
        talking_cpu = await _cpu(agent.pid, window)
        talking = int(await ada.ask("memory"))
    return {
        "imported_mb": imported["kilobytes"] / 1024,
        "idle_mb": idle / 1024,
        "talking_mb": talking / 1024,
        "added_mb": (talking - imported["kilobytes"]) / 1024,
        "idle_cpu": idle_cpu,
        "talking_cpu": talking_cpu,
    }


async def _cpu(pid: int, window: float) -> float:
    loop = asyncio.get_running_loop()
    before, begun = process_cpu_seconds(pid), loop.time()
    await asyncio.sleep(window)
    return 100 * (process_cpu_seconds(pid) - before) / (loop.time() - begun)


async def measure_jobs(python: Path, server: RealServer, sdk: Sdk, room: str, jobs: int) -> list[float]:
    """How soon agents are heard, whose processes were there before their jobs, in milliseconds."""
    environment = {
        "LIVEKIT_URL": server.url,
        "LIVEKIT_API_KEY": server.api_key,
        "LIVEKIT_API_SECRET": server.api_secret,
        "VOICE_AGENT": str(PROJECT / "examples" / "voice_agent"),
        "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0",
    }
    arguments = ("-m", "livekit.agents", "start", "program.py", "--dev")
    found = []
    async with Program(python, *arguments, sdk=sdk, environment=environment, folder=FOLDER) as worker:
        await worker.line("registered worker")
        for number in range(1, jobs + 1):
            await worker.line("process initialized", count=number)
            name = f"{room}-{number}"
            async with Partner(server.url, server.token("ada", room=name)) as ada:
                request = {"agentName": "bench", "room": name}
                await asyncio.to_thread(server.api, "AgentDispatchService/CreateDispatch", request)
                heard_at = await ada.hear()
                job = json.loads((await worker.line("JOB ", count=number)).split(" ", 1)[1])
                found.append((heard_at - job["time"]) * 1000)
            await asyncio.to_thread(server.api, "RoomService/DeleteRoom", {"room": name})
    return found


async def run(rounds: int, window: float, jobs: int) -> dict[str, dict[str, list[float]]]:
    """Measure both in turn."""
    python = prepare("agents")
    samples: dict[str, dict[str, list[float]]] = {sdk: {row: [] for row in ROWS} for sdk in SDKS}
    with RealServer() as server:
        for turn in range(rounds):
            for sdk in SDKS:
                room = f"{sdk}-{turn}"
                for row, value in (await measure_alone(python, server, sdk, room, window)).items():
                    samples[sdk][row].append(value)
                samples[sdk]["first_audio_ms"] += await measure_jobs(python, server, sdk, f"{room}-jobs", jobs)
                print(room, {row: round(values[-1], 1) for row, values in samples[sdk].items()}, flush=True)
    return samples


def table(samples: dict[str, dict[str, list[float]]]) -> str:
    """Medians, ratios and what they may be at most."""
    lines = ["|  | ours | official | ours / official | at most |", "|---|---:|---:|---:|---:|"]
    for row, (title, limit) in ROWS.items():
        ours, official = (statistics.median(samples[sdk][row]) for sdk in SDKS)
        allowed = f"{limit}" if limit else "–"
        lines.append(f"| {title} | {ours:.1f} | {official:.1f} | {ours / official:.2f} | {allowed} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and record it."""
    parser = argparse.ArgumentParser(prog="python -m bench.agents")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=4, help="jobs of each round")
    parser.add_argument("--window", type=float, default=8.0, help="seconds that CPU is watched for")
    parser.add_argument("--record", action="store_true", help="write docs/results/agents.md and agents.json")
    parser.add_argument("--note", default="", help="what is to be said of the circumstances")
    arguments = parser.parse_args()
    samples = asyncio.run(run(arguments.rounds, arguments.window, arguments.jobs))
    text = table(samples)
    print(text)
    if not arguments.record:
        return
    machine: dict[str, Any] = describe()
    versions = _versions()
    (RESULTS / "agents.json").write_text(
        json.dumps({"machine": machine, "versions": versions, "samples": samples}, indent=1) + "\n"
    )
    record = RESULTS / "agents.md"
    # What was said of the figures stays, to be read again by whoever records new ones.
    said = record.read_text().rpartition("|\n")[2] if record.exists() else ""
    record.write_text(
        f"""# An agent on ours and on the official SDK

`make bench-agents`, commit {str(machine["commit"])[:7]}, {machine["date"][:10]}. The samples are in `agents.json`.

The voice agent of `examples/voice_agent` on livekit-agents {versions["livekit-agents"]}, which runs as it is on either:
on ours through the overlay, on the official SDK {versions["livekit"]} that it pins. CPU and memory are those of an
agent alone in its process, whose models are fakes, so that what remains is the framework and the SDK; the first audio
is that of jobs of a worker, whose processes were there before. Medians over {arguments.rounds} rounds, both in turn, on
{machine["cpu"]}, {machine["cores"]} cores, against livekit-server {machine["versions"]["livekit-server"]} over
loopback. {arguments.note}

{text}
{said}"""
    )


def _versions() -> dict[str, str]:
    lock = (PROJECT / "tests" / "compat" / "programs" / "agents.lock").read_text().splitlines()
    pins = dict(line.split(" ")[0].split("==") for line in lock if "==" in line and not line.startswith(" "))
    return {name: pins[name] for name in ("livekit-agents", "livekit")}


if __name__ == "__main__":
    main()
