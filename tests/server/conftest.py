"""What the dev server's tests share: a server, and official clients that write down what happens to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

pytest.importorskip("pylibsrtp", reason="needs the extra [server]")
rtc = pytest.importorskip("livekit.rtc", reason="needs the official Python SDK")
np = pytest.importorskip("numpy")

from aiolivekit.server import DevServer, ServerOptions  # noqa: E402

TIMEOUT = 15.0

EVENTS = (
    "participant_connected",
    "participant_disconnected",
    "participant_metadata_changed",
    "participant_attributes_changed",
    "participant_name_changed",
    "participant_permissions_changed",
    "local_track_published",
    "local_track_subscribed",
    "track_published",
    "track_unpublished",
    "track_subscribed",
    "track_unsubscribed",
    "track_subscription_failed",
    "track_muted",
    "track_unmuted",
    "active_speakers_changed",
    "room_metadata_changed",
    "connection_quality_changed",
    "data_received",
    "disconnected",
    "reconnecting",
    "reconnected",
    "sip_dtmf_received",
    "transcription_received",
    "data_track_published",
    "data_track_unpublished",
)


class Client:
    """An official client, and a list of its events."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.room = rtc.Room()
        self.events: list[tuple[str, tuple[Any, ...]]] = []
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        for event in EVENTS:
            self.room.on(event, self._recorder(event))

    def _recorder(self, event: str) -> Callable[..., None]:
        def record(*args: Any) -> None:
            self.events.append((event, args))
            self._changed.set()

        return record

    def of(self, event: str) -> list[tuple[Any, ...]]:
        return [args for name, args in self.events if name == event]

    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    async def until(self, condition: Callable[[], Any], timeout: float = TIMEOUT) -> Any:
        """Wait until the condition holds; events wake it, and the clock for what has no event."""
        async with asyncio.timeout(timeout):
            while not (result := condition()):
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 0.02)
        return result

    async def event(self, name: str, count: int = 1, timeout: float = TIMEOUT) -> tuple[Any, ...]:
        await self.until(lambda: len(self.of(name)) >= count, timeout)
        return self.of(name)[count - 1]

    def background(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def me(self) -> Any:
        return self.room.local_participant

    # media

    async def publish_tone(self, name: str = "mic", frequency: float = 440.0) -> Any:
        source = rtc.AudioSource(48000, 1)
        track = rtc.LocalAudioTrack.create_audio_track(name, source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await self.me.publish_track(track, options)

        async def play() -> None:
            position = 0
            while True:
                angles = (np.arange(480) + position) * (2 * np.pi * frequency / 48000)
                samples = (np.sin(angles) * 12000).astype(np.int16)
                await source.capture_frame(rtc.AudioFrame(samples.tobytes(), 48000, 1, 480))
                position += 480

        self.background(play())
        return publication

    async def publish_picture(
        self,
        name: str = "cam",
        size: tuple[int, int] = (640, 360),
        *,
        simulcast: bool = False,
        codec: Any = None,
        luma: int = 90,
        fps: float = 15.0,
    ) -> Any:
        width, height = size
        source = rtc.VideoSource(width, height)
        track = rtc.LocalVideoTrack.create_video_track(name, source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=simulcast)
        if codec is not None:
            options.video_codec = codec
        publication = await self.me.publish_track(track, options)
        plane = np.full(width * height, luma, np.uint8)
        plane[: width * height // 2] = luma // 2
        chroma = np.full(width * height // 2, 128, np.uint8)

        async def show() -> None:
            noise = np.random.default_rng(1)
            while True:
                # A little noise, so that every picture differs and the encoder has work.
                plane[: width * 8] = noise.integers(0, 255, width * 8, np.uint8)
                data = plane.tobytes() + chroma.tobytes()
                source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, data))
                await asyncio.sleep(1 / fps)

        self.background(show())
        return publication

    def watch(self, track: Any) -> list[Any]:
        """Collect the frames of a subscribed track."""
        frames: list[Any] = []

        async def collect() -> None:
            if track.kind == rtc.TrackKind.KIND_VIDEO:
                stream = rtc.VideoStream(track, format=rtc.VideoBufferType.I420)
            else:
                stream = rtc.AudioStream(track)
            try:
                async for event in stream:
                    frames.append(event.frame)
                    self._changed.set()
            finally:
                await stream.aclose()

        self.background(collect())
        return frames

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self.room.isconnected():
            await self.room.disconnect()


def tone_of(frames: list[Any]) -> float:
    """The strongest frequency in the last half second, in Hz."""
    samples = np.concatenate([np.frombuffer(f.data, np.int16) for f in frames[-50:]])
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * 48000 / len(samples)


def luma_of(frame: Any) -> tuple[float, float]:
    """The mean luma of the upper and of the lower half, without the noisy edge."""
    plane = np.frombuffer(frame.data, np.uint8)[: frame.width * frame.height].reshape(frame.height, frame.width)
    middle = frame.height // 2
    return float(plane[frame.height // 5 : middle - 8].mean()), float(plane[middle + 8 :].mean())


@pytest.fixture
async def server() -> AsyncIterator[DevServer]:
    async with DevServer(options=ServerOptions(quality_interval=0.5, dynacast_delay=0.3)) as running:
        yield running


class Clients:
    """Makes official clients and ends them."""

    def __init__(self, server: DevServer, *, single: bool) -> None:
        self.server = server
        self.single = single
        self._clients: list[Client] = []

    async def join(self, identity: str, *, token: str = "", options: Any = None, **claims: Any) -> Client:
        client = Client(identity)
        self._clients.append(client)
        token = token or self.server.token(identity, **claims)
        await client.room.connect(
            self.server.url, token, options or rtc.RoomOptions(single_peer_connection=self.single)
        )
        return client

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


@pytest.fixture(params=[False, True], ids=["dual", "single"])
async def clients(request: pytest.FixtureRequest, server: DevServer) -> AsyncIterator[Clients]:
    made = Clients(server, single=request.param)
    yield made
    await made.close()
