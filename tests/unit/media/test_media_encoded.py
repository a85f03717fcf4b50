"""Why there is no `EncodedVideoSource`: wrtc drops encoded frames that its own encoder did not make."""

from __future__ import annotations

import asyncio
from typing import Any

import webrtc

from aiolivekit import VideoBufferType, VideoFrame, VideoSource, VideoStream

from .conftest import DEADLINE, connect_peers

DARK, BRIGHT = 40, 200


async def test_encoded_frames_of_others_are_dropped() -> None:
    source = VideoSource(64, 64)
    connections: list[Any] = []
    (track,) = await connect_peers([source._local.media_track], connections)
    sender = connections[0].get_senders()[0]
    copied = 0
    copying = True

    async def pass_on(event: Any) -> None:
        nonlocal copied
        reader, writer = event.transformer.readable.get_reader(), event.transformer.writable.get_writer()
        while True:
            result = await reader.read()
            if result.done:
                break
            frame = result.value
            if copying:
                copied += 1
                frame = webrtc.RTCEncodedVideoFrame(frame)
            await writer.write(frame)

    sender.transform = webrtc.RTCRtpScriptTransform(webrtc.WorkerAndParameters(pass_on))
    stream = VideoStream(track)
    arriving = asyncio.create_task(anext(stream))

    async def capture(luma: int) -> None:
        source.capture_frame(VideoFrame(64, 64, VideoBufferType.I420, bytes([luma]) * 4_096 + bytes([128]) * 2_048))
        await asyncio.sleep(0.02)

    async with asyncio.timeout(2 * DEADLINE):
        while copied < 20:
            await capture(DARK)
        while copied < 40:  # until nothing dark is on its way to the transform
            await capture(BRIGHT)
        copying = False
        while not arriving.done():
            await capture(BRIGHT)
    luma = (await arriving).frame.data[0]
    assert abs(luma - BRIGHT) < 10, "a copy of an encoded frame was sent: EncodedVideoSource may be possible"

    await stream.aclose()
    await source.aclose()
    for connection in connections:
        connection.close()
