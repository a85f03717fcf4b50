"""An app: it greets who sends it a name."""

import asyncio

from livekit import rtc


async def join_and_greet(url: str, token: str) -> rtc.Room:
    """Join a room and answer each data message on the topic `name` with a greeting."""
    room = rtc.Room()
    replies: set[asyncio.Task[None]] = set()

    @room.on("data_received")
    def greet(packet: rtc.DataPacket) -> None:
        if packet.topic == "name":
            text = f"Hello, {packet.data.decode()}!"
            task = asyncio.create_task(room.local_participant.publish_data(text, topic="greeting"))
            replies.add(task)
            task.add_done_callback(replies.discard)

    await room.connect(url, token)
    return room
