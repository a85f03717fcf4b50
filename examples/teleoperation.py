"""Teleoperation, a sketch: an operator drives a robot over data tracks, and reads its state.

    python teleoperation.py robot
    python teleoperation.py operator

LIVEKIT_URL is the server's; a token for LIVEKIT_TOKEN is made with `aiolivekit token`, one for each of the two.

Commands and states are of use only while they are new, so they travel on data tracks: unordered, never sent again, the
newest first. What must arrive, such as an emergency stop, is a call (RPC), which is answered.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import time

from aiolivekit import DataTrackFrame, RemoteDataTrack, Room, RpcInvocationData

COMMAND, STATE = "command", "state"
PERIOD = 0.02
COMMAND_LIVES = 0.3
"""Seconds after which a robot that hears nothing new stands still."""

VECTOR = struct.Struct("<dd")


def now() -> int:
    """Microseconds; a frame carries when it was made."""
    return time.time_ns() // 1000


def track_of_other(room: Room, name: str) -> asyncio.Future[RemoteDataTrack]:
    """Return somebody else's data track, when there is one."""
    found: asyncio.Future[RemoteDataTrack] = asyncio.get_running_loop().create_future()

    @room.on("data_track_published")
    def published(track: RemoteDataTrack) -> None:
        if track.info.name == name and not found.done():
            found.set_result(track)

    return found


async def robot(room: Room, commands: asyncio.Future[RemoteDataTrack]) -> None:
    """Move as commanded, until told to stop for good."""
    speed, position, heard_at = (0.0, 0.0), (0.0, 0.0), 0.0
    stopped = asyncio.Event()

    async def listen() -> None:
        nonlocal speed, heard_at
        newest = 0
        async for frame in (await commands).subscribe(buffer_size=1):
            # Frames may overtake each other.
            if (made := frame.user_timestamp or 0) > newest:
                newest, heard_at = made, time.monotonic()
                speed = VECTOR.unpack(frame.payload)

    @room.local_participant.register_rpc_method("emergency_stop")
    async def stop(call: RpcInvocationData) -> str:
        stopped.set()
        return f"standing at {position[0]:.2f}, {position[1]:.2f}"

    states = await room.local_participant.publish_data_track(name=STATE)
    listening = asyncio.create_task(listen())
    print("the robot is ready", flush=True)
    while not stopped.is_set():
        if time.monotonic() - heard_at > COMMAND_LIVES:
            speed = (0.0, 0.0)
        position = (position[0] + speed[0] * PERIOD, position[1] + speed[1] * PERIOD)
        states.try_push(DataTrackFrame(VECTOR.pack(*position), now()))
        await asyncio.sleep(PERIOD)
    listening.cancel()
    # The answer to the call is on its way.
    await asyncio.sleep(0.5)


async def operator(room: Room, states_come: asyncio.Future[RemoteDataTrack]) -> None:
    """Drive the robot two metres to the right, and stop it."""
    states = await states_come
    commands = await room.local_participant.publish_data_track(name=COMMAND)
    async for frame in states.subscribe(buffer_size=1):
        x, _ = VECTOR.unpack(frame.payload)
        if x >= 2:
            break
        commands.try_push(DataTrackFrame(VECTOR.pack(1.0, 0.0), now()))
    answer = await room.local_participant.perform_rpc(
        destination_identity=states.publisher_identity, method="emergency_stop", payload=""
    )
    print(f"the robot is {answer}", flush=True)


async def main(role: str) -> None:
    """Be one of the two."""
    be, hears = {"robot": (robot, COMMAND), "operator": (operator, STATE)}[role]
    async with Room() as room:
        # Before connecting, so that a track that is there already is not missed.
        track = track_of_other(room, hears)
        await room.connect(os.environ["LIVEKIT_URL"], os.environ["LIVEKIT_TOKEN"])
        await be(room, track)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
