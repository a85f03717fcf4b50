"""A voice agent on livekit-agents: it listens, thinks and speaks, with models that need no network.

    pip install livekit-agents "aiolivekit[resample,apm]" && aiolivekit dropin install
    python agent.py dev

LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET are those of the server (`aiolivekit server` prints some). Nothing
here is about aiolivekit: it is a program for livekit-agents, which runs as it is on the drop-in and without it.
"""

from __future__ import annotations

import asyncio
import os

from fake_models import EchoLLM, LoudnessVAD, ToneSTT, ToneTTS
from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, JobExecutorType, cli, room_io

# Agents run each job in a process of its own, unless told otherwise.
server = AgentServer(job_executor_type=JobExecutorType[os.environ.get("AGENT_JOBS", "process").upper()])


@server.rtc_session(agent_name="voice")
async def converse(job: JobContext) -> None:
    """One conversation, in one room."""
    session: AgentSession[None] = AgentSession(
        vad=LoudnessVAD(),
        stt=ToneSTT(),
        llm=EchoLLM(),
        tts=ToneTTS(),
        turn_handling={"turn_detection": "vad", "endpointing": {"min_delay": 0.1}},
        aec_warmup_duration=None,
    )
    replies: set[asyncio.Task[None]] = set()

    @job.room.on("data_received")
    def acknowledge(packet: rtc.DataPacket) -> None:
        """Answer a message on the topic `question`, to whom it is from."""
        if packet.topic == "question" and packet.participant is not None:
            answer = job.room.local_participant.publish_data(
                b"got " + packet.data, topic="answer", destination_identities=[packet.participant.identity]
            )
            replies.add(task := asyncio.ensure_future(answer))
            task.add_done_callback(replies.discard)

    await session.start(
        Agent(instructions="Say what you hear."),
        room=job.room,
        room_options=room_io.RoomOptions(text_input=True, audio_input=True, audio_output=True),
    )
    await job.connect()

    @job.room.local_participant.register_rpc_method("state")
    async def state(call: rtc.RpcInvocationData) -> str:
        """What the agent is doing."""
        return f"{call.caller_identity}: {session.agent_state}"

    session.say("Hello, I am at 500.")


if __name__ == "__main__":
    cli.run_app(server)
