"""`MediaDevices` and `PlatformAudio`, without a device: PortAudio's side is played by the test, block by block."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aiolivekit import (
    AudioProcessingModule,
    AudioStream,
    ClosedError,
    MediaDevices,
    MediaError,
    PlatformAudio,
    PlatformAudioError,
    PlatformAudioOptions,
)
from aiolivekit.peer.audio import LocalAudio

from .conftest import DEADLINE, StubTrack, tone, tone_share

DEVICES = [
    {"name": "Mic", "max_input_channels": 2, "max_output_channels": 0, "hostapi": 0},
    {"name": "Speaker", "max_input_channels": 0, "max_output_channels": 2, "hostapi": 0},
    {"name": "Headset", "max_input_channels": 1, "max_output_channels": 1, "hostapi": 1},
]
OFF = {"enable_aec": False, "noise_suppression": False, "high_pass_filter": False, "auto_gain_control": False}


class PortAudioError(Exception):
    pass


class Stream:
    """What `sounddevice` returns: the test calls its callback as PortAudio does."""

    opened: list[Stream] = []  # noqa: RUF012 - emptied for each test
    broken = ""

    def __init__(self, **options: Any) -> None:
        if Stream.broken == "open":
            raise PortAudioError("no such device")
        self.options = options
        self.state = "open"
        Stream.opened.append(self)

    def start(self) -> None:
        if Stream.broken == "start":
            raise PortAudioError("device unavailable")
        self.state = "started"

    def abort(self) -> None:
        if Stream.broken == "close":
            raise PortAudioError("unplugged")
        self.state = "stopped"

    def close(self) -> None:
        self.state = "closed"

    def record(self, samples: Any, *, delay: float = 0.01) -> None:
        time = SimpleNamespace(currentTime=1.0, inputBufferAdcTime=1.0 - delay)
        channels = self.options["channels"]
        data = np.asarray(samples, np.int16).tobytes()
        self.options["callback"](data, len(data) // 2 // channels, time, SimpleNamespace(input_overflow=False))

    def play(self, frames: int, *, delay: float = 0.02) -> Any:
        time = SimpleNamespace(currentTime=1.0, outputBufferDacTime=1.0 + delay)
        data = bytearray(frames * self.options["channels"] * 2)
        self.options["callback"](memoryview(data), frames, time, SimpleNamespace())
        return np.frombuffer(data, np.int16)


@pytest.fixture(autouse=True)
def sounddevice(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    module: Any = ModuleType("sounddevice")
    module.PortAudioError = PortAudioError
    module.RawInputStream = module.RawOutputStream = Stream
    module.query_devices = lambda: DEVICES
    module.query_hostapis = lambda: [{"name": "ALSA"}, {"name": "JACK"}]
    module.default = SimpleNamespace(device=[0, 1])
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    yield module
    Stream.opened.clear()
    Stream.broken = ""


async def test_devices_are_listed(sounddevice: Any) -> None:
    devices = MediaDevices()
    assert [(each["index"], each["name"]) for each in devices.list_input_devices()] == [(0, "Mic"), (2, "Headset")]
    assert [(each["index"], each["name"]) for each in devices.list_output_devices()] == [(1, "Speaker"), (2, "Headset")]
    assert (devices.default_input_device(), devices.default_output_device()) == (0, 1)
    sounddevice.default.device = [-1, None]
    assert devices.default_input_device() is devices.default_output_device() is None


@pytest.mark.parametrize("rate", [48_000, 44_100, 16_000])
@pytest.mark.parametrize("block", [160, 480, 1_024, 4_800])
async def test_what_is_recorded_reaches_a_track(rate: int, block: int) -> None:
    capture = MediaDevices(input_sample_rate=rate, blocksize=block).open_input(**OFF)  # type: ignore[arg-type]
    (microphone,) = Stream.opened
    assert microphone.state == "started"
    assert (microphone.options["samplerate"], microphone.options["blocksize"]) == (rate, block)
    fed: list[Any] = []

    def feed(frame: Any) -> bool:
        fed.append(frame.as_array()[:, 0].copy())
        return capture.source._feed(frame)

    capture._recording._sink = feed
    samples = tone(rate, 0.4)
    for start in range(0, len(samples) - block, block):
        microphone.record(samples[start : start + block])
    whole = len(range(0, len(samples) - block, block)) * block // (rate // 100) * (rate // 100)
    assert {len(frame) for frame in fed} == {rate // 100}
    assert np.array_equal(np.concatenate(fed), samples[:whole])
    assert capture.source.queued_duration > 0
    await asyncio.wait_for(capture.source.wait_for_playout(), DEADLINE)
    assert capture.dropped == 0
    await capture.aclose()
    await capture.aclose()
    assert microphone.state == "closed"


async def test_one_channel_of_many() -> None:
    heard = []
    capture = MediaDevices(num_channels=2, blocksize=480).open_input(input_channel_index=2, **OFF)  # type: ignore[arg-type]
    (microphone,) = Stream.opened
    assert microphone.options["channels"] == 3
    assert capture.source.num_channels == 1
    capture._recording._sink = lambda frame: heard.append(frame) or True  # type: ignore[func-returns-value]
    microphone.record(np.arange(480 * 3))
    assert heard[0].data.tolist() == list(range(2, 480 * 3, 3))
    await capture.aclose()


async def test_a_full_source_drops_and_counts() -> None:
    capture = MediaDevices(blocksize=480).open_input(queue_capacity=5, **OFF)  # type: ignore[arg-type]
    (microphone,) = Stream.opened
    microphone.record(np.zeros(480 * 100))
    assert 50 <= capture.dropped <= 95  # some may have been played meanwhile
    await capture.aclose()


async def test_what_is_recorded_is_processed() -> None:
    pytest.importorskip("pywebrtc_audio", reason="the apm extra")
    capture = MediaDevices(blocksize=480).open_input(enable_aec=False, noise_suppression=False, auto_gain_control=False)
    assert isinstance(capture.apm, AudioProcessingModule)
    heard: list[Any] = []
    capture._recording._sink = lambda frame: heard.append(frame.as_array()[:, 0]) or True  # type: ignore[func-returns-value]
    (microphone,) = Stream.opened
    samples = tone(48_000, 1, (30.0,))
    for start in range(0, 48_000, 480):
        microphone.record(samples[start : start + 480])
    assert np.abs(np.concatenate(heard)[24_000:]).max() < 8_000 * 10 ** (-30 / 20)
    await capture.aclose()


async def test_the_echo_canceller_hears_the_speaker_and_its_delay() -> None:
    pytest.importorskip("pywebrtc_audio", reason="the apm extra")
    devices = MediaDevices(blocksize=480)
    capture = devices.open_input(enable_aec=True)
    player = devices.open_output()
    await player.start()
    microphone, speaker = Stream.opened
    speaker.play(480, delay=0.03)
    microphone.record(np.zeros(480), delay=0.02)
    assert capture.apm is not None
    assert capture.apm._delay_ms == pytest.approx(50, abs=1)
    assert len(capture.apm._reference) == 0
    speaker.play(480)
    assert len(capture.apm._reference) == 1
    await player.aclose()
    await capture.aclose()


async def test_tracks_are_mixed_and_played() -> None:
    player = MediaDevices(blocksize=480).open_output(output_device=2)
    locals_ = [LocalAudio(), LocalAudio()]
    tracks = [StubTrack(each.media_track) for each in locals_]
    for index, track in enumerate(tracks):
        track.sid = f"TR_{index}"  # type: ignore[attr-defined]
        await player.add_track(track)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="TR_0"):
        await player.add_track(tracks[0])  # type: ignore[arg-type]
    await player.start()
    with pytest.raises(RuntimeError, match="already"):
        await player.start()
    (speaker,) = Stream.opened
    assert (speaker.state, speaker.options["device"]) == ("started", 2)
    for start in range(0, 24_000, 480):
        for local, frequency in zip(locals_, (500.0, 2_000.0), strict=True):
            local.write(tone(48_000, 0.5, (frequency,))[start : start + 480].tobytes(), 48_000, 1, 480)
    played: list[Any] = []
    async with asyncio.timeout(DEADLINE):
        while sum(map(len, played)) < 20_000:
            if block := len(player._playback._waiting) // 960 * 480:
                played.append(speaker.play(block))
            await asyncio.sleep(0.001)
    samples = np.concatenate(played)
    for frequency in (500, 2_000):
        assert tone_share(samples, 48_000, frequency) == pytest.approx(0.5, abs=0.02)
    assert player.underruns == 0
    assert not speaker.play(48_000)[24_000:].any()
    assert player.underruns == 1

    await player.remove_track(tracks[0])  # type: ignore[arg-type]
    await player.remove_track(tracks[0])  # type: ignore[arg-type]
    assert not tracks[0]._streams
    await player.aclose()
    await player.aclose()
    assert not tracks[1]._streams
    assert speaker.state == "closed"
    for use in (player.add_track(tracks[0]), player.add_track(tracks[1])):  # type: ignore[arg-type]
        with pytest.raises(ClosedError):
            await use
    for local in locals_:
        local.close()


async def test_a_player_keeps_little() -> None:
    """What is played late is worse than what is dropped: tracks wait in their own streams."""
    player = MediaDevices(blocksize=480).open_output()
    local = LocalAudio()
    track = StubTrack(local.media_track)
    track.sid = "TR_0"  # type: ignore[attr-defined]
    await player.add_track(track)  # type: ignore[arg-type]
    await player.start()
    for _ in range(200):
        local.write(bytes(960), 48_000, 1, 480)
        await asyncio.sleep(0)
    async with asyncio.timeout(DEADLINE):
        while player._playback.has_room:
            await asyncio.sleep(0.001)
    assert len(player._playback._waiting) <= 96 * 80
    await player.aclose()
    local.close()


@pytest.mark.parametrize("breaks", ["open", "start"])
async def test_a_device_that_does_not_open(breaks: str) -> None:
    Stream.broken = breaks
    devices = MediaDevices()
    with pytest.raises(PlatformAudioError, match="microphone"):
        devices.open_input(**OFF)  # type: ignore[arg-type]
    if breaks == "open":
        with pytest.raises(PlatformAudioError, match="speaker"):
            devices.open_output()
    else:
        player = devices.open_output()
        with pytest.raises(PlatformAudioError, match="speaker"):
            await player.start()
        await player.aclose()


async def test_a_device_that_was_unplugged_can_be_closed() -> None:
    capture = MediaDevices().open_input(**OFF)  # type: ignore[arg-type]
    Stream.broken = "close"
    await capture.aclose()


@pytest.mark.parametrize(
    "options",
    [
        {"input_sample_rate": 0},
        {"output_sample_rate": -1},
        {"input_sample_rate": math.nan},
        {"num_channels": 3},
        {"blocksize": -1},
    ],
)
def test_devices_that_are_none_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="rates"):
        MediaDevices(**options)


@pytest.mark.parametrize("options", [{"queue_capacity": 0}, {"input_channel_index": -1}])
async def test_inputs_that_are_none_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="queue or channel"):
        MediaDevices().open_input(**options)


@pytest.mark.parametrize("missing", ["package", "library"])
def test_without_the_extra_it_says_which(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing == "package":
        monkeypatch.setitem(sys.modules, "sounddevice", None)
        expected = r"aiolivekit\[devices\]"
    else:
        monkeypatch.delitem(sys.modules, "sounddevice")

        class NoLibrary:
            def find_spec(self, name: str, *_: Any) -> None:
                if name == "sounddevice":
                    raise OSError("PortAudio library not found")

        monkeypatch.setattr(sys, "meta_path", [NoLibrary(), *sys.meta_path])
        expected = "libportaudio2"
    devices = MediaDevices()
    for use in (
        devices.list_input_devices,
        devices.list_output_devices,
        devices.default_input_device,
        lambda: devices.open_input(**OFF),  # type: ignore[arg-type]
        devices.open_output,
        PlatformAudio,
    ):
        with pytest.raises(PlatformAudioError, match=expected) as caught:
            use()
        assert isinstance(caught.value, MediaError)


# PlatformAudio


async def test_platform_audio() -> None:
    platform = PlatformAudio()
    assert [(each.index, each.name, each.id) for each in platform.recording_devices()] == [
        (0, "Mic", "ALSA/Mic"),
        (1, "Headset", "JACK/Headset"),
    ]
    assert [each.id for each in platform.playout_devices()] == ["ALSA/Speaker", "JACK/Headset"]
    platform.set_recording_device("JACK/Headset")
    platform.set_playout_device("JACK/Headset")
    for choose in (platform.set_recording_device, platform.set_playout_device):
        with pytest.raises(PlatformAudioError, match="'nothing'"):
            choose("nothing")
    plain = PlatformAudioOptions(echo_cancellation=False, noise_suppression=False, auto_gain_control=False)
    source = platform.create_audio_source(plain)
    player = platform.create_player()
    microphone, speaker = Stream.opened
    assert microphone.options["device"] == speaker.options["device"] == 2
    microphone.record(np.full(480 * 200, 5))
    assert 50 <= source.dropped <= 180
    assert source.queued_duration > 0
    stream = AudioStream(StubTrack(source._local.media_track))
    event = await asyncio.wait_for(anext(stream), DEADLINE)
    assert set(event.frame.data) == {5}
    await stream.aclose()
    source.close()
    source.close()
    assert microphone.state == "closed"
    await source.aclose()
    await player.aclose()
    platform.close()
    platform.close()
    for use in (platform.recording_devices, platform.create_audio_source, platform.create_player):
        with pytest.raises(PlatformAudioError, match="closed"):
            use()


async def test_platform_audio_processes_by_default() -> None:
    pytest.importorskip("pywebrtc_audio", reason="the apm extra")
    platform = PlatformAudio()
    source = platform.create_audio_source()
    assert source._recording._apm is not None
    platform.close()
    assert Stream.opened[0].state == "closed"
    await source.aclose()
