"""The machine's microphone and speaker, by the official SDK's names (needs the `devices` extra)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import PlatformAudioError
from .apm import AudioProcessingModule
from .audio_source import AudioSource
from .media_devices import OutputPlayer
from .sound import DeviceDelay, Recording, query_devices, require_sounddevice

__all__ = ["AudioDeviceInfo", "PlatformAudio", "PlatformAudioOptions", "PlatformAudioSource"]

_RATE = 48_000
_CHANNELS = 1
_BLOCK_SAMPLES = 480
_QUEUE_MS = 200


@dataclass
class AudioDeviceInfo:
    """A microphone or speaker.

    Attributes:
        index: Its position among those of its kind; it changes when devices come and go.
        name: Its name.
        id: What to choose it by: the interface and the name, which stay when devices come and go.
    """

    index: int
    name: str
    id: str


@dataclass
class PlatformAudioOptions:
    """How a microphone is processed.

    Attributes:
        echo_cancellation: Whether to remove the echo of what `PlatformAudio.create_player` plays.
        noise_suppression: Whether to suppress steady noise.
        auto_gain_control: Whether to bring speech to an even level.
        prefer_hardware: Accepted for compatibility: processing is always done here.
    """

    echo_cancellation: bool = True
    noise_suppression: bool = True
    auto_gain_control: bool = True
    prefer_hardware: bool = False


class PlatformAudioSource(AudioSource):
    """A microphone, as a source to be published; made by `PlatformAudio.create_audio_source`."""

    def __init__(self, device: int | None, apm: AudioProcessingModule | None, delay: DeviceDelay) -> None:
        super().__init__(_RATE, _CHANNELS, _QUEUE_MS)
        self._recording = Recording(
            self._feed,
            sample_rate=_RATE,
            num_channels=_CHANNELS,
            blocksize=_BLOCK_SAMPLES,
            device=device,
            apm=apm,
            delay=delay,
        )

    @property
    def dropped(self) -> int:
        """Frames of 10 ms that were dropped: the queue was full, or the device gave more than was taken."""
        return self._recording.dropped + self._recording.overflows

    def close(self) -> None:
        """Release the microphone; a track of the source goes on with silence. Twice is once."""
        self._recording.close()

    async def aclose(self) -> None:
        """Release the microphone and end the track. Twice is once."""
        self.close()
        await super().aclose()


class PlatformAudio:
    """The machine's microphones and speakers (`livekit.rtc.PlatformAudio`), through the package `sounddevice`.

    One thing is different: what is received is not played by itself, as this libwebrtc has no devices. Give the tracks
    to the player of `create_player`.

    Raises:
        PlatformAudioError: If the `devices` extra is missing, or there is no audio system, or no device.
    """

    def __init__(self) -> None:
        self._sounddevice = require_sounddevice()
        if not query_devices(self._sounddevice):
            raise PlatformAudioError("this machine has no microphone and no speaker")
        self._recording_device: int | None = None
        self._playout_device: int | None = None
        self._apm: AudioProcessingModule | None = None
        self._delay = DeviceDelay()
        self._sources: list[PlatformAudioSource] = []
        self._closed = False

    def recording_devices(self) -> list[AudioDeviceInfo]:
        """Return the microphones.

        Raises:
            PlatformAudioError: If it is closed, or they cannot be listed.
        """
        return [info for info, _ in self._list("max_input_channels")]

    def playout_devices(self) -> list[AudioDeviceInfo]:
        """Return the speakers.

        Raises:
            PlatformAudioError: If it is closed, or they cannot be listed.
        """
        return [info for info, _ in self._list("max_output_channels")]

    def set_recording_device(self, device_id: str) -> None:
        """Choose the microphone of the sources made from now on, by its `id`.

        Raises:
            PlatformAudioError: If there is none with that id, or it is closed.
        """
        self._recording_device = self._find("max_input_channels", device_id, "microphone")

    def set_playout_device(self, device_id: str) -> None:
        """Choose the speaker of the players made from now on, by its `id`.

        Raises:
            PlatformAudioError: If there is none with that id, or it is closed.
        """
        self._playout_device = self._find("max_output_channels", device_id, "speaker")

    def create_audio_source(self, options: PlatformAudioOptions | None = None) -> PlatformAudioSource:
        """Open the microphone; give what is returned to `LocalAudioTrack.create_audio_track`.

        Args:
            options: How it is processed; by default in every way, which needs the `apm` extra.

        Raises:
            PlatformAudioError: If it is closed, or the microphone cannot be opened.
            MediaError: If audio is to be processed and the `apm` extra is missing.
        """
        self._check_open()
        options = options or PlatformAudioOptions()
        apm: AudioProcessingModule | None = None
        if options.echo_cancellation or options.noise_suppression or options.auto_gain_control:
            apm = AudioProcessingModule(
                echo_cancellation=options.echo_cancellation,
                noise_suppression=options.noise_suppression,
                high_pass_filter=True,
                auto_gain_control=options.auto_gain_control,
            )
        source = PlatformAudioSource(self._recording_device, apm, self._delay)
        self._apm = apm
        self._sources.append(source)
        return source

    def create_player(self) -> OutputPlayer:
        """Open the speaker; its echo is removed from the source made last, if that was asked for.

        The official SDK has no such method: it plays everything by itself.

        Raises:
            PlatformAudioError: If it is closed, or the speaker cannot be opened.
            MediaError: If numpy is not installed.
        """
        self._check_open()
        return OutputPlayer(
            sample_rate=_RATE,
            num_channels=_CHANNELS,
            blocksize=_BLOCK_SAMPLES,
            apm_for_reverse=self._apm,
            output_device=self._playout_device,
            delay_estimator=self._delay,
        )

    def close(self) -> None:
        """Release the microphones of its sources. Twice is once."""
        self._closed = True
        for source in self._sources:
            source.close()
        self._sources.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise PlatformAudioError("the platform audio is closed")

    def _list(self, channels: str) -> list[tuple[AudioDeviceInfo, int]]:
        self._check_open()
        devices = [device for device in query_devices(self._sounddevice) if device.get(channels, 0) > 0]
        return [
            (AudioDeviceInfo(position, str(device["name"]), self._id(device)), int(device["index"]))
            for position, device in enumerate(devices)
        ]

    def _id(self, device: dict[str, Any]) -> str:
        interfaces = self._sounddevice.query_hostapis()
        return f"{interfaces[device.get('hostapi', 0)]['name']}/{device['name']}"

    def _find(self, channels: str, device_id: str, what: str) -> int:
        for info, index in self._list(channels):
            if info.id == device_id:
                return index
        raise PlatformAudioError(f"{what} not found: none has the id {device_id!r}")
