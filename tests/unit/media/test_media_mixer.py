"""`AudioMixer`: what is mixed, who is waited for, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from aiolivekit import AudioFrame, AudioMixer, AudioStream, sine_wave_generator
from aiolivekit.errors import ClosedError, MediaError
from aiolivekit.peer.audio import LocalAudio

from .conftest import DEADLINE, StubTrack, frames_of, tone, tone_share

LONG_MS = 60_000
"""A timeout that does not pass in a test."""


async def stream_of(frames: list[AudioFrame]) -> AsyncIterator[AudioFrame]:
    for frame in frames:
        yield frame


def constant(value: int, samples: int, rate: int = 8_000, channels: int = 1) -> AudioFrame:
    return AudioFrame(np.full(samples * channels, value, np.int16), rate, channels, samples)


class Fed:
    """A stream that gives what it is fed, and notes how it was closed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[AudioFrame | None] = asyncio.Queue()
        self.cancelled = 0

    def __aiter__(self) -> Fed:
        return self

    async def __anext__(self) -> AudioFrame:
        try:
            frame = await self.queue.get()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if frame is None:
            raise StopAsyncIteration
        return frame


async def all_of(mixer: AudioMixer) -> list[AudioFrame]:
    async with asyncio.timeout(DEADLINE):
        return [frame async for frame in mixer]


async def next_of(mixer: AudioMixer) -> AudioFrame:
    return await asyncio.wait_for(anext(mixer), DEADLINE)


async def test_tones_keep_their_levels() -> None:
    mixer = AudioMixer(48_000, 1)
    for frequency in (440, 1_000, 3_000):
        mixer.add_stream(sine_wave_generator(frequency, 1.0, 48_000, 0.2))
    mixer.end_input()
    frames = await all_of(mixer)
    assert [frame.samples_per_channel for frame in frames] == [4_800] * 10
    mixed = np.concatenate([frame.as_array()[:, 0] for frame in frames]).astype(float)
    for frequency in (440, 1_000, 3_000):
        assert tone_share(mixed, 48_000, frequency) == pytest.approx(1 / 3, abs=0.01)
    assert np.sqrt(np.mean(mixed**2)) == pytest.approx(0.2 * 32_767 / math.sqrt(2) * math.sqrt(3), rel=0.01)


async def test_samples_are_added_and_limited() -> None:
    mixer = AudioMixer(8_000, 2, blocksize=4)
    for value in (30_000, 10_000, -1):
        mixer.add_stream(stream_of([constant(value, 3, channels=2), constant(-value, 5, channels=2)]))
    mixer.end_input()
    first, second = await all_of(mixer)
    assert (first.sample_rate, first.num_channels, first.samples_per_channel) == (8_000, 2, 4)
    assert first.data.tolist() == [32_767] * 6 + [-32_768] * 2
    assert second.data.tolist() == [-32_768] * 8


async def test_streams_of_other_lengths_end_for_themselves() -> None:
    mixer = AudioMixer(8_000, 1, blocksize=10, stream_timeout_ms=LONG_MS)
    mixer.add_stream(stream_of([constant(1, 7)] * 5))
    mixer.add_stream(stream_of([constant(100, 12)]))
    mixer.end_input()
    samples = np.concatenate([frame.as_array()[:, 0] for frame in await all_of(mixer)])
    assert samples.tolist() == [101] * 12 + [1] * 23 + [0] * 5


async def test_rates_and_channels_are_converted() -> None:
    mixer = AudioMixer(48_000, 2, stream_timeout_ms=LONG_MS)
    mixer.add_stream(stream_of(frames_of(tone(16_000, 1, (1_000.0,)), 16_000, 1, 10)))
    mixer.add_stream(stream_of(frames_of(tone(48_000, 1, (3_000.0, 3_000.0)), 48_000, 2, 10)))
    mixer.end_input()
    mixed = np.concatenate([frame.as_array() for frame in await all_of(mixer)])
    assert len(mixed) == pytest.approx(48_000, abs=4_800)
    for channel in mixed[:48_000].T:
        for frequency in (1_000, 3_000):
            assert tone_share(channel, 48_000, frequency) == pytest.approx(0.5, abs=0.02)


