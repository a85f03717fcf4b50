"""`AudioProcessingModule`: what it does to sound, in decibels; and the pairing of played and recorded blocks."""

from __future__ import annotations

import functools
import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit import AudioFrame, AudioProcessingModule, MediaError
from aiolivekit.media.echo_reference import EchoReference

from .conftest import frames_of, tone

pytest.importorskip("pywebrtc_audio", reason="the apm extra")

RATES = [8_000, 16_000, 24_000, 44_100, 48_000]


def level(samples: Any) -> float:
    """Return the level in decibels."""
    return 10 * math.log10(np.mean(np.asarray(samples, float) ** 2) + 1e-9)


def level_at(samples: Any, rate: int, frequency: float, width: float = 20) -> float:
    """Return the level near a frequency, in decibels."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    near = np.abs(np.fft.rfftfreq(len(samples), 1 / rate) - frequency) < width
    return float(10 * math.log10(power[near].sum() + 1e-9))


@functools.cache
def speech(rate: int, seconds: float, seed: int = 1) -> Any:
    """Return something like speech: a harmonic voice whose pitch and loudness move, in syllables."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(rate * seconds)) / rate
    pitch = 130 * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * time) + 0.05 * np.sin(2 * np.pi * 3.1 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = (500 + 200 * np.sin(2 * np.pi * 1.3 * time), 1500 + 400 * np.sin(2 * np.pi * 0.9 * time))
    voice = np.zeros_like(time)
    for harmonic in range(1, 30):
        frequency = harmonic * pitch
        gain = sum(np.exp(-(((frequency - formant) / 250) ** 2)) for formant in formants) + 0.02
        voice += gain * np.sin(harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * 2.2 * time + rng.uniform(0, 6)), 0, None) ** 0.5
    voice *= syllables
    return voice / np.abs(voice).max()


def noise(rate: int, seconds: float, seed: int = 2) -> Any:
    return np.random.default_rng(seed).standard_normal(int(rate * seconds))


def int16(samples: Any) -> Any:
    return np.clip(np.round(samples), -32_768, 32_767).astype(np.int16)


def processed(apm: AudioProcessingModule, near: Any, rate: int, far: Any = None, channels: int = 1) -> Any:
    """Return what comes out of the module, block by block."""
    played = None if far is None else frames_of(int16(far), rate, 1, 10)
    out = []
    for index, frame in enumerate(frames_of(int16(near), rate, channels, 10)):
        if frame.samples_per_channel != rate // 100:
            break
        if played is not None:
            apm.process_reverse_stream(played[index])
        apm.process_stream(frame)
        out.append(frame.as_array())
    return np.concatenate(out)


def room(far: Any, rate: int, delay: float) -> Any:
    """Return the echo of what is played: late, at half its loudness, with reflections."""
    impulse = np.zeros(int(rate * (delay + 0.05)))
    for at, gain in ((0, 0.5), (0.007, 0.2), (0.019, 0.1), (0.04, 0.05)):
        impulse[int(rate * (delay + at))] = gain
    return np.convolve(far, impulse)[: len(far)]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("delay", [0.02, 0.12])
def test_echo_is_removed(rate: int, delay: float) -> None:
    far = 12_000 * speech(rate, 6)
    echo = room(far, rate, delay)
    out = processed(AudioProcessingModule(echo_cancellation=True), echo, rate, far)[:, 0]
    learnt = 3 * rate
    assert level(echo[learnt:]) - level(out[learnt : len(echo)]) > 25


def test_who_speaks_is_heard_through_the_echo() -> None:
    rate = 48_000
    far = 8_000 * speech(rate, 8, seed=3)
    far[5 * rate :] = 0
    near = np.zeros(8 * rate)
    near[5 * rate :] = 8_000 * speech(rate, 3, seed=4)
    out = processed(AudioProcessingModule(echo_cancellation=True), room(far, rate, 0.03) + near, rate, far)[:, 0]
    assert level(out[6 * rate :]) == pytest.approx(level(near[6 * rate : len(out)]), abs=2)


