"""Two peer connections in one process, and what the tests of media share."""

from __future__ import annotations

import os

# Read once, when the first peer connection is made.
os.environ.setdefault("WRTC_ALLOW_LOOPBACK", "1")

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest
import webrtc

from aiolivekit.enums import TrackKind
from aiolivekit.media import AudioFrame, AudioStream
from aiolivekit.peer import media_thread

DEADLINE = 10.0

Connect = Callable[..., Awaitable[list[Any]]]


class StubTrack:
    """What the room's tracks are to a stream."""

    def __init__(self, media_track: Any, kind: TrackKind | None = None) -> None:
        self._media_track = media_track
        self._streams: weakref.WeakSet[Any] = weakref.WeakSet()
        if kind is None:
            kind = TrackKind.KIND_AUDIO if media_track.kind == "audio" else TrackKind.KIND_VIDEO
        self.kind = kind


async def connect_peers(media_tracks: Sequence[Any], connections: list[Any]) -> list[StubTrack]:
    """Send the tracks over a new pair of connections; return the received ones, in the same order."""
    sender, receiver = webrtc.RTCPeerConnection(), webrtc.RTCPeerConnection()
    connections += [sender, receiver]
    received: dict[str, Any] = {}
    complete = asyncio.Event()
    tasks: set[asyncio.Task[Any]] = set()

    def pass_candidates(source: Any, target: Any) -> None:
        def on_candidate(event: Any) -> None:
            if event.candidate:
                task = asyncio.ensure_future(target.add_ice_candidate(event.candidate))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        source.on("icecandidate", on_candidate)

    def on_track(event: Any) -> None:
        received[event.transceiver.mid] = event.track
        if len(received) == len(media_tracks):
            complete.set()

    receiver.on("track", on_track)
    transceivers = [sender.add_transceiver(track) for track in media_tracks]
    # Candidates must not arrive before the descriptions they belong to.
    await sender.set_local_description(stereo(await sender.create_offer()))
    await receiver.set_remote_description(sender.local_description)
    pass_candidates(receiver, sender)
    await receiver.set_local_description(stereo(await receiver.create_answer()))
    await sender.set_remote_description(receiver.local_description)
    pass_candidates(sender, receiver)
    for source, target in ((sender, receiver), (receiver, sender)):
        for line in source.local_description.sdp.splitlines():
            if line.startswith("a=candidate:"):
                init = webrtc.RTCIceCandidateInit(candidate=line[2:], sdp_m_line_index=0)
                await target.add_ice_candidate(init)
    await asyncio.wait_for(complete.wait(), DEADLINE)
    return [StubTrack(received[transceiver.mid]) for transceiver in transceivers]


def stereo(description: Any) -> Any:
    """Offer or accept stereo, as the engine does for tracks that have it."""
    sdp = description.sdp.replace("useinbandfec=1", "useinbandfec=1;stereo=1")
    return webrtc.RTCSessionDescriptionInit(type=description.type, sdp=sdp)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    connections: list[Any] = []

    async def run(*media_tracks: Any) -> list[StubTrack]:
        return await connect_peers(media_tracks, connections)

    yield run
    for connection in connections:
        connection.close()


@pytest.fixture(autouse=True)
def media_thread_has_ended() -> Any:
    """Every test leaves no media thread."""
    yield
    left = media_thread.current()
    media_thread._stop_at_exit()  # so that only this test fails
    assert left is None


def tone(rate: int, seconds: float, frequencies: Sequence[float] = (1000.0,), amplitude: float = 8000.0) -> Any:
    """Return interleaved int16 samples, one frequency a channel."""
    time = np.arange(int(rate * seconds)) / rate
    channels = [amplitude * np.sin(2 * np.pi * frequency * time) for frequency in frequencies]
    return np.stack(channels, axis=1).astype(np.int16).reshape(-1)


def frames_of(samples: Any, rate: int, channels: int, frame_ms: float) -> list[AudioFrame]:
    """Cut samples into frames."""
    length = int(rate * frame_ms / 1000)
    step = length * channels
    return [
        AudioFrame(samples[start : start + step], rate, channels, len(samples[start : start + step]) // channels)
        for start in range(0, len(samples), step)
    ]


# Both of these take the median of stretches of 100 ms: at the beginning the receiver's jitter buffer speeds up and
# slows down, which keeps the pitch but breaks the phase in places.


def _stretches(samples: Any, rate: int) -> Any:
    length = rate // 10
    return samples[: len(samples) // length * length].reshape(-1, length).astype(float) * np.hanning(length)


def peak_frequency(samples: Any, rate: int) -> float:
    """Return the strongest frequency, to a fraction of a hertz."""
    size = 2 * rate
    spectra = np.abs(np.fft.rfft(_stretches(samples, rate), size, axis=1))
    return float(np.median(np.argmax(spectra, axis=1))) * rate / size


def tone_share(samples: Any, rate: int, frequency: float, width: float = 30.0) -> float:
    """Return the share of the energy that lies within `width` hertz of a frequency."""
    stretches = _stretches(samples, rate)
    power = np.abs(np.fft.rfft(stretches, axis=1)) ** 2
    near = np.abs(np.fft.rfftfreq(stretches.shape[1], 1 / rate) - frequency) < width
    return float(np.median(power[:, near].sum(axis=1) / power.sum(axis=1)))


async def read_samples(stream: AudioStream, seconds: float, *, skip: float = 0.0) -> Any:
    """Return that much audio of a stream, by channel, without the first `skip` seconds."""
    parts: list[Any] = []
    wanted = seconds + skip
    got = 0.0
    async with asyncio.timeout(wanted + DEADLINE):
        async for event in stream:
            frame = event.frame
            parts.append(np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels))
            got += frame.duration
            if got >= wanted:
                break
    samples = np.concatenate(parts)
    rate = frame.sample_rate
    return samples[int(skip * rate) : int(wanted * rate)].T