async def test_a_late_stream_is_silent_and_then_no_longer_waited_for() -> None:
    mixer = AudioMixer(8_000, 1, blocksize=10, stream_timeout_ms=20)
    punctual, late = Fed(), Fed()
    mixer.add_stream(punctual)
    mixer.add_stream(late)
    late.queue.put_nowait(constant(100, 4))
    for _ in range(3):
        punctual.queue.put_nowait(constant(1, 10))
    assert (await next_of(mixer)).data.tolist() == [101] * 4 + [1] * 6
    assert (await next_of(mixer)).data.tolist() == [1] * 10
    assert (await next_of(mixer)).data.tolist() == [1] * 10
    late.queue.put_nowait(constant(100, 10))
    async with asyncio.timeout(DEADLINE):
        while not late.queue.empty():
            await asyncio.sleep(0)
    punctual.queue.put_nowait(constant(1, 10))
    assert (await next_of(mixer)).data.tolist() == [101] * 10
    await mixer.aclose()
    assert late.cancelled == punctual.cancelled == 1


async def test_what_the_only_stream_gave_before_it_stalled_is_not_kept_back() -> None:
    mixer = AudioMixer(8_000, 1, blocksize=10, stream_timeout_ms=20)
    stream = Fed()
    mixer.add_stream(stream)
    for value in (1, 2):
        stream.queue.put_nowait(constant(value, 3))
        assert (await next_of(mixer)).data.tolist() == [value] * 3 + [0] * 7
    await mixer.aclose()


async def test_a_stream_that_fails_or_gives_nonsense_is_taken_out(caplog: pytest.LogCaptureFixture) -> None:
    async def failing() -> AsyncIterator[AudioFrame]:
        yield constant(100, 10)
        raise OSError("unplugged")

    mixer = AudioMixer(8_000, 1, blocksize=10, stream_timeout_ms=LONG_MS)
    mixer.add_stream(failing())
    mixer.add_stream(stream_of(["no frame"]))  # type: ignore[list-item]
    mixer.add_stream(stream_of([constant(1, 10)] * 2))
    mixer.end_input()
    with caplog.at_level(logging.WARNING, "aiolivekit.media"):
        frames = await all_of(mixer)
    assert [frame.data[0] for frame in frames] == [101, 1]
    assert len(caplog.records) == 2


async def test_removing_a_stream_cancels_its_read() -> None:
    mixer = AudioMixer(8_000, 1, blocksize=10, stream_timeout_ms=LONG_MS)
    removed = Fed()
    mixer.add_stream(removed)
    mixer.add_stream(removed)  # once is enough
    mixer.add_stream(stream_of([constant(1, 10)]))
    await asyncio.sleep(0)
    mixer.remove_stream(removed)
    mixer.remove_stream(removed)
    mixer.end_input()
    assert [frame.data[0] for frame in await all_of(mixer)] == [1]
    assert removed.cancelled == 1


async def test_a_silent_stream_is_given_up_after_the_end_of_input() -> None:
    mixer = AudioMixer(8_000, 1, blocksize=10, stream_timeout_ms=5)
    silent = Fed()
    mixer.add_stream(silent)
    await asyncio.sleep(0)
    mixer.end_input()
    assert await all_of(mixer) == []
    async with asyncio.timeout(DEADLINE):
        while not silent.cancelled:
            await asyncio.sleep(0)