def test_the_speaker_may_have_another_rate_and_channels() -> None:
    far = 12_000 * speech(48_000, 6)
    echo = room(far, 48_000, 0.03)[::3]
    apm = AudioProcessingModule(echo_cancellation=True)
    out = []
    stereo = np.repeat(int16(far), 2)
    played = frames_of(stereo, 48_000, 2, 10)
    for speaker, frame in zip(played, frames_of(int16(echo), 16_000, 1, 10), strict=True):
        apm.process_reverse_stream(speaker)
        apm.process_stream(frame)
        out.append(frame.as_array()[:, 0])
    assert level(echo[3 * 16_000 :]) - level(np.concatenate(out)[3 * 16_000 :]) > 20


@pytest.mark.parametrize("burst", [5, 10, 30])
def test_devices_that_work_in_bursts_are_no_hindrance(burst: int) -> None:
    rate = 16_000
    far = 12_000 * speech(rate, 6)
    echo = room(far, rate, 0.05)
    apm = AudioProcessingModule(echo_cancellation=True)
    played, recorded = frames_of(int16(far), rate, 1, 10), frames_of(int16(echo), rate, 1, 10)
    for start in range(0, len(recorded), burst):
        for frame in played[start : start + burst]:
            apm.process_reverse_stream(frame)
        for frame in recorded[start : start + burst]:
            apm.process_stream(frame)
    out = np.concatenate([frame.as_array()[:, 0] for frame in recorded])
    assert level(echo[3 * rate :]) - level(out[3 * rate :]) > 20


