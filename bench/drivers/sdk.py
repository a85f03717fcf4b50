"""The official SDK and ours: the same Room API, so the same code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from .base import (
    AUDIO_BITRATE,
    LAYERS_BITRATE,
    SAMPLE_RATE,
    VIDEO_BITRATE,
    VIDEO_FPS,
    VIDEO_HEIGHT,
    VIDEO_WIDTH,
    AudioFrames,
    VideoFrames,
)

__all__ = ["SdkParticipant"]


def _ignore(_: Any) -> None:
    pass


class SdkParticipant:
    """A `Room` of the module.

    Args:
        module: `aiolivekit` or `livekit.rtc`.
        single: Whether to use one peer connection.
        encrypted: Whether the room is encrypted end to end.
        layers: Whether video is sent in three layers instead of one.
    """

    def __init__(self, module: Any, *, single: bool = True, encrypted: bool = False, layers: bool = False) -> None:
        self._rtc = module
        self._single = single
        self._encrypted = encrypted
        self._layers = layers
        self._room = module.Room()
        self.on_data: Callable[[bytes], None] = _ignore
        self.on_audio: Callable[[AudioFrames], None] = _ignore
        self.on_video: Callable[[VideoFrames], None] = _ignore
        self.call_error: type[Exception] = module.RpcError
        self._streams: list[Any] = []
        self._data_tracks: dict[str, Any] = {}
        # Made when they are needed: memory is to be that of the contender.
        self._data_track_published: asyncio.Event | None = None
        self._sources: list[Any] = []
        self._files_received: asyncio.Queue[None] | None = None
        self._reading: set[asyncio.Task[None]] = set()

    async def connect(self, url: str, token: str) -> None:
        # Handlers are looked up once: the measurement sets them before it connects.
        on_data = self.on_data
        self._room.on("data_received", lambda packet: on_data(packet.data))
        self._room.on("track_subscribed", self._on_track)
        self._room.on("data_track_published", self._on_data_track)
        options = self._rtc.RoomOptions(single_peer_connection=self._single)
        if self._encrypted:
            keys = self._rtc.KeyProviderOptions(shared_key=b"a key of the benchmark")
            options.encryption = self._rtc.E2EEOptions(key_provider_options=keys)
        await self._room.connect(url, token, options)

    async def send(self, payload: bytes) -> None:
        await self._room.local_participant.publish_data(payload, reliable=True)

    async def publish_data_track(self, name: str) -> Callable[[bytes], None]:
        track = await self._room.local_participant.publish_data_track(name=name)
        new_frame, full = self._rtc.DataTrackFrame, self._rtc.PushFrameError

        def push(payload: bytes) -> None:
            with suppress(full):
                track.try_push(new_frame(payload=payload))

        return push

    async def receive_data_track(self, name: str, buffer_size: int) -> AsyncIterator[bytes]:
        published = self._data_track_published = asyncio.Event()
        async with asyncio.timeout(20):
            while name not in self._data_tracks:
                published.clear()
                await published.wait()
        return _frames(self._data_tracks[name].subscribe(buffer_size=buffer_size))

    def _on_data_track(self, track: Any) -> None:
        self._data_tracks[track.info.name] = track
        if self._data_track_published is not None:
            self._data_track_published.set()

    # -- calls --

    @property
    def identity(self) -> str:
        return str(self._room.local_participant.identity)

    async def acquaint(self, identity: str) -> None:
        here = asyncio.Event()
        self._room.on("participant_connected", lambda who: here.set() if who.identity == identity else None)
        if identity not in self._room.remote_participants:
            await asyncio.wait_for(here.wait(), 30)

    def serve(self, method: str) -> None:
        async def echo(data: Any) -> str:
            return str(data.payload)

        self._room.local_participant.register_rpc_method(method, echo)

    async def call(self, to: str, method: str, payload: str) -> str:
        answer = await self._room.local_participant.perform_rpc(destination_identity=to, method=method, payload=payload)
        return str(answer)

    def receive_files(self) -> None:
        received = self._files_received = asyncio.Queue()

        async def read(reader: Any) -> None:
            async for _ in reader:
                pass
            received.put_nowait(None)

        def take(reader: Any, _identity: str) -> None:
            task = asyncio.get_running_loop().create_task(read(reader))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

        self._room.register_byte_stream_handler("file", take)

    async def file_received(self) -> None:
        assert self._files_received is not None
        await self._files_received.get()

    async def send_file(self, data: bytes, to: str) -> None:
        await self._room.local_participant.send_bytes(
            data, name="file", topic="file", destination_identities=[to], compress=False
        )

    # -- media --

    async def publish_audio(self, name: str) -> _Audio:
        rtc = self._rtc
        source = rtc.AudioSource(SAMPLE_RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track(name, source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False)
        options.audio_encoding.max_bitrate = AUDIO_BITRATE
        await self._room.local_participant.publish_track(track, options)
        self._sources.append((source, track))
        return _Audio(rtc, source)

    async def publish_video(self, name: str) -> _Video:
        rtc = self._rtc
        source = rtc.VideoSource(VIDEO_WIDTH, VIDEO_HEIGHT)
        track = rtc.LocalVideoTrack.create_video_track(name, source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA, simulcast=self._layers, video_codec=rtc.VideoCodec.VP8
        )
        options.video_encoding.max_bitrate = LAYERS_BITRATE if self._layers else VIDEO_BITRATE
        options.video_encoding.max_framerate = VIDEO_FPS
        await self._room.local_participant.publish_track(track, options)
        self._sources.append((source, track))
        return _Video(rtc, source)

    async def bytes_sent(self) -> int:
        records = [each for _, track in self._sources for each in await track.get_stats()]
        return sum(each.outbound_rtp.sent.bytes_sent for each in records if each.HasField("outbound_rtp"))

    async def simulate(self, scenario: str) -> None:
        await self._room.simulate_scenario(getattr(self._rtc.SimulateScenarioKind, f"SIMULATE_{scenario.upper()}"))

    async def close(self) -> None:
        for stream in self._streams:
            await stream.aclose()
        await self._room.disconnect()

    def _on_track(self, track: Any, _publication: Any, _participant: Any) -> None:
        rtc = self._rtc
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1)
            self.on_audio(_audio_frames(stream))
        else:
            stream = rtc.VideoStream(track, format=rtc.VideoBufferType.I420)
            self.on_video(_video_frames(stream))
        self._streams.append(stream)


class _Audio:
    def __init__(self, rtc: Any, source: Any) -> None:
        self._frame = rtc.AudioFrame
        self._source = source

    async def write(self, samples: bytes) -> None:
        await self._source.capture_frame(self._frame(samples, SAMPLE_RATE, 1, len(samples) // 2))


class _Video:
    def __init__(self, rtc: Any, source: Any) -> None:
        self._frame = rtc.VideoFrame
        self._i420 = rtc.VideoBufferType.I420
        self._source = source

    async def write(self, i420: bytearray, timestamp_us: int) -> None:
        self._source.capture_frame(self._frame(VIDEO_WIDTH, VIDEO_HEIGHT, self._i420, i420), timestamp_us=timestamp_us)


async def _frames(stream: Any) -> AsyncIterator[bytes]:
    async for frame in stream:
        yield frame.payload


async def _audio_frames(stream: Any) -> AudioFrames:
    async for event in stream:
        yield event.frame.data


async def _video_frames(stream: Any) -> VideoFrames:
    async for event in stream:
        frame = event.frame
        yield frame.width, frame.height, frame.data
