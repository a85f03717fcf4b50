"""Participants of a scenario: a client, and the sound and the pictures it sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["Actor"]

TIMEOUT = 15.0
RATE = 48_000
FPS = 10

_EVENTS = (
    "track_subscribed",
    "track_unsubscribed",
    "participant_disconnected",
    "reconnecting",
    "reconnected",
    "disconnected",
    "data_received",
)


class Actor:
    """One participant on one of the SDKs, whose names are the same.

    Args:
        identity: Who it is.
        rtc: The SDK's module.
    """

    def __init__(self, identity: str, rtc: ModuleType) -> None:
        self.identity = identity
        self.rtc: Any = rtc
        self.room = self.rtc.Room()
        self.events: list[tuple[str, tuple[Any, ...]]] = []
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._playing: dict[str, asyncio.Task[None]] = {}
        for name in _EVENTS:
            self.room.on(name, self._recorder(name))

    def _recorder(self, name: str) -> Callable[..., None]:
        def record(*arguments: Any) -> None:
            self.events.append((name, arguments))
            self._changed.set()

        return record

    @property
    def me(self) -> Any:
        """The local participant."""
        return self.room.local_participant

    async def event(self, name: str, count: int = 1) -> tuple[Any, ...]:
        """Return the arguments of the nth event of a name, past or to come."""
        try:
            async with asyncio.timeout(TIMEOUT):
                while len(found := [a for event, a in self.events if event == name]) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"{self.identity} had no {name} number {count}") from None
        return found[count - 1]

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def speak(self, name: str = "voice", *, source: str = "MICROPHONE", **options: Any) -> Any:
        """Publish a tone."""
        audio = self.rtc.AudioSource(RATE, 1)
        track = self.rtc.LocalAudioTrack.create_audio_track(name, audio)
        publication = await self.me.publish_track(track, self._options(source, **options))

        async def play() -> None:
            position = 0
            while True:
                angles = (np.arange(480) + position) * (2 * np.pi * 440.0 / RATE)
                samples = (np.sin(angles) * 12000).astype(np.int16)
                await audio.capture_frame(self.rtc.AudioFrame(samples.tobytes(), RATE, 1, 480))
                position += 480

        self._playing[publication.sid] = self._start(play())
        return publication

    async def show(
        self, name: str = "picture", size: tuple[int, int] = (320, 180), *, source: str = "CAMERA", **options: Any
    ) -> Any:
        """Publish noise as a video."""
        width, height = size
        video = self.rtc.VideoSource(width, height)
        track = self.rtc.LocalVideoTrack.create_video_track(name, video)
        publication = await self.me.publish_track(
            track, self._options(source, simulcast=False) if not options else self._options(source, **options)
        )
        data = bytearray(np.full(width * height * 3 // 2, 128, np.uint8).tobytes())

        async def play() -> None:
            noise = np.random.default_rng(1)
            while True:
                data[: width * 8] = noise.integers(0, 255, width * 8, np.uint8).tobytes()
                video.capture_frame(self.rtc.VideoFrame(width, height, self.rtc.VideoBufferType.I420, bytes(data)))
                await asyncio.sleep(1 / FPS)

        self._playing[publication.sid] = self._start(play())
        return publication

    def _options(self, source: str, **options: Any) -> Any:
        number = getattr(self.rtc.TrackSource, f"SOURCE_{source}")
        return self.rtc.TrackPublishOptions(source=number, **options)

    async def unpublish(self, publication: Any) -> None:
        """End a track."""
        await self.me.unpublish_track(publication.sid)
        task = self._playing.pop(publication.sid, None)
        if task is not None:
            task.cancel()

    async def leave(self) -> None:
        """Leave the room and stop sending."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self.room.isconnected():
            await self.room.disconnect()
