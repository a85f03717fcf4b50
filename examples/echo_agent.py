"""An agent that says back what it hears: each voice in the room is echoed on a track of its own.

    python echo_agent.py

LIVEKIT_URL is the server's; a token for LIVEKIT_TOKEN is made with `aiolivekit token`. Speak into headphones only, or
the echo will be echoed.
"""

from __future__ import annotations

import asyncio
import os

from aiolivekit import (
    AudioSource,
    AudioStream,
    LocalAudioTrack,
    RemoteParticipant,
    RemoteTrack,
    RemoteTrackPublication,
    Room,
    TrackKind,
)

RATE = 48_000


async def echo(room: Room, track: RemoteTrack, speaker: str) -> None:
    """Play a track back until it ends."""
    source = AudioSource(RATE, 1)
    stream = AudioStream(track, sample_rate=RATE, num_channels=1)
    publication = await room.local_participant.publish_track(
        LocalAudioTrack.create_audio_track(f"echo of {speaker}", source)
    )
    try:
        async for event in stream:
            await source.capture_frame(event.frame)
    finally:
        await stream.aclose()
        await source.aclose()
        if room.isconnected():
            await room.local_participant.unpublish_track(publication.sid)


async def main() -> None:
    """Be in the room until it ends."""
    left = asyncio.Event()
    async with Room() as room, asyncio.TaskGroup() as echoes:

        @room.on("track_subscribed")
        def begin(track: RemoteTrack, publication: RemoteTrackPublication, participant: RemoteParticipant) -> None:
            if track.kind == TrackKind.KIND_AUDIO:
                echoes.create_task(echo(room, track, participant.identity))

        room.on("disconnected", lambda reason: left.set())
        await room.connect(os.environ["LIVEKIT_URL"], os.environ["LIVEKIT_TOKEN"])
        print(f"listening in {room.name}", flush=True)
        await left.wait()


if __name__ == "__main__":
    asyncio.run(main())
