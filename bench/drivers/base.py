"""What a measurement needs of a contender."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

__all__ = [
    "AUDIO_BITRATE",
    "LAYERS_BITRATE",
    "LOWER_LAYERS",
    "SAMPLE_RATE",
    "VIDEO_BITRATE",
    "VIDEO_FPS",
    "VIDEO_HEIGHT",
    "VIDEO_WIDTH",
    "AudioFrames",
    "AudioOut",
    "Caller",
    "Participant",
    "VideoFrames",
    "VideoOut",
]

SAMPLE_RATE = 48_000
AUDIO_BITRATE = 48_000
VIDEO_WIDTH, VIDEO_HEIGHT, VIDEO_FPS = 1280, 720, 30
VIDEO_BITRATE = 1_700_000
LAYERS_BITRATE = 700_000
"""Of the largest of three layers: little enough for every contender to send all three as well as it may by then."""
LOWER_LAYERS = ((4, 160_000, 15), (2, 450_000, 20))
"""Those below: by what the picture is divided, bits and frames a second; the SDKs' own."""

Buffer = bytes | bytearray | memoryview
AudioFrames = AsyncIterator[Buffer]
"""Signed 16-bit samples, mono, 48 kHz, 10 ms each."""
VideoFrames = AsyncIterator[tuple[int, int, Buffer]]
"""Width, height and the planes of I420."""


class AudioOut(Protocol):
    """A published audio track."""

    async def write(self, samples: bytes) -> None:
        """Send 10 ms of 48 kHz mono, signed 16-bit."""


class VideoOut(Protocol):
    """A published video track."""

    async def write(self, i420: bytearray, timestamp_us: int) -> None:
        """Send a frame of 720p."""


class Participant(Protocol):
    """A participant in a room. All contenders use the same encodings, and one peer connection unless told otherwise."""

    on_data: Callable[[bytes], None]
    on_audio: Callable[[AudioFrames], None]
    on_video: Callable[[VideoFrames], None]

    async def connect(self, url: str, token: str) -> None:
        """Join; returns when data can be sent, or when the contender says it is connected."""

    async def send(self, payload: bytes) -> None:
        """Send to everybody in the room, reliably, with the contender's own backpressure."""

    async def publish_data_track(self, name: str) -> Callable[[bytes], None]:
        """Publish a data track; what is returned pushes a frame, or drops it if the contender takes none now."""

    async def receive_data_track(self, name: str, buffer_size: int) -> AsyncIterator[bytes]:
        """Subscribe to a data track, once it is there."""

    async def publish_audio(self, name: str) -> AudioOut:
        """Publish an audio track, without DTX or RED."""

    async def publish_video(self, name: str) -> VideoOut:
        """Publish a VP8 track of one layer."""

    async def bytes_sent(self) -> int:
        """Return the bytes of media sent so far, without headers."""

    async def simulate(self, scenario: str) -> None:
        """Have the server provoke a fault: `node_failure` or `full_reconnect`."""

    async def close(self) -> None:
        """Leave."""


class Caller(Protocol):
    """A participant that makes calls."""

    call_error: type[Exception]
    """What a call that fails raises."""

    @property
    def identity(self) -> str:
        """Ours."""

    async def connect(self, url: str, token: str) -> None:
        """Join."""

    async def acquaint(self, identity: str) -> None:
        """Wait until we know of somebody: callers look at what the other side understands."""

    def serve(self, method: str) -> None:
        """Answer the calls of a method with their payload."""

    async def call(self, to: str, method: str, payload: str) -> str:
        """Make a call."""

    async def send(self, payload: bytes) -> None:
        """Send to everybody in the room, reliably."""

    def receive_files(self) -> None:
        """Read what `send_file` sends, and throw it away."""

    async def file_received(self) -> None:
        """Wait until the next of them was read to its end."""

    async def send_file(self, data: bytes, to: str) -> None:
        """Send something large, as it is."""

    async def close(self) -> None:
        """Leave."""
