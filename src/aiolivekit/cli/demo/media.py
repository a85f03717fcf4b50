"""The demo's sound and picture on their way: published by one participant, received by the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np

from ... import (
    AudioFrame,
    AudioSource,
    AudioStream,
    LocalAudioTrack,
    LocalVideoTrack,
    TrackPublishOptions,
    TrackSource,
    VideoBufferType,
    VideoEncoding,
    VideoFrame,
    VideoSource,
    VideoStream,
)
from ...errors import LiveKitError
from .picture import FRAME_RATE, FRAMES, HEIGHT, WIDTH, PictureReading, Pixels, draw, read_number, read_picture
from .tone import NOTE_SECONDS, NOTES, RATE, Samples, melody

if TYPE_CHECKING:
    from ...room.room import Room
    from ...room.track import LocalTrack, RemoteTrack

__all__ = ["exchange_picture", "exchange_tone"]

_DEADLINE = 10.0
_ENCODING = VideoEncoding(max_bitrate=2_000_000, max_framerate=2 * FRAME_RATE)
"""Enough for the full size from the first frame on, and for frames that come a little too soon after one another."""

_SILENCE = 0.01
_QUIET_SECONDS = 0.3
_PAUSE_SECONDS = 1.5
"""The melody is over after so much silence: the longer one as long as some of it has not been heard."""


@asynccontextmanager
async def _published(
    track: LocalTrack, source: TrackSource, sender: Room, receiver: Room
) -> AsyncIterator[RemoteTrack]:
    """Publish a track; yields it as the receiver has it."""
    arrived: asyncio.Future[RemoteTrack] = asyncio.get_running_loop().create_future()

    def subscribed(remote: RemoteTrack) -> None:
        if remote.name == track.name and not arrived.done():
            arrived.set_result(remote)

    receiver.on("track_subscribed", subscribed)
    try:
        options = TrackPublishOptions(source=source, simulcast=False, dtx=False, video_encoding=_ENCODING)
        async with asyncio.timeout(_DEADLINE):
            publication = await sender.local_participant.publish_track(track, options)
            remote = await arrived
    except TimeoutError:
        raise LiveKitError(f"the {track.name} did not arrive in {_DEADLINE:.0f} seconds") from None
    finally:
        receiver.off("track_subscribed", subscribed)
    yield remote
    await sender.local_participant.unpublish_track(publication.sid)


async def exchange_tone(sender: Room, receiver: Room) -> Samples:
    """Play the melody once and return what is heard, -1 to 1, from its onset to after its end."""
    source = AudioSource(RATE, 1)
    track = LocalAudioTrack.create_audio_track("tone", source)
    try:
        async with _published(track, TrackSource.SOURCE_MICROPHONE, sender, receiver) as remote:
            played = asyncio.Event()
            listening = asyncio.ensure_future(_listen(remote, played))
            try:
                await _play(source)
                played.set()
                return await listening
            finally:
                listening.cancel()
    finally:
        await source.aclose()


async def _play(source: AudioSource) -> None:
    samples = melody()
    chunk = RATE // 50
    for start in range(0, len(samples), chunk):
        part = samples[start : start + chunk]
        await source.capture_frame(AudioFrame(part.tobytes(), RATE, 1, len(part)))
    await source.wait_for_playout()


async def _listen(track: RemoteTrack, played: asyncio.Event) -> Samples:
    """Collect sound until it was heard and is silent again after the melody has been sent."""
    parts: list[Samples] = []
    quiet = heard = 0.0
    stream = AudioStream(track, sample_rate=RATE, num_channels=1)
    try:
        async with asyncio.timeout(_DEADLINE):
            async for event in stream:
                part = np.frombuffer(event.frame.data, dtype=np.int16) / 32768.0
                audible = float(np.abs(part).max(initial=0.0)) > _SILENCE
                if audible or parts:
                    parts.append(part)
                heard += event.frame.duration if audible else 0.0
                quiet = 0.0 if audible or not played.is_set() else quiet + event.frame.duration
                # A machine that stood still tears a hole into the sound, after which the rest comes.
                whole = heard >= len(NOTES) * NOTE_SECONDS - _QUIET_SECONDS
                if parts and quiet >= (_QUIET_SECONDS if whole else _PAUSE_SECONDS):
                    break
    except TimeoutError:
        pass  # what there is will be found wanting
    finally:
        await stream.aclose()
    return np.concatenate(parts) if parts else np.zeros(0)


async def exchange_picture(sender: Room, receiver: Room) -> tuple[list[PictureReading], Pixels | None]:
    """Show the moving picture; return what is seen in the counted frames, and one of them."""
    source = VideoSource(WIDTH, HEIGHT)
    track = LocalVideoTrack.create_video_track("picture", source)
    try:
        async with _published(track, TrackSource.SOURCE_CAMERA, sender, receiver) as remote:
            showing = asyncio.ensure_future(_show(source))
            try:
                frames = await _watch(remote)
            finally:
                showing.cancel()
    finally:
        await source.aclose()
    pixels = [_pixels(frame) for frame in frames]
    return [read_picture(each) for each in pixels], pixels[len(pixels) * 2 // 3] if pixels else None


async def _show(source: VideoSource) -> None:
    """Send frames at their rate until cancelled.

    After a delay there is no burst to catch up, which encoders thin out: like a camera's, the frames just come later.
    """
    loop = asyncio.get_running_loop()
    due = loop.time()
    number = 0
    while True:
        source.capture_frame(VideoFrame(WIDTH, HEIGHT, VideoBufferType.RGBA, draw(number).data))
        number += 1
        due = max(due + 1 / FRAME_RATE, loop.time() + 0.5 / FRAME_RATE)
        await asyncio.sleep(due - loop.time())


async def _watch(track: RemoteTrack) -> list[VideoFrame]:
    """Collect the frames that are numbered within `FRAMES` of the first one that arrives."""
    stream = VideoStream(track, format=VideoBufferType.RGBA, capacity=2 * FRAME_RATE)
    frames: list[VideoFrame] = []
    first: int | None = None
    try:
        async with asyncio.timeout(_DEADLINE):
            async for event in stream:
                # The number alone is read here, so that the loop is free for the next frame.
                number = read_number(_pixels(event.frame))
                if first is None:
                    first = number
                if first is not None and number is not None and number >= first + FRAMES:
                    break
                if first is not None:
                    frames.append(event.frame)
    except TimeoutError:
        pass
    finally:
        await stream.aclose()
    return frames


def _pixels(frame: VideoFrame) -> Pixels:
    return np.frombuffer(frame.data, dtype=np.uint8, count=frame.width * frame.height * 4).reshape(
        frame.height, frame.width, 4
    )
