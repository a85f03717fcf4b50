"""The voice agent of the examples as a worker of livekit-agents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from .environment import FOLDER, PROJECT
from .partners import Partners
from .running import Program, Sdk

EXAMPLE = PROJECT / "examples" / "voice_agent"


@asynccontextmanager
async def voice_agent(python: Path, partners: Partners, *, sdk: Sdk, jobs: str) -> AsyncIterator[Program]:
    """The worker, registered with the server by the name of the room; `jobs` are `thread` or `process`."""
    server = partners.server
    environment = {
        "LIVEKIT_URL": server.url,
        "LIVEKIT_API_KEY": server.api_key,
        "LIVEKIT_API_SECRET": server.api_secret,
        # Not the name of the example's: the server is used by other tests too.
        "LIVEKIT_AGENT_NAME_OVERRIDE": partners.room,
        "AGENT_JOBS": jobs,
        "VOICE_AGENT": str(EXAMPLE),
        # 244 MB of a model that is not used here.
        "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0",
    }
    arguments = ("-m", "livekit.agents", "start", "worker.py", "--dev", "--log-format", "json", "--log-level", "DEBUG")
    async with Program(python, *arguments, sdk=sdk, environment=environment, folder=FOLDER) as worker:
        await worker.line("registered worker")
        await ready(worker, jobs)
        yield worker


async def ready(worker: Program, jobs: str, count: int = 1) -> None:
    """Wait until there is a place for the `count`th job."""
    await worker.line("process initialized" if jobs == "process" else "job runner initialized", count=count)
