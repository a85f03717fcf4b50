"""A recorder: each voice in the room becomes a WAV file in a folder.

    python recorder.py FOLDER

LIVEKIT_URL is the server's; a token for LIVEKIT_TOKEN is made with `aiolivekit token` (one that is `hidden` is not seen
by the others).
"""

from __future__ import annotations

import asyncio
import os
import sys
import wave
from pathlib import Path

from aiolivekit import (
    AudioStream,
    RemoteParticipant,
    RemoteTrack,
    RemoteTrackPublication,
    Room,
    TrackKind,
)

RATE = 48_000


async def record(track: RemoteTrack, path: Path) -> None:
    """Write a track to a file until it ends."""
    stream = AudioStream(track, sample_rate=RATE, num_channels=1)
    try:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            async for event in stream:
                file.writeframes(event.frame.data)
    finally:
        await stream.aclose()
    print(f"recorded {path.name}", flush=True)


async def main(folder: Path) -> None:
    """Record until the room ends."""
    left = asyncio.Event()
    async with Room() as room, asyncio.TaskGroup() as recordings:

        @room.on("track_subscribed")
        def begin(track: RemoteTrack, publication: RemoteTrackPublication, participant: RemoteParticipant) -> None:
            if track.kind == TrackKind.KIND_AUDIO:
                # The sid alone: identities are what their owners say, and may be no names for files.
                recordings.create_task(record(track, folder / f"{publication.sid}.wav"))
                print(f"recording {participant.identity} as {publication.sid}.wav", flush=True)

        room.on("disconnected", lambda reason: left.set())
        await room.connect(os.environ["LIVEKIT_URL"], os.environ["LIVEKIT_TOKEN"])
        print(f"recording {room.name}", flush=True)
        await left.wait()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
