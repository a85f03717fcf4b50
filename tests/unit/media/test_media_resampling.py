"""Sample rates and channels."""

from __future__ import annotations

import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiolivekit.media import resampling
from aiolivekit.media.resampling import Resampler, remix

from .conftest import peak_frequency, tone, tone_share

RATES = [(48_000, 24_000), (48_000, 16_000), (48_000, 8_000), (48_000, 44_100), (22_050, 48_000), (24_000, 48_000)]


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_keeps_its_frequency_and_level(source: int, target: int, channels: int) -> None:
    resampler = Resampler(source, target, channels)
    samples = tone(source, 1, (1000.0, 500.0)[:channels])
    step = source // 100 * channels
    parts = [resampler.push(samples[at : at + step].tobytes()) for at in range(0, len(samples), step)]
    # 10 ms out for 10 ms in, once it has begun: no stretch of audio is held back.
    lengths = {len(part) // (2 * channels) for part in parts[10:-1]}
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) == pytest.approx(source // 100 * target / source, abs=1)
    parts.append(resampler.flush())
    converted = np.frombuffer(b"".join(parts), np.int16).reshape(-1, channels)
    assert len(converted) == pytest.approx(target, abs=target * 0.001)
    for channel, frequency in zip(converted.T, (1000.0, 500.0), strict=False):
        assert peak_frequency(channel, target) == pytest.approx(frequency, abs=0.2)
        assert tone_share(channel[target // 10 : -target // 10], target, frequency) > 0.9999
        level = np.sqrt(np.mean(channel[target // 10 : -target // 10].astype(float) ** 2))
        assert level == pytest.approx(8000 / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize(("source", "target"), RATES)
def test_without_variable_rates_blocks_are_short(source: int, target: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # As soxr 1.0, beside which pipecat is installed, has it.
    monkeypatch.setattr(resampling, "_has_variable_rate", lambda soxr: False)
    resampler = Resampler(source, target, 1)
    samples = tone(source, 1, (1000.0,))
    step = source // 100
    pushed, returned, converted = 0, 0, b""
    for at in range(0, len(samples), step):
        converted += resampler.push(samples[at : at + step].tobytes())
        pushed, returned = pushed + step, len(converted) // 2
        assert pushed / source - returned / target < 0.045
    converted += resampler.flush()
    values = np.frombuffer(converted, np.int16)
    assert len(values) == pytest.approx(target, abs=target * 0.001)
    assert tone_share(values[target // 10 : -target // 10], target, 1000) > 0.9999


def test_what_the_new_rate_cannot_carry_is_removed() -> None:
    resampler = Resampler(48_000, 16_000, 1)
    converted = np.frombuffer(resampler.push(tone(48_000, 1, (10_000.0,)).tobytes()), np.int16)
    assert np.abs(converted[1600:-1600]).max() < 8000 * 0.01


def test_a_cleared_resampler_begins_anew() -> None:
    resampler = Resampler(48_000, 16_000, 1)
    for begin_anew in (resampler.clear, resampler.flush):
        resampler.push(tone(48_000, 1).tobytes())
        begin_anew()
        rest = np.frombuffer(resampler.push(bytes(9600)), np.int16)
        assert np.abs(rest).max() <= 1  # libsoxr dithers


samples = st.lists(st.integers(-32_768, 32_767), min_size=2, max_size=64).map(lambda each: each[: len(each) // 2 * 2])


@settings(max_examples=100, deadline=None)
@given(samples)
def test_stereo_is_averaged(values: list[int]) -> None:
    stereo = array.array("h", values).tobytes()
    mono = array.array("h", remix(stereo, 2, 1))
    assert mono.tolist() == [(left + right) >> 1 for left, right in zip(values[::2], values[1::2], strict=True)]


def test_other_numbers_of_channels() -> None:
    mono = array.array("h", [1, -2, 32_767]).tobytes()
    assert array.array("h", remix(mono, 1, 2)).tolist() == [1, 1, -2, -2, 32_767, 32_767]
    assert remix(mono, 1, 1) is mono
    three = array.array("h", [3, 6, 9, -30, 0, 0]).tobytes()
    assert array.array("h", remix(three, 3, 1)).tolist() == [6, -10]
    assert array.array("h", remix(three, 3, 2)).tolist() == [6, 6, -10, -10]
    assert remix(b"", 2, 1) == b""