@pytest.mark.parametrize("rate", RATES)
def test_noise_is_suppressed_and_speech_kept(rate: int) -> None:
    hiss = 300 * noise(rate, 8)
    voice = np.zeros(8 * rate)
    voice[4 * rate :] = 10_000 * speech(rate, 4)
    out = processed(AudioProcessingModule(noise_suppression=True), hiss + voice, rate)[:, 0].astype(float)
    quiet = slice(2 * rate, 4 * rate)
    assert level(hiss[quiet]) - level(out[quiet]) > 10
    spoken = slice(5 * rate, 8 * rate - rate // 10)
    assert level(out[spoken]) == pytest.approx(level(voice[spoken]), abs=2)


def test_gain_is_brought_to_an_even_level() -> None:
    rate = 48_000
    levels = []
    for amplitude in (1_000, 8_000):
        out = processed(AudioProcessingModule(auto_gain_control=True), amplitude * speech(rate, 12), rate)[:, 0]
        levels.append(level(out[8 * rate :]))
    quiet = level(int16(1_000 * speech(rate, 12))[8 * rate :])
    assert levels[0] - quiet > 20
    assert abs(levels[0] - levels[1]) < 3  # they were 18 dB apart


@pytest.mark.parametrize("rate", RATES)
def test_the_high_pass_filter_removes_rumble_and_nothing_else(rate: int) -> None:
    samples = tone(rate, 2, (30.0,)).astype(int) + tone(rate, 2, (1_000.0,))
    out = processed(AudioProcessingModule(high_pass_filter=True), samples, rate)[rate // 2 :, 0].astype(float)
    before = samples[rate // 2 : rate // 2 + len(out)].astype(float)
    assert level_at(before, rate, 30) - level_at(out, rate, 30) > 30
    assert level_at(out, rate, 1_000) == pytest.approx(level_at(before, rate, 1_000), abs=0.5)


def test_channels_stay_apart() -> None:
    rate = 48_000
    samples = tone(rate, 1, (500.0, 1_500.0))
    out = processed(AudioProcessingModule(high_pass_filter=True), samples, rate, channels=2)[rate // 4 :].astype(float)
    for channel, own, other in ((0, 500, 1_500), (1, 1_500, 500)):
        assert level_at(out[:, channel], rate, own) - level_at(out[:, channel], rate, other) > 40


def test_nothing_asked_for_is_nothing_done() -> None:
    samples = tone(48_000, 0.01)
    frame = AudioFrame(samples, 48_000, 1, 480)
    apm = AudioProcessingModule()
    apm.process_reverse_stream(frame)
    apm.process_stream(frame)
    apm.set_stream_delay_ms(40)
    assert frame.to_bytes() == samples.tobytes()


@pytest.mark.parametrize("rate", [24_000, 48_000])
@pytest.mark.parametrize("feature", ["noise_suppression", "high_pass_filter", "auto_gain_control"])
def test_silence_is_left_alone_and_what_was_learnt_is_kept(rate: int, feature: str) -> None:
    """Once it has lasted for a second; the speech after it sounds as if it had followed at once."""
    quiet = np.random.default_rng(3).integers(-2, 3, 3 * rate)
    talk = 2_000 * speech(rate, 4)
    interrupted, steady = (AudioProcessingModule(**{feature: True}) for _ in range(2))
    processed(interrupted, talk, rate)
    silent = processed(interrupted, quiet, rate)[:, 0]
    processed(steady, talk, rate)
    settled = rate + rate // 100
    assert np.array_equal(silent[settled:], quiet[settled:])
    resumed, expected = (processed(apm, talk, rate)[:, 0] for apm in (interrupted, steady))
    assert level(resumed) == pytest.approx(level(expected), abs=2)
    assert np.abs(np.diff(resumed.astype(int))).max() < 1.5 * np.abs(np.diff(expected.astype(int))).max()


def test_silence_before_the_first_sound_needs_nothing() -> None:
    apm = AudioProcessingModule(auto_gain_control=True)
    quiet = np.full(48_000, 2)
    assert np.array_equal(processed(apm, quiet, 48_000)[:, 0], quiet)
    assert apm._chain is None


def test_an_echo_is_followed_through_silence() -> None:
    apm = AudioProcessingModule(echo_cancellation=True)
    processed(apm, np.zeros(16_000), 16_000, noise(16_000, 1))
    assert apm._chain is not None


def test_frames_are_changed_in_place_but_bytes_are_not() -> None:
    samples = tone(48_000, 0.02, (30.0,))
    constant = samples[480:].tobytes()
    writable = bytearray(constant)
    longer = bytearray(constant + b"\1\2")
    apms = [AudioProcessingModule(high_pass_filter=True) for _ in range(4)]
    kept = AudioFrame(constant, 48_000, 1, 480)
    apms[0].process_stream(kept)
    apms[1].process_stream(AudioFrame(writable, 48_000, 1, 480))
    apms[2].process_stream(AudioFrame(longer, 48_000, 1, 480))
    assert kept.to_bytes() == bytes(writable) == bytes(longer[:-2]) != constant == samples[480:].tobytes()
    assert longer[-2:] == b"\1\2"
    array = samples[480:].copy()
    apms[3].process_stream(AudioFrame(array, 48_000, 1, 480))
    assert array.tobytes() == bytes(writable)


def test_another_format_begins_anew() -> None:
    apm = AudioProcessingModule(echo_cancellation=True, noise_suppression=True, auto_gain_control=True)
    for rate, channels in ((48_000, 1), (16_000, 1), (16_000, 2), (48_000, 2), (8_000, 1)):
        for _ in range(3):
            apm.process_reverse_stream(AudioFrame.create(48_000, 2, 480))
            frame = AudioFrame.create(rate, channels, rate // 100)
            apm.process_stream(frame)
            assert len(frame.data) == rate // 100 * channels


def test_longer_frames_are_processed_block_by_block() -> None:
    rate = 24_000
    far = 12_000 * speech(rate, 5)
    echo = room(far, rate, 0.02)
    apm, out = AudioProcessingModule(echo_cancellation=True), []
    for recorded, played in zip(frames_of(int16(echo), rate, 1, 50), frames_of(int16(far), rate, 1, 50), strict=True):
        apm.process_reverse_stream(played)
        apm.process_stream(recorded)
        out.append(recorded.as_array())
    heard = np.concatenate(out)[:, 0]
    assert len(heard) == len(echo)
    assert level(echo[3 * rate :]) - level(heard[3 * rate :]) > 25


@pytest.mark.parametrize(
    ("frame", "error", "why"),
    [
        (AudioFrame.create(48_000, 1, 1_000), MediaError, "480 samples at 48000 Hz, not 1000"),
        (AudioFrame.create(48_000, 1, 0), MediaError, "10 ms"),
        (AudioFrame.create(4_000, 1, 40), MediaError, "4000 Hz"),
        (AudioFrame.create(768_000, 1, 7_680), MediaError, "768000 Hz"),
        (AudioFrame.create(48_000, 9, 480), MediaError, "9"),
        (b"\0" * 960, TypeError, "bytes"),
    ],
)
@pytest.mark.parametrize("features", [{}, {"echo_cancellation": True}])
def test_frames_that_cannot_be_processed(frame: Any, error: type[Exception], why: str, features: Any) -> None:
    apm = AudioProcessingModule(**features)
    for method in (apm.process_stream, apm.process_reverse_stream):
        with pytest.raises(error, match=why):
            method(frame)


@pytest.mark.parametrize("delay", [-1, math.nan, math.inf])
def test_delays_that_are_none(delay: float) -> None:
    with pytest.raises(ValueError, match="delay"):
        AudioProcessingModule(echo_cancellation=True).set_stream_delay_ms(delay)  # type: ignore[arg-type]


def test_the_delay_is_passed_on() -> None:
    apm = AudioProcessingModule(echo_cancellation=True)
    apm.set_stream_delay_ms(70)
    apm.process_stream(AudioFrame.create(48_000, 1, 480))
    assert apm._chain._echo_canceller.stream_delay_ms == 70  # type: ignore[union-attr]
    apm.set_stream_delay_ms(10_000)
    assert apm._chain._echo_canceller.stream_delay_ms == 500  # type: ignore[union-attr]


def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)
    with pytest.raises(MediaError, match=r"aiolivekit\[apm\]"):
        AudioProcessingModule(noise_suppression=True)
    AudioProcessingModule()


# Pairing


def pairs(steps: str) -> list[int | None]:
    """Run letters, `p` for a block played and `r` for one recorded; return what goes with those recorded."""
    reference: EchoReference[int] = EchoReference()
    played, given = 0, []
    for step in steps:
        if step == "p":
            reference.played(played)
            played += 1
        else:
            given.append(reference.recorded())
    return given


@pytest.mark.parametrize(
    ("steps", "given"),
    [
        ("pr" * 3, [0, 1, 2]),
        ("rp" * 3, [None, 0, 1]),
        ("ppprrr" * 2, [0, 1, 2, 3, 4, 5]),
        ("rrrpr", [None, None, None, 0]),
        ("p" * 200 + "rr", [199, None]),  # nothing was recorded for two seconds: that is past
    ],
)
def test_blocks_are_paired(steps: str, given: list[int | None]) -> None:
    assert pairs(steps) == given


def test_a_surplus_that_is_never_used_is_dropped() -> None:
    """Blocks that come late, after silence stood in for them, would be behind for good."""
    late = "pr" * 50 + "r" * 7 + "p" * 7 + "pr" * 300
    given = pairs(late)
    assert given[57] == 50  # seven behind
    last_played = late.count("p") - 1
    assert given[-1] == last_played


def test_bursts_are_no_surplus() -> None:
    given = pairs(("p" * 20 + "r" * 20) * 30)
    assert given == list(range(600))


@given(st.lists(st.sampled_from("pr"), max_size=1_000))
def test_blocks_are_given_once_in_order_and_few_are_held(steps: list[str]) -> None:
    reference: EchoReference[int] = EchoReference()
    given: list[int] = []
    played = 0
    for step in steps:
        if step == "p":
            reference.played(played)
            played += 1
        elif (block := reference.recorded()) is not None:
            given.append(block)
        assert len(reference) <= 100
    assert given == sorted(set(given))
    assert len(given) + len(reference) + reference.dropped == played