async def test_a_full_mixer_leaves_its_streams_waiting() -> None:
    mixer = AudioMixer(8_000, 1, blocksize=10, capacity=3, stream_timeout_ms=LONG_MS)
    taken = 0

    async def counted() -> AsyncIterator[AudioFrame]:
        nonlocal taken
        while True:
            taken += 1
            yield constant(taken, 10)

    mixer.add_stream(counted())
    for _ in range(100):
        await asyncio.sleep(0)
    assert taken <= 6  # three mixed, one being mixed, one read and one in the making
    assert [(await next_of(mixer)).data[0] for _ in range(10)] == list(range(1, 11))
    await mixer.aclose()


async def test_closing_ends_readers_and_drops_the_rest() -> None:
    mixer = AudioMixer(8_000, 1)
    readers = [asyncio.create_task(anext(mixer, None)) for _ in range(2)]
    await asyncio.sleep(0)
    await mixer.aclose()
    await mixer.aclose()
    assert await asyncio.wait_for(asyncio.gather(*readers), DEADLINE) == [None, None]
    assert await all_of(mixer) == []
    with pytest.raises(ClosedError):
        mixer.add_stream(stream_of([]))


async def test_closing_waits_until_streams_have_cleaned_up() -> None:
    clean = False

    async def stream() -> AsyncIterator[AudioFrame]:
        nonlocal clean
        try:
            await asyncio.Event().wait()
            yield constant(0, 1)
        finally:
            await asyncio.sleep(0)
            clean = True

    mixer = AudioMixer(8_000, 1)
    mixer.add_stream(stream())
    await asyncio.sleep(0)
    await mixer.aclose()
    assert clean


async def test_nothing_to_mix_is_no_end() -> None:
    mixer = AudioMixer(8_000, 1, blocksize=10)
    reader = asyncio.create_task(anext(mixer))
    mixer.add_stream(stream_of([]))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not reader.done()
    mixer.add_stream(stream_of([constant(5, 10)]))
    assert (await asyncio.wait_for(reader, DEADLINE)).data[0] == 5
    mixer.end_input()
    assert await all_of(mixer) == []


async def test_a_cancelled_reader_loses_no_frame() -> None:
    mixer = AudioMixer(8_000, 1, blocksize=10)
    for _ in range(10):
        reader = asyncio.create_task(anext(mixer))
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
    mixer.add_stream(stream_of([constant(5, 10)]))
    assert (await next_of(mixer)).data[0] == 5
    await mixer.aclose()


async def test_an_audio_stream_is_mixed_as_it_is() -> None:
    local = LocalAudio()
    stream = AudioStream(StubTrack(local.media_track))
    mixer = AudioMixer(48_000, 1, blocksize=480, stream_timeout_ms=LONG_MS)
    mixer.add_stream(stream)
    local.write(np.full(480, 7, np.int16).tobytes(), 48_000, 1, 480)
    assert (await next_of(mixer)).data.tolist() == [7] * 480
    await mixer.aclose()
    await stream.aclose()
    local.close()


@pytest.mark.parametrize(
    ("numbers", "options"),
    [
        ((0, 1), {}),
        ((math.nan, 1), {}),
        ((48_000, 0), {}),
        ((48_000, 1_000), {}),
        ((48_000, 1), {"blocksize": -1}),
        ((48_000, 1), {"capacity": -1}),
        ((48_000, 1), {"stream_timeout_ms": 0}),
        ((48_000, 1), {"stream_timeout_ms": math.nan}),
    ],
)
async def test_mixers_that_are_none_are_refused(numbers: Any, options: Any) -> None:
    with pytest.raises(ValueError, match=r"mixed|negative"):
        AudioMixer(*numbers, **options)


async def test_what_is_no_stream_is_refused() -> None:
    mixer = AudioMixer(48_000, 1)
    with pytest.raises(TypeError, match="asynchronous iterator"):
        mixer.add_stream([constant(0, 1)])  # type: ignore[arg-type]
    await mixer.aclose()


async def test_mixing_needs_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MediaError, match="numpy"):
        AudioMixer(48_000, 1)
