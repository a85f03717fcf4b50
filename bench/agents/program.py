"""The voice agent that is measured; it runs in the environment of the agents, on whichever SDK is chosen for it.

As a worker (`python -m livekit.agents start program.py`), or alone in its process (`python program.py`).
"""

# ruff: noqa: E402 - the memory of the process is looked at between imports

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import livekit.agents


def resident_kilobytes() -> int:
    """The memory of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


IMPORTED = resident_kilobytes()

sys.path.insert(0, os.environ["VOICE_AGENT"])

from fake_models import EchoLLM, LoudnessVAD, ToneSTT, ToneTTS
from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, JobContext
from livekit.agents.testing import fake_job_context

GREETING_SECONDS = 1.0
TALK_SECONDS = 14.0

server = AgentServer(num_idle_processes=1)


def no_load() -> float:
    return 0.0


# Servers give no jobs to busy workers; this machine is to be busy.
server.load_fnc = no_load


def tell(what: str, **values: object) -> None:
    print(what, json.dumps(values), flush=True)


async def converse(room: rtc.Room) -> None:
    voice = ToneTTS(GREETING_SECONDS)
    session: AgentSession[None] = AgentSession(
        vad=LoudnessVAD(),
        stt=ToneSTT(),
        llm=EchoLLM(),
        tts=voice,
        turn_handling={"turn_detection": "vad"},
        aec_warmup_duration=None,
        user_away_timeout=None,
    )
    await session.start(Agent(instructions="Say what you hear."), room=room)

    @room.local_participant.register_rpc_method("talk")
    async def talk(call: rtc.RpcInvocationData) -> str:
        voice.seconds = TALK_SECONDS
        session.say("600")
        return ""

    @room.local_participant.register_rpc_method("memory")
    async def memory(call: rtc.RpcInvocationData) -> str:
        return str(resident_kilobytes())

    session.say("500")


@server.rtc_session(agent_name="bench")
async def job(context: JobContext) -> None:
    tell("JOB", time=time.time())
    await context.connect()
    await converse(context.room)


async def alone() -> None:
    room = rtc.Room()
    over = asyncio.Event()
    room.on("disconnected", lambda reason: over.set())
    tell("IMPORTED", kilobytes=IMPORTED, sdk=rtc.__name__, place=str(Path(rtc.__file__).parent.parent.parent.name))
    await room.connect(os.environ["LIVEKIT_URL"], os.environ["LIVEKIT_TOKEN"])
    with fake_job_context(room=room):
        await converse(room)
    await over.wait()


if __name__ == "__main__":
    assert livekit.agents.__version__
    asyncio.run(alone())
