"""Who talks with the measured agent: an open microphone, and an ear for when it is heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

import numpy as np

import aiolivekit

__all__ = ["Partner"]

_LOUD = 1000
_RATE = 48_000
_DEADLINE = 60.0


class Partner:
    """A participant with a microphone that is open and silent, until it ends."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._room = aiolivekit.Room()
        self._source = aiolivekit.AudioSource(_RATE, 1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = asyncio.Event()
        self._silent = asyncio.Event()
        self._met = asyncio.Event()
        self.heard_at = 0.0
        """When the agent was heard, by the clock of the system."""

    async def __aenter__(self) -> Self:
        self._room.on("track_subscribed", lambda track, *_: self._begin(self._listen(track)))
        self._room.on("participant_connected", lambda participant: self._met.set())
        await self._room.connect(self._url, self._token)
        track = aiolivekit.LocalAudioTrack.create_audio_track("microphone", self._source)
        options = aiolivekit.TrackPublishOptions(source=aiolivekit.TrackSource.SOURCE_MICROPHONE)
        await self._room.local_participant.publish_track(track, options)
        self._begin(self._be_silent())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._source.aclose()
        await self._room.disconnect()

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(coroutine))

    async def _be_silent(self) -> None:
        frame = aiolivekit.AudioFrame.create(_RATE, 1, _RATE // 100)
        while True:
            await self._source.capture_frame(frame)

    async def _listen(self, track: aiolivekit.RemoteTrack) -> None:
        async for event in aiolivekit.AudioStream(track):
            loud = np.abs(np.frombuffer(event.frame.data, np.int16)).max(initial=0) > _LOUD
            if loud and not self._heard.is_set():
                self.heard_at = time.time()
                self._heard.set()
                self._silent.clear()
            elif not loud:
                self._heard.clear()
                self._silent.set()

    async def hear(self) -> float:
        """Wait until there is sound, and return since when."""
        async with asyncio.timeout(_DEADLINE):
            await self._heard.wait()
        return self.heard_at

    async def hear_silence(self) -> None:
        """Wait until there is none."""
        async with asyncio.timeout(_DEADLINE):
            await self._silent.wait()

    async def ask(self, method: str) -> str:
        """Call a method of the agent's."""
        async with asyncio.timeout(_DEADLINE):
            await self._met.wait()
        agent = next(iter(self._room.remote_participants))
        return await self._room.local_participant.perform_rpc(destination_identity=agent, method=method, payload="")
