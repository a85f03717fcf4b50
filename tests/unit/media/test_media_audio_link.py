"""Audio from a source over real peer connections to a stream: what is sent is what arrives."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest
import webrtc

from aiolivekit.media import AudioSource, AudioStream
from aiolivekit.peer import media_thread
from aiolivekit.peer.audio import LocalAudio

from .conftest import (
    DEADLINE,
    Connect,
    StubTrack,
    connect_peers,
    frames_of,
    peak_frequency,
    read_samples,
    tone,
    tone_share,
)


async def play(source: AudioSource, samples: Any, frame_ms: float = 20) -> None:
    for frame in frames_of(samples, source.sample_rate, source.num_channels, frame_ms):
        await source.capture_frame(frame)


# Rate of the source, length of its frames, rate of the stream.
RATES = [(48_000, 10, 48_000), (16_000, 20, 48_000), (24_000, 7.5, 24_000), (44_100, 30, 16_000), (22_050, 20, 44_100)]


async def test_a_tone_keeps_its_frequency(connect: Connect) -> None:
    sources = [AudioSource(rate, 1) for rate, _, _ in RATES]
    tracks = await connect(*[source._local.media_track for source in sources])
    frequencies = [500.0 + 100 * index for index in range(len(RATES))]
    playing = [
        asyncio.create_task(play(source, tone(source.sample_rate, 1.2, (frequency,)), frame_ms))
        for source, frequency, (_, frame_ms, _) in zip(sources, frequencies, RATES, strict=True)
    ]
    streams = [AudioStream(track, sample_rate=rate) for track, (_, _, rate) in zip(tracks, RATES, strict=True)]
    heard = await asyncio.gather(*[read_samples(stream, 0.5, skip=0.3) for stream in streams])
    for (samples,), frequency, rates in zip(heard, frequencies, RATES, strict=True):
        assert peak_frequency(samples, rates[2]) == pytest.approx(frequency, abs=1), rates
        assert tone_share(samples, rates[2], frequency) > 0.98, rates
        level = np.sqrt(np.mean(samples.astype(float) ** 2))
        assert level == pytest.approx(8000 / np.sqrt(2), rel=0.15), rates
    for task in playing:
        task.cancel()
    await asyncio.gather(*playing, return_exceptions=True)
    for each in (*streams, *sources):
        await each.aclose()


async def test_stereo_keeps_its_sides_and_mono_has_both(connect: Connect) -> None:
    source = AudioSource(48_000, 2)
    (track,) = await connect(source._local.media_track)
    playing = asyncio.create_task(play(source, tone(48_000, 2, (400.0, 1000.0))))
    both = AudioStream(track, num_channels=2)
    mixed = AudioStream(track, num_channels=1)
    (left, right), (mono,) = await asyncio.gather(read_samples(both, 0.5, skip=0.5), read_samples(mixed, 0.5, skip=0.5))
    assert peak_frequency(left, 48_000) == pytest.approx(400, abs=10)
    assert peak_frequency(right, 48_000) == pytest.approx(1000, abs=10)
    assert tone_share(left, 48_000, 400) > 0.75
    assert tone_share(right, 48_000, 1000) > 0.75
    assert tone_share(mono, 48_000, 400) == pytest.approx(0.5, abs=0.1)
    assert tone_share(mono, 48_000, 1000) == pytest.approx(0.5, abs=0.1)
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    for stream in (both, mixed):
        await stream.aclose()
    await source.aclose()


async def test_mono_fills_both_sides(connect: Connect) -> None:
    source = AudioSource(48_000, 1)
    (track,) = await connect(source._local.media_track)
    playing = asyncio.create_task(play(source, tone(48_000, 1)))
    stream = AudioStream(track, num_channels=2)
    left, right = await read_samples(stream, 0.3, skip=0.3)
    assert (left == right).all()
    assert peak_frequency(left, 48_000) == pytest.approx(1000, abs=2)
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    await stream.aclose()
    await source.aclose()


async def test_silence_is_sent_before_the_first_frame(connect: Connect) -> None:
    """A server announces a track when its first packet comes."""
    source = AudioSource(48_000, 1)
    (track,) = await connect(source._local.media_track)
    stream = AudioStream(track)
    (heard,) = await read_samples(stream, 0.2)
    assert np.abs(heard).max() <= 1
    await stream.aclose()
    await source.aclose()


async def test_one_source_is_heard_over_two_connections(connect: Connect) -> None:
    source = AudioSource(48_000, 1)
    first, second = [(await connect(source._local.media_track.clone()))[0] for _ in range(2)]
    playing = asyncio.create_task(play(source, tone(48_000, 1.2)))
    streams = [AudioStream(track) for track in (first, second)]
    for (heard,) in await asyncio.gather(*[read_samples(stream, 0.4, skip=0.4) for stream in streams]):
        assert peak_frequency(heard, 48_000) == pytest.approx(1000, abs=1)
        assert tone_share(heard, 48_000, 1000) > 0.99
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    for stream in streams:
        await stream.aclose()
    await source.aclose()


async def test_closing_the_connection_ends_the_stream_unless_it_was_rebound() -> None:
    source = AudioSource(48_000, 1)
    connections: list[webrtc.RTCPeerConnection] = []
    (track,) = await connect_peers([source._local.media_track.clone()], connections)
    (next_track,) = await connect_peers([source._local.media_track.clone()], connections)
    kept, ended = AudioStream(track), AudioStream(track)
    for stream in (kept, ended):
        await read_samples(stream, 0.05)
    kept._rebind(None)
    connections[1].close()

    async def read_to_the_end() -> int:
        return len([event async for event in ended])

    await asyncio.wait_for(read_to_the_end(), DEADLINE)
    kept._rebind(next_track._media_track)
    await read_samples(kept, 0.05)
    await kept.aclose()
    await source.aclose()
    for connection in connections:
        connection.close()


class Listener:
    """Receives on a thread and a loop of its own, so that a blocked test does not keep it from hearing."""

    def __init__(self, local: LocalAudio, seconds: float) -> None:
        self._local = local
        self._seconds = seconds
        self.listening = threading.Event()
        self.samples: Any = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()

    async def _run(self) -> None:
        connections: list[webrtc.RTCPeerConnection] = []
        (track,) = await connect_peers([self._local.media_track.clone()], connections)
        stream = AudioStream(track)
        parts = []
        length = 0
        async with asyncio.timeout(self._seconds + DEADLINE):
            async for event in stream:
                part = np.frombuffer(event.frame.data, np.int16)
                if length == 0 and np.abs(part).max() < 100:
                    self.listening.set()
                    continue
                parts.append(part)
                length += len(part)
                if length >= self._seconds * 48_000:
                    break
        self.samples = np.concatenate(parts)
        await stream.aclose()
        for connection in connections:
            connection.close()

    def join(self) -> Any:
        self._thread.join(self._seconds + 2 * DEADLINE)
        return self.samples


@pytest.mark.parametrize("busy", [False, True], ids=["asleep", "computing"])
async def test_a_blocked_loop_breaks_no_sound(busy: bool) -> None:
    source = AudioSource(48_000, 1, queue_size_ms=1000)
    listener = Listener(source._local, 0.9)
    assert await asyncio.to_thread(listener.listening.wait, DEADLINE)
    for frame in frames_of(tone(48_000, 1.0), 48_000, 1, 20):
        await source.capture_frame(frame)
    end = time.monotonic() + 0.7
    if busy:
        while time.monotonic() < end:
            pass
    else:
        time.sleep(0.7)  # noqa: ASYNC251 - the point of the test
    heard = await asyncio.to_thread(listener.join)
    heard = heard[4800 : 48_000 * 8 // 10]
    assert peak_frequency(heard, 48_000) == pytest.approx(1000, abs=1)
    assert tone_share(heard, 48_000, 1000) > 0.99
    # Sound that stopped with the loop would leave most of this silent; a busy machine may cost a few hundredths.
    peaks = np.abs(heard[: len(heard) // 240 * 240]).reshape(-1, 240).max(axis=1)
    assert np.mean(peaks < 2500) < 0.1
    await source.aclose()


async def test_the_thread_serves_all_and_ends_with_the_last() -> None:
    sources = [AudioSource(48_000, 1) for _ in range(3)]
    assert media_thread.current() is None
    for source in sources:
        _ = source._local
    thread = media_thread.current()
    assert thread is not None
    assert [each.name for each in threading.enumerate()].count("aiolivekit-media") == 1
    for source in sources[:2]:
        await source.aclose()
    assert thread.is_alive
    assert media_thread.current() is thread
    await sources[2].aclose()
    assert not thread.is_alive
    await sources[2].aclose()
    again = AudioSource(48_000, 1)
    _ = again._local
    assert media_thread.current() not in (None, thread)
    await again.aclose()


async def test_a_dropped_source_does_not_keep_the_thread() -> None:
    source: AudioSource | None = AudioSource(48_000, 1)
    assert source is not None
    _ = source._local
    thread = media_thread.current()
    assert thread is not None
    del source
    await asyncio.to_thread(thread.join, DEADLINE)
    assert not thread.is_alive


async def test_a_local_track_can_be_listened_to() -> None:
    source = AudioSource(24_000, 1)
    stream = AudioStream(StubTrack(source._local.media_track), sample_rate=24_000)
    playing = asyncio.create_task(play(source, tone(24_000, 0.5)))
    (heard,) = await read_samples(stream, 0.2, skip=0.1)
    assert peak_frequency(heard, 24_000) == pytest.approx(1000, abs=1)
    await playing
    await stream.aclose()
    await source.aclose()
