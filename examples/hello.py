"""The example of the README: join a room, say hello, and print what happens there.

LIVEKIT_URL is the server's; a token for LIVEKIT_TOKEN is made with `aiolivekit token`.
"""

# ruff: noqa: D103

import asyncio
import os

from aiolivekit import Room


async def main() -> None:
    async with Room() as room:
        await room.connect(os.environ["LIVEKIT_URL"], os.environ["LIVEKIT_TOKEN"])
        await room.local_participant.publish_data("Hello, everybody!")
        async for event in room.events():
            print(event)


asyncio.run(main())
