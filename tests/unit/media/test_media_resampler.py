"""`AudioResampler`, `combine_audio_frames` and `sine_wave_generator`: what they take, refuse and give."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiolivekit import AudioFrame, AudioResampler, AudioResamplerQuality, combine_audio_frames, sine_wave_generator
from aiolivekit.errors import MediaError

from .conftest import frames_of, peak_frequency, tone

Q = AudioResamplerQuality


def resampled(frames: list[AudioFrame], resampler: AudioResampler) -> Any:
    """Return all that comes out, by channel."""
    out = [frame for each in frames for frame in resampler.push(each)] + resampler.flush()
    return np.concatenate([frame.as_array() for frame in out]).T


def signal_to_noise(samples: Any, rate: int, frequency: float) -> float:
    """Return by how many decibels a tone is louder than all that is not it (a fit of sine and cosine)."""
    time = np.arange(len(samples)) / rate
    basis = np.stack([np.sin(2 * np.pi * frequency * time), np.cos(2 * np.pi * frequency * time)], axis=1)
    fit = basis @ np.linalg.lstsq(basis, samples.astype(float), rcond=None)[0]
    return float(10 * np.log10(np.mean(fit**2) / np.mean((samples - fit) ** 2)))


# Decibels: sixteen bits have 98 at full scale, and libsoxr dithers.
@pytest.mark.parametrize(
    ("quality", "least"), [(Q.QUICK, 45), (Q.LOW, 84), (Q.MEDIUM, 84), (Q.HIGH, 84), (Q.VERY_HIGH, 84)]
)
@pytest.mark.parametrize(("source", "target"), [(48_000, 24_000), (44_100, 48_000), (16_000, 48_000), (8_000, 44_100)])
def test_a_tone_keeps_frequency_level_and_purity(source: int, target: int, quality: Q, least: float) -> None:
    resampler = AudioResampler(source, target, num_channels=2, quality=quality)
    samples = tone(source, 2, (1000.0, 700.0), 20_000)
    out = resampled(frames_of(samples, source, 2, 10), resampler)
    assert out.shape == (2, pytest.approx(2 * target, abs=2))
    for channel, frequency in zip(out, (1000.0, 700.0), strict=True):
        middle = channel[target // 10 : -target // 10]
        assert peak_frequency(middle, target) == pytest.approx(frequency, abs=0.5)
        assert signal_to_noise(middle, target, frequency) > least
        assert np.sqrt(np.mean(middle.astype(float) ** 2)) == pytest.approx(20_000 / math.sqrt(2), rel=0.02)


@pytest.mark.parametrize("quality", [Q.LOW, Q.MEDIUM, Q.HIGH, Q.VERY_HIGH])
def test_what_the_new_rate_cannot_carry_is_removed(quality: Q) -> None:
    resampler = AudioResampler(48_000, 16_000, quality=quality)
    out = resampled(frames_of(tone(48_000, 1, (11_000.0,), 20_000), 48_000, 1, 10), resampler)[0]
    assert np.abs(out[1600:-1600]).max() < 20_000 * 10 ** (-70 / 20)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000]),
    st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000]),
    st.integers(1, 3),
    st.lists(st.integers(1, 3_000), min_size=1, max_size=8),
)
def test_as_much_comes_out_as_went_in(source: int, target: int, channels: int, lengths: list[int]) -> None:
    resampler = AudioResampler(source, target, num_channels=channels)
    for _ in range(2):  # after a flush it begins anew
        frames = [AudioFrame.create(source, channels, length) for length in lengths]
        out = [frame for each in frames for frame in resampler.push(each)] + resampler.flush()
        assert all((frame.sample_rate, frame.num_channels) == (target, channels) for frame in out)
        got = sum(frame.samples_per_channel for frame in out)
        assert got == pytest.approx(sum(lengths) * target / source, abs=1)
        assert resampler.flush() == []


def test_bytes_and_equal_rates() -> None:
    samples = tone(16_000, 0.1)
    resampler = AudioResampler(16_000, 16_000)
    for data in (bytearray(samples.tobytes()), samples.tobytes(), memoryview(samples.tobytes())):
        (frame,) = resampler.push(data)
        assert frame.to_bytes() == samples.tobytes()
        assert (frame.sample_rate, frame.samples_per_channel) == (16_000, 1_600)
    assert resampler.push(bytearray()) == []
    assert resampler.flush() == []


@pytest.mark.parametrize(
    ("numbers", "options"),
    [
        ((0, 48_000), {}),
        ((48_000, -1), {}),
        ((48_000, 10**9), {}),
        ((math.nan, 48_000), {}),
        ((48_000, 16_000), {"num_channels": 0}),
        ((48_000, 16_000), {"num_channels": 1000}),
        ((48_000, 16_000), {"quality": "best"}),
    ],
)
def test_resamplers_that_are_none_are_refused(numbers: Any, options: Any) -> None:
    with pytest.raises(ValueError, match=r"rate|channels|quality|best"):
        AudioResampler(*numbers, **options)


def test_what_does_not_fit_a_resampler_is_refused_and_breaks_nothing() -> None:
    resampler = AudioResampler(48_000, 16_000, num_channels=2)
    with pytest.raises(MediaError, match="24000 Hz and 2"):
        resampler.push(AudioFrame.create(24_000, 2, 240))
    with pytest.raises(MediaError, match="48000 Hz and 1"):
        resampler.push(AudioFrame.create(48_000, 1, 480))
    with pytest.raises(ValueError, match="within a sample"):
        resampler.push(bytearray(6))
    with pytest.raises(TypeError):
        resampler.push([0, 0])  # type: ignore[arg-type]
    resampler.push(AudioFrame.create(48_000, 2, 480))
    assert sum(frame.samples_per_channel for frame in resampler.flush()) == 160


# combine_audio_frames


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 3))
def test_combined_frames_are_one_after_another(lengths: list[int], channels: int) -> None:
    rng = np.random.default_rng(1)
    parts = [rng.integers(-32_768, 32_767, (length, channels), np.int16) for length in lengths]
    frames = [AudioFrame(part.tobytes() + b"\0\0", 16_000, channels, len(part)) for part in parts]
    whole = combine_audio_frames(frames)
    assert (whole.sample_rate, whole.num_channels, whole.samples_per_channel) == (16_000, channels, sum(lengths))
    assert whole.to_bytes() == b"".join(part.tobytes() for part in parts)
    assert combine_audio_frames(whole) is whole


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([], "empty"),
        ([AudioFrame.create(16_000, 1, 10), AudioFrame.create(8_000, 1, 10)], "rate mismatch"),
        ([AudioFrame.create(16_000, 1, 10), AudioFrame.create(16_000, 2, 10)], "Channel count mismatch"),
    ],
)
def test_frames_that_cannot_be_combined(frames: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        combine_audio_frames(frames)


# sine_wave_generator


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
async def test_a_generated_tone(rate: int) -> None:
    frames = [frame async for frame in sine_wave_generator(440, 1.23, rate, 0.5)]
    assert {frame.samples_per_channel for frame in frames[:-1]} == {rate // 10}
    whole = combine_audio_frames(frames)
    assert whole.duration == pytest.approx(1.23, abs=1 / rate)  # the official SDK drops what is left of 100 ms
    samples = whole.as_array()[:, 0]
    assert peak_frequency(samples, rate) == pytest.approx(440, abs=0.5)
    assert signal_to_noise(samples, rate, 440) > 80
    assert np.abs(samples).max() == pytest.approx(32_767 / 2, abs=40)


@pytest.mark.parametrize(
    "arguments",
    [
        (math.nan, 1),
        (-1, 1),
        (440, math.inf),
        (440, -1),
        (440, 1, 0),
        (440, 1, 48_000, 1.1),
        (440, 1, 48_000, math.nan),
    ],
)
async def test_tones_that_are_none_are_refused(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"not|finite"):
        await anext(sine_wave_generator(*arguments))


async def test_a_tone_of_no_length() -> None:
    assert [frame async for frame in sine_wave_generator(440, 0)] == []
