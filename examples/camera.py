"""A camera publisher; here the camera is a moving test picture, made with numpy.

    python camera.py [SECONDS]

LIVEKIT_URL is the server's; a token for LIVEKIT_TOKEN is made with `aiolivekit token`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator

import numpy as np

from aiolivekit import (
    LocalVideoTrack,
    Room,
    TrackPublishOptions,
    TrackSource,
    VideoBufferType,
    VideoFrame,
    VideoSource,
)

WIDTH, HEIGHT, FPS = 640, 360, 15


def pictures() -> Iterator[VideoFrame]:
    """What the camera sees: colours that run from left to right."""
    columns = np.arange(WIDTH)
    number = 0
    while True:
        picture = np.empty((HEIGHT, WIDTH, 4), np.uint8)
        for channel, period in enumerate((256, 384, 512)):
            picture[..., channel] = 255 * ((columns + 4 * number) % period) // period
        picture[..., 3] = 255
        yield VideoFrame(WIDTH, HEIGHT, VideoBufferType.RGBA, picture.tobytes())
        number += 1


async def main(seconds: float) -> None:
    """Publish for so long."""
    async with Room() as room:
        await room.connect(os.environ["LIVEKIT_URL"], os.environ["LIVEKIT_TOKEN"])
        source = VideoSource(WIDTH, HEIGHT)
        track = LocalVideoTrack.create_video_track("camera", source)
        await room.local_participant.publish_track(track, TrackPublishOptions(source=TrackSource.SOURCE_CAMERA))
        print(f"publishing in {room.name}", flush=True)
        loop = asyncio.get_running_loop()
        begun, camera = loop.time(), pictures()
        try:
            for number in range(int(seconds * FPS)):
                source.capture_frame(next(camera))
                # To the clock, not a fixed sleep: what a picture takes to make must not slow the camera down.
                await asyncio.sleep(begun + (number + 1) / FPS - loop.time())
        finally:
            await source.aclose()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))
