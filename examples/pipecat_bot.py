"""A bot on pipecat and its LiveKit transport: it says back what it hears, and answers messages.

    pip install "pipecat-ai[livekit]" "aiolivekit[resample]" && aiolivekit dropin install
    python pipecat_bot.py

LIVEKIT_URL is the server's, LIVEKIT_ROOM the room; a token for LIVEKIT_TOKEN is made with `aiolivekit token`. Nothing
here is about aiolivekit: it is a program for pipecat, which runs as it is on the drop-in and without it.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from pipecat.frames.frames import EndFrame, Frame, InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.livekit.transport import LiveKitParams, LiveKitTransport
from pipecat.workers.runner import WorkerRunner


class Parrot(FrameProcessor):
    """Says back what it hears."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Turn what comes in into what goes out."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            frame = OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
        await self.push_frame(frame, direction)


async def main() -> None:
    """Be in the room until the first participant leaves it."""
    transport = LiveKitTransport(
        url=os.environ["LIVEKIT_URL"],
        token=os.environ["LIVEKIT_TOKEN"],
        room_name=os.environ["LIVEKIT_ROOM"],
        params=LiveKitParams(audio_in_enabled=True, audio_out_enabled=True),
    )
    worker = PipelineWorker(Pipeline([transport.input(), Parrot(), transport.output()]))

    @transport.event_handler("on_first_participant_joined")
    async def greet(transport: LiveKitTransport, participant: str) -> None:
        await transport.send_message(json.dumps({"greeting": f"Hello, {participant}!"}), participant)

    @transport.event_handler("on_app_message")
    async def answer(transport: LiveKitTransport, message: dict[str, Any], sender: str) -> None:
        await transport.send_message(json.dumps({"got": message}), sender)

    @transport.event_handler("on_participant_disconnected")
    async def leave(transport: LiveKitTransport, participant: str) -> None:
        print(f"{participant} left", flush=True)
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner()
    await runner.add_workers(worker)
    await runner.run()
    print("the end", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
