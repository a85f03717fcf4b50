"""Microphone and speaker, by the official SDK's names (needs the `devices` extra)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..errors import ClosedError, PlatformAudioError
from .apm import AudioProcessingModule
from .audio_mixer import AudioMixer
from .audio_source import AudioSource
from .audio_stream import AudioStream
from .frame_stream import StreamTrack
from .sound import DeviceDelay, Playback, Recording, query_devices, require_sounddevice

if TYPE_CHECKING:
    from typing import Protocol

    class PlayedTrack(StreamTrack, Protocol):
        """What a player needs of a track."""

        @property
        def sid(self) -> str: ...


__all__ = ["InputCapture", "MediaDevices", "OutputPlayer"]

DEFAULT_SAMPLE_RATE = 48_000
DEFAULT_CHANNELS = 1
BLOCKSIZE = 4_800

_SAMPLE_SIZE = 2
_MIX_MS = 20
_KEPT_MS = 60


class InputCapture:
    """A microphone that is open; made by `MediaDevices.open_input`.

    Attributes:
        source: What it records, to be published.
        apm: What processes it, if anything does.
        delay_estimator: What the speaker tells of its delay.
    """

    source: AudioSource
    apm: AudioProcessingModule | None
    delay_estimator: DeviceDelay

    def __init__(
        self, source: AudioSource, recording: Recording, apm: AudioProcessingModule | None, delay: DeviceDelay
    ) -> None:
        self.source = source
        self.apm = apm
        self.delay_estimator = delay
        self._recording = recording

    @property
    def input_stream(self) -> Any:
        """The stream of `sounddevice`."""
        return self._recording.stream

    @property
    def dropped(self) -> int:
        """Frames of 10 ms that were dropped: the source was full, or the device gave more than was taken."""
        return self._recording.dropped + self._recording.overflows

    async def aclose(self) -> None:
        """Stop recording and close the source. Twice is once."""
        await asyncio.to_thread(self._recording.close)
        await self.source.aclose()


class OutputPlayer:
    """Plays tracks, mixed, on a speaker; made by `MediaDevices.open_output`.

    Args:
        sample_rate: Samples of a channel a second.
        num_channels: 1 or 2.
        blocksize: Samples of a channel the device takes at once.
        apm_for_reverse: Is told what is played, so that its echo is found in what is recorded.
        output_device: The index of the device; by default the system's.
        delay_estimator: Is told of the device's delay.

    Raises:
        PlatformAudioError: If the `devices` extra is missing or the device cannot be opened.
        MediaError: If numpy is not installed.
    """

    def __init__(
        self,
        *,
        sample_rate: int = DEFAULT_SAMPLE_RATE,
        num_channels: int = DEFAULT_CHANNELS,
        blocksize: int = BLOCKSIZE,
        apm_for_reverse: AudioProcessingModule | None = None,
        output_device: int | None = None,
        delay_estimator: DeviceDelay | None = None,
    ) -> None:
        self._sample_rate = sample_rate
        self._num_channels = num_channels
        self._has_room = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        kept = max(2 * blocksize, sample_rate * _KEPT_MS // 1000)
        self._playback = Playback(
            sample_rate=sample_rate,
            num_channels=num_channels,
            blocksize=blocksize,
            device=output_device,
            capacity=kept * num_channels * _SAMPLE_SIZE,
            on_room=self._on_room,
            apm=apm_for_reverse,
            delay=delay_estimator,
        )
        self._mixer: AudioMixer | None = None
        self._streams: dict[str, AudioStream] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def underruns(self) -> int:
        """Blocks of the device for which there was not enough to play."""
        return self._playback.underruns

    async def add_track(self, track: PlayedTrack) -> None:
        """Play a track too, from now or from `start` on.

        Raises:
            ValueError: If it is played already.
            MediaError: If it carries no audio.
            ClosedError: If the player is closed.
        """
        if track.sid in self._streams:
            raise ValueError(f"Track {track.sid} already added to player")
        mixer = self._open_mixer()
        stream = AudioStream(track, sample_rate=self._sample_rate, num_channels=self._num_channels)
        self._streams[track.sid] = stream
        mixer.add_stream(stream)

    async def remove_track(self, track: PlayedTrack) -> None:
        """Play a track no longer; one that is not played is ignored."""
        stream = self._streams.pop(track.sid, None)
        if stream is None:
            return
        if self._mixer is not None:
            self._mixer.remove_stream(stream)
        await stream.aclose()

    async def start(self) -> None:
        """Start playing. Tracks may come and go meanwhile.

        Raises:
            RuntimeError: If it plays already.
            ClosedError: If the player is closed.
            PlatformAudioError: If the device fails.
        """
        if self._task is not None:
            raise RuntimeError("Playback already started")
        mixer = self._open_mixer()
        self._loop = asyncio.get_running_loop()
        self._playback.start()
        self._task = asyncio.create_task(self._play(mixer), name="aiolivekit player")

    async def aclose(self) -> None:
        """Stop playing, and read the tracks no longer. Twice is once."""
        self._closed = True
        self._loop = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._mixer is not None:
            await self._mixer.aclose()
        for sid in list(self._streams):
            await self._streams.pop(sid).aclose()
        await asyncio.to_thread(self._playback.close)

    def _open_mixer(self) -> AudioMixer:
        if self._closed:
            raise ClosedError("the player is closed")
        if self._mixer is None:
            self._mixer = AudioMixer(
                self._sample_rate, self._num_channels, blocksize=self._sample_rate * _MIX_MS // 1000, capacity=1
            )
        return self._mixer

    async def _play(self, mixer: AudioMixer) -> None:
        async for frame in mixer:
            while not self._playback.has_room:
                self._has_room.clear()
                if not self._playback.has_room:
                    await self._has_room.wait()
            self._playback.write(frame.to_bytes())

    def _on_room(self) -> None:
        if (loop := self._loop) is not None:
            try:
                loop.call_soon_threadsafe(self._has_room.set)
            except RuntimeError:  # the loop is closed
                self._loop = None


class MediaDevices:
    """Microphones and speakers (`livekit.rtc.MediaDevices`), through the package `sounddevice`.

    Args:
        loop: Accepted for compatibility.
        input_sample_rate: Samples of a channel a second that are recorded.
        output_sample_rate: Samples of a channel a second that are played.
        num_channels: 1 or 2.
        blocksize: Samples of a channel the devices give or take at once.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        input_sample_rate: int = DEFAULT_SAMPLE_RATE,
        output_sample_rate: int = DEFAULT_SAMPLE_RATE,
        num_channels: int = DEFAULT_CHANNELS,
        blocksize: int = BLOCKSIZE,
    ) -> None:
        if not (input_sample_rate > 0 and output_sample_rate > 0 and num_channels in (1, 2) and blocksize >= 0):
            raise ValueError(
                "devices have positive rates, 1 or 2 channels and a block size that is not negative; "
                f"got {input_sample_rate} Hz, {output_sample_rate} Hz, {num_channels}, {blocksize}"
            )
        self._input_rate = input_sample_rate
        self._output_rate = output_sample_rate
        self._channels = num_channels
        self._blocksize = blocksize
        self._apm: AudioProcessingModule | None = None
        self._delay = DeviceDelay()

    def list_input_devices(self) -> list[dict[str, Any]]:
        """Return what `sounddevice` says of each microphone, with its `index`.

        Raises:
            PlatformAudioError: If the `devices` extra is missing or the system cannot say.
        """
        return _devices("max_input_channels")

    def list_output_devices(self) -> list[dict[str, Any]]:
        """Return what `sounddevice` says of each speaker, with its `index`.

        Raises:
            PlatformAudioError: As `list_input_devices`.
        """
        return _devices("max_output_channels")

    def default_input_device(self) -> int | None:
        """Return the index of the system's microphone, or `None` if there is none.

        Raises:
            PlatformAudioError: As `list_input_devices`.
        """
        return _default(0)

    def default_output_device(self) -> int | None:
        """Return the index of the system's speaker, or `None` if there is none.

        Raises:
            PlatformAudioError: As `list_input_devices`.
        """
        return _default(1)

    def open_input(
        self,
        *,
        enable_aec: bool = True,
        noise_suppression: bool = True,
        high_pass_filter: bool = True,
        auto_gain_control: bool = True,
        input_device: int | None = None,
        queue_capacity: int = 50,
        input_channel_index: int | None = None,
    ) -> InputCapture:
        """Open a microphone; publish a track of the `source` of what is returned.

        What is recorded goes to the source on a thread of PortAudio's, whatever the event loop is doing.

        Args:
            enable_aec: Whether to remove the echo of what `open_output`, called afterwards, plays.
            noise_suppression: Whether to suppress steady noise.
            high_pass_filter: Whether to remove what is lower than speech.
            auto_gain_control: Whether to bring speech to an even level.
            input_device: The index of the device; by default the system's.
            queue_capacity: Frames of 10 ms that may wait in the source; then they are dropped and counted.
            input_channel_index: The only channel to be recorded, as mono.

        Raises:
            PlatformAudioError: If the `devices` extra is missing or the device cannot be opened.
            MediaError: If audio is to be processed and the `apm` extra is missing.
            ValueError: If a number is out of range.
        """
        if queue_capacity < 1 or (input_channel_index is not None and input_channel_index < 0):
            raise ValueError(f"no such queue or channel: {queue_capacity}, {input_channel_index}")
        apm: AudioProcessingModule | None = None
        if enable_aec or noise_suppression or high_pass_filter or auto_gain_control:
            apm = AudioProcessingModule(
                echo_cancellation=enable_aec,
                noise_suppression=noise_suppression,
                high_pass_filter=high_pass_filter,
                auto_gain_control=auto_gain_control,
            )
        delay = DeviceDelay()
        channels = self._channels if input_channel_index is None else 1
        # A whole block arrives at once, so there must be room for one.
        queue_ms = max(queue_capacity * 10, 2 * self._blocksize * 1000 // self._input_rate)
        source = AudioSource(self._input_rate, channels, queue_ms)
        recording = Recording(
            source._feed,  # noqa: SLF001 - the way in for devices
            sample_rate=self._input_rate,
            num_channels=channels,
            blocksize=self._blocksize,
            device=input_device,
            channel=input_channel_index,
            apm=apm,
            delay=delay,
        )
        self._apm, self._delay = apm, delay
        return InputCapture(source, recording, apm, delay)

    def open_output(self, *, output_device: int | None = None) -> OutputPlayer:
        """Open a speaker; its echo is removed from the microphone opened last, if that was asked for.

        Args:
            output_device: The index of the device; by default the system's.

        Raises:
            PlatformAudioError: If the `devices` extra is missing or the device cannot be opened.
            MediaError: If numpy is not installed.
        """
        return OutputPlayer(
            sample_rate=self._output_rate,
            num_channels=self._channels,
            blocksize=self._blocksize,
            apm_for_reverse=self._apm,
            output_device=output_device,
            delay_estimator=self._delay,
        )


def _devices(channels: str) -> list[dict[str, Any]]:
    return [device for device in query_devices(require_sounddevice()) if device.get(channels, 0) > 0]


def _default(position: int) -> int | None:
    sounddevice = require_sounddevice()
    try:
        index = sounddevice.default.device[position]
    except sounddevice.PortAudioError as error:
        raise PlatformAudioError(f"the default audio device is not known: {error}") from error
    return None if index is None or index < 0 else int(index)
